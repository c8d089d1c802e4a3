"""TLS connections from one listening socket to an HTTP protocol, each under the context that is current as it comes in.

The socket is bound once. A change of trust is a change of what `context` returns: whoever is being served stays so, and
whoever comes next meets the new trust. How many connections there are and how long a handshake takes is bounded.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stationkeeper_core.errors import Reason
from stationkeeper_cups.tls_context import RefusedHandshakeError

_log = logging.getLogger("stationkeeper.cups.listener")

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True)
class Limits:
    """How much the clients may take.

    Attributes:
        connections: at one time, those in their handshake among them; the kernel's backlog holds the others.
        handshakes: of these that may be in their handshake; over that, the oldest is given up.
        handshake_seconds: for one handshake.
        shutdown_seconds: for what was written to be sent, and TLS to be closed, at the end of a connection.
        linger_seconds: how long a refused client is listened to, so that it gets to read the alert.
        backlog: connections that the kernel holds before they are accepted.
    """

    connections: int = 4096
    handshakes: int = 2048
    handshake_seconds: float = 10.0
    linger_seconds: float = 1.0
    shutdown_seconds: float = 10.0
    backlog: int = 4096


@dataclass(frozen=True)
class Refusal:
    """A handshake that came to nothing.

    Attributes:
        peer: address of the client.
        reason: the reason's word.
        detail: what was found.
    """

    peer: str
    reason: Reason
    detail: str


class Listener:
    """Accepts connections on a bound socket and hands them, once their handshake is done, to new protocols.

    Args:
        bound: a bound TCP socket; `start` makes it listen.
        context: gives the TLS context for the next connection; where it gives None the connection is closed.
        protocol_factory: makes the protocol of a connection; it is to call `closed` when the connection is lost.
        on_refusal: told of every handshake that came to nothing.
    """

    def __init__(
        self,
        bound: socket.socket,
        context: Callable[[], ssl.SSLContext | None],
        protocol_factory: Callable[[], asyncio.Protocol],
        on_refusal: Callable[[Refusal], None],
        limits: Limits = Limits(),
    ) -> None:
        self._socket = bound
        self._context = context
        self._protocol_factory = protocol_factory
        self._on_refusal = on_refusal
        self._limits = limits
        self._free = asyncio.Semaphore(limits.connections)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._handshakes: dict[asyncio.Task[bool], str] = {}
        self._open = False

    def start(self) -> None:
        """Begins to listen and to accept."""
        self._socket.setblocking(False)
        self._socket.listen(self._limits.backlog)
        self._tasks.add(asyncio.get_running_loop().create_task(self._accept()))
        self._open = True

    @property
    def is_open(self) -> bool:
        """Whether it accepts connections."""
        return self._open

    async def stop(self) -> None:
        """Stops to accept, and gives up the handshakes that are not done; connections that are stay."""
        self._open = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    def closed(self) -> None:
        """Frees the place of a connection that had been handed to a protocol."""
        self._free.release()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                connection, address = await loop.sock_accept(self._socket)
            except OSError as error:
                self._free.release()
                if error.errno in _OUT_OF_RESOURCES:
                    _log.warning("cannot accept connections", extra={"fields": {"detail": str(error)}})
                    await asyncio.sleep(1)
                continue
            except BaseException:
                self._free.release()
                raise
            self._shake(connection, str(address[0]))
            # A burst of connections must not keep those that are being served waiting.
            await asyncio.sleep(0)

    async def _greet(self, connection: socket.socket, peer: str) -> bool:
        """Whether the connection was handed to a protocol."""
        context = self._context()
        try:
            return context is not None and await self._shake_hands(connection, peer, context)
        except OSError as error:
            _log.warning("a connection is given up", extra={"fields": {"peer": peer, "detail": str(error)}})
            return False

    async def _shake_hands(self, connection: socket.socket, peer: str, context: ssl.SSLContext) -> bool:
        with connection.dup() as spare:
            try:
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._protocol_factory,
                    connection,
                    ssl=context,
                    ssl_handshake_timeout=self._limits.handshake_seconds,
                    ssl_shutdown_timeout=self._limits.shutdown_seconds,
                )
            except RefusedHandshakeError as error:
                self._on_refusal(Refusal(peer, error.stable_reason, error.detail))
                await self._tell(spare, error.alert)
                return False
            except OSError as error:
                timed_out = isinstance(error, ConnectionAbortedError | TimeoutError)
                reason = Reason.HANDSHAKE_TIMEOUT if timed_out else Reason.HANDSHAKE_FAILED
                self._on_refusal(Refusal(peer, reason, str(error) or type(error).__name__))
                return False
            return True

    async def _tell(self, connection: socket.socket, alert: bytes) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._limits.linger_seconds):
                await loop.sock_sendall(connection, alert)
                connection.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(connection, 65536):
                    pass

    def _shake(self, connection: socket.socket, peer: str) -> None:
        """Begins a handshake; where too many are under way, the oldest makes room: it is none of an honest client."""
        if len(self._handshakes) >= self._limits.handshakes:
            oldest = next(iter(self._handshakes))
            self._on_refusal(
                Refusal(self._handshakes.pop(oldest), Reason.HANDSHAKE_TIMEOUT, "given up for newer connections")
            )
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._greet(connection, peer))
        self._handshakes[task] = peer
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, connection))

    def _ended(self, handshake: asyncio.Task[bool], connection: socket.socket) -> None:
        self._tasks.discard(handshake)
        self._handshakes.pop(handshake, None)
        failure = None if handshake.cancelled() else handshake.exception()
        if failure is not None:
            _log.error("a handshake failed unforeseen", exc_info=failure)
        if handshake.cancelled() or failure is not None or not handshake.result():
            connection.close()
            self._free.release()
