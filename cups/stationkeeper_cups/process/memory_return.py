"""Return memory to the kernel after a flood of connections.

Memory that OpenSSL frees stays with the C library, which by itself returns only the end of its heap: a few live objects
can hold hundreds of MiB. On request it returns every free page.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CHECK_SECONDS = 5.0
# Less is not worth the scan of the heap, which takes some milliseconds.
WORTH_BYTES = 16 * 1024 * 1024

_STATM = Path("/proc/self/statm")


class MemoryReturn:
    """Checks the process' memory from time to time.

    Args:
        resident: returns the memory of the process in RAM, in bytes.
        give_back: makes the C library return free memory.
        is_calm: returns whether few connections are open; in a flood, free memory is needed again at once.
    """

    def __init__(self, resident: Callable[[], int], give_back: Callable[[], None], is_calm: Callable[[], bool]) -> None:
        self._resident = resident
        self._give_back = give_back
        self._is_calm = is_calm
        self._least = resident()

    def check(self) -> bool:
        """Return memory to the kernel if it is worth it; return whether it did."""
        resident = self._resident()
        if resident < self._least + WORTH_BYTES or not self._is_calm():
            self._least = min(self._least, resident)
            return False
        self._give_back()
        # The rest is in use, for example by a larger registry.
        self._least = self._resident()
        return True

    async def run(self) -> None:
        """Check again and again until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.check()


def resident_bytes() -> int:
    """Return the bytes of this process in RAM; 0 if the system does not say."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def release_free_memory() -> None:
    """Make the C library return free memory; do nothing if it has no such function, as musl."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
