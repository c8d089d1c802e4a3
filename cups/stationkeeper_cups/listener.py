"""Accepts connections on one bound socket and bounds them; each becomes a TLS transport at once.

The socket is bound once. What a handshake begins with is asked for at its first bytes, so that a change of the server's
credentials or of trust acts on every connection that has not said anything before it.
"""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from OpenSSL import SSL

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.connection_limits import ConnectionLimits
from stationkeeper_cups.log_budget import LogBudget
from stationkeeper_cups.opening import Opener, ProxyProtocol
from stationkeeper_cups.peer_address import Networks, peer_address
from stationkeeper_cups.tls.connection import Judge
from stationkeeper_cups.tls.time_limits import TimeLimits
from stationkeeper_cups.tls.transport import TLSTransport

GIVEN_UP = "given up for newer connections"

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_SECONDS = 1.0

_log = logging.getLogger("stationkeeper.cups.listener")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A handshake that came to nothing.

    Attributes:
        peer: address of the client.
        reason: the reason's word.
        detail: what was found.
        presented: the certificates that the client presented, DER, its own first; empty where none came.
        judgement: what was found out about them; None where they were not judged.
    """

    peer: str
    reason: Reason
    detail: str
    presented: tuple[bytes, ...] = ()
    judgement: object = None


class Listener:
    """The gateways' port.

    Args:
        bound: a bound TCP socket; `start` makes it listen.
        begin: gives what the next handshake begins with, None to close the connection.
        protocol_factory: makes the inner protocol of a connection whose handshake is done.
        on_refusal: told of every handshake that came to nothing.
        times: where its stages are kept.
        limits: what clients may take.
        opener: says what may come before TLS; without one, nothing may.

    Attributes:
        handshake, farewell: stages of connections that are not, or no longer, the inner protocol's.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a port is made of
        self,
        bound: socket.socket,
        begin: Callable[[str], tuple[SSL.Context, Judge] | None],
        protocol_factory: Callable[[], asyncio.Protocol],
        on_refusal: Callable[[Refusal], None],
        times: TimeLimits,
        limits: ConnectionLimits,
        opener: Opener | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = bound
        self._begin = begin
        self._protocol_factory = protocol_factory
        self._on_refusal = on_refusal
        self._limits = limits
        self._opener = opener or ProxyProtocol(Networks())
        self._times = times
        self.handshake = times.stage("handshake", limits.handshake_seconds)
        self.farewell = times.stage("farewell", limits.farewell_seconds)
        self._connections: set[TLSTransport] = set()
        self._settled: dict[TLSTransport, None] = {}
        self._silent: dict[TLSTransport, None] = {}
        self._by_address: dict[str, dict[TLSTransport, None]] = {}
        self._by_certificate: dict[bytes, dict[TLSTransport, None]] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._is_open = False
        self._is_accepting = False
        self._trouble = LogBudget(time.monotonic)

    def start(self) -> None:
        """Listen and accept."""
        self._socket.setblocking(False)
        # An accepted socket inherits it: answers are written whole, and small ones must not wait for each other.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.listen(self._limits.backlog)
        self._is_open = True
        self._accept_again()

    @property
    def is_open(self) -> bool:
        """Whether it accepts connections."""
        return self._is_open

    @property
    def connections(self) -> int:
        """How many there are, those in their handshake among them."""
        return len(self._connections)

    def stop(self) -> None:
        """Accept no more, and give up the handshakes that are not done; other connections stay."""
        self._is_open = False
        self._pause()
        if self._retry is not None:
            self._retry.cancel()
        self._socket.close()
        for transport in [each for mine in self._by_address.values() for each in mine]:
            transport.abort()

    def cut(self) -> None:
        """End all connections at once."""
        for transport in list(self._connections):
            transport.abort()
        self._times.stop()

    # The host of its transports.

    def first_bytes(self, transport: TLSTransport, received: bytes) -> bytes | None:
        """Return which of the first bytes are TLS', and count the connection as the client's that it really is."""
        opening = self._opener(transport.peer, received)
        if opening is None:
            return None
        if opening.size:
            self._recount(transport, opening.peer)
        return received[opening.size :]

    def begin(self, transport: TLSTransport) -> tuple[SSL.Context, Judge] | None:
        """Return what a handshake begins with."""
        self._silent.pop(transport, None)
        return self._begin(transport.peer)

    def welcome(self, transport: TLSTransport) -> asyncio.Protocol | None:
        """Return the inner protocol for a connection whose handshake is done."""
        self._shaken(transport)
        leaf = _leaf(transport)
        if leaf is not None:
            same = self._by_certificate.setdefault(leaf, {})
            same[transport] = None
            if len(same) > self._limits.connections_per_certificate:
                next(iter(same)).abort()
        self._settled[transport] = None
        return self._protocol_factory()

    def refused(self, transport: TLSTransport, failure: StationkeeperError) -> None:
        """Tell of a handshake that came to nothing."""
        self._shaken(transport)
        self._settled[transport] = None
        presented, verdict = (transport.tls.presented, transport.tls.verdict) if transport.tls else ((), None)
        judgement = verdict.judgement if verdict else None
        self._on_refusal(Refusal(transport.peer, failure.reason, failure.detail, presented, judgement))

    def failed(self, transport: TLSTransport) -> None:
        """Log a fault of the server's own."""
        left_out = self._trouble.take()
        if left_out is not None:
            fields = {"peer": transport.peer, "left_out": left_out}
            _log.exception("a connection is given up", extra={"fields": fields})

    def unused(self, transport: TLSTransport) -> None:
        """Tell of a connection without a byte: somebody has looked whether the port is open."""
        fields = {"peer": transport.peer, "reason": Reason.CONNECTION_UNUSED}
        _log.debug("connected and left", extra={"fields": fields})

    def gone(self, transport: TLSTransport) -> None:
        """Free the place of a connection."""
        self._connections.discard(transport)
        self._settled.pop(transport, None)
        self._shaken(transport)
        leaf = _leaf(transport)
        same = self._by_certificate.get(leaf) if leaf is not None else None
        if leaf is not None and same is not None:
            same.pop(transport, None)
            if not same:
                del self._by_certificate[leaf]

    def _shaken(self, transport: TLSTransport) -> None:
        """Forget a handshake that is over."""
        self._silent.pop(transport, None)
        self._forget_address(transport)
        if transport.stage is self.handshake:
            self.handshake.remove(transport)

    def _recount(self, transport: TLSTransport, peer: str) -> None:
        """Count a handshake as one of `peer`, which a load balancer named; its bounds are those of any address."""
        self._forget_address(transport)
        transport.peer = peer
        if len(self.handshake) > self._limits.handshakes:
            others = (each for each in self._silent if each is not transport)
            self._give_up_one(peer, next(others, None) or self._oldest_handshake())
        self._by_address.setdefault(peer, {})[transport] = None

    def _forget_address(self, transport: TLSTransport) -> None:
        mine = self._by_address.get(transport.peer)
        if mine is not None:
            mine.pop(transport, None)
            if not mine:
                del self._by_address[transport.peer]

    # Accepting.

    def _accept(self) -> None:
        # One at a time: a burst of connections must not keep those that are being served waiting.
        try:
            accepted, address = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                _log.warning("cannot accept connections", extra={"fields": {"detail": str(error)}})
                self._pause()
                self._retry = self._loop.call_later(_PAUSE_SECONDS, self._accept_again)
            return
        accepted.setblocking(False)
        peer = peer_address(address[0])
        self._make_room(peer)
        transport = TLSTransport(self._loop, accepted, peer, self)
        self._connections.add(transport)
        self._silent[transport] = None
        self._by_address.setdefault(peer, {})[transport] = None
        self.handshake.add(transport, self._loop.time())

    def _make_room(self, peer: str) -> None:
        has_many = len(self.handshake) >= self._limits.handshakes
        if not has_many and len(self._connections) < self._limits.connections:
            return
        if not has_many and self._settled:
            # A gateway asks as soon as it may, so who has been here the longest is not the one that has to wait. Else
            # a tenant with many certificates, or anybody where none is needed, could take every place.
            next(iter(self._settled)).abort()
            return
        # Whose connection it is, a load balancer tells in a moment: room is made then, at the cost of that address.
        is_known = not self._opener.names_client(peer)
        self._give_up_one(peer, next(iter(self._silent), None) or (self._oldest_handshake() if is_known else None))

    def _give_up_one(self, peer: str, oldest: TLSTransport | None) -> None:
        """Give the oldest handshake of `peer` up where it has too many, else `oldest`."""
        mine = self._by_address.get(peer, {})
        if len(mine) >= self._limits.handshakes_per_address:
            oldest = next(iter(mine))
        if oldest is not None:
            oldest.give_up(GIVEN_UP)

    def _oldest_handshake(self) -> TLSTransport | None:
        found = self.handshake.oldest
        return found if isinstance(found, TLSTransport) else None

    def _accept_again(self) -> None:
        self._retry = None
        if self._is_open and not self._is_accepting:
            self._is_accepting = True
            self._loop.add_reader(self._socket, self._accept)

    def _pause(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._socket)


def _leaf(transport: TLSTransport) -> bytes | None:
    presented = transport.tls.presented if transport.tls else ()
    return presented[0] if presented else None
