"""The gateways' port: accept connections on one bound socket, queue them, and limit them.

A connection is silent, waiting, in its handshake, or settled. While silent or waiting it is only a socket. Its turn
depends on the other waiting connections. Connections under way come first: only as many handshakes begin as keep the
server busy. So a slow client delays no other client, and the server does not waste time on handshakes of clients that
give up before their answer.

The socket is bound once. The context of a handshake is requested at its turn, so that a change of the server
credentials or of trust acts on every connection that has not begun.
"""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable

from OpenSSL import SSL

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.arrival import Arrival, FirstBytes
from stationkeeper_cups.accepting.before_tls import Opener, ProxyProtocol
from stationkeeper_cups.accepting.connection_limits import ConnectionLimits
from stationkeeper_cups.accepting.networks import Groups, network_of
from stationkeeper_cups.accepting.new_connections import Accepting
from stationkeeper_cups.accepting.peer_address import Networks, peer_address
from stationkeeper_cups.accepting.reputation import MAX_PER_CERTIFICATE, Reputation
from stationkeeper_cups.accepting.unaccepted_connections import Dropped, Refusal
from stationkeeper_cups.accepting.waiting_room import WaitingRoom
from stationkeeper_cups.log_budget import LogBudget
from stationkeeper_cups.process.pending_bytes import has_something
from stationkeeper_cups.tls.connection import Judge
from stationkeeper_cups.tls.time_limits import Stage, TimeLimits
from stationkeeper_cups.tls.transport import TLSTransport

CLOSED_TO_MAKE_ROOM = "closed to make room for newer connections"
# The maximum in one iteration of the event loop; connections under way continue between the iterations.
BEGUN_AT_ONCE = 4
CHECKED_AT_ONCE = 64
# A younger handshake is closed only for a network that has fewer handshakes: on a slow link it needs seconds, and
# closing a working handshake to begin another one would waste work.
GRACE_SECONDS = 4.0

_NEXT_TURN_SECONDS = 0.05
_LINES_A_SECOND = 0.1

_log = logging.getLogger("stationkeeper.cups.listener")


