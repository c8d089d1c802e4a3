"""The gateways' port: accepts connections on one bound socket, lets them wait for their turn, and bounds them.

A connection is silent, or it waits, or it shakes hands, or it is settled. While it is silent or waits it is a socket
and no more. Its turn depends on who waits with it, and what is being served goes before what has not begun: only as
many handshakes begin at a time as keep the server busy. So a slow client holds nobody up, and no time is spent on
handshakes whose clients have given up before their answer.

The socket is bound once. What a handshake begins with is asked for at its turn, so that a change of the server's
credentials or of trust acts on every connection that has not begun before it.
"""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable

from OpenSSL import SSL

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.arrival import Arrival, Said
from stationkeeper_cups.accepting.connection_limits import ConnectionLimits
from stationkeeper_cups.accepting.networks import Groups, network_of
from stationkeeper_cups.accepting.new_connections import Accepting
from stationkeeper_cups.accepting.opening import Opener, ProxyProtocol
from stationkeeper_cups.accepting.peer_address import Networks, peer_address
from stationkeeper_cups.accepting.standing import OFTEN, Standing
from stationkeeper_cups.accepting.unanswered import Dropped, Refusal
from stationkeeper_cups.accepting.waiting_room import WaitingRoom
from stationkeeper_cups.log_budget import LogBudget
from stationkeeper_cups.process.pending import has_something
from stationkeeper_cups.tls.connection import Judge
from stationkeeper_cups.tls.time_limits import Stage, TimeLimits
from stationkeeper_cups.tls.transport import TLSTransport

GIVEN_UP = "given up for newer connections"
# In one turn of the event loop: what is under way goes on between the turns.
BEGUN_AT_ONCE = 4
LOOKED_AT_AT_ONCE = 64
# A handshake that is younger makes room only for a network that has fewer of them: on a slow link it needs seconds, and
# to begin one more by giving up one that goes well is work for nothing.
GRACE_SECONDS = 4.0

_LOOK_AGAIN_SECONDS = 0.05
_LINES_A_SECOND = 0.1

