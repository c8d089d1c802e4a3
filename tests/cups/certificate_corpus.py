"""Certificates as they exist in the field, each with the expected result for a gateway that presents it.

The rows are those of `docs/certificates.md`, in its order.
"""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_tools.sample_pki import KeyPair, make_gateway, make_root
from tests.core.slow_keys import rsa_key

EUI = "0102030405060708"
ACCEPTED = "200"

_NOW = datetime.now(UTC)
_DAY = timedelta(days=1)
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_Extension = tuple[x509.ExtensionType, bool]


@dataclass(frozen=True)
class Party:
    """A holder of a certificate and its key."""

    certificate: x509.Certificate
    key: _Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def pair(self) -> KeyPair:
        return KeyPair(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), self.pem)


@dataclass(frozen=True)
class Wish:
    """The properties of a certificate to make; by default a P-256 key and no extensions."""

    subject: x509.Name
    key: _Key | None = None
    begins: datetime = _NOW - 30 * _DAY
    ends: datetime = _NOW + 30 * _DAY
    extensions: tuple[_Extension, ...] = ()
    pss: bool = False


@dataclass(frozen=True)
class Row:
    """A gateway's certificate, and its expected result.

    Attributes:
        gateway: its certificate and key.
        anchors: of the only TrustedCA.
        outcome: `ACCEPTED`, or the reason of the refusal.
        intermediates: of the TrustedCA.
        presented: the other certificates that the gateway sends.
        weak: whether the TrustedCA says `weakSignatures: Allow`.
        openssl_accepts: the expected verdict of `openssl verify` on the chain alone.
    """

    gateway: KeyPair
    anchors: tuple[KeyPair, ...]
    outcome: str
    intermediates: tuple[KeyPair, ...] = ()
    presented: tuple[KeyPair, ...] = ()
    weak: bool = False
    openssl_accepts: bool = True


def name(*common_names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common_names])


def make(wish: Wish, issuer: Party | None = None) -> Party:
    key = wish.key or ec.generate_private_key(ec.SECP256R1())
    signer = issuer or Party(None, key)  # type: ignore[arg-type]
    issuer_name = issuer.certificate.subject if issuer else wish.subject
    builder = (
        x509.CertificateBuilder(issuer_name, wish.subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(wish.begins)
        .not_valid_after(wish.ends)
    )
    for extension, critical in wish.extensions:
        builder = builder.add_extension(extension, critical)
    algorithm = None if isinstance(signer.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if wish.pss else None
    return Party(builder.sign(signer.key, algorithm, rsa_padding=pss), key)


def ca(common_name: str, issuer: Party | None = None, path_length: int | None = None, **options: object) -> Party:
    extensions = ((x509.BasicConstraints(True, path_length), True), *options.pop("extensions", ()))  # type: ignore[misc]
    return make(Wish(name(common_name), extensions=extensions, **options), issuer)  # type: ignore[arg-type]


def leaf(issuer: Party, subject: x509.Name | None = None, *extensions: x509.ExtensionType, **options: object) -> Party:
    wish = Wish(subject or name(EUI), extensions=tuple((each, False) for each in extensions), **options)  # type: ignore[arg-type]
    return make(wish, issuer)


ROOT = ca("Vendor")


def _plain(outcome: str, *extensions: x509.ExtensionType, subject: x509.Name | None = None, **options: object) -> Row:
    # OpenSSL has no opinion of what a Common Name holds.
    verifies = bool(options.pop("openssl_accepts", outcome == ACCEPTED or outcome.startswith("CommonName")))
    return Row(leaf(ROOT, subject, *extensions, **options).pair, (ROOT.pair,), outcome, openssl_accepts=verifies)


def _version_1() -> Row:
    root = make_root("Vendor with RSA", _NOW)
    return Row(make_gateway(EUI, root, _NOW), (root,), ACCEPTED)


def _with_identifiers() -> Row:
    root = ca("Identified", extensions=((x509.SubjectKeyIdentifier(b"identified"), False),))
    identifier = x509.AuthorityKeyIdentifier(b"identified", None, None)
    return Row(leaf(root, None, identifier).pair, (root.pair,), ACCEPTED)


def _common_name_as(kind: _ASN1Type) -> Row:
    return _plain(ACCEPTED, subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, EUI, _type=kind)]))


