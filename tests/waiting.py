"""Wait for something that another process, or another thread, brings about."""

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
    """Return what a probe gives, as soon as that counts as true: an empty list is "not yet", as None and False are.

    Args:
        probe: asked again and again, at least once.
        what: is being waited for, for the message.
        seconds: for how long it is asked.

    Raises:
        AssertionError: it did not come in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(_LOOK_SECONDS)
    return found
