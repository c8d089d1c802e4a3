"""Certificates of old and home-made encoders, with the expected results: rows of `docs/certificates.md`."""

from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stationkeeper_core.x509.pem import to_pem
from stationkeeper_tools.sample_pki import KeyPair
from tests.core import odd_certificates as odd
from tests.core.odd_certificates import BASIC_CONSTRAINTS, CA_TRUE, FALSE, KEY_USAGE, TRUE, Parts
from tests.cups.certificate_corpus import ACCEPTED, EUI, Row

# The extensions of a root, with `critical FALSE` written out, which no DER encoder does.
_FALSE_WRITTEN_OUT = (
    odd.extension(BASIC_CONSTRAINTS, CA_TRUE, TRUE),
    odd.extension(KEY_USAGE, b"\x03\x02\x01\x06", FALSE),
)


def _pair(parts: Parts | bytes, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(written, to_pem(parts if isinstance(parts, bytes) else parts.der).encode())


def _row(leaf: Parts | bytes, root: Parts = odd.ROOT, outcome: str = ACCEPTED) -> Row:
    return Row(_pair(leaf, odd.OTHER_KEY), (_pair(root, odd.KEY),), outcome, openssl_accepts=outcome == ACCEPTED)


def _subject(value: bytes, tag: int) -> bytes:
    return odd.sequence(
        odd.rdn(odd.attribute(odd.ORGANISATION, value, tag)), odd.rdn(odd.attribute(odd.COMMON_NAME, EUI.encode()))
    )


def _odd_intermediate() -> Row:
    key = ec.derive_private_key(7, ec.SECP256R1())
    issuing = odd.root(subject=odd.common_name("Issuing"), key=odd.public_key(key), extensions=_FALSE_WRITTEN_OUT)
    leaf = odd.leaf(issuer=odd.common_name("Issuing"), sign=odd.ecdsa(key))
    return replace(_row(leaf), presented=(_pair(issuing, key),))


ODD_CORPUS: dict[str, Callable[[], Row]] = {
    "an extension with `critical FALSE` written out": lambda: _row(
        odd.leaf(extensions=(odd.extension(BASIC_CONSTRAINTS, b"\x30\0", FALSE),))
    ),
    "ECDSA with NULL as parameters": lambda: _row(odd.leaf(algorithm=odd.ECDSA_SHA256_WITH_NULL)),
    "organisation as T61String, in Latin-1": lambda: _row(odd.leaf(subject=_subject(b"Gr\xfcn", 20))),
    "organisation as NumericString": lambda: _row(odd.leaf(subject=_subject(b"12 3", 18))),
    "signed part in BER, its length left open": lambda: _row(
        odd.leaf().sealed(odd.indefinite(0x30, odd.leaf().content))
    ),
    "serial number below zero": lambda: _row(odd.leaf(serial=b"\x02\x01\x80")),
    "an unknown extension that is there twice": lambda: _row(
        odd.leaf(extensions=(odd.extension("2a03", b"a"), odd.extension("2a03", b"b")))
    ),
    "issuer written in other letters than the CA's subject": lambda: _row(odd.leaf(issuer=odd.common_name(" rOOT  "))),
    "CA with `critical FALSE` written out": lambda: _row(odd.leaf(), odd.root(extensions=_FALSE_WRITTEN_OUT)),
    "intermediate with `critical FALSE` written out, sent by the gateway": _odd_intermediate,
    "root of X.509 v1": lambda: _row(odd.leaf(), odd.root(version=b"", extensions=())),
}
