"""Wait for something that another process, or another thread, brings about."""

import time
from collections.abc import Callable
from typing import TypeVar

EVENTUALLY = 60.0
"""Seconds; how long a busy machine may take for anything that comes by itself."""

PROMPTLY = 10.0
"""Seconds; less than a Lease lasts of which nobody says that it is free. How soon it is in fact, tests/bench tells."""

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
