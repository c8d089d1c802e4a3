"""Gives memory back to the kernel that a flood of connections has left behind.

What OpenSSL frees stays with the C library, which gives back what is at the end of its heap alone: a few objects that
live on keep hundreds of MiB. Asked for it, it gives back every page that is free.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 5.0
# Less is not worth the look through the heap, some milliseconds.
WORTH_BYTES = 16 * 1024 * 1024

_STATM = Path("/proc/self/statm")


class MemoryReturn:
    """Looks at the process' memory now and then.

    Args:
        resident: the memory that the process has in RAM, in bytes.
        give_back: has the C library give back what is free.
        is_calm: whether few connections are open: in a flood, what is free is needed again at once.
    """

    def __init__(self, resident: Callable[[], int], give_back: Callable[[], None], is_calm: Callable[[], bool]) -> None:
        self._resident = resident
        self._give_back = give_back
        self._is_calm = is_calm
        self._least = resident()

    def look(self) -> bool:
        """Have memory given back where it is worth it, and return whether it was."""
        resident = self._resident()
        if resident < self._least + WORTH_BYTES or not self._is_calm():
            self._least = min(self._least, resident)
            return False
        self._give_back()
        # What is left is in use: a larger registry, for one.
        self._least = self._resident()
        return True

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()


def resident_bytes() -> int:
    """Return the memory that this process has in RAM; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def give_back_free_memory() -> None:
    """Have the C library give back what is free; nothing happens where it cannot be asked, as with musl."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