def _purposes(outcome: str, *purposes: x509.ObjectIdentifier) -> Row:
    return _plain(outcome, x509.ExtendedKeyUsage(purposes))


def _key_usage(outcome: str, *, digital_signature: bool) -> Row:
    return _plain(outcome, x509.KeyUsage(digital_signature, False, True, False, False, False, False, False, False))


def _by_intermediate(
    row: Callable[[Party, Party, Party], Row], path_length: int | None = None, ends: datetime = _NOW + 30 * _DAY
) -> Row:
    root = ca("Root", path_length=path_length)
    intermediate = ca("Intermediate", root, ends=ends)
    return row(root, intermediate, leaf(intermediate))


def _below_servers_only(row: Callable[[Party, Party, Party], Row]) -> Row:
    root = ca("Servers", extensions=((x509.ExtendedKeyUsage([_SERVER]), False),))
    intermediate = ca("Intermediate", root)
    return row(root, intermediate, leaf(intermediate))


def _constrained(permitted: x509.GeneralName, outcome: str, subject: x509.Name) -> Row:
    constraints = ((x509.NameConstraints([permitted], None), True),)
    intermediate = ca("Constrained", ROOT, extensions=constraints)
    gateway = leaf(intermediate, subject)
    accepts = outcome == ACCEPTED
    return Row(gateway.pair, (ROOT.pair,), outcome, intermediates=(intermediate.pair,), openssl_accepts=accepts)


def _organization(organization: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, EUI)]
    )


def _prefix(organization: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])


def _long_chain(intermediates: int, outcome: str) -> Row:
    chain = [ROOT]
    for number in range(intermediates):
        chain.append(ca(f"Level {number}", chain[-1]))
    presented = tuple(each.pair for each in reversed(chain[1:]))
    return Row(leaf(chain[-1]).pair, (ROOT.pair,), outcome, presented=presented)


def _many_strangers(count: int, outcome: str) -> Row:
    row = _plain(ACCEPTED)
    strangers = tuple(ca(f"Stranger {number}").pair for number in range(count))
    return replace(row, presented=strangers, outcome=outcome)


def _padded(size: int, outcome: str) -> Row:
    filling = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x04\x00" + bytes(size))
    return _plain(outcome, filling, openssl_accepts=True)


def _renewed_anchor() -> Row:
    old = ca("Renewed", begins=_NOW - 30 * _DAY, ends=_NOW - _DAY)
    new = ca("Renewed", key=old.key)
    return Row(leaf(new).pair, (old.pair, new.pair), ACCEPTED)


def _another_key_of_that_name() -> Row:
    """Make two CAs with one name; the key identifier in the gateway's certificate shows the right one."""
    first, second = (
        ca("Same", extensions=((x509.SubjectKeyIdentifier(identifier), False),)) for identifier in (b"first", b"second")
    )
    gateway = leaf(second, None, x509.AuthorityKeyIdentifier(b"second", None, None))
    return Row(gateway.pair, (first.pair, second.pair), ACCEPTED)


def _cross_signed() -> Row:
    old = ca("Old root")
    issuing = ca("Issuing", old)
    crossed = ca("Issuing", ROOT, key=issuing.key)
    return Row(leaf(issuing).pair, (ROOT.pair,), ACCEPTED, intermediates=(crossed.pair,), presented=(issuing.pair,))


def _issued_by_a_gateway() -> Row:
    gateway = leaf(ROOT, name("0807060504030201"))
    outcome = "CertificateInvalid"
    return Row(leaf(gateway).pair, (ROOT.pair,), outcome, presented=(gateway.pair,), openssl_accepts=False)


def _self_signed() -> Row:
    gateway = make(Wish(name(EUI)))
    return Row(gateway.pair, (ROOT.pair,), "UnknownCA", openssl_accepts=False)


