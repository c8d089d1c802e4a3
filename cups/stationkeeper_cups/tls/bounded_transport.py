"""What a transport refuses its protocol, so that no client can make the server keep much."""

import asyncio

# What the inner protocol has written and the client has not taken: above the first it is asked to pause.
HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024


class BoundedTransport(asyncio.Transport):
    """A transport whose marks are fixed, and that ends both sides at once."""

    __slots__ = ()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks between which the protocol is paused and resumed."""
        return LOW_WATER_BYTES, HIGH_WATER_BYTES

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Refuse: the marks bound what a client that does not read may cost."""
        raise NotImplementedError

    def can_write_eof(self) -> bool:
        """Whether the server can end its side alone: it cannot, since HTTP does not need that."""
        return False

    def write_eof(self) -> None:
        """Refuse, as `can_write_eof` says."""
        raise NotImplementedError
