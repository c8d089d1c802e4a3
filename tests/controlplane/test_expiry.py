"""A running operator: it reports certificates that expire, and removes an expired anchor without another event."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.sample_pki import make_root
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import root
from tests.waiting import PROMPTLY, wait_for

pytestmark = pytest.mark.timeout(90)

LASTS = 12
"""Seconds; enough for a busy machine to publish an anchor before it ends."""


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
    wait_for(lambda: reason(cluster, name) == f"Expires{expected}", "the condition says so", PROMPTLY)
    wait_for(lambda: cluster.events(name) == [("Warning", f"Expires{expected}")], "one event says so", PROMPTLY)
    cluster.wait_ready(f"TrustedCA/{name}")


def test_an_anchor_that_expires_leaves_the_trust_by_time_alone_and_that_is_reported(cluster: Release) -> None:
    stays = root("stays").certificate_pem.decode()
    cluster.apply("TrustedCA", "both", {"certificates": stays + ending("goes", seconds=LASTS)})
    cluster.apply("TrustedCA", "alone", {"certificates": ending("alone", seconds=LASTS)})
    wait_for(lambda: f"{cluster.team}/alone" in cluster.trusted(), "it is trusted", PROMPTLY)

    wait_for(lambda: f"{cluster.team}/alone" not in cluster.trusted(), "it is trusted no more", LASTS + PROMPTLY)
    wait_for(lambda: _count(cluster, "both") == 1, "only the anchor that is valid is in force", PROMPTLY)
    assert f"{cluster.team}/both" in cluster.trusted()
    wait_for(lambda: ("Warning", "Expired") in cluster.events("both"), "an event says so", PROMPTLY)
    assert reason(cluster, "both") == "Expired"
    wait_for(lambda: ("Warning", "AnchorExpired") in cluster.events("alone"), "an event says so", PROMPTLY)
    assert reason(cluster, "alone") == "Expired"


def _count(cluster: Release, name: str) -> int:
    return int(cluster.resource("TrustedCA", name).get("status", {}).get("certificateCount", 0))
