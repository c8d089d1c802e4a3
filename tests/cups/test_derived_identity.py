"""The certificate that the internal port shows to each of its clients."""

import asyncio
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest

from stationkeeper_core.published.internal_identity import SERVER_NAME, derive_identity
from tests.cups.conftest import TOKEN, Cups
from tests.cups.pki import Pki


async def _pinned(cups: Cups, token: str) -> int:
    pin = aiohttp.Fingerprint(derive_identity(token.encode()).sha256)
    headers = {"Authorization": f"Bearer {token}"}
    url = f"https://127.0.0.1:{cups.internal_port}/observations?since=0"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, ssl=pin, server_hostname=SERVER_NAME, headers=headers) as response,
    ):
        return response.status


async def test_a_client_of_the_internal_name_gets_the_derived_identity(guarded: Cups) -> None:
    assert await _pinned(guarded, TOKEN) == 200
    with pytest.raises(aiohttp.ServerFingerprintMismatch):
        await _pinned(guarded, "another-token-of-some-length")


async def test_another_token_gives_another_identity_at_once(guarded: Cups, tmp_path: Path) -> None:
    assert await _pinned(guarded, TOKEN) == 200
    (tmp_path / "token").write_text("another-token-of-some-length\n")

    assert await _pinned(guarded, "another-token-of-some-length") == 200


@pytest.mark.parametrize("name", ["localhost", None])
async def test_other_clients_get_the_server_certificate(guarded: Cups, pki: Pki, name: str | None) -> None:
    context = ssl.create_default_context(cadata=pki.server_ca.certificate_pem.decode())
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"https://127.0.0.1:{guarded.internal_port}/healthz", ssl=context, server_hostname=name) as answer,
    ):
        assert answer.status == 200


async def test_the_gateways_port_never_shows_the_derived_identity(guarded: Cups, pki: Pki) -> None:
    client = guarded.client(pki.a_gateway)
    client.context.check_hostname = False

    def shown() -> bytes | None:
        raw = socket.create_connection(("127.0.0.1", guarded.port), timeout=5)
        with client.context.wrap_socket(raw, server_hostname=SERVER_NAME) as connection:
            return connection.getpeercert(binary_form=True)

    certificate = await asyncio.to_thread(shown)
    assert certificate == ssl.PEM_cert_to_DER_cert(pki.server.certificate_pem.decode())