@cache
def _sha_1() -> Row:
    """Make it with the openssl program: cryptography does not sign with SHA-1 any more."""
    root = make_root("Vendor of old", _NOW)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = root.write(Path(folder), "root")
        request = ("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "k", "-subj", f"/CN={EUI}")
        sign = ("openssl", "x509", "-req", "-sha1", "-days", "9", "-CA", certificate, "-CAkey", key, "-CAcreateserial")
        asked = subprocess.run(request, cwd=folder, capture_output=True, check=True).stdout
        signed = subprocess.run(sign, cwd=folder, capture_output=True, check=True, input=asked).stdout
        gateway = KeyPair((Path(folder) / "k").read_bytes(), signed)
    return Row(gateway, (root,), "CertificateTooWeak", openssl_accepts=False)


def _allowed(row: Row) -> Row:
    """Return a row in which the TrustedCA allows weak certificates; `openssl verify` is not asked."""
    return replace(row, weak=True, outcome=ACCEPTED)


def _unknown_critical() -> Row:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.2"), b"\x05\x00")
    gateway = make(Wish(name(EUI), extensions=((unknown, True),)), ROOT)
    return Row(gateway.pair, (ROOT.pair,), "CertificateInvalid", openssl_accepts=False)


_CLIENT, _SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
_ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE

CORPUS: dict[str, Callable[[], Row]] = {
    "X.509 v1, a Common Name and nothing else": _version_1,
    "v3 without key identifiers": lambda: _plain(ACCEPTED),
    "v3 with key identifiers": _with_identifiers,
    "no extended key usage": lambda: _key_usage(ACCEPTED, digital_signature=True),
    "extended key usage clientAuth": lambda: _purposes(ACCEPTED, _CLIENT),
    "extended key usage clientAuth and serverAuth": lambda: _purposes(ACCEPTED, _CLIENT, _SERVER),
    "extended key usage serverAuth only": lambda: _purposes("CertificateWrongPurpose", _SERVER),
    "extended key usage anyExtendedKeyUsage only": lambda: _purposes("CertificateWrongPurpose", _ANY),
    "key usage without digitalSignature": lambda: _key_usage("CertificateWrongPurpose", digital_signature=False),
    "key usage keyAgreement only": lambda: _plain(
        ACCEPTED, x509.KeyUsage(False, False, False, False, True, False, False, False, False)
    ),
    "Common Name in lower case": lambda: _plain(ACCEPTED, subject=name("aabbccddeeff0011")),
    "Common Name as BMPString": lambda: _common_name_as(_ASN1Type.BMPString),
    "Common Name as T61String": lambda: _common_name_as(_ASN1Type.T61String),
    "Common Name as PrintableString": lambda: _common_name_as(_ASN1Type.PrintableString),
    "several Common Names": lambda: _plain("CommonNameNotEUI", subject=name(EUI, EUI)),
    "Common Name with spaces": lambda: _plain("CommonNameNotEUI", subject=name(f"{EUI} ")),
    "Common Name with separators": lambda: _plain("CommonNameNotEUI", subject=name("01-02-03-04-05-06-07-08")),
    "Common Name among other fields": lambda: _plain(ACCEPTED, subject=_organization("Vendor")),
    "EUI in a subject alternative name too": lambda: _plain(ACCEPTED, x509.SubjectAlternativeName([x509.DNSName(EUI)])),
    "EUI in a subject alternative name only": lambda: _plain(
        "CommonNameNotEUI", x509.SubjectAlternativeName([x509.DNSName(EUI)]), subject=name("gateway")
    ),
    "expired": lambda: _plain("CertificateExpired", ends=_NOW - _DAY),
    "not yet valid": lambda: _plain("CertificateNotYetValid", begins=_NOW + _DAY),
    "self-signed": _self_signed,
    "issued by a gateway": _issued_by_a_gateway,
    "unknown critical extension": _unknown_critical,
    "an intermediate configured as anchor": lambda: _by_intermediate(
        lambda _root, issuing, gateway: Row(gateway.pair, (issuing.pair,), ACCEPTED)
    ),
    "root configured, intermediate in the TrustedCA": lambda: _by_intermediate(
        lambda root, issuing, gateway: Row(gateway.pair, (root.pair,), ACCEPTED, intermediates=(issuing.pair,))
    ),
    "root configured, intermediate sent by the gateway": lambda: _by_intermediate(
        lambda root, issuing, gateway: Row(gateway.pair, (root.pair,), ACCEPTED, presented=(issuing.pair,))
    ),
    "root configured, intermediate nowhere": lambda: _by_intermediate(
        lambda root, _issuing, gateway: Row(gateway.pair, (root.pair,), "UnknownCA", openssl_accepts=False)
    ),
    "root configured, intermediate has expired": lambda: _by_intermediate(
        lambda root, issuing, gateway: Row(
            gateway.pair, (root.pair,), "CertificateExpired", presented=(issuing.pair,), openssl_accepts=False
        ),
        ends=_NOW - _DAY,
    ),
    "path length kept": lambda: _by_intermediate(
        lambda root, issuing, gateway: Row(gateway.pair, (root.pair,), ACCEPTED, intermediates=(issuing.pair,)),
        path_length=1,
    ),
    "path length exceeded by the TrustedCA's intermediate": lambda: _by_intermediate(
        lambda root, issuing, gateway: Row(
            gateway.pair, (root.pair,), "CertificateInvalid", intermediates=(issuing.pair,), openssl_accepts=False
        ),
        path_length=0,
    ),
    "path length exceeded by the gateway's intermediate": lambda: _by_intermediate(
        lambda root, issuing, gateway: Row(
            gateway.pair, (root.pair,), "CertificateInvalid", presented=(issuing.pair,), openssl_accepts=False
        ),
        path_length=0,
    ),
    "name constraints kept": lambda: _constrained(
        x509.DirectoryName(_prefix("Vendor")), ACCEPTED, _organization("Vendor")
    ),
    "name constraints violated": lambda: _constrained(
        x509.DirectoryName(_prefix("Vendor")), "CertificateInvalid", _organization("Other")
    ),
    "cross-signed CA": _cross_signed,
    "root for servers only, intermediate in the TrustedCA": lambda: _below_servers_only(
        lambda root, issuing, gateway: Row(
            gateway.pair, (root.pair,), "CertificateWrongPurpose", intermediates=(issuing.pair,), openssl_accepts=False
        )
    ),
    "root for servers only, intermediate sent by the gateway": lambda: _below_servers_only(
        lambda root, issuing, gateway: Row(
            gateway.pair, (root.pair,), "CertificateWrongPurpose", presented=(issuing.pair,), openssl_accepts=False
        )
    ),
    "CA certificate renewed with the same key": _renewed_anchor,
    "two CAs with one subject, with different key identifiers": _another_key_of_that_name,
    "P-384": lambda: _plain(ACCEPTED, key=ec.generate_private_key(ec.SECP384R1())),
    "P-521": lambda: _plain(ACCEPTED, key=ec.generate_private_key(ec.SECP521R1())),
    "RSA 2048": lambda: _plain(ACCEPTED, key=rsa_key(2048)),
    "RSA 4096": lambda: _plain(ACCEPTED, key=rsa_key(4096)),
    "Ed25519": lambda: _plain(ACCEPTED, key=ed25519.Ed25519PrivateKey.generate()),
    "RSA 1024": lambda: _plain("CertificateTooWeak", key=rsa_key(1024)),
    "RSA 1024, `weakSignatures: Allow`": lambda: _allowed(_plain("CertificateTooWeak", key=rsa_key(1024))),
    "SHA-1 signature": _sha_1,
    "SHA-1 signature, `weakSignatures: Allow`": lambda: _allowed(_sha_1()),
    "chain of 9 intermediates": lambda: _long_chain(9, ACCEPTED),
    "chain of 12 intermediates": lambda: _long_chain(12, "UnknownCA"),
    "30 certificates that have no part in the chain": lambda: _many_strangers(30, ACCEPTED),
    "400 certificates that have no part in the chain": lambda: _many_strangers(400, "HandshakeFailed"),
    "certificate of 8 KiB": lambda: _padded(8 * 1024, ACCEPTED),
    "certificate of 24 KiB": lambda: _padded(24 * 1024, "MalformedCertificate"),
}
