"""Wait for an effect of another process or thread."""

import time
from collections.abc import Callable
from typing import TypeVar

EVENTUALLY = 60.0
"""Seconds that a busy machine may take for any effect that comes by itself."""

PROMPTLY = 10.0
"""Seconds, fewer than a Lease lasts that its holder has not released. tests/bench measures the real times."""

_LOOK_SECONDS = 0.02
_T = TypeVar("_T")


def wait_for(probe: Callable[[], _T | None], what: str, seconds: float = EVENTUALLY) -> _T:
    """Return the first true result of a probe: an empty list is "not yet", like None and False.

    Args:
        probe: called repeatedly, at least once.
        what: the awaited effect, for the message.
        seconds: the maximum time.

    Raises:
        AssertionError: there was no true result in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(_LOOK_SECONDS)
    return found
