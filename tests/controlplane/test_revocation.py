"""A running operator: it follows CRLs in a ConfigMap, and a CRL becomes overdue without another event."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.api_client import RequestError
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import trusted_ca
from tests.controlplane.revocation_lists import crl, pem, revoked
from tests.waiting import wait_for

LASTS = (8, 30, 120)
"""Seconds; where a busy machine has not shown a list before it is overdue, the next one lasts longer."""
SOURCE = {"configMapKeyRef": {"name": "crls", "key": "ca.crl"}}


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator")) as made:
        made.start_leading("revoking")
        yield made


def test_a_list_in_a_config_map_is_followed_and_a_broken_one_unrevokes_nothing(cluster: Release) -> None:
    cluster.apply_config_map("crls", {}, {"ca.crl": crl("followed", 1)})
    cluster.apply("TrustedCA", "followed", trusted_ca("followed", revocation={"crlFrom": SOURCE}))
    wait_for(lambda: revoked(cluster, "followed") == {1}, "the list is in force")
    cluster.wait_ready("TrustedCA/followed")

    cluster.apply_config_map("crls", {"ca.crl": pem(crl("followed", 1, 2))})
    wait_for(lambda: revoked(cluster, "followed") == {1, 2}, "the new list is in force")

    (shown,) = wait_for(lambda: _lists(cluster, "followed", 2), "the status shows the new list")
    assert (shown["issuer"], shown["overdue"]) == ("CN=followed", False)
    cluster.apply_config_map("crls", {"ca.crl": "no list"})
    cluster.wait_reason("TrustedCA", "followed", "MalformedCRL")
    assert revoked(cluster, "followed") == {1, 2}


def test_time_alone_makes_a_list_overdue_and_that_is_reported(cluster: Release) -> None:
    name = next(filter(None, (_shown_before_it_is_overdue(cluster, seconds) for seconds in LASTS)))

    wait_for(lambda: ("Warning", "CRLExpired") in cluster.events(name), "an event says so")
    wait_for(lambda: _lists(cluster, name, 1)[0]["overdue"], "the status says so")  # type: ignore[index]
    condition = cluster.condition("TrustedCA", name, "Accepted")
    assert condition is not None
    assert "all certificates of this issuer are refused" in condition["message"]
    assert revoked(cluster, name) == {7}


def _shown_before_it_is_overdue(cluster: Release, seconds: int) -> str | None:
    """Apply a TrustedCA with a list that is overdue in so many seconds.

    Returns:
        Its name; None if the list was overdue before all of it was read.
    """
    name = f"passing-{seconds}"
    # The list says when it is due in whole seconds.
    ends = time.monotonic() + seconds - 1
    revocation = {"crl": pem(crl("passing", 7, seconds=seconds)), "crlExpired": "Refuse"}
    cluster.apply("TrustedCA", name, trusted_ca("passing", revocation=revocation))
    cluster.wait_ready(f"TrustedCA/{name}")
    (shown,) = wait_for(lambda: _lists(cluster, name, 1), "the status shows the list")
    told = cluster.events(name)
    if time.monotonic() > ends:
        return None
    assert not shown["overdue"]
    assert told == []
    return name


@pytest.mark.parametrize(
    "fields",
    [
        {"revocation": {"crl": "x", "crlFrom": SOURCE}},
        {"revocation": {"crlFrom": {}}},
        {"revocation": {"crlExpired": "Perhaps"}},
        {"weakSignatures": "Perhaps"},
        {"presentedIntermediates": "Perhaps"},
    ],
)
def test_a_value_outside_of_the_schema_is_refused_at_apply(cluster: Release, fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="spec"):
        cluster.apply("TrustedCA", "excluded", trusted_ca("excluded", **fields))


def _lists(cluster: Release, name: str, entries: int) -> list[dict[str, Any]] | None:
    shown = cluster.resource("TrustedCA", name).get("status", {}).get("revocationLists", [])
    return shown if shown and shown[0]["entries"] == entries else None
