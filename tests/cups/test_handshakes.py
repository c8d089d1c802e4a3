import asyncio
import logging
import socket
import ssl
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from stationkeeper_tools.sample_pki import KeyPair, make_gateway
from tests.core.slow_keys import rsa_key
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki
from tests.waiting import EVENTUALLY

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def _reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.fields["reason"]  # type: ignore[attr-defined]
        for record in caplog.records
        if record.getMessage() == "handshake refused"
    ]


@pytest.mark.parametrize("tls", VERSIONS)
@pytest.mark.parametrize(
    ("certificate", "alert", "reason"),
    [
        ("b_gateway", "TLSV1_ALERT_UNKNOWN_CA", "UnknownCA"),
        ("a_expired_gateway", "SSLV3_ALERT_CERTIFICATE_EXPIRED", "CertificateExpired"),
        ("a_future_gateway", "SSLV3_ALERT_BAD_CERTIFICATE", "CertificateNotYetValid"),
    ],
)
async def test_an_untrusted_client_gets_an_alert_and_is_logged_with_its_reason(
    cups: Cups,
    pki: Pki,
    caplog: pytest.LogCaptureFixture,
    tls: ssl.TLSVersion,
    certificate: str,
    alert: str,
    reason: str,
) -> None:
    pair: KeyPair = getattr(pki, certificate)

    assert await cups.client(pair, tls=tls).alert() == alert
    assert _reasons(caplog) == [reason]
    metrics = (await get_internal(cups.internal_port, "/metrics")).body.decode()
    assert f'stationkeeper_handshake_refusals_total{{reason="{reason}"}} 1.0' in metrics


