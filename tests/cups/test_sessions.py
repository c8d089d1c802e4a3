"""No TLS session is valid after a change of trust, and none of another server is valid."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cups.client import Client, exchange
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def _session(client: Client) -> ssl.SSLSession | None:
    with client.connect() as connection:
        assert exchange(connection).status == 200
        session = connection.session
        # A server forgets the session of a connection that ended without a good-bye.
        connection.unwrap()
        return session


def _is_resumed(client: Client, session: ssl.SSLSession | None) -> bool | None:
    """Return whether a server that answers with 200 resumed the session."""
    with client.connect(session) as connection:
        assert exchange(connection).status == 200
        return connection.session_reused


async def test_tls_1_2_issues_no_ticket(cups: Cups, pki: Pki) -> None:
    client = cups.client(pki.a_gateway, tls=ssl.TLSVersion.TLSv1_2)
    session = await asyncio.to_thread(_session, client)
    assert session is None or not session.has_ticket


@pytest.mark.parametrize("tls", VERSIONS)
async def test_no_session_is_resumed(cups: Cups, pki: Pki, tls: ssl.TLSVersion) -> None:
    client = cups.client(pki.a_gateway, tls=tls)
    session = await asyncio.to_thread(_session, client)
    assert not await asyncio.to_thread(_is_resumed, client, session)


@pytest.mark.parametrize("tls", VERSIONS)
async def test_a_session_from_before_a_change_of_trust_accepts_no_untrusted_client(
    cups: Cups, pki: Pki, tls: ssl.TLSVersion
) -> None:
    client = cups.client(pki.a_gateway, tls=tls)
    session = await asyncio.to_thread(_session, client)
    cups.publish([Trusted("b", pki.b)], [Gateway(pki.eui)])
    await cups.loaded()
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        await asyncio.to_thread(_is_resumed, client, session)


@pytest.mark.parametrize("tls", VERSIONS)
async def test_a_ticket_of_another_server_resumes_nothing_and_accepts_nobody(
    cups: Cups, pki: Pki, tmp_path: Path, tls: ssl.TLSVersion
) -> None:
    for pair in (pki.a_gateway, pki.b_gateway):
        client = cups.client(pair, tls=tls)
        with _server_with_tickets(pki, tmp_path) as port:
            foreign = await asyncio.to_thread(_session, client.at(port))
            assert foreign is not None
            assert foreign.has_ticket
            assert await asyncio.to_thread(_is_resumed, client.at(port), foreign), "its own server accepts the ticket"
        client = client.at(cups.port)
        if pair is pki.a_gateway:
            assert not await asyncio.to_thread(_is_resumed, client, foreign)
        else:
            with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
                await asyncio.to_thread(_is_resumed, client, foreign)


@contextmanager
def _server_with_tickets(pki: Pki, folder: Path) -> Iterator[int]:
    """Yield the port of a server with the same certificate that requests none of clients, and issues tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.server.write(folder, "other-server"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_answer, args=(listening, context), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def _answer(listening: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):
        while True:
            raw, _ = listening.accept()
            with context.wrap_socket(raw, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(ANSWER)
                connection.recv(65536)
                connection.unwrap()
