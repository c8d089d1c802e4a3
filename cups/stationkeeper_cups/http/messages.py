"""The used parts of a request, and an answer as bytes."""

import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from http import HTTPStatus

import msgspec

OCTETS = b"application/octet-stream"
TEXT = b"text/plain; charset=utf-8"


class Request(msgspec.Struct, frozen=True):
    """A request whose body is complete.

    Attributes:
        method, path: from its first line; the path without a query.
        host: the `Host` header, the server name that the client used; empty if there is none.
        authorization: each `Authorization` header.
        body: the body, at most one byte longer than allowed.
        headers: all raw headers; empty if the request was read without a parser, because it then has no others.
    """

    method: str
    path: str
    host: str
    authorization: tuple[bytes, ...]
    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()


class Answer(msgspec.Struct, frozen=True):
    """An answer to a client.

    Attributes:
        status: the HTTP status.
        body: the body; short unless it is a configuration, because a Basics Station crashes at an error of 9 KB.
        content_type: the type of the body.
        headers: more headers, each with its line end.
        closes: whether the connection ends after it.
        sent: called after it is written to a client that still listens.
        lost: called if the client has gone before.
    """

    status: HTTPStatus
    body: bytes
    content_type: bytes = OCTETS
    headers: bytes = b""
    closes: bool = False
    sent: Callable[[], None] | None = None
    lost: Callable[[], None] | None = None

    def encode(self, date: bytes, *, closes: bool, without_body: bool) -> bytes:
        """Return the bytes of the answer.

        Args:
            date: the value of the `Date` header.
            closes: whether the connection ends after it.
            without_body: whether to leave out the body, as in the answer to HEAD.
        """
        return b"".join(
            (
                b"HTTP/1.1 %d %s\r\nContent-Type: " % (self.status, self.status.phrase.encode("ascii")),
                self.content_type,
                b"\r\nContent-Length: %d\r\nServer: Stationkeeper\r\nDate: " % len(self.body),
                date,
                b"\r\n",
                self.headers,
                b"Connection: close\r\n\r\n" if closes else b"\r\n",
                b"" if without_body else self.body,
            )
        )


class DateHeader:
    """The time as HTTP writes it, formatted once a second (RFC 9110, 6.6.1)."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._text = b""

    def now(self) -> bytes:
        """Return the value of a `Date` header."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True).encode("ascii")
        return self._text
