import asyncio

from stationkeeper_operator.reporting.watch_lag import WatchLag
from stationkeeper_operator.resources.records import GATEWAY, Key


def key(number: int) -> Key:
    return Key(GATEWAY, "team", f"gateway-{number}")


async def has_room(lag: WatchLag) -> bool:
    waiting = asyncio.ensure_future(lag.wait_for_room())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    return waiting.done() and not waiting.cancelled()


async def test_nothing_is_written_before_the_watch_has_begun() -> None:
    lag = WatchLag()
    assert not await has_room(lag)
    lag.begin()
    assert await has_room(lag)


async def test_only_a_few_writes_may_be_ahead_of_the_watch() -> None:
    lag = WatchLag(most=3)
    lag.begin()
    for number in range(3):
        assert await has_room(lag)
        lag.note_write(key(number), 10 + number)
    assert not await has_room(lag)
    lag.note_seen(key(1), 10)
    assert not await has_room(lag), "that was an older version"
    lag.note_seen(key(1), 11)
    assert await has_room(lag)


async def test_a_list_shows_earlier_writes() -> None:
    lag = WatchLag(most=2)
    lag.begin()
    lag.note_write(key(0), 10)
    before = lag.unseen()
    lag.note_write(key(1), 11)
    lag.note_write(key(0), 12)
    assert not await has_room(lag)
    lag.listed(before)
    assert not await has_room(lag), "it was written again meanwhile"
    lag.listed(lag.unseen())
    assert await has_room(lag)
    assert not len(lag)
