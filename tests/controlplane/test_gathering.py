"""Operator and CUPS as processes on a real API server: loaded generations and visits get into the statuses."""

import asyncio
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import DOCUMENTS
from stationkeeper_core.published.observation import DeliveryState
from stationkeeper_operator.rollout.generation_report import Loaded
from tests.controlplane.cups_process import NOTHING_CRC, CupsProcess
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway, root, trusted_ca
from tests.operator.internal_port import InternalPort, internal_port
from tests.operator.seeing import delivery, saw
from tests.waiting import EVENTUALLY, wait_for

EUI = 0xA840_4100_0000_0001
LOST = DeliveryState.NOT_CONVERGING


def name_of(eui: int) -> str:
    return f"{eui:016X}"


@pytest.fixture(scope="module")
def admin(control_plane: Any) -> Path:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    return kubeconfig


class Told:
    """An internal port with the answers of a test, in its own event loop."""

    def __init__(self, folder: Path, token: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._context = internal_port(folder, token)
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.port: InternalPort = self._run(self._context.__aenter__())

    def close(self) -> None:
        self._run(self._context.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(EVENTUALLY)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path, "a-token-that-is-long-enough")
    yield made
    made.close()


def loaded_all(cluster: Release) -> Loaded:
    """Return the report of a pod that has loaded everything published."""
    found = {each: cluster.published(each) for each in DOCUMENTS}
    return Loaded({name: each.header.generation for name, each in found.items() if each is not None})


def enforced(cluster: Release, kind: str, name: str) -> tuple[str, str, str]:
    found = cluster.condition(kind, name, "Enforced") or {}
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


def test_with_named_namespaces_too_the_operator_may_do_all_that_gathering_takes(
    admin: Path, tmp_path: Path, told: Told
) -> None:
    with release(admin, tmp_path, namespaced=True, internal_token="a-token-that-is-long-enough") as cluster:
        cluster.create_cups_pod("cups-0", told.port.port)
        operator = cluster.start_leading()
        cluster.apply("TrustedCA", "acme", trusted_ca())
        cluster.apply("Gateway", "roof", gateway(name_of(EUI)))

        def is_ready_once_the_pod_has_loaded_all() -> bool:
            told.port.loaded = loaded_all(cluster)
            return (cluster.condition("Gateway", "roof", "Ready") or {}).get("status") == "True"

        wait_for(is_ready_once_the_pod_has_loaded_all, "Gateway/roof is ready")
        uid = cluster.resource("Gateway", "roof")["metadata"]["uid"]
        now = datetime.now(UTC)
        seen = saw(0, uid=uid, eui=name_of(EUI), last_seen=now, certificate=None, delivery=delivery(LOST, 5))
        told.port.seen = [seen]
        wait_for(lambda: ("Warning", "NotConverging") in cluster.events("roof"), "the event")
        status = cluster.resource("Gateway", "roof")["status"]
        assert status["delivery"] == {"state": "NotConverging", "deliveries": 5, "outstanding": ["LNSCredentials"]}
        operator.terminate()
        cluster.start_leading()
        asked = len(told.port.paths)
        wait_for(lambda: len(told.port.paths) > asked + 3, "the new operator has read it all again")
        assert cluster.events("roof").count(("Warning", "NotConverging")) == 1
        assert cluster.resource("Gateway", "roof")["status"]["lastSeen"] == status["lastSeen"]


def test_a_removal_waits_for_a_terminating_pod_that_has_the_earlier_document(
    admin: Path, tmp_path: Path, told: Told
) -> None:
    with release(admin, tmp_path, internal_token="a-token-that-is-long-enough") as cluster:
        told.port.loaded = Loaded(dict.fromkeys(DOCUMENTS, 1))
        cluster.create_cups_pod("cups-0", told.port.port)
        cluster.end_cups_pod("cups-0")
        cluster.start_leading()
        cluster.apply("TrustedCA", "late", trusted_ca("late"))
        wait_for(lambda: "pod cups-0 (about to end)" in enforced(cluster, "TrustedCA", "late")[2], "it waits")
        assert enforced(cluster, "TrustedCA", "late")[:2] == ("False", "Pending")
        told.port.loaded = loaded_all(cluster)
        wait_for(lambda: enforced(cluster, "TrustedCA", "late")[0] == "True", "it is enforced")


@pytest.fixture(scope="module")
def cluster(admin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    token = secrets.token_urlsafe(30)
    with release(admin, tmp_path_factory.mktemp("operator"), internal_token=token) as made:
        made.start_leading("gathering")
        yield made


@pytest.fixture(scope="module")
def cups(cluster: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CupsProcess]:
    made = CupsProcess(tmp_path_factory.mktemp("cups"), cluster, cluster.internal_token)
    try:
        made.start()
        cluster.create_cups_pod("cups-0", made.internal_port)
        yield made
    finally:
        made.stop()


def admitted(cluster: Release, cups: CupsProcess, ca: str, eui: int) -> None:
    """Return a TrustedCA and a Gateway that CUPS has loaded."""
    cluster.apply("TrustedCA", ca, trusted_ca(ca))
    cluster.apply("Gateway", ca, gateway(name_of(eui)))
    wait_for(lambda: f"{cluster.team}/{ca}" in cluster.trusted() and ca in cluster.registered(), "it is published")
    cups.deliver()
    cluster.wait_ready(f"TrustedCA/{ca}", f"Gateway/{ca}")


def test_enforced_is_true_after_cups_has_loaded_it_with_the_duration(cluster: Release, cups: CupsProcess) -> None:
    cluster.apply("TrustedCA", "waiting", trusted_ca("waiting"))
    wait_for(lambda: enforced(cluster, "TrustedCA", "waiting")[:2] == ("False", "Pending"), "it is pending")
    assert (cluster.condition("TrustedCA", "waiting", "Ready") or {})["reason"] == "Pending"
    cups.deliver()
    wait_for(lambda: enforced(cluster, "TrustedCA", "waiting")[0] == "True", "it is enforced")
    assert " s after it was published" in enforced(cluster, "TrustedCA", "waiting")[2]
    cluster.wait_ready("TrustedCA/waiting")


def test_a_pod_that_refuses_a_document_is_named(cluster: Release, cups: CupsProcess) -> None:
    cluster.apply("TrustedCA", "hindered", trusted_ca("hindered"))
    wait_for(lambda: f"{cluster.team}/hindered" in cluster.trusted(), "it is published")
    published = cluster.document_value("trust") or b""
    cups.lay("trust", published[:-1] + bytes([published[-1] ^ 1]))
    wait_for(lambda: enforced(cluster, "TrustedCA", "hindered")[1] == "PodCannotLoad", "the pod cannot load it")
    assert "pod cups-0 cannot load trust" in enforced(cluster, "TrustedCA", "hindered")[2]
    wait_for(lambda: "PodCannotLoad" in cluster.pod_events("cups-0"), "an event says so")
    cups.deliver()
    wait_for(lambda: enforced(cluster, "TrustedCA", "hindered")[0] == "True", "it is enforced")


def test_a_visit_is_in_the_statuses_of_the_gateway_and_of_its_ca(cluster: Release, cups: CupsProcess) -> None:
    admitted(cluster, cups, "visited", EUI + 1)
    assert cups.ask(root("visited"), EUI + 1) == "200"
    wait_for(lambda: "lastSeen" in cluster.resource("Gateway", "visited")["status"], "it was seen")
    status = cluster.resource("Gateway", "visited")["status"]
    assert (status["station"], status["model"]) == ("2.0.6(test)", "linux")
    assert status["certificate"]["trustedCA"] == f"{cluster.team}/visited"
    wait_for(lambda: cluster.resource("TrustedCA", "visited")["status"].get("gatewaysSeen") == 1, "it counts")


def test_a_gateway_that_never_accepts_its_configuration_is_reported(cluster: Release, cups: CupsProcess) -> None:
    admitted(cluster, cups, "stubborn", EUI + 2)

    def is_told() -> bool:
        assert cups.ask(root("stubborn"), EUI + 2, reports_crc=NOTHING_CRC) == "200"
        delivery_seen = cluster.resource("Gateway", "stubborn")["status"].get("delivery", {})
        return bool(delivery_seen.get("state") == "NotConverging")

    wait_for(is_told, "it does not converge")
    wait_for(lambda: ("Warning", "NotConverging") in cluster.events("stubborn"), "an event says so")


def test_an_unregistered_gateway_with_a_valid_certificate_is_listed(cluster: Release, cups: CupsProcess) -> None:
    admitted(cluster, cups, "vouching", EUI + 3)
    assert cups.ask(root("vouching"), EUI + 4) == "GatewayNotRegistered"

    def listed() -> list[str]:
        status = cluster.resource("TrustedCA", "vouching")["status"]
        return [each["eui"] for each in status.get("unregistered", ())]

    wait_for(lambda: listed() == [name_of(EUI + 4)], "it is listed")


def test_a_deleted_ca_is_reported_as_in_use_and_then_as_enforced(cluster: Release, cups: CupsProcess) -> None:
    admitted(cluster, cups, "leaving", EUI + 5)
    assert cups.ask(root("leaving"), EUI + 5) == "200"
    wait_for(lambda: cluster.resource("TrustedCA", "leaving")["status"].get("gatewaysSeen") == 1, "it counts")
    cluster.delete("TrustedCA", "leaving")
    wait_for(lambda: ("Warning", "InUse") in cluster.events("leaving"), "an event says that it was in use")
    assert ("Normal", "Enforced") not in cluster.events("leaving")
    cups.deliver()
    wait_for(lambda: ("Normal", "Enforced") in cluster.events("leaving"), "an event says that no pod trusts it")


def test_a_suspended_ca_says_who_else_holds_its_certificate(cluster: Release, cups: CupsProcess) -> None:
    spec = trusted_ca("shared")
    cluster.apply("TrustedCA", "one", spec)
    cluster.apply("TrustedCA", "two", spec)
    wait_for(lambda: {f"{cluster.team}/one", f"{cluster.team}/two"} <= cluster.trusted(), "both are published")
    cluster.apply("TrustedCA", "one", {**spec, "suspended": True})

    def found() -> dict[str, Any] | None:
        return cluster.condition("TrustedCA", "one", "StillTrustedBy")

    wait_for(lambda: (found() or {}).get("status") == "True", "the other is named")
    assert f"{cluster.team}/two" in (found() or {})["message"]
    cluster.delete("TrustedCA", "two")
    wait_for(lambda: (found() or {}).get("status") == "False", "no other is left")
    cups.deliver()
    wait_for(lambda: enforced(cluster, "TrustedCA", "one")[0] == "True", "the suspension is enforced")
