"""HTTPS connections that are kept for the next request, since a handshake costs both sides more than most requests."""

import http.client
import select
import ssl
import time
import weakref
from collections.abc import Mapping

_MOST_IDLE = 4
_CERTAINLY_OPEN_SECONDS = 5.0

_Read = tuple[http.client.HTTPResponse, bytes]
_Idle = tuple[float, http.client.HTTPSConnection]


class KeptConnections:
    """Connections to one server; several threads may ask at once, each over a connection of its own.

    A request that changes nothing is sent again if the server closed the kept connection meanwhile. A request that may
    change something is sent once: over a connection that was used a moment ago and is open, or over a new connection.

    Args:
        netloc: `host:port` of the server.
        context: verifies the server.
        seconds: the longest time to wait for an answer.
    """

    def __init__(self, netloc: str, context: ssl.SSLContext, seconds: float) -> None:
        self._netloc = netloc
        self._context = context
        self._seconds = seconds
        self._idle: list[_Idle] = []
        weakref.finalize(self, _close, self._idle)

    def get(self, path: str, headers: Mapping[str, str]) -> _Read:
        """Send a GET; return the answer and its content.

        Raises:
            OSError: the server cannot be reached, or does not answer in time.
        """
        kept = self._take_idle()
        if kept:
            try:
                return self._ask(kept[1], "GET", path, headers)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException):
                pass  # the server closed it; a new connection shows whether the server is there
        return self._ask(self._new(), "GET", path, headers)

    def send_once(self, method: str, path: str, headers: Mapping[str, str], body: str | None) -> _Read:
        """Send a request that may change something; return the answer and its content.

        Raises:
            OSError: the server cannot be reached, or does not answer in time; it may have done what it was asked.
        """
        while kept := self._take_idle():
            used, connection = kept
            if time.monotonic() - used < _CERTAINLY_OPEN_SECONDS and _is_open(connection):
                return self._ask(connection, method, path, headers, body)
            connection.close()
        return self._ask(self._new(), method, path, headers, body)

    def close(self) -> None:
        """Close idle connections; the same happens when nothing refers to this object any more."""
        _close(self._idle)

    def _new(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._netloc, timeout=self._seconds, context=self._context)

    def _take_idle(self) -> _Idle | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _ask(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: str | None = None,
    ) -> _Read:
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close or len(self._idle) >= _MOST_IDLE:
            connection.close()
        else:
            self._idle.append((time.monotonic(), connection))
        return answer, content


def _is_open(connection: http.client.HTTPSConnection) -> bool:
    """Return whether the server has sent nothing since its last answer; it does so to close a connection."""
    looking = select.poll()
    looking.register(connection.sock, select.POLLIN)
    return not looking.poll(0)


def _close(connections: list[_Idle]) -> None:
    while connections:
        connections.pop()[1].close()
