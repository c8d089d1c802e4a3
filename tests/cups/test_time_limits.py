"""The time limits of many connections: which ones are due, in which order, and which ones left before."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_cups.tls.time_limits import Stage, TimeLimits


class Connection:
    """A connection that records when its time is up, and may then call a function."""

    def __init__(self, ended: list["Connection"], then: Callable[[Stage], None] = lambda _: None) -> None:
        self.stage: Stage | None = None
        self._ended = ended
        self._then = then

    def time_is_up(self, stage: Stage) -> None:
        assert self.stage is None, "it is out of the stage"
        self._ended.append(self)
        self._then(stage)


@pytest.fixture(scope="module")
def stages() -> Iterator[TimeLimits]:
    with asyncio.Runner() as runner:
        yield TimeLimits(runner.get_loop())


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(0, 40))
def test_those_whose_time_is_up_end_in_order_and_no_others(stages: TimeLimits, began: list[int], now: int) -> None:
    stage = stages.stage("handshake", 10.0)
    ended: list[Connection] = []
    connections = [Connection(ended) for _ in began]
    for connection, at in zip(connections, sorted(began), strict=True):
        stage.add(connection, at)

    stage.expire(now)

    due = [each for each, at in zip(connections, sorted(began), strict=True) if at + 10 <= now]
    assert ended == due
    assert len(stage) == len(connections) - len(due)


def test_one_that_another_ends_does_not_end_again(stages: TimeLimits) -> None:
    stage, ended = stages.stage("request", 10.0), list[Connection]()
    second = Connection(ended)
    first = Connection(ended, lambda stage: stage.remove(second))
    stage.add(first, 0)
    stage.add(second, 0)

    stage.expire(20)

    assert ended == [first]
    assert len(stage) == 0


def test_one_that_begins_again_meanwhile_has_its_whole_time(stages: TimeLimits) -> None:
    stage, ended = stages.stage("request", 10.0), list[Connection]()
    second = Connection(ended)
    first = Connection(ended, lambda stage: stage.add(second, 20))
    stage.add(first, 0)
    stage.add(second, 0)

    stage.expire(20)

    assert ended == [first]
    assert second.stage is stage
    stage.expire(30)
    assert ended == [first, second]
