"""Random certificates that share names and keys: chains, cross-signs, twins, self-issued ones, with all constraints."""

import hashlib
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
TIMES = tuple(BEGIN + timedelta(days=days) for days in (0, 30, 60))
EUIS = ("0102030405060708", "1112131415161718", "2122232425262728")

_NAMES = ("Root", "Issuing", "Deep", "Other")
_KEYS = 8
_USAGES = (
    [ExtendedKeyUsageOID.CLIENT_AUTH],
    [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH],
    [ExtendedKeyUsageOID.SERVER_AUTH],
    [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE],
    [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.CLIENT_AUTH],
)
_KEY_USAGES = ("digital_signature", "key_agreement", "key_cert_sign", "key_encipherment")
_CONSTRAINED = ("radio.example", "other.example")


@cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number + 1, ec.SECP256R1())


@dataclass(frozen=True, eq=False)
class Issued:
    """A certificate of the oracle.

    Attributes:
        der: its bytes.
        x509: as cryptography reads it.
        subject, issuer: Common Names.
        key: the number of its key.
        is_ca: whether its basic constraints say so.
    """

    der: bytes
    x509: x509.Certificate
    subject: str
    issuer: str
    key: int
    is_ca: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def serial(self) -> int:
        return self.x509.serial_number


@dataclass(frozen=True)
class Pki:
    """All certificates that may be trusted or presented."""

    cas: tuple[Issued, ...]
    leaves: tuple[Issued, ...]


def make_pki(chance: random.Random, cas: int = 9, leaves: int = 14) -> Pki:
    """Return a PKI with that many CA certificates and end-entity certificates."""
    made: list[Issued] = []
    for number in range(cas):
        subject, own = chance.choice(_NAMES[: 2 + number // 2]), chance.randrange(_KEYS)
        issuer = chance.choice(made) if made and chance.random() < 0.65 else None
        made.append(_issue(chance, subject, own, issuer, ca=chance.random() < 0.95, number=number))
    ends = []
    for number in range(leaves):
        issuer = chance.choice(made)
        ends.append(_issue(chance, chance.choice(EUIS), _KEYS + number, issuer, ca=None, number=100 + number))
    if chance.random() < 0.3:
        ends.append(_issue(chance, chance.choice(EUIS), _KEYS, None, ca=None, number=200))
    # Each is known by its identity from here on.
    return Pki(tuple({each.der: each for each in made}.values()), tuple({each.der: each for each in ends}.values()))


def _issue(
    chance: random.Random, subject: str, own: int, issuer: Issued | None, *, ca: bool | None, number: int
) -> Issued:
    issuer_name, signing = (subject, own) if issuer is None else (issuer.subject, issuer.key)
    if issuer is not None and chance.random() < 0.05:
        signing = chance.randrange(_KEYS)  # the right name, signed by another key
    begins, ends = chance.choice(((-10, 200), (-10, 200), (-10, 200), (-10, 15), (15, 200), (15, 45)))
    # OpenSSL 4.0 takes a self-issued certificate for the one below it if both have one serial number; 3.0 does not.
    serial = number + 10 if subject == issuer_name else chance.choice((1, 2, 3, number + 10))
    builder = (
        x509.CertificateBuilder(_name(issuer_name), _name(subject), key(own).public_key(), serial)
        .not_valid_before(BEGIN + timedelta(days=begins))
        .not_valid_after(BEGIN + timedelta(days=ends))
    )
    for extension, critical in _extensions(chance, own, signing, ca=ca):
        builder = builder.add_extension(extension, critical)
    made = builder.sign(key(signing), hashes.SHA256(), ecdsa_deterministic=True)
    return Issued(made.public_bytes(Encoding.DER), made, subject, issuer_name, own, is_ca=bool(ca))


def _extensions(
    chance: random.Random, own: int, signing: int, *, ca: bool | None
) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if ca is not None:
        length = chance.choice((None, None, None, None, 0, 1)) if ca else None
        found.append((x509.BasicConstraints(ca, length), True))
    if chance.random() < 0.4:
        named = own if chance.random() < 0.9 else own + 1
        found.append((x509.SubjectKeyIdentifier.from_public_key(key(named).public_key()), False))
    if chance.random() < 0.4:
        named = signing if chance.random() < 0.9 else signing + 1
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(key(named).public_key()), False))
    if chance.random() < 0.25:
        found.append((x509.ExtendedKeyUsage(chance.choice(_USAGES)), chance.random() < 0.5))
    if chance.random() < 0.25:
        wanted = chance.sample(_KEY_USAGES, chance.randint(1, 3))
        if ca and chance.random() < 0.8:
            wanted.append("key_cert_sign")
        found.append((_key_usage(*wanted), True))
    if ca and chance.random() < 0.12:
        subtree = x509.DNSName(chance.choice(_CONSTRAINED))
        found.append((x509.NameConstraints([subtree], None), True))
    if not ca and chance.random() < 0.3:
        found.append((x509.SubjectAlternativeName([x509.DNSName("gw." + chance.choice(_CONSTRAINED))]), False))
    if chance.random() < 0.03:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.7"), b"\x05\x00")
        found.append((unknown, chance.random() < 0.5))
    if chance.random() < 0.03:
        kind = chance.choice((b"\x03\x02\x07\x80", b"\x03\x02\x06\x40", b"\x03\x02\x00\x07"))
        netscape = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.1"), kind)
        found.append((netscape, False))
    return found


def _key_usage(*wanted: str) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        **{each: each in wanted for each in names},
        key_cert_sign="key_cert_sign" in wanted,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
