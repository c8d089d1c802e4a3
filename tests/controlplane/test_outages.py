"""Operator and CUPS while Secrets are damaged and the API server is away: gateways are always answered."""

import http.client
from collections.abc import Iterator

import pytest

from stationkeeper_tools.api_client import RequestError
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from tests.controlplane.outage_stage import CAS, DROPPED, KEPT, Stage, stage
from tests.waiting import wait_for

RETURN_SECONDS = 240.0
"""The operator lists a few times at once, and then once a minute; each of these tests makes it list several times."""


@pytest.fixture(scope="module")
def shared(control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(control_plane_binaries, tmp_path_factory.mktemp("outages")) as made:
        yield made


@pytest.fixture
def running(shared: Stage) -> Stage:
    """Wait until everything runs, and restore what tests remove."""
    shared.begin()
    return shared


def test_a_spoilt_secret_is_refused_by_name_and_repaired_and_a_removed_ca_stays_out(running: Stage) -> None:
    running.trust(DROPPED)
    old = running.secret("trust")
    assert old is not None
    running.cluster.delete("TrustedCA", DROPPED)
    running.untrusted(DROPPED)

    def is_repaired(before: int) -> bool:
        told = running.loaded()
        return int(told["generations"]["trust"]) > before and not told["refused"]

    with running.asking(KEPT, always=True), running.asking(DROPPED, always=False):
        before = running.loaded()["generations"]["trust"]
        running.overwrite("trust", b"")
        wait_for(lambda: is_repaired(before), "it is repaired")
        before = running.loaded()["generations"]["trust"]
        # It would repair each of them within some seconds.
        with running.operator_paused():
            for spoilt, reason in (
                (old[: len(old) // 2], "MalformedDocument"),
                (old, "OlderGeneration"),
                (old[::-1], "MalformedDocument"),
            ):
                running.overwrite("trust", spoilt)
                wait_for(lambda: _refusal(running) == reason, f"{reason} is told")  # noqa: B023 - called at once
        wait_for(lambda: is_repaired(before), "it is repaired")


def _refusal(running: Stage) -> str:
    reason: str = running.loaded()["refused"].get("trust", {}).get("reason", "")
    return reason


def test_during_an_outage_gateways_are_answered_and_a_later_removal_acts(
    running: Stage,
) -> None:
    running.trust(DROPPED)
    logs = {each: running.log(each) for each in ("operator", "cups")}
    with running.asking(KEPT, always=True):
        running.own.stop_api_server()
        for process, log in logs.items():
            wait_for(lambda: running.noticed(process, log), f"{process} notices it")  # noqa: B023 - called at once
        running.own.start_api_server()
        running.cluster.delete("TrustedCA", DROPPED)
        running.untrusted(DROPPED, RETURN_SECONDS)


def test_a_deletion_missed_by_an_expired_watch_acts(running: Stage) -> None:
    running.trust(DROPPED)
    with running.asking(KEPT, always=True):
        expire_watches_over_deletions(running, f"trustedcas/{DROPPED}")
        running.untrusted(DROPPED, RETURN_SECONDS)


def test_a_missed_deletion_of_the_last_resource_of_a_kind_acts_too(running: Stage) -> None:
    expire_watches_over_deletions(running, "gateways/roof", f"trustedcas/{KEPT}")
    running.untrusted(KEPT, RETURN_SECONDS)


def expire_watches_over_deletions(running: Stage, *resources: str) -> None:
    """Break all watches, delete the resources meanwhile, and drop the history of these deletions."""
    version = running.admin.get(CAS)["metadata"]["resourceVersion"]
    running.own.stop_api_server()
    for each in resources:
        revision = running.delete_in_etcd(*each.split("/"))
    running.etcd("compaction", {"revision": str(revision), "physical": True})
    running.own.start_api_server()
    # An API server that has just begun answers 429 or 504 for a moment: "storage is (re)initializing".
    wait_for(lambda: _is_expired(running, version), "a watch from there has expired", RETURN_SECONDS)


def _is_expired(running: Stage, version: str) -> bool:
    """Return whether the API server no longer serves a watch from that version."""
    try:
        answer = running.admin.get(f"{CAS}?watch=1&timeoutSeconds=1&resourceVersion={version}")
    except RequestError as error:
        return error.status == http.client.GONE
    return bool(answer["type"] == "ERROR" and answer["object"]["code"] == http.client.GONE)
