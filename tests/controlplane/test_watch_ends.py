"""kopf ends after an answer of the API server, or of a proxy, that it does not expect: the operator continues."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.behind_proxy import proxy_of, start_behind
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import trusted_ca
from tests.perturbation.plan import Kind, Perturbation, Plan
from tests.perturbation.proxy import Proxy
from tests.waiting import wait_for

BEGUN_AGAIN = "the watch ended, beginning again"


class Once(Plan):
    """A plan that disturbs the first request of a kind, and nothing else."""

    def __init__(self, traffic: str, kind: Kind) -> None:
        super().__init__(0, 0.0)
        self.kills = {}
        self._traffic, self._kind = traffic, kind

    def draw(self, traffic: str, number: int, kinds: Any) -> Perturbation | None:
        is_it = traffic == self._traffic and number == 1 and self._kind in kinds
        return Perturbation(self._kind, 0.1, 0.5) if is_it else None


@pytest.fixture
def cluster(control_plane: Any, tmp_path: Path) -> Iterator[Release]:
    install_crds(control_plane.admin_kubeconfig)
    with release(control_plane.admin_kubeconfig, tmp_path) as made:
        yield made


@pytest.fixture
def proxy(control_plane: Any, tmp_path: Path) -> Iterator[Proxy]:
    with proxy_of(control_plane, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("traffic", "kind"),
    [("GET other", Kind.CUT), ("WATCH trustedcas", Kind.WATCH_GONE), ("WATCH gateways", Kind.WATCH_GONE)],
)
def test_the_watch_begins_again_in_the_same_process(
    cluster: Release, proxy: Proxy, tmp_path: Path, traffic: str, kind: Kind
) -> None:
    proxy.begin(Once(traffic, kind))
    process = start_behind(proxy, cluster, tmp_path)
    try:
        wait_for(lambda: any(each["event"] == BEGUN_AGAIN for each in process.lines()), "kopf ended")
        for name in ("one", "two"):
            cluster.apply("TrustedCA", name, trusted_ca(name))
            wait_for(lambda: f"{cluster.team}/{name}" in cluster.trusted(), f"{name} is trusted")  # noqa: B023
        cluster.delete("TrustedCA", "two")
        wait_for(lambda: f"{cluster.team}/two" not in cluster.trusted(), "it is trusted no more")
        assert process.is_running()
        assert sum(each["event"] == BEGUN_AGAIN for each in process.lines()) == 1
    finally:
        process.kill()
