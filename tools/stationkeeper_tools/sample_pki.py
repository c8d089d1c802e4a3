"""A PKI for trying things out, by the procedure of the document that Stationkeeper implements.

A self-signed RSA 2048 root, and for each gateway an RSA 2048 key with an X.509 **version 1**
certificate as `openssl x509 -req` makes it: a Common Name, and no extension at all. Needs no openssl program. For tests
and demonstrations only: the keys lie unprotected beside the certificates.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_core.x509.der import element
from stationkeeper_core.x509.keys import public_key_der
from stationkeeper_core.x509.pem import to_pem

_SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")
SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""The key usage of a CA."""
_SEQUENCE, _INTEGER, _BIT_STRING, _UTC_TIME = 0x30, 0x02, 0x03, 0x17


@dataclass(frozen=True)
class KeyPair:
    """A private key and the certificate for it, both PEM."""

    key_pem: bytes
    certificate_pem: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `name.crt`, and `name.key` with mode 0600, into `folder`; return their paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.certificate_pem)
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        return certificate, key

    @property
    def x509(self) -> x509.Certificate:
        """The certificate, parsed."""
        return x509.load_pem_x509_certificate(self.certificate_pem)


def make_root(common_name: str, now: datetime, days: int = 1825) -> KeyPair:
    """Return a self-signed root, RSA 2048, valid from `now` for `days`."""
    key, name = _rsa_key(), _name(common_name)
    certificate = _authority(name, name, key.public_key(), now, days).sign(key, hashes.SHA256())
    return _pair(key, certificate)


def make_intermediate(common_name: str, issuer: KeyPair, now: datetime, days: int = 1825) -> KeyPair:
    """Return an intermediate CA that `issuer` signed."""
    key = _rsa_key()
    builder = _authority(_name(common_name), issuer.x509.subject, key.public_key(), now, days)
    builder = builder.add_extension(_issuer_key(issuer), critical=False)
    return _pair(key, builder.sign(_key_of(issuer), hashes.SHA256()))


def make_gateway(eui: str, issuer: KeyPair, now: datetime, days: int = 365) -> KeyPair:
    """Return the key and version 1 certificate of a gateway.

    Args:
        eui: the Common Name, 16 hex digits.
        issuer: the CA that signs, with an RSA key.
        now: from when it is valid.
        days: for how long.
    """
    key = _rsa_key()
    spki = public_key_der(key.public_key())
    validity = element(_SEQUENCE, _utc_time(now) + _utc_time(now + timedelta(days=days)))
    names = issuer.x509.subject.public_bytes(), _name(eui).public_bytes()
    serial = _integer(x509.random_serial_number())
    to_be_signed = element(_SEQUENCE, serial + _SHA256_WITH_RSA + names[0] + validity + names[1] + spki)
    issuer_key = _key_of(issuer)
    if not isinstance(issuer_key, rsa.RSAPrivateKey):
        raise TypeError("the issuer's key is not RSA")
    signature = issuer_key.sign(to_be_signed, padding.PKCS1v15(), hashes.SHA256())
    certificate = element(_SEQUENCE, to_be_signed + _SHA256_WITH_RSA + element(_BIT_STRING, b"\0" + signature))
    return KeyPair(_key_pem(key), to_pem(certificate).encode("ascii"))


def make_server(names: list[str], addresses: list[str], issuer: KeyPair, now: datetime, days: int = 365) -> KeyPair:
    """Return the P-256 key and certificate of a server.

    Args:
        names: its DNS names, the first of which is the Common Name too.
        addresses: its IP addresses.
        issuer: the CA that signs.
        now: from when it is valid.
        days: for how long.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [*(x509.DNSName(each) for each in names), *(x509.IPAddress(ip_address(each)) for each in addresses)]
    builder = (
        _builder(_name(names[0]), issuer.x509.subject, key.public_key(), now, days)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issuer_key(issuer), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return _pair(key, builder.sign(_key_of(issuer), hashes.SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _authority(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        _builder(subject, issuer, key, now, days)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(SIGNS_CERTIFICATES, critical=True)
    )


def _issuer_key(issuer: KeyPair) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(_key_of(issuer).public_key())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _key_of(pair: KeyPair) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pair.key_pem, None, unsafe_skip_rsa_key_validation=True)  # one that was made here
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("the issuer's key is neither RSA nor EC")
    return key


def _pair(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> KeyPair:
    return KeyPair(_key_pem(key), certificate.public_bytes(Encoding.PEM))


def _key_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _integer(value: int) -> bytes:
    return element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _utc_time(time: datetime) -> bytes:
    return element(_UTC_TIME, time.strftime("%y%m%d%H%M%SZ").encode("ascii"))
