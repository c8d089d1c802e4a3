"""Wait for an effect of another process or thread."""

import time
from collections.abc import Callable
from typing import TypeVar

EVENTUALLY = 120.0
"""The maximum seconds for an effect, also on a machine that is several times slower than usual.

A test checks whether an effect comes, not how soon: tests/bench measures that. Where a change must cause the effect,
the test makes every timer that could cause it longer than this.
"""

_LOOK_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.25
_PAUSE_FOR_EACH_LOOK = 2
_T = TypeVar("_T")


def wait_for(probe: Callable[[], _T | None], what: str, seconds: float = EVENTUALLY) -> _T:
    """Return the first true result of a probe: an empty list is "not yet", like None and False.

    After a look that took long, such as a run of kubectl or many requests, the next one comes later, so that looking
    does not slow down what the test waits for.

    Args:
        probe: called repeatedly, at least once.
        what: the awaited effect, for the message.
        seconds: the maximum time.

    Raises:
        AssertionError: there was no true result in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if found := probe():
            return found
        now = time.monotonic()
        assert now < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(min(max(_LOOK_SECONDS, _PAUSE_FOR_EACH_LOOK * (now - began)), _LONGEST_PAUSE_SECONDS))
