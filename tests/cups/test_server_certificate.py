import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.server_certificate import ServerCertificate
from stationkeeper_cups.tls_context import ServerCredentials
from stationkeeper_tools.sample_pki import KeyPair, make_intermediate, make_server
from tests.cups.certificate_corpus import Party, ca, leaf
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups
from tests.cups.pki import Pki

KEY = rsa.generate_private_key(65537, 2048)
METRIC = "stationkeeper_server_certificate_expires_timestamp_seconds"


def server(pki: Pki, days: int) -> KeyPair:
    return make_server(["localhost"], ["127.0.0.1"], pki.server_ca, datetime.now(UTC), days)


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [getattr(each, "fields", {}) for each in caplog.records if each.name.endswith("server_certificate")]
    return [each["reason"] for each in found]


async def test_the_end_of_the_certificate_is_measured_told_and_warned_of(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    pair = server(pki, 5)
    end = pair.x509.not_valid_after_utc
    cups.lay_server_tls(pair)

    async def told() -> bool:
        answer = (await get_internal(cups.internal_port, "/generation")).json()
        return bool(answer["serverCertificate"]["notAfter"] == end.strftime("%Y-%m-%dT%H:%M:%SZ"))

    await until(told, "the new certificate is in force")
    exposition = (await get_internal(cups.internal_port, "/metrics")).body.decode()
    line = next(each for each in exposition.splitlines() if each.startswith(METRIC))
    assert float(line.split()[1]) == end.timestamp()
    assert reasons(caplog) == ["ExpiresWithin7Days"]
    shown = await asyncio.to_thread(cups.client(pki.a_gateway).connect)
    shown.close()


def test_each_stage_is_warned_of_once_and_anew_for_another_certificate(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    late = timedelta()
    certificate = ServerCertificate(Metrics(), lambda: datetime.now(UTC) + late)
    pair = server(pki, 40)
    certificate.loaded(ServerCredentials(pair.certificate_pem, pair.key_pem))
    for days in (0, 15, 16, 35, 36, 41, 42):
        late = timedelta(days=days)
        certificate.check()
    assert reasons(caplog) == ["ExpiresWithin30Days", "ExpiresWithin7Days", "Expired"]
    other = server(pki, 40)
    certificate.loaded(ServerCredentials(other.certificate_pem, other.key_pem))
    assert reasons(caplog)[3:] == ["Expired"]


def test_a_certificate_that_cannot_be_read_has_no_end(pki: Pki) -> None:
    certificate = ServerCertificate(Metrics(), lambda: datetime.now(UTC))
    certificate.loaded(ServerCredentials(b"", b""))
    certificate.check()
    assert certificate.not_after is None


def _issued(issuer: Party, **options: Any) -> KeyPair:
    party = leaf(issuer, **options)
    key = party.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(key, party.certificate.public_bytes(Encoding.PEM))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: _issued(ca("RSA", key=KEY), pss=True), "signed with neither RSA (PKCS#1 v1.5) nor ECDSA"),
        (lambda: _issued(ca("P-256"), key=Ed25519PrivateKey.generate()), "neither plain RSA nor on an elliptic curve"),
    ],
)
async def test_a_certificate_that_no_station_accepts_is_refused_and_the_last_one_stays(
    cups: Cups, pki: Pki, make: Callable[[], KeyPair], said: str
) -> None:
    cups.lay_server_tls(make())

    async def refused() -> bool:
        answer = (await get_internal(cups.internal_port, "/generation")).json()
        return said in str(answer["refused"])

    await until(refused, "the certificate is refused")
    assert (await cups.client(pki.a_gateway).ask()).status == 200


async def test_the_intermediates_of_the_servers_certificate_are_sent(cups: Cups, pki: Pki) -> None:
    now = datetime.now(UTC)
    issuing = make_intermediate("Operator Issuing", pki.server_ca, now)
    pair = make_server(["localhost"], ["127.0.0.1"], issuing, now)

    def shown() -> bytes | None:
        with cups.client(pki.a_gateway).connect() as connection:
            return connection.getpeercert(binary_form=True)

    cups.lay_server_tls(KeyPair(pair.key_pem, pair.certificate_pem + issuing.certificate_pem))

    async def sent() -> bool:
        return await asyncio.to_thread(shown) == pair.x509.public_bytes(Encoding.DER)

    await until(sent, "who knows the root alone connects")
    assert (await cups.client(pki.a_gateway).ask()).status == 200
