"""A server behind proxies that terminate TLS, and the parts of such a proxy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_core.setting_values import Address
from stationkeeper_cups.accepting.peer_address import read_networks
from stationkeeper_cups.forwarded.headers import NAMES, Form
from stationkeeper_cups.forwarded.proxies import TrustedProxies
from stationkeeper_cups.settings import Forwarded
from stationkeeper_tools.ports import free_port
from stationkeeper_tools.sample_pki import KeyPair, make_root
from tests.cups.client import Client
from tests.cups.conftest import Cups, serving
from tests.cups.pki import Pki

PROXY, CLIENT = "127.0.0.1", "127.0.0.5"
NAME = "proxy.example.com"


def make_proxy(name: x509.GeneralName, issuer: KeyPair, now: datetime, days: int = 30) -> KeyPair:
    """Return the key and certificate of a proxy."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = load_pem_private_key(issuer.key_pem, None)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A proxy")])
    certificate = (
        x509.CertificateBuilder(issuer.x509.subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.x509.public_key()), critical=False)  # type: ignore[arg-type]
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(issuer_key, hashes.SHA256())  # type: ignore[arg-type]
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(pem, certificate.public_bytes(Encoding.PEM))


@dataclass(frozen=True)
class Proxies:
    """Proxies, and the CAs of their certificates."""

    ca: KeyPair
    known: KeyPair
    other_name: KeyPair
    expired: KeyPair

    @classmethod
    def make(cls) -> "Proxies":
        now = datetime.now(UTC)
        ca = make_root("Proxies", now - timedelta(days=60))
        return cls(
            ca=ca,
            known=make_proxy(x509.DNSName(NAME), ca, now),
            other_name=make_proxy(x509.DNSName("tenant.example.com"), ca, now),
            expired=make_proxy(x509.DNSName(NAME), ca, now - timedelta(days=30), days=10),
        )


@dataclass(frozen=True)
class Behind:
    """A server behind proxies.

    Attributes:
        cups: the server.
        port: the port for proxies.
        form: the form of its header.
        folder: for the files of a proxy.
    """

    cups: Cups
    port: int
    form: Form
    folder: Path

    def proxy(self, pair: KeyPair, source: str = PROXY) -> Client:
        """Return a client of the port for proxies."""
        return self.cups.client(pair, source=source).at(self.port)


@asynccontextmanager
async def behind_proxies(
    folder: Path, pki: Pki, proxies: Proxies, form: Form, **options: object
) -> AsyncIterator[Behind]:
    """Yield a server that accepts `form` from the proxy `proxies.known` at `PROXY`."""
    authorities = folder / "proxies.crt"
    authorities.write_bytes(proxies.ca.certificate_pem)
    address = Address("127.0.0.1", free_port())
    names = frozenset({NAME, "spiffe://example.com/proxy"})
    believed = TrustedProxies(form, read_networks(f"{PROXY}/32"), authorities, names)
    async with serving(folder, pki, forwarded=Forwarded(address, believed), **options) as cups:
        yield Behind(cups, address.port, form, folder)


def escaped(*pairs: KeyPair) -> str:
    """Return certificates in the escaped form of nginx and Envoy."""
    return quote("".join(each.certificate_pem.decode() for each in pairs), safe="")


def bare(*pairs: KeyPair) -> str:
    """Return certificates in the form of Traefik."""
    texts = ("".join(each.certificate_pem.decode().splitlines()[1:-1]) for each in pairs)
    return ",".join(texts)


def header(form: Form, *pairs: KeyPair) -> str:
    """Return the header of a proxy for the client that presented `pairs`."""
    value = {
        Form.ENVOY: lambda: f'Hash=ab;Cert="{escaped(pairs[0])}";Chain="{escaped(*pairs)}"',
        Form.TRAEFIK: lambda: bare(*pairs),
        Form.NGINX: lambda: escaped(pairs[0]),
    }[form]()
    return f"{NAMES[form].decode()}: {value}"


def told(caplog: pytest.LogCaptureFixture, event: str) -> list[tuple[str, str]]:
    """Return address and reason in each log line of `event`."""
    return [
        (record.fields["peer"], str(record.fields.get("reason", "")))  # type: ignore[attr-defined]
        for record in caplog.records
        if record.getMessage() == event
    ]
