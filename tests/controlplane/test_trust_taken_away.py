"""Statuses and events about trust that is missing, removed or kept, on a real API server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.api_client import RequestError
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway, root, trusted_ca
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator")) as made:
        made.start_leading("trust")
        yield made


def vouched(cluster: Release, status: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        each = cluster.condition("Gateway", "roof", "Vouched")
        return each if each is not None and each["status"] == status else None

    return wait_for(found, f"Vouched is {status}")


def test_a_gateway_names_the_cas_that_can_vouch_and_is_ready_only_then(cluster: Release) -> None:
    cluster.apply("Gateway", "roof", gateway("01000000000000E1"))
    assert "no TrustedCA is in its scope" in vouched(cluster, "False")["message"]
    assert (cluster.condition("Gateway", "roof", "Ready") or {})["reason"] == "NobodyVouches"
    cluster.apply("TrustedCA", "acme", trusted_ca())
    assert vouched(cluster, "True")["message"] == "by certificate: acme"
    cluster.wait_ready("Gateway/roof")
    cluster.apply("TrustedCA", "acme", trusted_ca(suspended=True))
    assert "acme (it is suspended)" in vouched(cluster, "False")["message"]


def test_a_renewed_source_is_kept_and_shown_and_what_is_revoked_no_more_is_reported(cluster: Release) -> None:
    cluster.apply_config_map("kept", {"ca.crt": root("one").certificate_pem.decode()})
    source = {"certificatesFrom": {"configMapKeyRef": {"name": "kept", "key": "ca.crt"}, "retain": "1h"}}
    cluster.apply("TrustedCA", "kept", {**source, "revocation": {"serials": ["dec:1715004"]}})
    cluster.wait_ready("TrustedCA/kept")
    cluster.apply_config_map("kept", {"ca.crt": root("two").certificate_pem.decode()})

    def shown() -> list[dict[str, Any]] | None:
        listed = cluster.resource("TrustedCA", "kept")["status"]["certificates"]
        return [each for each in listed if "retainedUntil" in each] or None

    (kept,) = wait_for(shown, "the old anchor is kept")
    assert "CN=" in kept["subject"]
    cluster.apply("TrustedCA", "kept", source)
    wait_for(lambda: ("Warning", "RevokedNoMore") in cluster.events("kept"), "an event says so")


@pytest.mark.parametrize("serial", ["1715004", "xyz", "0x"])
def test_a_serial_that_cannot_be_determined_is_refused_at_apply(cluster: Release, serial: str) -> None:
    with pytest.raises(RequestError, match="serials"):
        cluster.apply("TrustedCA", "typo", trusted_ca(revocation={"serials": [serial]}))


@pytest.mark.parametrize("serial", ["serial=1A2B3C", "1715004 (0x1a2b3c)", "0x1715004", "dec:1715004", "1A:2B", "-1A"])
def test_a_serial_is_taken_as_tools_print_it(cluster: Release, serial: str) -> None:
    name = f"serial-{abs(hash(serial))}"
    cluster.apply("TrustedCA", name, trusted_ca(revocation={"serials": [serial]}))
    cluster.wait_reason("TrustedCA", name, "Accepted")