_log = logging.getLogger("stationkeeper.cups.listener")


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
        on_drop: told of every connection that was closed before its turn.
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
        self._accepting = Accepting(self._loop, bound, self._accepted, self._begin_some)
        self._begin = begin
        self._protocol_factory = protocol_factory
        self._on_refusal = on_refusal
        self._opener = opener or ProxyProtocol(Networks())
        self.on_drop: Callable[[Dropped], None] = lambda _why: None
        self._limits = limits
        self._times = times
        self._silence = times.stage("silence", limits.handshake_seconds)
        self._wait = times.stage("wait", limits.waiting_seconds)
        self.handshake = times.stage("handshake", limits.handshake_seconds)
        self.farewell = times.stage("farewell", limits.farewell_seconds)
        # Where one certificate may have all connections it is shared by many clients, as by proxies.
        is_shared = limits.connections_per_certificate >= limits.connections
        self._standing = Standing(time.monotonic, math.inf if is_shared else OFTEN)
        self._silent: Groups[Arrival] = Groups()
        self._room: WaitingRoom[Arrival] = WaitingRoom(self._standing.is_good)
        self._shaking: Groups[TLSTransport] = Groups()
        self._connections: set[TLSTransport] = set()
        self._settled: dict[TLSTransport, None] = {}
        self._by_certificate: dict[bytes, dict[TLSTransport, None]] = {}
        self._left = BEGUN_AT_ONCE
        self._again: asyncio.Handle | None = None
        self._has_no_place = False
        self._trouble = LogBudget(time.monotonic)
        self._overload = LogBudget(time.monotonic, _LINES_A_SECOND, 1)

    def start(self) -> None:
        """Listen and accept."""
        self._accepting.start(self._limits.unread_bytes, self._limits.backlog)

    @property
    def is_open(self) -> bool:
        """Whether it accepts connections."""
        return self._accepting.is_open

    @property
    def connections(self) -> int:
        """How many there are, in all states together."""
        return len(self._connections) + self._silent.size + self._room.everybody.size

    @property
    def silent(self) -> int:
        """How many have said nothing yet."""
        return self._silent.size

    @property
    def waiting(self) -> int:
        """How many wait for their handshake to begin."""
        return self._room.everybody.size

    @property
    def waited(self) -> float:
        """How long the first of those has waited, in seconds."""
        return self._wait.oldest_for(self._loop.time())

    def stop(self) -> None:
        """Accept no more, and give up what is not settled; other connections stay."""
        self._accepting.stop()
        if self._again is not None:
            self._again.cancel()
        for arrival in list(self._silent):
            self._silent.discard(arrival.network, arrival)
            arrival.close()
        for arrival in list(self._room):
            self._room.leave(arrival)
            arrival.close()
        for transport in list(self._shaking):
            transport.abort()

    def cut(self) -> None:
        """End all connections at once."""
        for transport in list(self._connections):
            transport.abort()
        self._times.stop()

    # The host of its transports.

    def begin(self, transport: TLSTransport) -> tuple[SSL.Context, Judge] | None:
        """Return what a handshake begins with."""
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

    def failed(self, client: TLSTransport | Arrival) -> None:
        """Log a fault of the server's own."""
        left_out = self._trouble.take()
        if left_out is not None:
            fields = {"peer": client.peer, "left_out": left_out}
            _log.exception("a connection is given up", extra={"fields": fields})

    def unused(self, client: TLSTransport | Arrival) -> None:
        """Tell of a connection without a byte: somebody has looked whether the port is open."""
        fields = {"peer": client.peer, "reason": Reason.CONNECTION_UNUSED}
        _log.debug("connected and left", extra={"fields": fields})

    def gone(self, transport: TLSTransport) -> None:
        """Free the place of a connection."""
        self._connections.discard(transport)
        if transport in self._settled:
            del self._settled[transport]
        else:
            self._shaken(transport)
        leaf = _leaf(transport)
        if transport.tls is not None:
            self._standing.ended(network_of(transport.peer), leaf, answered=transport.is_answered)
        same = self._by_certificate.get(leaf) if leaf is not None else None
        if leaf is not None and same is not None:
            same.pop(transport, None)
            if not same:
                del self._by_certificate[leaf]

    def _shaken(self, transport: TLSTransport) -> None:
        """Forget a handshake that is over."""
        self._shaking.discard(network_of(transport.peer), transport)
        if transport.stage is self.handshake:
            self.handshake.remove(transport)
        if self._has_no_place and self.is_open:
            self._begin_again_soon()

    # The host of arrivals.

    def heard(self, arrival: Arrival) -> None:
        """Let a client that has said something wait for its turn."""
        network = arrival.network
        is_free = self._is_free
        said = self._look(arrival, takes=is_free)
        if said is Said.NOTHING and arrival.network == network:
            return
        self._silent.discard(network, arrival)
        if said is Said.NOTHING:
            self._silent.add(arrival.network, arrival)
            return
        if said is not Said.SOMETHING:
            return
        if self._let_wait(arrival, is_free=is_free) and self._left:
            return
        self._begin_some()
        if arrival in self._room:
            arrival.rest()

    def overdue(self, arrival: Arrival, stage: Stage) -> None:
        """End what was silent, or waited, for too long."""
        if stage is self._silence:
            self._give_up(arrival, f"not done within {stage.seconds:g} s")
        else:
            self._drop(arrival, Dropped.WAITED_TOO_LONG)

    # Accepting.

    def _accepted(self, accepted: socket.socket, address: str) -> None:
        if self._silent.size + self._room.everybody.size >= self._limits.waiting:
            self._make_room()
        arrival = Arrival(self._loop, accepted, peer_address(address), self, self._opener)
        is_free = self._is_free
        # A gateway's first bytes come a moment after its connection.
        said = self._look(arrival, takes=is_free) if has_something(accepted.fileno()) else Said.NOTHING
        if said is Said.SOMETHING:
            self._let_wait(arrival, is_free=is_free)
        elif said is Said.NOTHING:
            self._silent.add(arrival.network, arrival)
            self._silence.add(arrival, self._loop.time())
            arrival.watch()

    def _look(self, arrival: Arrival, *, takes: bool) -> Said:
        """Look at what a client has said, and end the connection where there is no TLS to come."""
        try:
            said = arrival.look(takes=takes)
        except StationkeeperError as failure:
            arrival.close()
            self._standing.ended(arrival.network, None, answered=False)
            self._on_refusal(Refusal(arrival.peer, failure.reason, failure.detail))
            return Said.GOODBYE
        except Exception:
            arrival.close()
            self.failed(arrival)
            return Said.GOODBYE
        if said is Said.GOODBYE:
            arrival.close()
            self.unused(arrival)
        return said

    @property
    def _is_free(self) -> bool:
        """Whether nobody waits, so that a new connection may begin at once."""
        return self._left > 0 and not self._room.everybody.size and self._shaking.size < self._limits.handshakes

    def _let_wait(self, arrival: Arrival, *, is_free: bool) -> bool:
        """Let a connection wait for its turn, and return whether that has come at once."""
        now = self._loop.time()
        if is_free and arrival.is_there():
            # Nobody is before it, and all the room's order would cost is for nothing.
            self._left -= 1
            self._shake_hands(arrival, now)
            return True
        self._wait.add(arrival, now)
        self._room.enter(arrival, now)
        return False

    def _make_room(self) -> None:
        silent, waiting = self._silent.oldest_of_the_most(), self._room.crowded_out()
        if silent is not None and self._silent.size >= self._room.everybody.size:
            self._give_up(silent, GIVEN_UP)
        elif waiting is not None:
            self._drop(waiting, Dropped.QUEUE_FULL)

    def _give_up(self, silent: Arrival, detail: str) -> None:
        self._silent.discard(silent.network, silent)
        silent.close()
        self._standing.ended(silent.network, None, answered=False)
        self._on_refusal(Refusal(silent.peer, Reason.HANDSHAKE_TIMEOUT, detail))

    def _drop(self, waiting: Arrival, why: Dropped) -> None:
        self._room.leave(waiting)
        why = why if waiting.is_there() else Dropped.PEER_GONE
        waiting.close()
        self.on_drop(why)
        left_out = self._overload.take() if why is not Dropped.PEER_GONE else None
        if left_out is not None:
            fields = {"reason": why, "waiting": self._room.everybody.size, "left_out": left_out}
            _log.warning("more connections than can be answered", extra={"fields": fields})

    # Beginning handshakes.

    def _begin_some(self) -> None:
        """Begin as many handshakes as one turn of the event loop may; the others wait for the next one."""
        self._has_no_place = False
        if self._left and not self._room.everybody.size:
            # Nobody waits, so there is no order to find.
            return
        now, looked_at = self._loop.time(), 0
        while self._left and looked_at < LOOKED_AT_AT_ONCE:
            arrival = self._room.next(now, self._may_begin)
            if arrival is None:
                break
            looked_at += 1
            if not arrival.is_there():
                self._drop(arrival, Dropped.PEER_GONE)
                continue
            self._left -= 1
            self._room.leave(arrival)
            self._shake_hands(arrival, now)
        if not self._left or looked_at == LOOKED_AT_AT_ONCE:
            self._begin_again_soon()
        elif self._room.everybody.size:
            # It goes on when a handshake ends; or when the oldest one is old enough to be given up.
            self._has_no_place = True
            if self._again is None:
                self._again = self._loop.call_later(_LOOK_AGAIN_SECONDS, self._begin_again)

    def _begin_again_soon(self) -> None:
        if isinstance(self._again, asyncio.TimerHandle):
            self._again.cancel()
            self._again = None
        if self._again is None:
            self._again = self._loop.call_soon(self._begin_again)

    def _begin_again(self) -> None:
        self._again = None
        self._left = BEGUN_AT_ONCE
        self._begin_some()

    def _may_begin(self, arrival: Arrival) -> bool:
        return (
            self._shaking.size < self._limits.handshakes
            or self._has_fewer(arrival.network)
            or self.handshake.oldest_for(self._loop.time()) >= GRACE_SECONDS
        )

    def _has_fewer(self, network: str) -> bool:
        """Whether, with one more handshake, a network still has less than another."""
        return self._shaking.count(network) + 1 < self._shaking.most

    def _shake_hands(self, arrival: Arrival, now: float) -> None:
        if self._shaking.size >= self._limits.handshakes:
            fewer = self._has_fewer(arrival.network)
            makes_room = self._shaking.oldest_of_the_most() if fewer else self.handshake.oldest
            if isinstance(makes_room, TLSTransport):
                makes_room.give_up(GIVEN_UP)
        elif len(self._connections) >= self._limits.connections and self._settled:
            # A gateway asks as soon as it may, so who has been here the longest is not the one that has to wait. Else
            # a tenant with many certificates, or anybody where none is needed, could take every place.
            next(iter(self._settled)).abort()
        transport = TLSTransport(self._loop, arrival.hand_over(), arrival.peer, self)
        self._connections.add(transport)
        self._shaking.add(arrival.network, transport)
        self.handshake.add(transport, now)
        transport.start(arrival.received)


def _leaf(transport: TLSTransport) -> bytes | None:
    presented = transport.tls.presented if transport.tls else ()
    return presented[0] if presented else None
