"""The connections of the internal port: few, short, and shared fairly among addresses.

Each TLS connection takes about 300 KiB as soon as it is accepted, whether it sends anything or not (asyncio's
SSLProtocol holds a buffer of 256 KiB). Any pod of the cluster can reach this port. So a pod gets only a few
connections, and cannot block the kubelet, Prometheus or the operator.
"""

import asyncio
import contextlib
import errno
import logging
import math
import socket
import ssl
import struct
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from stationkeeper_core.recently_used import RecentlyUsed
from stationkeeper_core.token_bucket import TokenBucket
from stationkeeper_cups.log_budget import LogBudget

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_CHECK_SECONDS = 0.25
_MAX_ADDRESSES = 1024
_log = logging.getLogger("stationkeeper.cups.internal_port")


@dataclass(frozen=True)
class InternalBounds:
    """The limits on clients of the internal port.

    Attributes:
        connections: the maximum of connections; above it, the oldest one of the address with the most is closed.
        of_one_address: the maximum of one address; above it, its oldest connection is closed.
        a_second: the long-term rate of new connections, and of requests without the token, of one address.
        burst: the burst of both.
        handshake_seconds: the maximum time of the TLS handshake.
        idle_seconds: the maximum time without a request.
        lifetime_seconds: the maximum time of one connection.
        backlog: the connections that the kernel holds before they are accepted.
    """

    connections: int = 32
    of_one_address: int = 8
    a_second: float = 100.0
    burst: int = 200
    handshake_seconds: float = 3.0
    idle_seconds: float = 15.0
    lifetime_seconds: float = 120.0
    backlog: int = 128


