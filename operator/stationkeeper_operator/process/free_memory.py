"""Return memory to the kernel: the first publish needs much more of it than later work.

By default, glibc gives each thread a pool of its own, and after a large block was freed once, it keeps free blocks of
that size. With 30,000 Gateways, a restarted operator took 200 MiB with these pools, and 174 MiB without them.
"""

import ctypes
from contextlib import suppress

# The numbers of the parameters in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 256 * 1024


def keep_little_free_memory() -> None:
    """Make the C library return large blocks at once, and share one pool; call it before any thread starts.

    Threads would compete for the pool, but they take turns anyway: Python runs one at a time.
    """
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        for parameter, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGE_BYTES), (_TRIM_THRESHOLD, _LARGE_BYTES)):
            library.mallopt(parameter, value)


def release_free_memory() -> None:
    """Make the C library return free memory."""
    # Another C library, as musl, has no such function.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
