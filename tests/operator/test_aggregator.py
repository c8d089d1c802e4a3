import asyncio
import time

from stationkeeper_operator.turns.aggregator import Aggregator
from tests.waiting import EVENTUALLY


async def seconds_until_due(aggregator: Aggregator) -> float:
    begin = time.monotonic()
    await asyncio.wait_for(aggregator.wait_until_due(), EVENTUALLY)
    return time.monotonic() - begin


async def test_it_waits_for_a_quiet_moment() -> None:
    aggregator = Aggregator(quiet=0.1, longest=600)
    aggregator.wake()
    assert await seconds_until_due(aggregator) >= 0.09


async def test_a_reduction_is_due_at_once_even_while_it_waits() -> None:
    aggregator = Aggregator(quiet=600, longest=600)
    aggregator.wake()
    waiting = asyncio.create_task(aggregator.wait_until_due())
    await asyncio.sleep(0)
    aggregator.wake(urgent=True)
    await asyncio.wait_for(waiting, EVENTUALLY)


async def test_endless_changes_do_not_delay_it() -> None:
    aggregator = Aggregator(quiet=600, longest=0.1)
    aggregator.wake()
    assert await seconds_until_due(aggregator) < EVENTUALLY


async def test_a_later_change_is_due_separately() -> None:
    aggregator = Aggregator(quiet=0, longest=0)
    aggregator.wake(urgent=True)
    await aggregator.wait_until_due()
    waiting = asyncio.create_task(aggregator.wait_until_due())
    await asyncio.sleep(0)
    assert not waiting.done()
    aggregator.wake()
    await asyncio.wait_for(waiting, EVENTUALLY)
