"""Return memory to the kernel after the first publish, which needs much more than later ones."""

import ctypes
from contextlib import suppress


def release_free_memory() -> None:
    """Make the C library return free memory; do nothing if it has no such function, for example in musl."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
