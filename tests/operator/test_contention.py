"""Two releases that write one status: the report, and the growing pauses between writes."""

import msgspec
import pytest

from stationkeeper_operator.reporting.contention import LONGEST_SECONDS, SETTLE_SECONDS, Contention
from stationkeeper_operator.resources.records import TRUSTED_CA, Resource, decode_resource


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contention(clock: Clock) -> Contention:
    return Contention("mine", clock)


def written_by(
    *managers: tuple[str, str], name: str = "acme", generation: int = 1, subresource: str = "status"
) -> Resource:
    """Return a TrustedCA whose status these managers wrote at these times, according to its managedFields."""
    managed = [
        {
            "manager": manager,
            "operation": "Update",
            "subresource": subresource,
            "time": time,
            "fieldsV1": {"f:status": {}},
        }
        for manager, time in managers
    ]
    metadata = {"name": name, "namespace": "radio", "generation": generation, "managedFields": managed}
    body = {"metadata": metadata, "spec": {}, "status": {"observedGeneration": 1}}
    return decode_resource(TRUSTED_CA, msgspec.json.encode(body))


MINE = ("stationkeeper-operator/mine", "2026-01-01T00:00:01Z")
THEIRS = ("stationkeeper-operator/theirs", "2026-01-01T00:00:02Z")
OLD_THEIRS = ("stationkeeper-operator/theirs", "2025-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "resource",
    [
        written_by(),
        written_by(MINE),
        written_by(MINE, OLD_THEIRS),
        written_by(MINE, ("kubectl-edit", "2026-01-01T00:00:02Z")),
        written_by(MINE, ("stationkeeper-operator", "2026-01-01T00:00:02Z")),
        written_by(THEIRS, subresource=""),
    ],
    ids=["nobody", "own write", "another's before", "a person", "an older version's", "not the status"],
)
def test_a_status_last_written_by_this_release_is_not_contested(contention: Contention, resource: Resource) -> None:
    assert not contention.note_other_write(resource)
    assert contention.seconds_to_wait(resource) == 0
    assert contention.fact(resource) is None


def test_both_releases_write_the_same_condition(contention: Contention) -> None:
    other = Contention("theirs")
    by_them, by_me = written_by(MINE, THEIRS), written_by(OLD_THEIRS, MINE)
    assert contention.note_other_write(by_them)
    assert other.note_other_write(by_me)
    mine, theirs = contention.fact(by_them), other.fact(by_me)
    assert mine is not None
    assert mine == theirs
    assert mine.reason == "ServedTwice"
    assert "mine, theirs all serve radio" in mine.message


def test_a_contest_is_reported_once_per_namespace(contention: Contention) -> None:
    assert contention.note_other_write(written_by(THEIRS))
    assert not contention.note_other_write(written_by(THEIRS))
    assert not contention.note_other_write(written_by(THEIRS, name="another"))
    assert contention.note_other_write(
        written_by(("stationkeeper-operator/third", "2026-01-01T00:00:02Z"), name="another")
    )


def test_a_release_that_is_overwritten_repeatedly_writes_more_and_more_rarely(
    contention: Contention, clock: Clock
) -> None:
    resource, writes = written_by(MINE, THEIRS), list[float]()
    while clock.now < 24 * 3600:
        contention.note_other_write(resource)
        clock.now += contention.seconds_to_wait(resource)
        writes.append(clock.now)
        contention.note_write(resource.key)
        clock.now += 0.1
    assert len([each for each in writes if each < 10]) <= 2
    assert len(writes) < 40
    assert contention.seconds_to_wait(resource) <= LONGEST_SECONDS


def test_another_write_during_the_pause_does_not_lengthen_it(contention: Contention, clock: Clock) -> None:
    resource = written_by(MINE, THEIRS)
    contention.note_other_write(resource)
    before = contention.seconds_to_wait(resource)
    for _ in range(100):
        contention.note_other_write(resource)
    assert contention.seconds_to_wait(resource) == before


def test_a_spec_without_a_verdict_does_not_wait(contention: Contention) -> None:
    contention.note_other_write(written_by(THEIRS))
    assert contention.seconds_to_wait(written_by(THEIRS, generation=2)) == 0
    assert contention.seconds_to_wait(written_by(THEIRS)) > 0


def test_a_contest_ends_when_a_written_status_stays(contention: Contention, clock: Clock) -> None:
    resource = written_by(MINE, THEIRS)
    contention.note_other_write(resource)
    clock.now += contention.seconds_to_wait(resource)
    assert contention.fact(resource) is not None
    note_other_write = contention.note_write(resource.key)
    assert note_other_write is not None
    clock.now += note_other_write
    assert contention.fact(resource) is None
    assert note_other_write >= SETTLE_SECONDS


def test_an_uncontested_status_is_not_checked_again(contention: Contention) -> None:
    assert contention.note_write(written_by(MINE).key) is None
