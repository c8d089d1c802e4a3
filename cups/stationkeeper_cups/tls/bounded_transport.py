"""A transport with fixed limits, so that no client can make the server store much data."""

import asyncio

# The limits of unsent bytes: above the first one, the inner protocol must pause.
HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024


class BoundedTransport(asyncio.Transport):
    """A transport with fixed buffer limits, which closes both sides at once."""

    __slots__ = ()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the limits at which the protocol is resumed and paused."""
        return LOW_WATER_BYTES, HIGH_WATER_BYTES

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Refuse: the limits protect the server from clients that do not read."""
        raise NotImplementedError

    def can_write_eof(self) -> bool:
        """Return false: the server cannot close only its side, and HTTP does not need that."""
        return False

    def write_eof(self) -> None:
        """Refuse; see `can_write_eof`."""
        raise NotImplementedError
