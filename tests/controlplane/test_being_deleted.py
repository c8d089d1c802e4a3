"""A running operator: a deletion acts at once even if a finalizer holds the object, and nobody inherits its EUI."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import RegistryDocument
from stationkeeper_operator.resources.records import TAKES_OVER
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway, trusted_ca
from tests.waiting import wait_for

HELD = "example.org/hold"
EUI = "00000000000000D1"


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator")) as made:
        made.start_leading("deleting")
        yield made


def test_a_deletion_acts_at_once_although_a_finalizer_holds_the_object(cluster: Release) -> None:
    cluster.apply("TrustedCA", "held", trusted_ca("held"))
    cluster.apply("Gateway", "held", gateway(EUI))
    cluster.wait_ready("TrustedCA/held", "Gateway/held")
    for kind in ("TrustedCA", "Gateway"):
        cluster.hold(kind, "held", HELD)
        cluster.delete(kind, "held")
    wait_for(lambda: f"{cluster.team}/held" not in cluster.trusted(), "the CA is not trusted")
    wait_for(lambda: "held" not in cluster.registered(), "the gateway is not registered")
    for kind in ("TrustedCA", "Gateway"):
        assert cluster.wait_reason(kind, "held", "BeingDeleted")["status"] == "False"
        ready = wait_for(partial(cluster.condition, kind, "held", "Ready"), f"{kind} says so")
        assert (ready["status"], ready["reason"]) == ("False", "BeingDeleted")
        cluster.hold(kind, "held")
    assert f"{cluster.team}/held" not in cluster.trusted()
    assert "held" not in cluster.registered()


def test_an_eui_under_one_ca_passes_to_another_namespace_by_a_person_alone(cluster: Release) -> None:
    eui = "00000000000000D2"
    serves = [{"namespace": cluster.team}]
    cluster.apply("TrustedCA", "serving", trusted_ca("serving", serves=serves), cluster.namespace)
    cluster.apply("Gateway", "owner", gateway(eui))
    cluster.wait_ready("Gateway/owner")
    uid = cluster.resource("Gateway", "owner")["metadata"]["uid"]
    cluster.apply("Gateway", "waiting", gateway(eui), cluster.namespace)
    wait_for(lambda: _waits(cluster, eui), "the other one waits")

    cluster.delete("Gateway", "owner")
    wait_for(lambda: ("Normal", "EUIReserved") in cluster.events("owner"), "an event tells the uid")
    assert _in_force(cluster, eui) == []

    cluster.annotate("Gateway", "waiting", cluster.namespace, TAKES_OVER, uid)
    wait_for(lambda: _in_force(cluster, eui) == [cluster.namespace], "it is handed over")


def _documents(cluster: Release) -> list[RegistryDocument]:
    found = (cluster.published(f"registry-{number:02d}") for number in range(16))
    return [each.content for each in found if each is not None and isinstance(each.content, RegistryDocument)]


def _waits(cluster: Release, eui: str) -> bool:
    return any(each.waits for document in _documents(cluster) for each in document.reserved if each.eui == eui)


def _in_force(cluster: Release, eui: str) -> list[str]:
    return [each.namespace for document in _documents(cluster) for each in document.gateways if each.eui == eui]