class Listener:
    """The gateways' port.

    Args:
        bound: a bound TCP socket; `start` makes it listen.
        begin: returns the context and judge of the next handshake; None closes the connection.
        protocol_factory: makes the inner protocol of a connection after its handshake.
        on_refusal: called with every failed handshake.
        times: the time limits with its stages.
        limits: the limits on clients.
        opener: decides which bytes may come before TLS; without it, none may.

    Attributes:
        on_drop: called with every connection that was closed before its turn.
        handshake, farewell: the stages of connections before and after the inner protocol.
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
        self._accepting = Accepting(self._loop, bound, self._accepted, self._begin_some)
        self._begin = begin
        self._protocol_factory = protocol_factory
        self._on_refusal = on_refusal
        self._opener = opener or ProxyProtocol(Networks())
        self.on_drop: Callable[[Dropped], None] = lambda _why: None
        self._limits = limits
        self._times = times
        self._silent_stage = times.stage("silence", limits.handshake_seconds)
        self._waiting_stage = times.stage("wait", limits.waiting_seconds)
        self.handshake = times.stage("handshake", limits.handshake_seconds)
        self.closing = times.stage("closing", limits.closing_seconds)
        # A certificate that may have all connections is shared by many clients, for example proxies.
        is_shared = limits.connections_per_certificate >= limits.connections
        self._reputation = Reputation(time.monotonic, math.inf if is_shared else MAX_PER_CERTIFICATE)
        self._silent: Groups[Arrival] = Groups()
        self._room: WaitingRoom[Arrival] = WaitingRoom(self._reputation.is_good)
        self._in_handshake: Groups[TLSTransport] = Groups()
        self._connections: set[TLSTransport] = set()
        self._settled: dict[TLSTransport, None] = {}
        self._by_certificate: dict[bytes, dict[TLSTransport, None]] = {}
        self._turns_left = BEGUN_AT_ONCE
        self._next_turn: asyncio.Handle | None = None
        self._is_full = False
        self._failure_lines = LogBudget(time.monotonic)
        self._overload_lines = LogBudget(time.monotonic, _LINES_A_SECOND, 1)

    def start(self) -> None:
        """Listen and accept."""
        self._accepting.start(self._limits.unread_bytes, self._limits.backlog)

    @property
    def is_open(self) -> bool:
        """Whether it accepts connections."""
        return self._accepting.is_open

    @property
    def connections(self) -> int:
        """The number of connections in all states."""
        return len(self._connections) + self._silent.size + self._room.by_network.size

    @property
    def silent(self) -> int:
        """The number of connections without a first byte."""
        return self._silent.size

    @property
    def waiting(self) -> int:
        """The number of connections that wait for their handshake."""
        return self._room.by_network.size

    @property
    def longest_wait(self) -> float:
        """The seconds that the first waiting connection has waited."""
        return self._waiting_stage.oldest_for(self._loop.time())

    def stop(self) -> None:
        """Stop accepting, and close connections that are not settled; others stay."""
        self._accepting.stop()
        if self._next_turn is not None:
            self._next_turn.cancel()
        for arrival in list(self._silent):
            self._silent.discard(arrival.network, arrival)
            arrival.close()
        for arrival in list(self._room):
            self._room.leave(arrival)
            arrival.close()
        for transport in list(self._in_handshake):
            transport.abort()

    def cut(self) -> None:
        """End all connections at once."""
        for transport in list(self._connections):
            transport.abort()
        self._times.stop()

    # The interface for transports.

    def begin(self, transport: TLSTransport) -> tuple[SSL.Context, Judge] | None:
        """Return the context and judge of a handshake."""
        return self._begin(transport.peer)

    def handshake_done(self, transport: TLSTransport) -> asyncio.Protocol | None:
        """Return the inner protocol for a connection after its handshake."""
        self._handshake_ended(transport)
        leaf = _leaf(transport)
        if leaf is not None:
            same = self._by_certificate.setdefault(leaf, {})
            same[transport] = None
            if len(same) > self._limits.connections_per_certificate:
                next(iter(same)).abort()
        self._settled[transport] = None
        return self._protocol_factory()

    def refused(self, transport: TLSTransport, failure: StationkeeperError) -> None:
        """Report a failed handshake."""
        self._handshake_ended(transport)
        self._settled[transport] = None
        presented, verdict = (transport.tls.presented, transport.tls.verdict) if transport.tls else ((), None)
        judgement = verdict.judgement if verdict else None
        self._on_refusal(Refusal(transport.peer, failure.reason, failure.detail, presented, judgement))

    def failed(self, client: TLSTransport | Arrival) -> None:
        """Log an error of the server itself."""
        left_out = self._failure_lines.take()
        if left_out is not None:
            fields = {"peer": client.peer, "left_out": left_out}
            _log.exception("a connection failed and is closed", extra={"fields": fields})

    def unused(self, client: TLSTransport | Arrival) -> None:
        """Log a connection without a byte: a client checked whether the port is open."""
        fields = {"peer": client.peer, "reason": Reason.CONNECTION_UNUSED}
        _log.debug("connected and left", extra={"fields": fields})

    def closed(self, transport: TLSTransport) -> None:
        """Free the place of a connection."""
        self._connections.discard(transport)
        if transport in self._settled:
            del self._settled[transport]
        else:
            self._handshake_ended(transport)
        leaf = _leaf(transport)
        if transport.tls is not None:
            self._reputation.record_end(network_of(transport.peer), leaf, answered=transport.is_answered)
        same = self._by_certificate.get(leaf) if leaf is not None else None
        if leaf is not None and same is not None:
            same.pop(transport, None)
            if not same:
                del self._by_certificate[leaf]

    def _handshake_ended(self, transport: TLSTransport) -> None:
        """Forget a finished handshake."""
        self._in_handshake.discard(network_of(transport.peer), transport)
        if transport.stage is self.handshake:
            self.handshake.remove(transport)
        if self._is_full and self.is_open:
            self._begin_next_soon()

    # The interface for arrivals.

    def on_first_bytes(self, arrival: Arrival) -> None:
        """Queue a client that has sent its first bytes."""
        network = arrival.network
        is_free = self._is_free
        first = self._check_first_bytes(arrival, takes=is_free)
        if first is FirstBytes.NONE and arrival.network == network:
            return
        self._silent.discard(network, arrival)
        if first is FirstBytes.NONE:
            self._silent.add(arrival.network, arrival)
            return
        if first is not FirstBytes.TLS:
            return
        if self._enqueue(arrival, is_free=is_free) and self._turns_left:
            return
        self._begin_some()
        if arrival in self._room:
            arrival.stop_watching()

    def on_timeout(self, arrival: Arrival, stage: Stage) -> None:
        """Close a connection that was silent, or waited, for too long."""
        if stage is self._silent_stage:
            self._close_silent(arrival, f"no first byte within {stage.seconds:g} s")
        else:
            self._drop(arrival, Dropped.WAITED_TOO_LONG)

    # Accepting.

    def _accepted(self, accepted: socket.socket, address: str) -> None:
        if self._silent.size + self._room.by_network.size >= self._limits.waiting:
            self._make_room()
        arrival = Arrival(self._loop, accepted, peer_address(address), self, self._opener)
        is_free = self._is_free
        # A gateway's first bytes come a moment after its connection.
        first = self._check_first_bytes(arrival, takes=is_free) if has_something(accepted.fileno()) else FirstBytes.NONE
        if first is FirstBytes.TLS:
            self._enqueue(arrival, is_free=is_free)
        elif first is FirstBytes.NONE:
            self._silent.add(arrival.network, arrival)
            self._silent_stage.add(arrival, self._loop.time())
            arrival.watch()

    def _check_first_bytes(self, arrival: Arrival, *, takes: bool) -> FirstBytes:
        """Read the first bytes of a client; close the connection if TLS cannot follow."""
        try:
            first = arrival.check_first_bytes(takes=takes)
        except StationkeeperError as failure:
            arrival.close()
            self._reputation.record_end(arrival.network, None, answered=False)
            self._on_refusal(Refusal(arrival.peer, failure.reason, failure.detail))
            return FirstBytes.END
        except Exception:
            arrival.close()
            self.failed(arrival)
            return FirstBytes.END
        if first is FirstBytes.END:
            arrival.close()
            self.unused(arrival)
        return first

    @property
    def _is_free(self) -> bool:
        """Whether no connection waits, so that a new one may begin at once."""
        return (
            self._turns_left > 0
            and not self._room.by_network.size
            and self._in_handshake.size < self._limits.handshakes
        )

    def _enqueue(self, arrival: Arrival, *, is_free: bool) -> bool:
        """Queue a connection, and return whether its turn comes at once."""
        now = self._loop.time()
        if is_free and arrival.is_connected():
            # No connection is before it, so the order of the waiting room is not needed.
            self._turns_left -= 1
            self._begin_handshake(arrival, now)
            return True
        self._waiting_stage.add(arrival, now)
        self._room.enter(arrival, now)
        return False

    def _make_room(self) -> None:
        silent, waiting = self._silent.oldest_of_the_most(), self._room.one_to_close()
        if silent is not None and self._silent.size >= self._room.by_network.size:
            self._close_silent(silent, CLOSED_TO_MAKE_ROOM)
        elif waiting is not None:
            self._drop(waiting, Dropped.QUEUE_FULL)

    def _close_silent(self, silent: Arrival, detail: str) -> None:
        self._silent.discard(silent.network, silent)
        silent.close()
        self._reputation.record_end(silent.network, None, answered=False)
        self._on_refusal(Refusal(silent.peer, Reason.HANDSHAKE_TIMEOUT, detail))

    def _drop(self, waiting: Arrival, why: Dropped) -> None:
        self._room.leave(waiting)
        why = why if waiting.is_connected() else Dropped.PEER_GONE
        waiting.close()
        self.on_drop(why)
        left_out = self._overload_lines.take() if why is not Dropped.PEER_GONE else None
        if left_out is not None:
            fields = {"reason": why, "waiting": self._room.by_network.size, "left_out": left_out}
            _log.warning("more connections than can be answered", extra={"fields": fields})

    # Handshakes.

    def _begin_some(self) -> None:
        """Begin as many handshakes as allowed in one iteration of the event loop; the others wait for the next one."""
        self._is_full = False
        if self._turns_left and not self._room.by_network.size:
            # No connection waits, so no order is needed.
            return
        now, checked = self._loop.time(), 0
        while self._turns_left and checked < CHECKED_AT_ONCE:
            arrival = self._room.next(now, self._may_begin)
            if arrival is None:
                break
            checked += 1
            if not arrival.is_connected():
                self._drop(arrival, Dropped.PEER_GONE)
                continue
            self._turns_left -= 1
            self._room.leave(arrival)
            self._begin_handshake(arrival, now)
        if not self._turns_left or checked == CHECKED_AT_ONCE:
            self._begin_next_soon()
        elif self._room.by_network.size:
            # It continues when a handshake ends, or when the oldest one is old enough to be closed.
            self._is_full = True
            if self._next_turn is None:
                self._next_turn = self._loop.call_later(_NEXT_TURN_SECONDS, self._begin_next)

    def _begin_next_soon(self) -> None:
        if isinstance(self._next_turn, asyncio.TimerHandle):
            self._next_turn.cancel()
            self._next_turn = None
        if self._next_turn is None:
            self._next_turn = self._loop.call_soon(self._begin_next)

    def _begin_next(self) -> None:
        self._next_turn = None
        self._turns_left = BEGUN_AT_ONCE
        self._begin_some()

    def _may_begin(self, arrival: Arrival) -> bool:
        return (
            self._in_handshake.size < self._limits.handshakes
            or self._has_fewer(arrival.network)
            or self.handshake.oldest_for(self._loop.time()) >= GRACE_SECONDS
        )

    def _has_fewer(self, network: str) -> bool:
        """Return whether a network, with one more handshake, still has fewer than another one."""
        return self._in_handshake.count(network) + 1 < self._in_handshake.most

    def _begin_handshake(self, arrival: Arrival, now: float) -> None:
        if self._in_handshake.size >= self._limits.handshakes:
            fewer = self._has_fewer(arrival.network)
            makes_room = self._in_handshake.oldest_of_the_most() if fewer else self.handshake.oldest
            if isinstance(makes_room, TLSTransport):
                makes_room.time_out(CLOSED_TO_MAKE_ROOM)
        elif len(self._connections) >= self._limits.connections and self._settled:
            # A gateway sends its request at once, so the oldest connection no longer needs its place. Without this, a
            # tenant with many certificates (or any client, if none is required) could take every place.
            next(iter(self._settled)).abort()
        transport = TLSTransport(self._loop, arrival.hand_over(), arrival.peer, self)
        self._connections.add(transport)
        self._in_handshake.add(arrival.network, transport)
        self.handshake.add(transport, now)
        transport.start(arrival.received)


def _leaf(transport: TLSTransport) -> bytes | None:
    presented = transport.tls.presented if transport.tls else ()
    return presented[0] if presented else None
