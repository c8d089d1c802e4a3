"""Lets a Station live: asks, tells what happened, waits, asks again. Hundreds of them fit into one event loop."""

import asyncio
from collections.abc import Callable, Coroutine

from stationkeeper_tools.station.connection import CONNECTION_TIMEOUT_SECONDS, exchange
from stationkeeper_tools.station.faults import StationError
from stationkeeper_tools.station.machine import Attempt, Outcome, Result, Station
from stationkeeper_tools.station.state import SetName


def _ignore(_event: Attempt | Outcome) -> None:
    """Tells nobody."""


async def interact(
    station: Station,
    tell: Callable[[Attempt | Outcome], None] = _ignore,
    timeout_seconds: float = CONNECTION_TIMEOUT_SECONDS,
) -> Outcome:
    """One attempt with the set that the Station is at, over a connection of its own.

    Args:
        station: takes what comes of it.
        tell: is told of the attempt before it is made, and of its outcome.
        timeout_seconds: how long the server may be silent.
    """
    try:
        attempt = station.request()
        tell(attempt)
        outcome = station.receive(await exchange(attempt, timeout_seconds))
    except StationError as error:
        outcome = station.failed(error)
    tell(outcome)
    return outcome


async def ask_once(
    station: Station,
    tell: Callable[[Attempt | Outcome], None] = _ignore,
    timeout_seconds: float = CONNECTION_TIMEOUT_SECONDS,
) -> Outcome:
    """One attempt with the first set that has a URI, beginning with the one that the Station is at."""
    outcome = await interact(station, tell, timeout_seconds)
    for _ in range(len(SetName) - 1):
        if outcome.result is not Result.NOT_CONFIGURED:
            break
        outcome = await interact(station, tell, timeout_seconds)
    return outcome


async def live(
    station: Station,
    stop: asyncio.Event,
    tell: Callable[[Attempt | Outcome], None] = _ignore,
    timeout_seconds: float = CONNECTION_TIMEOUT_SECONDS,
    count: int | None = None,
) -> Outcome | None:
    """Asks again and again, at the times that the Station says.

    Args:
        station: to live.
        stop: ends it at once, in the middle of an attempt too.
        tell: as of `interact`.
        timeout_seconds: as of `interact`.
        count: how many attempts to make, sets without a URI not counted; None is no end.

    Returns:
        The last outcome, None where there is none.
    """
    outcome: Outcome | None = None
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            outcome = await _unless(stopped, interact(station, tell, timeout_seconds)) or outcome
            if outcome is None or stopped.done():
                break
            if count is not None and outcome.result is not Result.NOT_CONFIGURED:
                count -= 1
                if count <= 0:
                    break
            await asyncio.wait([stopped], timeout=outcome.next_seconds)
    finally:
        stopped.cancel()
    return outcome


async def _unless(stopped: asyncio.Task[bool], attempt: Coroutine[object, object, Outcome]) -> Outcome | None:
    """The outcome of `attempt`; None where `stopped` came first, which ends the attempt."""
    task = asyncio.create_task(attempt)
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
