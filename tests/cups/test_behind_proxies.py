"""The port for proxies that terminate TLS: only known proxies are trusted; gateways are judged as in a handshake."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from stationkeeper_cups.forwarded.headers import MAX_FIELD_BYTES, NAMES, Form
from tests.cups.client import get_internal
from tests.cups.conftest import Cups
from tests.cups.documents import TOKEN_GATEWAYS, Gateway, Trusted
from tests.cups.forwarding import (
    CLIENT,
    NAME,
    PROXY,
    Proxies,
    behind_proxies,
    escaped,
    header,
    make_proxy,
    told,
)
from tests.cups.pki import Pki

ENDED = {"ConnectionResetError", "BrokenPipeError", "RemoteDisconnected", "UNEXPECTED_EOF_WHILE_READING"}


@pytest.fixture(scope="session")
def proxies() -> Proxies:
    return Proxies.make()


@pytest.mark.parametrize("form", Form)
async def test_a_gateway_is_judged_on_the_certificates_that_the_proxy_forwards(
    tmp_path: Path, pki: Pki, proxies: Proxies, caplog: pytest.LogCaptureFixture, form: Form
) -> None:
    caplog.set_level("INFO")
    async with behind_proxies(tmp_path, pki, proxies, form) as behind:
        proxy = behind.proxy(proxies.known)
        forwarded_for = "X-Forwarded-For: 203.0.113.1, 192.0.2.7"
        answer = await proxy.ask(headers=(header(form, pki.a_gateway), forwarded_for))
        assert (answer.status, answer.ends) == (200, True)
        other = await proxy.ask(b'{"router":"1:2:3:4"}', headers=(header(form, pki.a_gateway), forwarded_for))
        assert (other.status, other.reason) == (403, "CommonNameMismatch")
        for pair, reason in ((pki.b_gateway, "UnknownCA"), (pki.a_expired_gateway, "CertificateExpired")):
            caplog.clear()
            assert await proxy.alert((header(form, pair), forwarded_for)) in ENDED
            assert told(caplog, "handshake refused") == [("192.0.2.7", reason)]
        metrics = (await get_internal(behind.cups.internal_port, "/metrics")).body.decode()
        assert 'stationkeeper_handshake_refusals_total{reason="UnknownCA"} 1.0' in metrics


async def test_intermediates_that_a_gateway_sent_are_forwarded_with_its_certificate(
    tmp_path: Path, pki: Pki, proxies: Proxies
) -> None:
    leaf, issuer = pki.a_indirect_gateway, pki.a_intermediate
    async with behind_proxies(tmp_path, pki, proxies, Form.ENVOY) as behind:
        proxy = behind.proxy(proxies.known)
        assert (await proxy.ask(headers=(header(Form.ENVOY, leaf, issuer),))).status == 200
        assert await proxy.alert((header(Form.ENVOY, leaf),)) in ENDED


async def test_trust_that_is_removed_is_gone_for_the_next_request(tmp_path: Path, pki: Pki, proxies: Proxies) -> None:
    async with behind_proxies(tmp_path, pki, proxies, Form.NGINX) as behind:
        asked = (header(Form.NGINX, pki.a_gateway),)
        proxy = behind.proxy(proxies.known)
        assert (await proxy.ask(headers=asked)).status == 200
        behind.cups.publish([Trusted("b", pki.b)], [Gateway(pki.eui)])
        await behind.cups.loaded()
        assert await proxy.alert(asked) in ENDED


async def test_only_a_known_proxy_is_trusted(
    tmp_path: Path, pki: Pki, proxies: Proxies, caplog: pytest.LogCaptureFixture
) -> None:
    strange_ca = make_proxy(x509.DNSName(NAME), pki.b, datetime.now(UTC))
    async with behind_proxies(tmp_path, pki, proxies, Form.NGINX) as behind:
        asked = (header(Form.NGINX, pki.a_gateway),)
        for pair, source in (
            (proxies.known, CLIENT),
            (proxies.other_name, PROXY),
            (proxies.expired, PROXY),
            (strange_ca, PROXY),
            (pki.a_gateway, PROXY),
        ):
            caplog.clear()
            assert not (await behind.proxy(pair, source).alert(asked)).startswith("answered")
            assert told(caplog, "handshake refused") == [(source, "ProxyNotTrusted")]
        caplog.clear()
        nobody = behind.cups.client(None).at(behind.port)
        assert not (await nobody.alert(asked)).startswith("answered")
        assert told(caplog, "handshake refused") == [(PROXY, "ClientCertificateMissing")]


async def test_a_proxy_may_have_a_uri_for_a_name(tmp_path: Path, pki: Pki, proxies: Proxies) -> None:
    name = x509.UniformResourceIdentifier("spiffe://example.com/proxy")
    pair = make_proxy(name, proxies.ca, datetime.now(UTC))
    async with behind_proxies(tmp_path, pki, proxies, Form.NGINX) as behind:
        assert (await behind.proxy(pair).ask(headers=(header(Form.NGINX, pki.a_gateway),))).status == 200


async def test_a_ca_of_proxies_is_replaced_without_a_restart_and_a_broken_file_changes_nothing(
    tmp_path: Path, pki: Pki, proxies: Proxies
) -> None:
    other = Proxies.make()
    async with behind_proxies(tmp_path, pki, proxies, Form.NGINX) as behind:
        asked = (header(Form.NGINX, pki.a_gateway),)
        file = tmp_path / "proxies.crt"
        file.write_bytes(b"-----BEGIN")
        assert (await behind.proxy(proxies.known).ask(headers=asked)).status == 200
        file.write_bytes(other.ca.certificate_pem)
        assert (await behind.proxy(other.known).ask(headers=asked)).status == 200
        assert not (await behind.proxy(proxies.known).alert(asked)).startswith("answered")


async def test_a_header_that_can_be_read_in_two_ways_is_a_refusal(
    tmp_path: Path, pki: Pki, proxies: Proxies, caplog: pytest.LogCaptureFixture
) -> None:
    mine, others = header(Form.NGINX, pki.b_gateway), header(Form.NGINX, pki.a_gateway)
    name = NAMES[Form.NGINX].decode()
    async with behind_proxies(tmp_path, pki, proxies, Form.NGINX) as behind:
        proxy = behind.proxy(proxies.known)
        for given in (
            (mine, others),
            (others, others),
            (others, header(Form.ENVOY, pki.a_gateway)),
            (header(Form.TRAEFIK, pki.a_gateway),),
            (f"{name}: {escaped(pki.a_gateway, pki.a)}",),
            (f"{name}: {'A' * (MAX_FIELD_BYTES + 1)}",),
            (f"{name}: MAA=",),
        ):
            caplog.clear()
            assert await proxy.alert(given) in ENDED
            assert told(caplog, "handshake refused") == [(PROXY, "ForwardedCertificateInvalid")]
        caplog.clear()
        assert await proxy.alert() in ENDED
        assert told(caplog, "handshake refused") == [(PROXY, "ClientCertificateMissing")]
        huge = await proxy.ask(headers=(f"{name}: {'A' * 2 * MAX_FIELD_BYTES}",))
        assert (huge.status, huge.reason) == (400, "MalformedRequest")


async def test_bytes_after_a_request_are_never_read_as_another_request(
    tmp_path: Path, pki: Pki, proxies: Proxies
) -> None:
    async with behind_proxies(tmp_path, pki, proxies, Form.NGINX) as behind:
        asked = (header(Form.NGINX, pki.a_gateway),)

        def pipeline() -> bytes:
            with behind.proxy(proxies.known).connect() as connection:
                body = b'{"router":"102:304:506:708"}'
                head = f"POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{asked[0]}\r\n\r\n"
                connection.sendall((head.encode() + body) * 3)
                found = b""
                while part := connection.recv(4096):
                    found += part
                return found

        assert (await asyncio.to_thread(pipeline)).count(b"HTTP/1.1 200 OK") == 1


async def test_a_gateway_without_a_certificate_needs_a_token_behind_a_proxy_too(
    tmp_path: Path, pki: Pki, proxies: Proxies
) -> None:
    async with behind_proxies(tmp_path, pki, proxies, Form.NGINX, token_authentication=True) as behind:
        behind.cups.publish([Trusted("a", pki.a)], list(TOKEN_GATEWAYS))
        await behind.cups.loaded()
        proxy = behind.proxy(proxies.known)
        assert (await proxy.ask()).reason == "TokenMissing"
        assert (await proxy.ask(headers=("Authorization: Bearer wrong",))).reason == "TokenRefused"
        # The token does not matter if the client does not prove that it is a proxy.
        nobody = behind.cups.client(None).at(behind.port)
        assert not (await nobody.alert()).startswith("answered")


async def test_on_the_port_of_gateways_the_headers_are_refused_where_they_are_believed_elsewhere(
    tmp_path: Path, pki: Pki, proxies: Proxies
) -> None:
    async with behind_proxies(tmp_path, pki, proxies, Form.NGINX) as behind:
        gateway = behind.cups.client(pki.a_gateway)
        assert (await gateway.ask()).status == 200
        for form in Form:
            answer = await gateway.ask(headers=(header(form, pki.a_gateway),))
            assert (answer.status, answer.reason) == (403, "ForwardedCertificateNotAllowed")


async def test_without_a_port_for_proxies_the_headers_mean_nothing(cups: Cups, pki: Pki) -> None:
    for form in Form:
        assert (await cups.client(pki.a_gateway).ask(headers=(header(form, pki.b_gateway),))).status == 200
        assert await cups.client(pki.b_gateway).alert((header(form, pki.a_gateway),)) == "TLSV1_ALERT_UNKNOWN_CA"
