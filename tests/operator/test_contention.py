"""Two releases that write one status: who is told, and how seldom they write."""

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
    """A TrustedCA whose status these managers wrote at these times, as its managedFields tell."""
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
def test_what_no_other_release_wrote_last_is_no_contest(contention: Contention, resource: Resource) -> None:
    assert not contention.note_other_write(resource)
    assert contention.seconds_to_wait(resource) == 0
    assert contention.fact(resource) is None


def test_both_say_the_same(contention: Contention) -> None:
    other = Contention("theirs")
    by_them, by_me = written_by(MINE, THEIRS), written_by(OLD_THEIRS, MINE)
    assert contention.note_other_write(by_them)
    assert other.note_other_write(by_me)
    mine, theirs = contention.fact(by_them), other.fact(by_me)
    assert mine is not None
    assert mine == theirs
    assert mine.reason == "ServedTwice"
    assert "mine, theirs all serve radio" in mine.message


def test_it_is_news_once_in_a_namespace(contention: Contention) -> None:
    assert contention.note_other_write(written_by(THEIRS))
    assert not contention.note_other_write(written_by(THEIRS))
    assert not contention.note_other_write(written_by(THEIRS, name="another"))
    assert contention.note_other_write(
        written_by(("stationkeeper-operator/third", "2026-01-01T00:00:02Z"), name="another")
    )


def test_who_is_overwritten_again_and_again_writes_ever_more_seldom(contention: Contention, clock: Clock) -> None:
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


def test_a_write_of_the_other_while_this_one_waits_lengthens_nothing(contention: Contention, clock: Clock) -> None:
    resource = written_by(MINE, THEIRS)
    contention.note_other_write(resource)
    before = contention.seconds_to_wait(resource)
    for _ in range(100):
        contention.note_other_write(resource)
    assert contention.seconds_to_wait(resource) == before


def test_a_spec_that_nobody_has_judged_does_not_wait(contention: Contention) -> None:
    contention.note_other_write(written_by(THEIRS))
    assert contention.seconds_to_wait(written_by(THEIRS, generation=2)) == 0
    assert contention.seconds_to_wait(written_by(THEIRS)) > 0


def test_it_is_over_once_what_was_written_stays(contention: Contention, clock: Clock) -> None:
    resource = written_by(MINE, THEIRS)
    contention.note_other_write(resource)
    clock.now += contention.seconds_to_wait(resource)
    assert contention.fact(resource) is not None
    note_other_write = contention.note_write(resource.key)
    assert note_other_write is not None
    clock.now += note_other_write
    assert contention.fact(resource) is None
    assert note_other_write >= SETTLE_SECONDS


def test_what_is_not_contested_is_not_looked_at_again(contention: Contention) -> None:
    assert contention.note_write(written_by(MINE).key) is None
