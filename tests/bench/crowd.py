"""Simulate many gateways at once in one process: each connects, shakes hands, asks, and gives up after a while."""

import heapq
import resource
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle

_SOURCES = 200
_CONNECTING, _SHAKING_HANDS, _WAITING = range(3)


@dataclass(frozen=True)
class Attempt:
    """The result of one connection.

    Attributes:
        begun, ended: in seconds of `time.monotonic`.
        outcome: `200` or another status, `gave up`, or `closed` if the server ended the connection.
    """

    begun: float
    ended: float
    outcome: str


@dataclass(eq=False, slots=True)
class _Client:
    number: int
    begun: float
    raw: socket.socket
    stage: int = _CONNECTING
    tls: ssl.SSLSocket | None = None
    answer: bytes = b""
    mask: int = 0


@dataclass
class Crowd:
    """Connects to servers on loopback.

    Args:
        ports: of the servers, to which they come in turn.
        contexts: of the gateways, who come in turn.
        requests: what each of them asks, as plain bytes.
        patience: how long a gateway waits for its answer, in seconds.

    Attributes:
        attempts: those that are over.
    """

    ports: Sequence[int]
    contexts: Sequence[ssl.SSLContext]
    requests: Sequence[bytes]
    patience: float
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._given_up: list[tuple[float, int, _Client]] = []
        self._order = count()
        self._turns = cycle(self.ports)
        self._numbers = cycle(range(len(self.contexts)))
        # A machine has too few ports for one address.
        self._sources = cycle(f"127.0.1.{1 + each}" for each in range(_SOURCES))
        self._over: Callable[[Attempt, int], None] = lambda _attempt, _number: None
        _raise_descriptors()

    def keep(self, number: int, is_done: Callable[[], bool]) -> None:
        """Keep `number` gateways asking at a time until `is_done`; then wait for those that ask."""

        def again(_attempt: Attempt, _number: int) -> None:
            if not is_done():
                self._begin(next(self._numbers))

        self._over = again
        for _ in range(number):
            self._begin(next(self._numbers))
        while self._clients:
            self._turn(0.05)

    def rate(self, number: int, seconds: float) -> float:
        """Keep `number` gateways asking at a time, and return the answers a second: the capacity of the server."""
        until = time.monotonic() + seconds
        self.keep(number, lambda: time.monotonic() >= until)
        return sum(each.outcome == "200" and each.ended <= until for each in self.attempts) / seconds

    def come(self, phases: Sequence[tuple[float, float]], again: float, now: Callable[[float], None]) -> float:
        """Start gateways at given rates, which do not depend on the earlier gateways.

        Args:
            phases: how long, in seconds, and how many a second; one after the other.
            again: after how many seconds a gateway that was not answered comes again, as long as the first phase lasts.
            now: called at each turn with the seconds that have passed.

        Returns:
            When it began, in seconds of `time.monotonic`.
        """
        began = time.monotonic()
        first_ends = began + phases[0][0]
        back: list[tuple[float, int]] = []

        def return_later(attempt: Attempt, number: int) -> None:
            if attempt.outcome != "200" and attempt.ended + again < first_ends:
                heapq.heappush(back, (attempt.ended + again, number))

        self._over = return_later
        due = began
        for seconds, rate in phases:
            ends = due + seconds
            while (clock := time.monotonic()) < ends or due < ends:
                now(clock - began)
                # Handle what came in meanwhile too: otherwise a crowd that is late would never read.
                for _ in range(32):
                    if due > clock or due >= ends:
                        break
                    due += 1 / rate
                    self._begin(next(self._numbers))
                for _ in range(32):
                    if not back or back[0][0] > clock:
                        break
                    self._begin(heapq.heappop(back)[1])
                self._turn(0.001)
            due = ends
        while self._clients:
            self._turn(0.05)
        return began

    def _begin(self, number: int) -> None:
        raw = socket.socket()
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The port is chosen with the destination known, so that there are enough.
        raw.setsockopt(socket.IPPROTO_IP, 24, 1)
        raw.bind((next(self._sources), 0))
        client = _Client(number, time.monotonic(), raw)
        self._clients[raw.fileno()] = client
        heapq.heappush(self._given_up, (client.begun + self.patience, next(self._order), client))
        raw.connect_ex(("127.0.0.1", next(self._turns)))
        client.mask = select.EPOLLOUT
        self._poll.register(raw.fileno(), select.EPOLLOUT)

    def _turn(self, seconds: float) -> None:
        for descriptor, _ in self._poll.poll(seconds, 512):
            client = self._clients.get(descriptor)
            if client is not None:
                self._go_on(client)
        clock = time.monotonic()
        while self._given_up and self._given_up[0][0] <= clock:
            client = heapq.heappop(self._given_up)[2]
            if self._clients.get(_descriptor(client)) is client:
                self._end(client, "gave up")

    def _go_on(self, client: _Client) -> None:
        try:
            if client.stage == _CONNECTING:
                if client.raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._end(client, "closed")
                    return
                descriptor = client.raw.fileno()
                del self._clients[descriptor]
                context = self.contexts[client.number]
                client.tls = context.wrap_socket(client.raw, server_hostname="localhost", do_handshake_on_connect=False)
                self._clients[client.tls.fileno()] = client
                client.stage = _SHAKING_HANDS
            if client.tls is None:
                return
            if client.stage == _SHAKING_HANDS:
                client.tls.do_handshake()
                client.tls.send(self.requests[client.number])
                client.stage = _WAITING
            client.answer += client.tls.recv(4096)
        except ssl.SSLWantReadError:
            self._watch(client, select.EPOLLIN)
            return
        except ssl.SSLWantWriteError:
            self._watch(client, select.EPOLLOUT)
            return
        except OSError:
            self._end(client, "closed")
            return
        status = client.answer[9:12].decode("ascii", "replace")
        self._end(client, status if status.isdigit() else "closed")

    def _watch(self, client: _Client, mask: int) -> None:
        if client.mask != mask:
            client.mask = mask
            self._poll.modify(_descriptor(client), mask)

    def _end(self, client: _Client, outcome: str) -> None:
        del self._clients[_descriptor(client)]
        (client.tls or client.raw).close()
        attempt = Attempt(client.begun, time.monotonic(), outcome)
        self.attempts.append(attempt)
        self._over(attempt, client.number)


def _descriptor(client: _Client) -> int:
    return (client.tls or client.raw).fileno()


def _raise_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
