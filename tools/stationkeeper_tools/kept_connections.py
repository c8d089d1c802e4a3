"""HTTPS connections that are kept for the next request, since a handshake costs both sides more than most requests."""

import http.client
import ssl
import weakref
from collections.abc import Mapping

_MOST_IDLE = 4

_Read = tuple[http.client.HTTPResponse, bytes]


class KeptConnections:
    """Connections to one server; several threads may ask at once, each over a connection of its own.

    Only for requests that change nothing: one is sent again if the server closed the kept connection meanwhile.

    Args:
        netloc: `host:port` of the server.
        context: verifies the server.
        seconds: the longest time to wait for an answer.
    """

    def __init__(self, netloc: str, context: ssl.SSLContext, seconds: float) -> None:
        self._netloc = netloc
        self._context = context
        self._seconds = seconds
        self._idle: list[http.client.HTTPSConnection] = []
        weakref.finalize(self, _close, self._idle)

    def get(self, path: str, headers: Mapping[str, str]) -> _Read:
        """Send a GET; return the answer and its content.

        Raises:
            OSError: the server cannot be reached, or does not answer in time.
        """
        kept = self._take_idle()
        if kept:
            try:
                return self._ask(kept, path, headers)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException):
                pass  # the server closed it; a new connection shows whether the server is there
        return self._ask(
            http.client.HTTPSConnection(self._netloc, timeout=self._seconds, context=self._context), path, headers
        )

    def close(self) -> None:
        """Close idle connections; the same happens when nothing refers to this object any more."""
        _close(self._idle)

    def _take_idle(self) -> http.client.HTTPSConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _ask(self, connection: http.client.HTTPSConnection, path: str, headers: Mapping[str, str]) -> _Read:
        try:
            connection.request("GET", path, headers=dict(headers))
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close or len(self._idle) >= _MOST_IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        return answer, content


def _close(connections: list[http.client.HTTPSConnection]) -> None:
    while connections:
        connections.pop().close()
