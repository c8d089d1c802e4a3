import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_cups.in_force.server_certificate import ServerCertificate
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.sources import file_source
from stationkeeper_cups.tls.server_credentials import ServerCredentials
from stationkeeper_tools.sample_pki import KeyPair, make_intermediate, make_server
from tests.core.slow_keys import rsa_key
from tests.cups.certificate_corpus import Party, Wish, ca, leaf, make, name
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups
from tests.cups.pki import Pki

KEY = rsa_key(2048)
METRIC = "stationkeeper_server_certificate_expires_timestamp_seconds"


def server(pki: Pki, days: int) -> KeyPair:
    return make_server(["localhost"], ["127.0.0.1"], pki.server_ca, datetime.now(UTC) - timedelta(days=160), days + 160)


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [getattr(each, "fields", {}) for each in caplog.records if each.name.endswith("server_certificate")]
    return [each["reason"] for each in found]


async def test_the_end_of_the_certificate_is_in_metrics_reports_and_warnings(
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


def test_each_stage_gives_one_warning_per_certificate(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
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


def _issued(issuer: Party, **options: Any) -> KeyPair:
    party = leaf(issuer, **options)
    key = party.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(key, party.certificate.public_bytes(Encoding.PEM))


def _chain(*parties: Party, key: Party | None = None) -> KeyPair:
    """Return the first pair with the certificates of all."""
    own = (key or parties[0]).key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(own, b"".join(each.pem for each in parties))


def _server_root(pki: Pki) -> Party:
    """Return the root that the clients of these tests trust."""
    key = load_pem_private_key(pki.server_ca.key_pem, None, unsafe_skip_rsa_key_validation=True)
    return Party(pki.server_ca.x509, key)  # type: ignore[arg-type]


def _server(issuer: Party, *extensions: x509.ExtensionType, **options: Any) -> Party:
    return leaf(
        issuer, name("localhost"), x509.SubjectAlternativeName([x509.DNSName("localhost")]), *extensions, **options
    )


def _usage(**set_: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{each: set_.get(each, False) for each in names})


def _below(issuer: Party, extension: x509.ExtensionType, critical: bool = True) -> KeyPair:
    issuing = ca("Issuing", issuer, extensions=((extension, critical),))
    return _chain(_server(issuing), issuing)


def _with_issuer(issuer: Party) -> KeyPair:
    return _chain(_server(issuer), issuer)


def _in_wrong_order(root: Party) -> KeyPair:
    issuing = ca("Issuing", root)
    return _chain(_server(issuing), root, issuing)


def _beside_an_expired_issuer(root: Party) -> KeyPair:
    old, new = ca("Issuing", root, key=KEY, ends=EARLIER), ca("Issuing", root, key=KEY)
    return _chain(_server(new), old, new)


def _cross_signed(root: Party) -> KeyPair:
    other = ca("Other")
    return _chain(_server(other), ca("Other", root, key=other.key), other)


CLIENT_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
NAMES = x509.NameConstraints([x509.DNSName("localhost")], None)
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)])
EARLIER, LATER = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)

