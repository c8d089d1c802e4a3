"""A running operator: it reports certificates that expire, and removes an expired anchor without another event."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.sample_pki import make_root
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import root
from tests.waiting import wait_for

LASTS = (8, 30, 120)
"""Seconds; where a busy machine has not published an anchor before it ends, the next one lasts longer."""


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator")) as made:
        made.start_leading("expiring")
        yield made


def ending(name: str, **left: float) -> str:
    """Return a root that ends after the given time."""
    return make_root(
        name, datetime.now(UTC) - timedelta(days=1000) + timedelta(**left), days=1000
    ).certificate_pem.decode()


def reason(cluster: Release, name: str) -> str:
    return str((cluster.condition("TrustedCA", name, "Expiring") or {}).get("reason"))


@pytest.mark.parametrize(("name", "days", "expected"), [("week", 6, "Within7Days"), ("month", 20, "Within30Days")])
def test_a_certificate_that_ends_soon_has_a_condition_and_an_event(
    cluster: Release, name: str, days: int, expected: str
) -> None:
    cluster.apply("TrustedCA", name, {"certificates": ending(name, days=days)})
    wait_for(lambda: reason(cluster, name) == f"Expires{expected}", "the condition says so")
    wait_for(lambda: cluster.events(name) == [("Warning", f"Expires{expected}")], "one event says so")
    cluster.wait_ready(f"TrustedCA/{name}")


def test_an_anchor_that_expires_leaves_the_trust_by_time_alone_and_that_is_reported(cluster: Release) -> None:
    both, alone = next(filter(None, (_trusted_until_it_ends(cluster, seconds) for seconds in LASTS)))

    wait_for(lambda: f"{cluster.team}/{alone}" not in cluster.trusted(), "it is trusted no more")
    wait_for(lambda: _count(cluster, both) == 1, "only the anchor that is valid is in force")
    assert f"{cluster.team}/{both}" in cluster.trusted()
    wait_for(lambda: ("Warning", "Expired") in cluster.events(both), "an event says so")
    assert reason(cluster, both) == "Expired"
    wait_for(lambda: ("Warning", "AnchorExpired") in cluster.events(alone), "an event says so")
    assert reason(cluster, alone) == "Expired"


def _trusted_until_it_ends(cluster: Release, seconds: int) -> tuple[str, str] | None:
    """Apply a TrustedCA with two anchors and one with one, of which one ends in so many seconds.

    Returns:
        Their names; None if they ended before both were in force.
    """
    both, alone = f"both-{seconds}", f"alone-{seconds}"
    stays, ends = root("stays").certificate_pem.decode(), time.monotonic() + seconds
    cluster.apply("TrustedCA", both, {"certificates": stays + ending("goes", seconds=seconds)})
    cluster.apply("TrustedCA", alone, {"certificates": ending("alone", seconds=seconds)})
    while time.monotonic() < ends:
        if f"{cluster.team}/{alone}" in cluster.trusted() and _count(cluster, both) == 2:
            return both, alone
    return None


def _count(cluster: Release, name: str) -> int:
    return int(cluster.resource("TrustedCA", name).get("status", {}).get("certificateCount", 0))
