"""TLS on an accepted socket, as the transport of an inner protocol.

It reads and writes the socket itself. A connection consists of this object, its place in a stage and, from its first
byte on, a TLS connection. It has no task, no future and no timer. A silent client costs only the first two.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.process.pending_bytes import has_something
from stationkeeper_cups.tls.connection import State, TLSConnection
from stationkeeper_cups.tls.host import Host
from stationkeeper_cups.tls.time_limits import Stage

READ_BYTES = 16 * 1024
# The limits of unsent bytes: above the first one, the inner protocol must pause until they are fewer than the second.
HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024
# Above this the connection is closed; the inner protocol was paused long before.
MAX_UNSENT_BYTES = 512 * 1024
# The bytes that a client may still send at the end before the connection is closed.
MAX_CLOSING_BYTES = 256 * 1024


class TLSTransport(asyncio.Transport):
    """One accepted connection.

    Args:
        loop: a loop that watches sockets.
        accepted: a connected, non-blocking socket.
        peer: the client's IP address.
        host: the port that accepted it.

    Attributes:
        is_answered: whether the client was accepted and answered.
        peer: the argument.
        stage: the present stage.
        tls: the TLS connection; None until the first byte.
    """

    __slots__ = (
        "_closing_bytes_left",
        "_flushed",
        "_host",
        "_is_closing",
        "_is_lost",
        "_is_reading",
        "_is_writing",
        "_loop",
        "_number",
        "_protocol",
        "_protocol_is_paused",
        "_socket",
        "_unsent",
        "is_answered",
        "peer",
        "stage",
        "tls",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, accepted: socket.socket, peer: str, host: "Host[TLSTransport]"
    ) -> None:
        self._loop = loop
        self._socket = accepted
        # With a number instead of the socket, the event loop formats a shorter message when it does not know the file
        # yet.
        self._number = accepted.fileno()
        self._host = host
        self._protocol: asyncio.Protocol | None = None
        self._unsent = b""
        self._flushed: list[Callable[[], None]] = []
        self._closing_bytes_left = MAX_CLOSING_BYTES
        self._is_closing = self._is_lost = self._is_writing = self._protocol_is_paused = self.is_answered = False
        self.peer = peer
        self.stage: Stage | None = None
        self.tls: TLSConnection | None = None
        self._is_reading = True
        loop.add_reader(self._number, self._readable)

    # For the inner protocol: asyncio's transport.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the `peername`, and for all other names the default, because no caller may use the socket."""
        return (self.peer, 0) if name == "peername" else default

    def is_closing(self) -> bool:
        """Return whether the connection has ended or is closing."""
        return self._is_closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection over to `protocol`, a protocol of bytes."""
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError("a TLS connection is a stream of bytes")
        self._protocol = protocol

    def pause_reading(self) -> None:
        """Leave the client's bytes in the kernel."""
        if self._is_reading and not self._is_closing:
            self._watch_for_bytes(False)

    def resume_reading(self) -> None:
        """Read again."""
        if not self._is_reading and not self._is_closing and self.still_listens:
            self._watch_for_bytes(True)

    def get_write_buffer_size(self) -> int:
        """Return the number of encrypted bytes that the kernel has not accepted."""
        return len(self._unsent)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send `data`; drop it if it cannot reach the client any more."""
        if self._is_closing or self.tls is None:
            return
        try:
            self.tls.write(bytes(data))
        except ConnectionError:
            self.abort()
            return
        self._send(self.tls.data_to_send())

    def close(self) -> None:
        """Close the connection after all bytes are sent: send close_notify, and give the client a moment to read it."""
        if self._is_closing:
            return
        self._is_closing = True
        if self.tls is None:
            self._close_socket(None)
            return
        if not self.tls.truncated:
            self.tls.end()
            self._send(self.tls.data_to_send())
        self._continue_close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._is_closing = True
        self._close_socket(None)

    # The interface for the listener and the HTTP connection.

    @property
    def still_listens(self) -> bool:
        """Whether the client still reads, as far as known."""
        return not self._is_closing and self.tls is not None and self.tls.state is State.OPEN

    def start(self, received: bytes) -> None:
        """Begin with the bytes received before, or read the client's bytes now."""
        if received:
            self._take_in(received)
        else:
            self._readable()

    def check(self) -> bool:
        """Read the client's bytes, and return whether it still listens.

        A client that has gone after its request gets no answer, even if the write succeeds.
        """
        if self._is_reading and not self._is_closing and has_something(self._number):
            self._readable()
        return self.still_listens

    def when_sent(self, callback: Callable[[], None]) -> None:
        """Call `callback` after the kernel has accepted all written bytes; never if the connection is lost before."""
        if self._is_lost:
            return
        if self._unsent:
            self._flushed.append(callback)
        else:
            callback()

    def time_is_up(self, stage: Stage) -> None:
        """Close a connection whose stage took too long."""
        if stage is self._host.handshake:
            self.time_out(f"the TLS handshake was not done within {stage.seconds:g} s")
        else:
            self.abort()

    def time_out(self, detail: str) -> None:
        """Close a connection in its handshake."""
        if not self._is_closing:
            self._refuse(StationkeeperError(Reason.HANDSHAKE_TIMEOUT, detail))
        self._close_socket(None)

    def _refuse(self, failure: StationkeeperError) -> None:
        self._is_closing = True
        self._host.refused(self, failure)

    # The socket.

    def _readable(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            if self.tls is None and not self._is_closing:
                self._host.unused(self)
            self._close_socket(error)
            return
        self._take_in(data)

    def _take_in(self, data: bytes) -> None:
        try:
            if self._is_closing:
                self._read_until_end(data)
            elif not data:
                self._end_of_bytes()
            elif self._protocol is None:
                self._shake_hands(data)
            elif self.tls is not None:
                plain = self.tls.receive(data)
                if not plain:
                    # TLS may have an answer of its own, to a request for new keys.
                    self._send(self.tls.data_to_send())
                self._pass_to_protocol(plain)
        except Exception:
            self._host.failed(self)
            self.abort()

    def _shake_hands(self, data: bytes) -> None:
        if self.tls is None:
            begin = self._host.begin(self)
            if begin is None:
                self.abort()
                return
            self.tls = TLSConnection(*begin)
        plain = self.tls.receive(data)
        if self.tls.state is State.HANDSHAKE or self.tls.state is State.FAILED:
            self._send(self.tls.data_to_send())
            if self.tls.state is State.FAILED:
                self._fail()
            return
        protocol = self._host.handshake_done(self)
        if protocol is None:
            self.abort()
            return
        self._send(self.tls.data_to_send())
        self._protocol = protocol
        protocol.connection_made(self)
        if plain or self.tls.state is not State.OPEN:
            self._pass_to_protocol(plain)

    def _pass_to_protocol(self, plain: bytes) -> None:
        tls, protocol = self.tls, self._protocol
        if tls is None or protocol is None:
            return
        if tls.state is State.FAILED:
            self.abort()
            return
        if plain:
            protocol.data_received(plain)
        if tls.state is State.PEER_ENDED and not self._is_closing:
            self._watch_for_bytes(False)
            if not protocol.eof_received():
                self.close()

    def _end_of_bytes(self) -> None:
        if self.tls is None:
            self._host.unused(self)
            self.abort()
            return
        self.tls.receive_end()
        if self._protocol is None:
            self._fail()
            return
        self._pass_to_protocol(b"")

    def _fail(self) -> None:
        """Report a failed handshake; the alert is being sent."""
        if self.tls is not None and self.tls.failure is not None and not self._is_closing:
            self._refuse(self.tls.failure)
            self._continue_close()

    def _continue_close(self) -> None:
        """Continue the close: send all bytes, then close TCP's side, then wait for the client's end."""
        if self._is_lost:
            return
        if self._unsent:
            self._host.closing.add(self, self._loop.time())
            return
        if self.tls is None or self.tls.truncated or self.tls.state is State.CLOSED:
            self._close_socket(None)
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._close_socket(error)
            return
        self._host.closing.add(self, self._loop.time())
        if not self._is_reading:
            self._watch_for_bytes(True)

    def _read_until_end(self, data: bytes) -> None:
        self._closing_bytes_left -= len(data)
        if not data or self._closing_bytes_left < 0:
            self._close_socket(None)

    def _send(self, data: bytes) -> None:
        if not data or self._is_lost:
            return
        if self._unsent:
            self._unsent += data
        else:
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._close_socket(error)
                return
            if sent == len(data):
                return
            self._unsent = data[sent:]
            self._loop.add_writer(self._number, self._writable)
            self._is_writing = True
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self.abort()
            return
        if len(self._unsent) > HIGH_WATER_BYTES and not self._protocol_is_paused and self._protocol is not None:
            self._protocol_is_paused = True
            self._protocol.pause_writing()

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent[:HIGH_WATER_BYTES])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._close_socket(error)
            return
        self._unsent = self._unsent[sent:]
        if len(self._unsent) <= LOW_WATER_BYTES and self._protocol_is_paused and self._protocol is not None:
            self._protocol_is_paused = False
            self._protocol.resume_writing()
        if not self._unsent:
            self._all_is_sent()

    def _all_is_sent(self) -> None:
        if self._is_writing:
            self._loop.remove_writer(self._number)
            self._is_writing = False
        callbacks, self._flushed = self._flushed, []
        for each in callbacks:
            each()
        if self._is_closing and not self._is_lost:
            self._continue_close()

    def _watch_for_bytes(self, wanted: bool) -> None:
        self._is_reading = wanted
        if wanted:
            self._loop.add_reader(self._number, self._readable)
        else:
            self._loop.remove_reader(self._number)

    def _close_socket(self, error: OSError | None) -> None:
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        if self._is_reading:
            self._loop.remove_reader(self._number)
        if self._is_writing:
            self._loop.remove_writer(self._number)
        if self.stage is not None:
            self.stage.remove(self)
        if self.tls is not None and self.tls.state is State.HANDSHAKE:
            self.tls.release()
        self._unsent, self._flushed = b"", []
        try:  # noqa: SIM105 - a context manager for each connection costs more
            self._socket.close()
        except OSError:
            pass
        self._host.closed(self)
        if self._protocol is not None:
            # Called at once. asyncio's own transports call it later, which costs one more iteration of the event loop.
            self._protocol.connection_lost(error)
