"""Return memory to the kernel after the first publish, which needs much more than what comes after it."""

import ctypes
from contextlib import suppress


def give_back_free_memory() -> None:
    """Make the C library return free memory; do nothing if it has no such function, as musl."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
