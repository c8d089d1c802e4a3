"""An operator on a machine with a wrong clock, on a real API server: all else is as in production."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import DOCUMENTS, TrustDocument
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.leadership import Leadership
from stationkeeper_operator.runtime import Operator
from stationkeeper_operator.settings import read_settings
from stationkeeper_operator.watching.watch import Watch
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway, root, trusted_ca
from tests.controlplane.revocation_lists import crl, pem, revoked
from tests.waiting import EVENTUALLY, wait_for


class Clock:
    """A clock that is wrong by `off`."""

    def __init__(self, off: timedelta) -> None:
        self.off = off

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.off


@pytest.fixture
def cluster(control_plane: Any, tmp_path: Path) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path) as made:
        yield made


@contextmanager
def operating(cluster: Release, clock: Clock) -> Iterator[None]:
    """Yield an operator with that clock that leads, in a thread of this process."""
    settings = read_settings([], cluster.environment("with-a-clock"))
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    failures: list[BaseException] = []

    async def run() -> None:
        async with KubernetesApi(Credentials(settings.kubeconfig)) as api:
            watch = partial(Watch, settings.kubeconfig, settings.watch_namespaces)
            await Operator(settings, api, watch, lambda changed: lead(api, changed), clock).run(stop)

    def lead(api: KubernetesApi, changed: Callable[[], None]) -> Leadership:
        return Leadership(api, settings.namespace, settings.identity, changed=changed)

    def thread() -> None:
        try:
            loop.run_until_complete(run())
        except BaseException as error:
            failures.append(error)
        finally:
            loop.close()

    running = threading.Thread(target=thread)
    running.start()
    try:
        wait_for(lambda: cluster.holder() == settings.identity, "it leads")
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        running.join(EVENTUALLY)
    assert failures == []
    assert not running.is_alive()


def generations(cluster: Release) -> dict[str, int]:
    found = {document: cluster.published(document) for document in DOCUMENTS}
    return {document: 0 if each is None else each.header.generation for document, each in found.items()}


def in_force(cluster: Release) -> dict[str, tuple[bytes, ...]]:
    """Return the anchors of each TrustedCA."""
    found = cluster.published("trust")
    assert found is not None
    assert isinstance(found.content, TrustDocument)
    return {each.name: each.anchors for each in found.content.authorities}


def revoking(*serials: int) -> dict[str, Any]:
    return trusted_ca("revoking", revocation={"crl": pem(crl("revoking", *serials))})


def test_with_a_clock_at_1970_trust_stays_and_removals_act(cluster: Release) -> None:
    right = cluster.start_leading()
    for name in ("kept", "dropped"):
        cluster.apply("TrustedCA", name, trusted_ca(name))
    cluster.apply("TrustedCA", "revoking", revoking(7))
    cluster.apply("Gateway", "before", gateway("00000000000000A1"))
    cluster.wait_ready("TrustedCA/kept", "TrustedCA/dropped", "TrustedCA/revoking", "Gateway/before")
    before, anchors = generations(cluster), in_force(cluster)
    right.terminate()

    clock = Clock(datetime(1970, 1, 1, tzinfo=UTC) - datetime.now(UTC))
    assert root("kept").x509.not_valid_before_utc > clock(), "to this operator no certificate is valid yet"
    with operating(cluster, clock):
        cluster.apply("Gateway", "meanwhile", gateway("00000000000000A2"))
        wait_for(lambda: "meanwhile" in cluster.registered(), "it works")
        cluster.delete("TrustedCA", "dropped")
        wait_for(lambda: "dropped" not in in_force(cluster), "what was removed is gone")
        cluster.apply("TrustedCA", "revoking", revoking(7, 8))
        cluster.apply("TrustedCA", "new", trusted_ca("new"))
        wait_for(lambda: "new" in in_force(cluster), "a new CA is trusted")
        assert in_force(cluster).items() >= {name: anchors[name] for name in ("kept", "revoking")}.items()
        cluster.wait_reason("TrustedCA", "revoking", "CRLNotYetValid")
        assert revoked(cluster, "revoking") == {7}
        wrong = generations(cluster)
        assert all(wrong[each] >= before[each] for each in DOCUMENTS)
        assert wrong["trust"] > before["trust"]

        clock.off = timedelta()
        wait_for(lambda: revoked(cluster, "revoking") == {7, 8}, "the new CRL is in force")
        cluster.apply("Gateway", "after", gateway("00000000000000A3"))
        cluster.wait_ready("Gateway/meanwhile", "Gateway/after", "TrustedCA/kept", "TrustedCA/new")
        assert in_force(cluster).keys() == {"kept", "revoking", "new"}
        right_again = generations(cluster)
        assert all(right_again[each] >= wrong[each] for each in DOCUMENTS)


def test_a_clock_far_ahead_that_is_set_right_again_brings_back_what_had_seemed_to_be_expired(cluster: Release) -> None:
    clock = Clock(timedelta())
    with operating(cluster, clock):
        cluster.apply("TrustedCA", "kept", trusted_ca("kept"))
        wait_for(lambda: cluster.published("trust") and "kept" in in_force(cluster), "it is trusted")
        clock.off = timedelta(days=36500)
        wait_for(lambda: not in_force(cluster), "to this operator it has expired")
        ahead = generations(cluster)
        clock.off = timedelta()
        wait_for(lambda: "kept" in in_force(cluster), "it is trusted again")
        assert generations(cluster)["trust"] > ahead["trust"]
