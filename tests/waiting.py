"""Wait for an effect of another process or thread."""

import time
from collections.abc import Callable
from typing import TypeVar

EVENTUALLY = 120.0
"""Seconds; how long a machine may take for anything that comes by itself, if it is several times slower than usual.

A test passes or fails by what comes, never by how soon: tests/bench measures that. What must come by a change and not
by a time that passes is tried where that time is longer than this.
"""

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
