"""Flux waits by kstatus' rules: checked on a real API server with a running operator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway, root, trusted_ca
from tests.kstatus import CURRENT, FAILED, IN_PROGRESS, kstatus
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator")) as made:
        yield made


SPECS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a CA": ("TrustedCA", CURRENT, trusted_ca("good")),
    "a gateway": ("Gateway", CURRENT, gateway("00000000000000D1")),
    "defaults": ("GatewayDefaults", CURRENT, {"lns": gateway("00000000000000D1")["lns"]}),
    "a suspended CA": ("TrustedCA", CURRENT, trusted_ca("out", suspended=True)),
    "a suspended gateway": ("Gateway", CURRENT, gateway("00000000000000D2", suspended=True)),
    "a refused CA": ("TrustedCA", FAILED, {"certificates": "no PEM"}),
    "a refused gateway": ("Gateway", FAILED, gateway("00000000000000D3", lns={"trust": "no PEM"})),
    "a gateway whose Secret is to come": (
        "Gateway",
        IN_PROGRESS,
        gateway("00000000000000D4", lns={"auth": {"token": {"secretKeyRef": {"name": "later", "key": "token"}}}}),
    ),
}


def test_each_resource_has_the_status_that_flux_should_see(cluster: Release) -> None:
    assert root("good")
    names = {
        case: "default" if kind == "GatewayDefaults" else f"g{i}" for i, (case, (kind, *_)) in enumerate(SPECS.items())
    }
    for case, (kind, _, spec) in SPECS.items():
        cluster.apply(kind, names[case], spec)
        assert kstatus(cluster.resource(kind, names[case])) == IN_PROGRESS, f"{case}: nobody has judged it yet"
    cluster.start_leading("gitops")

    def seen() -> dict[str, str]:
        return {case: kstatus(cluster.resource(kind, names[case])) for case, (kind, *_) in SPECS.items()}

    wanted = {case: expected for case, (_, expected, _) in SPECS.items()}
    wait_for(lambda: seen() == wanted, f"{wanted}")
    cluster.apply_secret("later", {"token": "Bearer LATER"})
    name = names["a gateway whose Secret is to come"]
    wait_for(lambda: kstatus(cluster.resource("Gateway", name)) == CURRENT, "it came")
