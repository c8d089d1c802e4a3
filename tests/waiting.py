"""Wait for an effect of another process or thread."""

import time
from collections.abc import Callable
from typing import TypeVar

EVENTUALLY = 120.0
"""The maximum seconds for an effect, also on a machine that is several times slower than usual.

A test checks whether an effect comes, not how soon: tests/bench measures that. Where a change must cause the effect,
the test makes every timer that could cause it longer than this.
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
