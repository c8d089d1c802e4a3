"""Make a CA, a server and many gateways for the measurements, each gateway with its own certificate."""

import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stationkeeper_tools.sample_pki import KeyPair

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_FIRST_EUI = 0xA840410000000000


@dataclass(frozen=True)
class Member:
    """A gateway: its EUI as 16 hex digits, as a router ID, and its certificate."""

    eui: str
    pair: KeyPair

    @property
    def router(self) -> str:
        return ":".join(self.eui[place : place + 4].lower() for place in range(0, 16, 4))


class Fleet:
    """Gateways under one CA, and a server under another.

    Args:
        algorithm: `ECDSA` for P-256, or `RSA` for 2048 bits, of all keys.
        vendor: the name of the gateways' CA.
    """

    def __init__(self, algorithm: str, vendor: str = "Vendor") -> None:
        self._vendor = vendor
        self.algorithm = algorithm
        self._ca_key, self._server_ca_key, server_key = self._key(), self._key(), self._key()
        # The cost of a handshake is the same for every key of a kind, and RSA keys take long to make.
        self._gateway_key = self._key()
        self.ca = _pair(self._ca_key, _authority(vendor, self._ca_key))
        server_ca = _authority("Operator", self._server_ca_key)
        self.server_ca = _pair(self._server_ca_key, server_ca)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        builder = _builder("localhost", "Operator", server_key).add_extension(names, critical=False)
        self.server = _pair(server_key, builder.sign(self._server_ca_key, hashes.SHA256()))
        self._numbers = count(1)

    def gateways(self, number: int) -> tuple[Member, ...]:
        """Return `number` new gateways."""
        return tuple(self._gateway(f"{_FIRST_EUI + next(self._numbers):016X}") for _ in range(number))

    def forged(self, number: int, issuers: int) -> tuple[Member, ...]:
        """Return new gateways that also send CA certificates; by their names, each may have issued the others."""
        return tuple(self._forged(f"{_FIRST_EUI + next(self._numbers):016X}", issuers) for _ in range(number))

    def context(self, member: Member, folder: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
        """Return the client's TLS context of a gateway."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.server_ca.certificate_pem.decode())
        context.minimum_version = context.maximum_version = version
        file = folder / "client.pem"
        file.write_bytes(member.pair.key_pem + member.pair.certificate_pem)
        context.load_cert_chain(file)
        return context

    def _gateway(self, eui: str) -> Member:
        certificate = _builder(eui, self._vendor, self._gateway_key).sign(self._ca_key, hashes.SHA256())
        return Member(eui, _pair(self._gateway_key, certificate))

    def _forged(self, eui: str, issuers: int) -> Member:
        made = self._gateway(eui)
        sent = [_authority(self._vendor, self._key()).public_bytes(Encoding.PEM) for _ in range(issuers)]
        return Member(eui, KeyPair(made.pair.key_pem, made.pair.certificate_pem + b"".join(sent)))

    def _key(self) -> Key:
        if self.algorithm == "RSA":
            return rsa.generate_private_key(65537, 2048)
        return ec.generate_private_key(ec.SECP256R1())


def contexts(fleet: Fleet, members: tuple[Member, ...], version: ssl.TLSVersion) -> Iterator[ssl.SSLContext]:
    """Yield the context of each of `members`."""
    with tempfile.TemporaryDirectory() as folder:
        for member in members:
            yield fleet.context(member, Path(folder), version)


def _authority(name: str, key: Key) -> x509.Certificate:
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    return _builder(name, name, key).add_extension(constraints, critical=True).sign(key, hashes.SHA256())


def _builder(subject: str, issuer: str, key: Key) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(_name(issuer), _name(subject), key.public_key(), x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(minutes=1)).not_valid_after(now + timedelta(days=365))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pair(key: Key, certificate: x509.Certificate) -> KeyPair:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(pem, certificate.public_bytes(Encoding.PEM))
