"""The operators of two releases serve one namespace on one API server, and know different things about it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import DOCUMENTS
from stationkeeper_operator.rollout.generation_report import Loaded
from stationkeeper_tools.api_client import ApiClient
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import trusted_ca
from tests.controlplane.test_gathering import Told
from tests.waiting import wait_for

TOKEN = "a-token-that-is-long-enough"
WATCHED_SECONDS = 6.0
MOST_WRITES = 10
"""The maximum writes of both in that time; without the pauses there were some 30 a second."""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path, TOKEN)
    made.port.loaded = Loaded(dict.fromkeys(DOCUMENTS, 2**60))
    yield made
    made.close()


def writes(kubeconfig: Path, path: str, seconds: float) -> int:
    """Return how often the object is written in that time."""
    api, versions, deadline = ApiClient(kubeconfig), set[str](), time.monotonic() + seconds
    while time.monotonic() < deadline:
        versions.add(api.get(path)["metadata"]["resourceVersion"])
        time.sleep(0.01)
    return len(versions) - 1


def messages(cluster: Release, name: str) -> list[str]:
    condition = cluster.condition("TrustedCA", name, "ServedTwice")
    return [condition["message"]] if condition and condition["status"] == "True" else []


def notices(operator: OperatorProcess) -> list[Any]:
    return [line for line in operator.lines() if line["event"] == "another release writes the same statuses"]


def told_events(cluster: Release) -> int:
    return cluster.events("shared").count(("Warning", "ServedTwice"))


def test_two_releases_that_serve_one_namespace_say_so_and_stop_to_overwrite_each_other(
    control_plane: Any, tmp_path: Path, told: Told
) -> None:
    kubeconfig = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        release(kubeconfig, tmp_path / "one", internal_token=TOKEN) as one,
        release(kubeconfig, tmp_path / "two", internal_token=TOKEN) as two,
    ):
        # One release has a pod that has loaded everything, the other has no pod: they never agree on `Enforced`.
        one.create_cups_pod("cups-0", told.port.port)
        operators = [one.start_leading("op-one"), two.start_leading("op-two")]
        one.apply("TrustedCA", "shared", trusted_ca("shared"))
        (message,) = wait_for(lambda: messages(one, "shared"), "a condition names both")
        assert one.namespace in message
        assert two.namespace in message
        path = f"/apis/stationkeeper.io/v1alpha1/namespaces/{one.team}/trustedcas/shared"
        assert writes(kubeconfig, path, WATCHED_SECONDS) <= MOST_WRITES
        for operator in operators:
            wait_for(lambda: notices(operator), f"{operator.identity} says so in its log")  # noqa: B023 - called at once
        wait_for(lambda: told_events(one) == len(operators), "each tells it in an event")
        one.apply("TrustedCA", "shared", {**trusted_ca("shared"), "suspended": True})
        wait_for(lambda: one.condition("TrustedCA", "shared", "Accepted"), "a new spec is still judged soon")
