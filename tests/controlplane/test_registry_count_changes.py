"""The count of registry Secrets changes in a running release: gateways are answered, and reductions act."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stationkeeper_core.published.registry_layout import layout_of
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.sample_pki import KeyPair, make_root
from tests.controlplane.cups_process import CupsProcess
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.waiting import wait_for

TOKEN = "internal-token-of-the-release"
FORMER, NEW = 16, 64
KEPT, REMOVED_MIDWAY, REMOVED_AFTER = 1, 2, 3


@contextmanager
def always_answered(cups: CupsProcess, root: KeyPair) -> Iterator[None]:
    """Ask as a gateway repeatedly meanwhile; each answer must be 200."""
    stop, answers = threading.Event(), list[str]()

    def ask() -> None:
        while not stop.is_set():
            answers.append(cups.ask(root, KEPT))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        stop.set()
        asking.join()
    assert answers
    assert set(answers) == {"200"}


@pytest.fixture
def stage(control_plane: ControlPlane, tmp_path: Path) -> Iterator[tuple[Release, Path]]:
    install_crds(control_plane.admin_kubeconfig)
    with release(control_plane.admin_kubeconfig, tmp_path, namespaced=True, internal_token=TOKEN) as made:
        yield made, tmp_path


def _gateways(made: Release, root: KeyPair) -> None:
    pem = root.certificate_pem.decode()
    made.apply("TrustedCA", "ours", {"certificates": pem})
    for number in (KEPT, REMOVED_MIDWAY, REMOVED_AFTER):
        made.apply("Gateway", f"gw-{number}", {"eui": f"{number:016X}", "lns": {"uri": "wss://lns:8887", "trust": pem}})


def test_a_release_goes_to_more_secrets_and_back_while_gateways_are_answered(stage: tuple[Release, Path]) -> None:
    made, folder = stage
    root = make_root("gateways", datetime.now(UTC))

    def refused(pod: CupsProcess, eui: int) -> None:
        wait_for(lambda: pod.ask(root, eui) == "GatewayNotRegistered", "a removed gateway is refused")

    with ExitStack() as running:

        def pod(name: str, buckets: int) -> CupsProcess:
            certificate = made.operator_pair.certificate_pem
            process = CupsProcess(folder / name, made, TOKEN, operator_certificate=certificate, buckets=buckets)
            running.callback(process.kill)
            process.begin()
            made.create_cups_pod(f"cups-{name}", process.internal_port, buckets=buckets)
            return process

        _gateways(made, root)
        operator = made.start()
        wait_for(lambda: len(made.registered()) == 3, "all Gateways are in force")
        old = pod("old", FORMER)
        wait_for(old.is_serving, "the first pod serves")
        with always_answered(old, root):
            made.create_count(NEW)
            new = pod("new", NEW)
            operator.kill()
            made.give_up_lease()
            made.start(buckets=NEW)
            wait_for(new.is_serving, "the new pod serves")
            assert made.written(NEW) == layout_of(NEW).registry
            made.delete("Gateway", f"gw-{REMOVED_MIDWAY}")
            for each in (old, new):
                refused(each, REMOVED_MIDWAY)
        with always_answered(new, root):
            old.kill()
            made.delete_pod("cups-old")
            wait_for(lambda: not made.written(FORMER), "the former Secrets are emptied")
            made.delete("Gateway", f"gw-{REMOVED_AFTER}")
            refused(new, REMOVED_AFTER)
            made.end_processes()
            made.give_up_lease()
            back = pod("back", FORMER)
            assert not back.is_serving()
            made.start(buckets=FORMER)
            wait_for(back.is_serving, "the pod of the former count serves again")
            assert back.ask(root, KEPT) == "200"
            for eui in (REMOVED_MIDWAY, REMOVED_AFTER):
                assert back.ask(root, eui) == "GatewayNotRegistered"
        assert made.written(NEW) == layout_of(NEW).registry
