"""Run a Station: ask, report, wait, ask again. Hundreds of them fit into one event loop."""

import asyncio
from collections.abc import Callable, Coroutine

from stationkeeper_tools.station.connection import CONNECTION_TIMEOUT_SECONDS, exchange
from stationkeeper_tools.station.faults import StationError
from stationkeeper_tools.station.state import SetName
from stationkeeper_tools.station.state_machine import Attempt, Outcome, Result, Station


def _ignore(_event: Attempt | Outcome) -> None:
    """Do nothing."""


async def interact(
    station: Station,
    tell: Callable[[Attempt | Outcome], None] = _ignore,
    timeout_seconds: float = CONNECTION_TIMEOUT_SECONDS,
) -> Outcome:
    """Make one attempt with the Station's present set, over a connection of its own, and return its outcome.

    Args:
        station: the Station; it takes the result.
        tell: called with the attempt before it is sent, and with its outcome.
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
    """Make one attempt with the first set that has a URI, starting at the present set; return its outcome."""
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
    """Ask again and again, at the times that the Station chooses.

    Args:
        station: the Station to run.
        stop: ends it at once, even during an attempt.
        tell: as for `interact`.
        timeout_seconds: as for `interact`.
        count: how many attempts to make, without sets that have no URI; None for no end.

    Returns:
        The last outcome, None if there is none.
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
    """Return the outcome of `attempt`; if `stopped` comes first, cancel the attempt and return None."""
    task = asyncio.create_task(attempt)
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