class AddressRates:
    """A token bucket for each address; the least recently used one is dropped for a new one.

    Args:
        a_second: the rate of refill.
        burst: the size of a bucket.
        clock: returns monotonic seconds.
    """

    def __init__(self, a_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._buckets: RecentlyUsed[str, TokenBucket] = RecentlyUsed(
            lambda: TokenBucket(a_second, burst, clock), _MAX_ADDRESSES
        )

    def take(self, address: str) -> bool:
        """Take a token of `address` if it has one."""
        return self._buckets[address].take()


@dataclass(eq=False)
class _ServedConnection:
    """A connection, its client and its server objects.

    Attributes:
        address: the address of the client.
        connection: its socket.
        task: the task that serves it.
        protocol: its protocol; set after the handshake.
        authenticated: whether a request on it had the token.
    """

    address: str
    connection: socket.socket
    task: asyncio.Task[None] | None = None
    protocol: asyncio.BaseProtocol | None = None
    authenticated: bool = False


class InternalPort:
    """Accepts connections on a bound socket, within limits, and hands them to aiohttp.

    Args:
        bound: a bound TCP socket; `start` makes it listen.
        context: the TLS context of all handshakes.
        server: makes the protocol of a connection.
        clock: returns monotonic seconds.
        bounds: the limits on clients.
    """

    def __init__(
        self,
        bound: socket.socket,
        context: ssl.SSLContext,
        server: Callable[[], asyncio.Protocol],
        clock: Callable[[], float],
        bounds: InternalBounds = InternalBounds(),
    ) -> None:
        self._socket = bound
        self._context = context
        self._server = server
        self._bounds = bounds
        self._rates = AddressRates(bounds.a_second, bounds.burst, clock)
        self._lines = LogBudget(clock)
        self._served: list[_ServedConnection] = []
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen and to accept."""
        self._socket.setblocking(False)
        self._socket.listen(self._bounds.backlog)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def stop(self) -> None:
        """Stop accepting, and close all connections."""
        tasks = [each for each in (self._accepting, *(served.task for served in self._served)) if each is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    def mark_authenticated(self, protocol: object) -> None:
        """Record that the client of `protocol` has the token: its connection is not closed for other ones."""
        for served in self._served:
            if served.protocol is protocol:
                served.authenticated = True

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._socket)
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    _log.warning("cannot accept connections", extra={"fields": {"detail": str(error)}})
                    await asyncio.sleep(1)
                continue
            self._take_in(connection, str(address[0]))
            # A burst of connections must not keep gateways waiting.
            await asyncio.sleep(0)

    def _take_in(self, connection: socket.socket, address: str) -> None:
        if not self._rates.take(address):
            connection.close()
            self._log_problem(address, "it opens too many connections a second")
            return
        self._make_room(address)
        served = _ServedConnection(address, connection)
        served.task = asyncio.get_running_loop().create_task(self._serve(served))
        served.task.add_done_callback(lambda done: self._ended(served, done))
        self._served.append(served)

    def _make_room(self, address: str) -> None:
        self._served = [served for served in self._served if served.connection.fileno() >= 0]
        counts = Counter(served.address for served in self._served)
        if counts[address] >= self._bounds.of_one_address:
            crowded = address
        elif len(self._served) >= self._bounds.connections:
            crowded = counts.most_common(1)[0][0]
        else:
            return
        of_address = [served for served in self._served if served.address == crowded]
        # The oldest one without the token; probes and scrapes get their answers within milliseconds.
        victim = min(of_address, key=lambda served: served.authenticated)
        self._served.remove(victim)
        # Its task sees the end of the connection in any state. If a task were cancelled before its handshake, its
        # buffers would stay until a timeout.
        _reset_on_close(victim.connection)
        with contextlib.suppress(OSError):
            victim.connection.shutdown(socket.SHUT_RDWR)
        self._log_problem(crowded, "it has too many connections; the oldest one is closed")

    async def _serve(self, served: _ServedConnection) -> None:
        try:
            async with asyncio.timeout(self._bounds.handshake_seconds):
                await _readable(served.connection)
            if not served.connection.recv(1, socket.MSG_PEEK):
                return
            await self._serve_tls(served)
        except OSError as error:
            # Not logged: any pod of the cluster can make a handshake fail. The frames of the error refer to the error
            # and to the buffers of the connection: both would stay until the garbage collection.
            traceback.clear_frames(error.__traceback__)

    async def _serve_tls(self, served: _ServedConnection) -> None:
        transport, served.protocol = await asyncio.get_running_loop().connect_accepted_socket(
            self._server,
            served.connection,
            ssl=self._context,
            ssl_handshake_timeout=self._bounds.handshake_seconds,
            ssl_shutdown_timeout=self._bounds.handshake_seconds,
        )
        try:
            for _ in range(math.ceil(self._bounds.lifetime_seconds / _CHECK_SECONDS)):
                # The place is free when the socket is closed: until then the TLS buffers stay in memory.
                if served.connection.fileno() < 0:
                    break
                await asyncio.sleep(_CHECK_SECONDS)
        finally:
            _reset_on_close(served.connection)
            # Python before 3.11.4 cannot abort a connection that has ended: the transport then has no TLS any more.
            with contextlib.suppress(AttributeError):
                transport.abort()

    def _ended(self, served: _ServedConnection, task: asyncio.Task[None]) -> None:
        if served in self._served:
            self._served.remove(served)
        served.connection.close()
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.error("a connection of the internal port failed", exc_info=failure)

    def _log_problem(self, address: str, detail: str) -> None:
        left_out = self._lines.take()
        if left_out is not None:
            fields = {"peer": address, "detail": detail, "left_out": left_out}
            _log.warning("the internal port closed connections above its limits", extra={"fields": fields})


def _reset_on_close(connection: socket.socket) -> None:
    """Make the kernel drop unread bytes at close, instead of keeping them for the client."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _readable(connection: socket.socket) -> None:
    """Wait until there are bytes or an end to read: until then a connection needs no TLS buffers."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    connection.setblocking(False)
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)


class RunningInternalPort:
    """The running internal port; made by `start_internal`."""

    def __init__(self, port: InternalPort, runner: web.AppRunner) -> None:
        self._port = port
        self._runner = runner

    async def stop(self) -> None:
        """Stop accepting, and close all connections."""
        await self._port.stop()
        await self._runner.cleanup()


Guard = Callable[[web.Request, bool], bool]


async def start_internal(
    application: Callable[[Guard], web.Application],
    bound: socket.socket,
    context: ssl.SSLContext,
    bounds: InternalBounds = InternalBounds(),
    clock: Callable[[], float] = time.monotonic,
) -> RunningInternalPort:
    """Serve an application on the bound socket, within limits.

    Args:
        application: makes the application from a guard. The guard gets a request and whether it has the token, and
            returns whether to answer it.
        bound: a bound TCP socket.
        context: the TLS context of all handshakes.
        bounds: the limits on clients.
        clock: returns monotonic seconds.
    """
    requests = AddressRates(bounds.a_second, bounds.burst, clock)
    ports: list[InternalPort] = []

    def guard(request: web.Request, authenticated: bool) -> bool:
        if authenticated:
            ports[0].mark_authenticated(request.protocol)
            return True
        return requests.take(request.remote or "")

    logger = logging.getLogger("stationkeeper.cups.internal_port.http")
    budget = LogBudget(clock)
    # aiohttp logs a traceback for each request that is not HTTP.
    logger.filters[:] = [lambda _record: budget.take() is not None]
    runner = web.AppRunner(
        application(guard), access_log=None, keepalive_timeout=bounds.idle_seconds, lingering_time=0, logger=logger
    )
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("aiohttp has no server after its setup")
    port = InternalPort(bound, context, runner.server, clock, bounds)
    ports.append(port)
    port.start()
    return RunningInternalPort(port, runner)
