"""The bytes that may come before TLS on a connection, by its source, and the resulting client address."""

from typing import Protocol

import msgspec

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.peer_address import Networks
from stationkeeper_cups.accepting.proxy_protocol import begins_like_a_header, read_header

# The number of bytes that identify a header of either version.
_SIGN_BYTES = 6


class Opening(msgspec.Struct, frozen=True):
    """The beginning of a connection.

    Attributes:
        peer: the IP address of the client.
        size: the number of bytes before TLS.
    """

    peer: str
    size: int


class Opener(Protocol):
    """Decides which bytes may come before TLS."""

    def names_client(self, source: str, /) -> bool:
        """Return whether a connection from the address `source` begins with the address of its client."""

    def __call__(self, source: str, received: bytes, /) -> Opening | None:
        """Return how a connection begins; None if more bytes are needed.

        Args:
            source: the source address, in the form of `peer_address`.
            received: its first bytes, at least one.

        Raises:
            StationkeeperError: this beginning is not allowed.
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
        """Return whether a connection from the address `source` begins with the address of its client."""
        return self._are_any and source in self._trusted

    def __call__(self, source: str, received: bytes) -> Opening | None:
        """Return how a connection begins; None if more bytes are needed.

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
            Reason.PROXY_HEADER_NOT_ALLOWED, "a PROXY protocol header from an address that may not send one"
        )
