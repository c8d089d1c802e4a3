"""Certificates and specs of a run: the same bytes in every process, so that a seed replays."""

import datetime
import hashlib
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
"""The correct time at the begin of a run."""
RELEASE = "stationkeeper"
NAMESPACES = ("acme", "umbrella")
SERIAL = "1A2B3C4D"
"""The serial number of the certificate that a TrustedCA may revoke, in hexadecimal; no other one is ever revoked."""
_CURVE = ec.SECP256R1()
_LONG_AGO = datetime.datetime(1960, 1, 1, tzinfo=datetime.UTC)
"""A time before any reset clock."""
_YEARS = datetime.timedelta(days=3650)


@cache
def root(name: str) -> x509.Certificate:
    """Return the root of that name; its key follows from the name, and its signature from both."""
    key = _key(name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    serial = int.from_bytes(_digest(name)[:8], "big") | 1
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), serial)
        .not_valid_before(_LONG_AGO)
        .not_valid_after(EPOCH + _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


@cache
def pem(name: str) -> str:
    """Return the root of that name as PEM."""
    return root(name).public_bytes(Encoding.PEM).decode()


@cache
def der(name: str) -> bytes:
    """Return the root of that name as DER."""
    return root(name).public_bytes(Encoding.DER)


@cache
def crl(name: str) -> str:
    """Return the CRL with `SERIAL` of the root of that name, as PEM."""
    revoked = x509.RevokedCertificateBuilder(int(SERIAL, 16), _LONG_AGO).build()
    builder = (
        x509.CertificateRevocationListBuilder(root(name).subject, _LONG_AGO, EPOCH + _YEARS)
        .add_revoked_certificate(revoked)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(_key(name).public_key()), critical=False)
    )
    return builder.sign(_key(name), hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.PEM).decode()


@cache
def key_sha256(name: str) -> str:
    """Return the SHA-256 of the key of the root of that name, as documents have it."""
    encoded = _key(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


@cache
def token_sha256(token: str) -> str:
    """Return the digest by which a token is published."""
    return hashlib.sha256(token.encode()).hexdigest()


def trusted_ca(*roots: str, **fields: Any) -> dict[str, Any]:
    """Return the spec of a TrustedCA with those roots."""
    return {"certificates": "".join(map(pem, roots)), **fields}


def trusted_ca_from(config_map: str) -> dict[str, Any]:
    """Return the spec of a TrustedCA whose roots are in a ConfigMap."""
    return {"certificatesFrom": {"configMapKeyRef": {"name": config_map, "key": "ca.crt"}}}


def gateway(eui: str, **fields: Any) -> dict[str, Any]:
    """Return the spec of a Gateway."""
    return {"eui": eui, "lns": {"uri": "wss://lns.example.com:8887", "trust": pem("lns")}, **fields}


def _key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(_digest(name), "big") >> 1, _CURVE)


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
