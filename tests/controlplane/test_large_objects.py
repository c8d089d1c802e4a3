"""Tenants' objects that nothing names cost the operator nothing; named objects are followed as before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.api_client import ApiClient
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import trusted_ca
from tests.controlplane.revocation_lists import crl, pem, revoked
from tests.waiting import EVENTUALLY, wait_for

NAMESPACE = "hoarder"
CONFIG_MAPS = 150
SECRETS = 60
LARGE = "x" * 980_000
MAX_MIB = 200
SOURCE = {"configMapKeyRef": {"name": "crls", "key": "ca.crl"}}


@pytest.fixture(scope="module")
def hoard(control_plane: Any) -> Iterator[Path]:
    """Return the kubeconfig of a cluster in which one tenant has more than `MAX_MIB` that nothing names."""
    kubeconfig: Path = control_plane.admin_kubeconfig
    api = ApiClient(kubeconfig, EVENTUALLY)
    api.apply(
        f"/api/v1/namespaces/{NAMESPACE}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    )

    def config_map(number: int) -> None:
        body = {"metadata": {"name": f"large-{number}"}, "data": {"ca.crl": LARGE}}
        ApiClient(kubeconfig, EVENTUALLY).create(f"/api/v1/namespaces/{NAMESPACE}/configmaps", body)

    def secret(number: int) -> None:
        labels = {"stationkeeper.io/credentials": "true"}
        body = {"metadata": {"name": f"large-{number}", "labels": labels}, "stringData": {"token": LARGE}}
        ApiClient(kubeconfig, EVENTUALLY).create(f"/api/v1/namespaces/{NAMESPACE}/secrets", body)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(config_map, range(CONFIG_MAPS)))
        list(pool.map(secret, range(SECRETS)))
    yield kubeconfig
    for plural in ("configmaps", "secrets"):
        api.delete(f"/api/v1/namespaces/{NAMESPACE}/{plural}")


@pytest.fixture(scope="module")
def cluster(hoard: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    install_crds(hoard)
    with release(hoard, tmp_path_factory.mktemp("operator")) as made:
        yield made


def test_unnamed_objects_take_no_memory_and_named_ones_are_followed(cluster: Release) -> None:
    process = cluster.start_leading("small")
    wait_for(lambda: process.answers("/readyz") == 200, "it is ready")

    cluster.apply_config_map("crls", {}, {"ca.crl": crl("hoarded", 1)})
    cluster.apply("TrustedCA", "hoarded", trusted_ca("hoarded", revocation={"crlFrom": SOURCE}))
    wait_for(lambda: revoked(cluster, "hoarded") == {1}, "the list is in force")
    for last in range(2, 5):
        cluster.apply_config_map("crls", {"ca.crl": pem(crl("hoarded", *range(1, last + 1)))})
        wait_for(lambda: revoked(cluster, "hoarded") == set(range(1, last + 1)), "it is followed")  # noqa: B023

    assert process.peak_mib() < MAX_MIB


def test_a_list_that_was_deleted_and_made_again_is_followed(cluster: Release) -> None:
    cluster.apply_config_map("late", {"other": "x"})
    spec = trusted_ca("late", revocation={"crlFrom": {"configMapKeyRef": {"name": "late", "key": "ca.crl"}}})
    cluster.apply("TrustedCA", "late", spec)
    cluster.wait_reason("TrustedCA", "late", "ReferenceKeyMissing")
    cluster.delete_config_map("late")
    cluster.wait_reason("TrustedCA", "late", "ReferenceNotFound")
    cluster.apply_config_map("late", {}, {"ca.crl": crl("late", 5)})
    wait_for(lambda: revoked(cluster, "late") == {5}, "the list is in force")
