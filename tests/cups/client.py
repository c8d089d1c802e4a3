"""A gateway's side of the connection, with the blocking TLS of the standard library in threads."""

import asyncio
import copy
import http.client
import json
import socket
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stationkeeper_tools.sample_pki import KeyPair
from tests.waiting import EVENTUALLY

DEADLINE_SECONDS = EVENTUALLY
ENDED = (ConnectionError, ssl.SSLEOFError)
"""The errors after a server closed a connection; which one comes depends on the moment."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def reason(self) -> str:
        return self.body.decode("ascii").partition(":")[0]

    @property
    def ends(self) -> bool:
        """Whether the server closes the connection after it."""
        return self.headers.get("Connection") == "close"

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks one server, with one certificate or none, from a given loopback address if needed."""

    def __init__(
        self,
        port: int,
        server_ca: KeyPair,
        pair: KeyPair | None,
        *,
        tls: ssl.TLSVersion | None = None,
        chain: tuple[KeyPair, ...] = (),
        ciphers: str = "",
        source: str = "",
        host: str = "127.0.0.1",
        before_tls: bytes = b"",
    ) -> None:
        self._port = port
        self._host = host
        self._source = (source, 0) if source else None
        self._before_tls = before_tls
        self.context = ssl.create_default_context(cadata=server_ca.certificate_pem.decode())
        if tls:
            self.context.minimum_version = self.context.maximum_version = tls
        if ciphers:
            self.context.set_ciphers(ciphers)
        if pair:
            self.load(pair, chain)

    def load(self, pair: KeyPair, chain: tuple[KeyPair, ...] = ()) -> None:
        """Use `pair` as the certificate and key, and also send `chain`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pair.pem"
            path.write_bytes(b"\n".join([pair.key_pem, pair.certificate_pem, *(c.certificate_pem for c in chain)]))
            self.context.load_cert_chain(path)

    def at(self, port: int) -> "Client":
        """Return the same client, with its TLS sessions, for another port of the server."""
        other = copy.copy(self)
        other._port = port
        return other

    async def ask(
        self,
        body: bytes = b'{"router":"102:304:506:708"}',
        method: str = "POST",
        path: str = "/update-info",
        headers: tuple[str, ...] = (),
    ) -> Answer:
        return await asyncio.to_thread(self._ask, body, method, path, headers)

    async def alert(self, headers: tuple[str, ...] = ()) -> str:
        """Return the name of the TLS alert or error with which the server refuses the client."""
        try:
            answer = await self.ask(headers=headers)
        except ssl.SSLError as error:
            return str(error.reason)
        except OSError as error:
            return type(error).__name__
        return f"answered with {answer.status}"

    def connect(self, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        raw = socket.create_connection((self._host, self._port), DEADLINE_SECONDS, self._source)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.sendall(self._before_tls)
        return self.context.wrap_socket(raw, server_hostname="localhost", session=session)

    def _ask(self, body: bytes, method: str, path: str, headers: tuple[str, ...]) -> Answer:
        with self.connect() as connection:
            return exchange(connection, body, method, path, headers)


def exchange(
    connection: ssl.SSLSocket,
    body: bytes = b'{"router":"102:304:506:708"}',
    method: str = "POST",
    path: str = "/update-info",
    headers: tuple[str, ...] = (),
) -> Answer:
    """Send one request on an open connection and return the answer."""
    host = () if any(each.lower().startswith("host:") for each in headers) else ("Host: localhost",)
    lines = (f"{method} {path} HTTP/1.1", *host, f"Content-Length: {len(body)}", *headers)
    head = "\r\n".join(lines) + "\r\n\r\n"
    connection.sendall(head.encode() + body)
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.read(), dict(response.getheaders()))


async def get_internal(port: int, path: str, token: str | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await asyncio.to_thread(_ask_internal, port, "GET", path, headers, None)


async def put_internal(port: int, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    return await asyncio.to_thread(_ask_internal, port, "PUT", path, headers, body)


def _ask_internal(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
    # Until the server has its credentials, its internal port shows a self-signed certificate.
    context = ssl._create_unverified_context()  # noqa: S323
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=DEADLINE_SECONDS)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read(), dict(response.getheaders()))
    except ENDED:
        return Answer(0, b"", {})
    finally:
        connection.close()


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = DEADLINE_SECONDS) -> float:
    """Wait for `condition`; return the seconds that this took."""
    begin = time.monotonic()
    while not await condition():
        if time.monotonic() - begin > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.01)
    return time.monotonic() - begin