@pytest.mark.parametrize(
    ("tls", "alert"),
    [
        (ssl.TLSVersion.TLSv1_2, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_3, "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
    ],
)
async def test_a_client_without_a_certificate_is_refused(
    cups: Cups, caplog: pytest.LogCaptureFixture, tls: ssl.TLSVersion, alert: str
) -> None:
    assert await cups.client(None, tls=tls).alert() == alert
    assert _reasons(caplog) == ["ClientCertificateMissing"]


async def test_with_no_ca_configured_every_client_is_refused(cups: Cups, pki: Pki) -> None:
    cups.publish([], [Gateway(pki.eui)])
    await cups.loaded()

    assert await cups.client(pki.a_gateway).alert() == "TLSV1_ALERT_UNKNOWN_CA"


async def test_an_intermediate_alone_is_an_anchor(cups: Cups, pki: Pki) -> None:
    cups.publish([Trusted("issuing", pki.a_intermediate)], [Gateway(pki.eui)])
    await cups.loaded()

    assert (await cups.client(pki.a_indirect_gateway).ask()).status == 200
    assert await cups.client(pki.a_gateway).alert() == "TLSV1_ALERT_UNKNOWN_CA"


async def test_a_root_needs_the_intermediate_from_the_ca_or_the_client(cups: Cups, pki: Pki) -> None:
    bare = cups.client(pki.a_indirect_gateway)

    assert await bare.alert() == "TLSV1_ALERT_UNKNOWN_CA"
    assert (await cups.client(pki.a_indirect_gateway, chain=(pki.a_intermediate,)).ask()).status == 200
    cups.publish([Trusted("a", pki.a, intermediates=(pki.a_intermediate,))], [Gateway(pki.eui)])
    await cups.loaded()
    assert (await bare.ask()).status == 200


def _gateway_that_is_a_ca(eui: str, issuer: KeyPair, now: datetime) -> KeyPair:
    """Return a certificate as `openssl req -x509 -CA` makes it: CA:TRUE and no key usage."""
    key = rsa_key(2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, eui)])
    builder = (
        x509.CertificateBuilder(issuer.x509.subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    issuer_key = load_pem_private_key(issuer.key_pem, None)
    assert isinstance(issuer_key, rsa.RSAPrivateKey)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(key_pem, certificate.public_bytes(Encoding.PEM))


# A record of 760 or 850 bytes has the gateway's own certificate, and the beginning of the next one.
@pytest.mark.parametrize("record", [512, 760, 850])
async def test_an_intermediate_counts_whatever_the_size_of_the_records_of_tls_1_3(
    cups: Cups, pki: Pki, tmp_path: Path, record: int
) -> None:
    own, key, chain = tmp_path / "own.pem", tmp_path / "key.pem", tmp_path / "chain.pem"
    own.write_bytes(pki.a_indirect_gateway.certificate_pem)
    key.write_bytes(pki.a_indirect_gateway.key_pem)
    chain.write_bytes(pki.a_intermediate.certificate_pem)
    client = ["openssl", "s_client", "-connect", f"127.0.0.1:{cups.port}", "-tls1_3", "-ign_eof", "-quiet"]
    client += ["-cert", str(own), "-key", str(key), "-cert_chain", str(chain), "-max_send_frag", str(record)]
    request = b"POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"

    done = await asyncio.to_thread(
        subprocess.run, client, input=request, capture_output=True, timeout=EVENTUALLY, check=False
    )

    assert done.stdout.endswith(b"RouterMissing: the body has no router\n"), done.stderr


@pytest.mark.parametrize("tls", VERSIONS)
async def test_a_gateway_that_is_a_ca_signs_for_no_other_where_only_listed_intermediates_count(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture, tls: ssl.TLSVersion
) -> None:
    now = datetime.now(UTC)
    thief = _gateway_that_is_a_ca("AABBCCDD00000001", pki.a, now)
    forged = cups.client(make_gateway(pki.eui, thief, now), chain=(thief,), tls=tls)
    regular = cups.client(pki.a_indirect_gateway, chain=(pki.a_intermediate,), tls=tls)
    gateways = [Gateway(pki.eui), Gateway("AABBCCDD00000001")]

    cups.publish([Trusted("a", pki.a)], gateways)
    await cups.loaded()
    assert (await forged.ask()).status == 200
    assert (await regular.ask()).status == 200

    strict: dict[str, object] = {"presented_intermediates": False}
    cups.publish([Trusted("a", pki.a, options=strict)], gateways)
    await cups.loaded()
    # In TLS 1.3, the other presented certificates are known only after the handshake, which then ends without an alert.
    refused = "TLSV1_ALERT_UNKNOWN_CA" if tls is ssl.TLSVersion.TLSv1_2 else "RemoteDisconnected"
    assert await forged.alert() == refused
    assert await regular.alert() == refused
    assert _reasons(caplog) == ["UnknownCA"] * 2
    assert (await cups.client(pki.a_gateway, tls=tls).ask()).status == 200

    cups.publish([Trusted("a", pki.a, intermediates=(pki.a_intermediate,), options=strict)], gateways)
    await cups.loaded()
    assert await forged.alert() == refused
    assert (await regular.ask()).status == 200
    itself = await cups.client(thief, tls=tls).ask(b'{"router":"AABB:CCDD:0000:0001"}')
    assert itself.status == 200


async def test_a_check_whether_the_port_is_open_is_not_a_refusal(cups: Cups, caplog: pytest.LogCaptureFixture) -> None:
    async def both_have_left() -> bool:
        return len(_left(caplog)) >= 2

    listener = logging.getLogger("stationkeeper.cups.listener")
    listener.setLevel(logging.DEBUG)
    try:
        for linger in (None, struct.pack("ii", 1, 0)):
            with socket.create_connection(("127.0.0.1", cups.port), timeout=5) as probe:
                if linger is not None:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await until(both_have_left, "both have left")
    finally:
        listener.setLevel(logging.NOTSET)

    left = _left(caplog)
    assert {each.__dict__["fields"]["reason"] for each in left} == {"ConnectionUnused"}
    assert [each.levelno for each in left] == [logging.DEBUG] * 2
    assert _reasons(caplog) == []
    exposition = (await get_internal(cups.internal_port, "/metrics")).body.decode()
    counted = [each for each in exposition.splitlines() if each.startswith("stationkeeper_handshake_refusals_total{")]
    assert [each for each in counted if not each.endswith(" 0.0")] == []


async def test_tls_below_1_2_is_refused(cups: Cups, pki: Pki) -> None:
    client = cups.client(pki.a_gateway)
    with pytest.warns(DeprecationWarning):
        client.context.minimum_version = ssl.TLSVersion.TLSv1
        client.context.maximum_version = ssl.TLSVersion.TLSv1_1
    client.context.set_ciphers("DEFAULT:@SECLEVEL=0")

    assert await client.alert() == "TLSV1_ALERT_PROTOCOL_VERSION"


async def test_whatever_is_not_a_handshake_is_closed_and_named(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    def plain() -> bytes:
        with socket.create_connection(("127.0.0.1", cups.port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return connection.recv(1000)

    assert b"HTTP" not in await asyncio.to_thread(plain)
    assert _reasons(caplog) == ["HandshakeFailed"]
    assert (await cups.client(pki.a_gateway).ask()).status == 200


def _left(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.getMessage() == "connected and left"]