REFUSED: dict[str, tuple[Callable[[Party], KeyPair], str]] = {
    "PSS": (lambda root: _issued(ca("RSA", key=KEY), pss=True), "signed with neither RSA (PKCS#1 v1.5) nor ECDSA"),
    "Ed25519": (lambda root: _chain(_server(root, key=Ed25519PrivateKey.generate())), "neither plain RSA nor"),
    "clientAuth only": (lambda root: _chain(_server(root, CLIENT_ONLY)), "without serverAuth"),
    "keyEncipherment only": (lambda root: _chain(_server(root, _usage(key_encipherment=True))), "digitalSignature"),
    "keyCertSign only": (lambda root: _chain(_server(root, _usage(key_cert_sign=True))), "digitalSignature"),
    "critical name constraints": (lambda root: _below(root, NAMES), "critical extension 2.5.29.30"),
    "critical policies": (lambda root: _below(root, POLICIES), "critical extension 2.5.29.32"),
    "expired": (lambda root: _chain(_server(root, ends=EARLIER)), "has expired on"),
    "not yet valid": (lambda root: _chain(_server(root, begins=LATER)), "is not valid before"),
    "expired intermediate": (lambda root: _with_issuer(ca("Issuing", root, ends=EARLIER)), "has expired on"),
    "key of another": (lambda root: _chain(_server(root), key=_server(root)), "tls.key does not belong to"),
    "issuer first": (lambda root: _chain(root, _server(root), key=_server(root)), "tls.key does not belong to"),
    "nothing": (lambda root: KeyPair(b"", b" "), "it is empty"),
    "UTF-16": (lambda root: KeyPair(b"", _server(root).pem.decode().encode("utf-16")), "it is UTF-16"),
    "DER": (lambda root: KeyPair(b"", _server(root).certificate.public_bytes(Encoding.DER)), "it is DER"),
    "self-signed": (lambda root: _chain(make(Wish(name("localhost")))), "another one"),
    "another root": (lambda root: _chain(_server(ca("Other"))), "ends in the root 'CN=Other'"),
    "another root, sent": (lambda _root: _with_issuer(ca("Other")), "ends in the root 'CN=Other'"),
    "a root of the same name with a new key": (lambda _root: _with_issuer(ca("Operator")), "ends in the root 'CN=Op"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_certificate_that_no_station_accepts_is_refused_and_the_last_one_stays(
    cups: Cups, pki: Pki, case: str
) -> None:
    make_pair, said = REFUSED[case]
    cups.lay_server_tls(make_pair(_server_root(pki)))

    async def refused() -> bool:
        answer = (await get_internal(cups.internal_port, "/generation")).json()
        return said in str(answer["refused"].get("server-certificate"))

    await until(refused, "the certificate is refused")
    assert (await cups.client(pki.a_gateway).ask()).status == 200
    cups.lay_server_tls(pki.server)

    async def well_again() -> bool:
        return bool((await get_internal(cups.internal_port, "/generation")).json()["refused"] == {})

    await until(well_again, "what is in force is not refused")


TAKEN: dict[str, Callable[[Party], KeyPair]] = {
    "its own issuer beside it": lambda root: _chain(_server(root), root),
    "no extension": lambda root: _chain(_server(root)),
    "digitalSignature": lambda root: _chain(_server(root, _usage(digital_signature=True))),
    "name constraints that are not critical": lambda root: _below(root, NAMES, critical=False),
    "wrong order": _in_wrong_order,
    "an expired certificate of its issuer beside a valid one": _beside_an_expired_issuer,
    "cross-signed": _cross_signed,
}


@pytest.mark.parametrize("case", TAKEN)
async def test_a_certificate_that_stations_accept_is_in_force_and_verified_by_the_same_root(
    cups: Cups, pki: Pki, case: str
) -> None:
    pair = TAKEN[case](_server_root(pki))
    cups.lay_server_tls(pair)

    async def shown() -> bool:
        with await asyncio.to_thread(cups.client(pki.a_gateway).connect) as connection:
            return connection.getpeercert(binary_form=True) == pair.x509.public_bytes(Encoding.DER)

    await until(shown, "it is in force")
    assert (await get_internal(cups.internal_port, "/generation")).json()["refused"] == {}


@pytest.mark.parametrize(("content", "which"), [("tls.crt", 0), ("tls.key", 1)])
async def test_a_byte_order_mark_is_left_out(cups: Cups, pki: Pki, content: str, which: int) -> None:
    pair = server(pki, 90)
    mark = [b"", b""]
    mark[which] = b"\xef\xbb\xbf"
    cups.lay_server_tls(KeyPair(mark[1] + pair.key_pem, mark[0] + pair.certificate_pem))

    async def shown() -> bool:
        with await asyncio.to_thread(cups.client(pki.a_gateway).connect) as connection:
            return connection.getpeercert(binary_form=True) == pair.x509.public_bytes(Encoding.DER)

    await until(shown, f"the pair is in force, whatever marks {content}")


def _loaded(pair: KeyPair, now: Callable[[], datetime], **options: bool) -> ServerCertificate:
    certificate = ServerCertificate(Metrics(), now, **options)
    certificate.loaded(ServerCredentials(pair.certificate_pem, pair.key_pem))
    return certificate


def test_another_root_is_taken_once_the_old_pair_has_ended_and_at_once_where_that_is_allowed(pki: Pki) -> None:
    late = timedelta()
    held, other = server(pki, 40), _chain(_server(ca("Other"), ends=datetime.now(UTC) + timedelta(days=90)))
    new = ServerCredentials(other.certificate_pem, other.key_pem)
    certificate = _loaded(held, lambda: datetime.now(UTC) + late)
    with pytest.raises(StationkeeperError, match="ServerRootChanged"):
        certificate.admit(new)
    late = timedelta(days=41)
    certificate.admit(new)
    _loaded(held, lambda: datetime.now(UTC), root_may_change=True).admit(new)


def test_without_one_in_force_a_not_yet_valid_certificate_is_used_with_a_warning(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    pair = _chain(_server(_server_root(pki), begins=LATER))
    certificate = ServerCertificate(Metrics(), lambda: datetime.now(UTC))
    certificate.admit(ServerCredentials(pair.certificate_pem, pair.key_pem))
    certificate.loaded(ServerCredentials(pair.certificate_pem, pair.key_pem))
    assert next(each.getMessage() for each in caplog.records).startswith("the server's certificate is not valid yet")


async def test_a_pair_that_was_refused_is_taken_by_itself_once_it_can_be(
    cups: Cups, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_source, "OFFER_SECONDS", 0.1)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    pair = _chain(_server(_server_root(pki), begins=soon))
    cups.lay_server_tls(pair)

    async def shown() -> bool:
        with await asyncio.to_thread(cups.client(pki.a_gateway).connect) as connection:
            return connection.getpeercert(binary_form=True) == pair.x509.public_bytes(Encoding.DER)

    await until(shown, "it is in force")
    assert datetime.now(UTC) >= soon


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
