"""What may come before TLS on a connection, by where it comes from, and who its client is then."""

from typing import Protocol

import msgspec

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.peer_address import Networks
from stationkeeper_cups.accepting.proxy_protocol import begins_like_a_header, read_header

# As many bytes as a header of either version shows itself by.
_SIGN_BYTES = 6


class Opening(msgspec.Struct, frozen=True):
    """How a connection begins.

    Attributes:
        peer: IP address of the client.
        size: bytes before those of TLS.
    """

    peer: str
    size: int


class Opener(Protocol):
    """What may come before TLS."""

    def names_client(self, source: str, /) -> bool:
        """Whether a connection from the address `source` says first whose it is."""

    def __call__(self, source: str, received: bytes, /) -> Opening | None:
        """Return how a connection begins; None where more bytes are needed.

        Args:
            source: the address that it comes from, in the form of `peer_address`.
            received: its first bytes, at least one.

        Raises:
            StationkeeperError: it may not begin so.
        """


class ProxyProtocol:
    """PROXY protocol: required from some networks, and refused from all others.

    Args:
        trusted: the networks of the load balancers.
    """

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted
        self._are_any = bool(trusted)

    def names_client(self, source: str) -> bool:
        """Whether a connection from the address `source` says first whose it is."""
        return self._are_any and source in self._trusted

    def __call__(self, source: str, received: bytes) -> Opening | None:
        """Return how a connection begins; None where more bytes are needed.

        Raises:
            StationkeeperError: `ProxyHeaderMissing`, `ProxyHeaderInvalid` or `ProxyHeaderNotAllowed`.
        """
        if self._are_any and source in self._trusted:
            header = read_header(received)
            return None if header is None else Opening(header.source or source, header.size)
        if not begins_like_a_header(received):
            return Opening(source, 0)
        if len(received) < _SIGN_BYTES:
            return None
        raise StationkeeperError(
            Reason.PROXY_HEADER_NOT_ALLOWED, "a PROXY protocol header from an address that none is taken from"
        )
