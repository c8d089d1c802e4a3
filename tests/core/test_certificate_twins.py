"""If a certificate is revoked by its fingerprint, its holder cannot make another one of it that OpenSSL verifies."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.revocation import Revocations
from stationkeeper_core.trust.verification import Verdict, verify
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.strength import Strength, key_strength
from tests.core.certificates import EUI, NOW, name
from tests.core.odd_certificates import sequence, tlv
from tests.core.slow_keys import rsa_key

PSS_PADDING = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
RSA = rsa_key(2048)
NULL = b"\x05\x00"
_EDWARDS_ORDERS = (
    2**252 + 27742317777372353535851937790883648493,
    2**446 - 13818066809895115352007386748515426880336692474882178609894547503885,
)
WAYS: dict[str, tuple[Any, Any]] = {
    "ECDSA with P-256": (ec.generate_private_key(ec.SECP256R1()), None),
    "ECDSA with P-521": (ec.generate_private_key(ec.SECP521R1()), None),
    "RSASSA-PKCS1-v1_5": (RSA, None),
    "RSASSA-PSS": (RSA, PSS_PADDING),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate(), None),
    "Ed448": (ed448.Ed448PrivateKey.generate(), None),
}


@dataclass(frozen=True)
class Pair:
    """A gateway's certificate and its issuer's."""

    gateway: Certificate
    root: Certificate

    @property
    def revocations(self) -> Revocations:
        return Revocations(frozenset(), frozenset((self.gateway.sha256,)))

    def is_let_in(self, der: bytes) -> bool:
        """Return whether a certificate verifies and its fingerprint is not revoked."""
        return self.verifies(der) and not self.revocations.hold_any_of((parse_certificate(der), self.root))

    def verifies(self, der: bytes) -> bool:
        try:
            path = (PathCertificate(parse_certificate(der)), _part(self.root.der))
        except StationkeeperError:
            return False
        return verify(path, int(NOW.timestamp())).verdict is Verdict.VERIFIED


@cache
def _part(der: bytes) -> PathCertificate:
    return PathCertificate(parse_certificate(der))


@cache
def pair(way: str) -> Pair:
    """Return a pair; an RSA signature begins with a zero byte, as each 256th does."""
    key, scheme = WAYS[way]
    root = _issue("Root", key, key, scheme, 1)
    found = (_issue(EUI, ec.generate_private_key(ec.SECP256R1()), key, scheme, serial) for serial in count(2))
    return Pair(next(each for each in found if not isinstance(key, rsa.RSAPrivateKey) or each.signature[0] == 0), root)


def _issue(common_name: str, key: Any, signing: Any, scheme: Any, serial: int) -> Certificate:
    builder = (
        x509.CertificateBuilder(name("Root"), name(common_name), key.public_key(), serial)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(key is signing, None), critical=True)
    )
    edwards = isinstance(signing, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    signed = builder.sign(signing, None if edwards else hashes.SHA256(), rsa_padding=scheme)
    return parse_certificate(signed.public_bytes(Encoding.DER))


def _integer(number: int, padding_bytes: int = 0) -> bytes:
    size = number.bit_length() // 8 + 1
    return tlv(2, bytes(padding_bytes) + number.to_bytes(size, "big", signed=True))


def _signatures(found: Pair) -> Iterator[bytes]:
    """Yield other encodings of the signature, and other signatures that can be made from it."""
    signature, key = found.gateway.signature, found.root.key
    assert key is not None
    yield from (signature + b"\0", b"\0" + signature, signature[:-1], signature[1:], signature.lstrip(b"\0"))
    size = len(signature)
    for order in (1 << 8 * size, _modulus(found)):
        number = int.from_bytes(signature, "big")
        yield ((number + order) % (1 << 8 * size + 8)).to_bytes(size + 1, "big")
        yield ((order - number) % (1 << 8 * size)).to_bytes(size, "big")
    # The second half of an Ed25519 or Ed448 signature is a number below the order, in little endian (RFC 8032).
    half = size // 2
    for order in _EDWARDS_ORDERS:
        more = int.from_bytes(signature[half:], "little") + order
        yield signature[:half] + (more % (1 << 8 * (size - half))).to_bytes(size - half, "little")
    if key.group_order is not None:
        yield from _ecdsa(signature, key.group_order)


def _modulus(found: Pair) -> int:
    known = found.root.x509.public_key()
    return known.public_numbers().n if isinstance(known, rsa.RSAPublicKey) else 1


def _ecdsa(signature: bytes, order: int) -> Iterator[bytes]:
    r, s = decode_dss_signature(signature)
    for first in (r, order - r, r + order, -r, r - order):
        for second in (s, order - s, s + order, -s, 2 * order - s, s - order):
            yield sequence(_integer(first), _integer(second))
            yield sequence(_integer(first, 1), _integer(second))
            yield sequence(_integer(first), _integer(second, 1))
            yield sequence(_integer(first), _integer(second), NULL)
            yield sequence(_integer(first), _integer(second)) + b"\0"
            yield _with_long_length(sequence(_integer(first), _integer(second)))
            yield _open(sequence(_integer(first), _integer(second)))


def _header(written: bytes) -> int:
    return 2 if written[1] < 0x80 else 2 + (written[1] & 0x7F)


def _with_long_length(written: bytes) -> bytes:
    content = written[_header(written) :]
    return written[:1] + b"\x84" + len(content).to_bytes(4, "big") + content


def _open(written: bytes) -> bytes:
    return bytes((written[0] | 0x20, 0x80)) + written[_header(written) :] + b"\0\0"


def _twins(found: Pair) -> Iterator[bytes]:
    """Yield the certificate with other encodings of its unsigned parts."""
    gateway = found.gateway
    signed, algorithm, bits = gateway.signed_bytes, gateway.signature_algorithm_der, b"\0" + gateway.signature
    forms: tuple[Callable[[bytes], bytes], ...] = (bytes, _with_long_length, _open)
    content = algorithm[_header(algorithm) :]
    algorithms = [
        algorithm,
        sequence(content, NULL),
        sequence(content.removesuffix(NULL)),
        sequence(content.removesuffix(NULL), b"\x05\x81\x00"),
        sequence(content, b"\x30\x00"),
        sequence(b"\x06" + bytes((content[1] + 1, 0x80)) + content[2:]),
    ]
    strings = [tlv(3, bytes((unused,)) + gateway.signature) for unused in range(1, 8)]
    strings += [tlv(3, b"\0" + each) for each in (gateway.signature, *_signatures(found))]
    strings += [
        tlv(0x23, tlv(3, bits[:9]) + tlv(3, b"\0" + bits[9:])),
        tlv(0x23, tlv(3, bits)),
        tlv(0x23, tlv(4, bits)),
    ]
    for each in algorithms:
        for string in strings:
            yield sequence(signed, each, string)
    for outer in forms:
        for middle in forms:
            for last in forms:
                yield outer(sequence(signed, middle(algorithm), last(tlv(3, bits))))
    whole = sequence(signed, algorithm, tlv(3, bits))
    yield from (whole + b"\0", whole + NULL, sequence(signed, algorithm, tlv(3, bits), NULL))
    yield from (sequence(form(signed), algorithm, tlv(3, bits)) for form in (_with_long_length, _open))


def _bytes_changed(der: bytes) -> Iterator[bytes]:
    for at in range(len(der)):
        yield der[:at] + der[at + 1 :]
        yield from (der[:at] + inserted + der[at:] for inserted in (b"\0", b"\x80", b"\xff"))
        yield from (der[:at] + bytes((der[at] ^ 1 << bit,)) + der[at + 1 :] for bit in range(8))


@pytest.mark.parametrize("way", WAYS)
def test_a_fingerprint_revokes_every_other_writing_of_a_certificate(way: str) -> None:
    found = pair(way)
    written = list(_twins(found))

    assert found.verifies(found.gateway.der)
    assert [each.hex() for each in written if found.is_let_in(each)] == []
    # Some do verify, so that the test is not empty: with other lengths around the signed part.
    assert sum(found.verifies(each) for each in written) > 10


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_fingerprint_revokes_a_certificate_with_any_byte_changed(way: str) -> None:
    found = pair(way)

    assert [each.hex() for each in _bytes_changed(found.gateway.der) if found.is_let_in(each)] == []


@pytest.mark.parametrize("cut", [False, True])
def test_a_pss_signature_that_begins_with_zero_is_revoked_with_and_without_it(*, cut: bool) -> None:
    found = pair("RSASSA-PSS")
    gateway = found.gateway
    short = tlv(3, b"\0" + gateway.signature.lstrip(b"\0"))
    twin = parse_certificate(sequence(gateway.signed_bytes, gateway.signature_algorithm_der, short))
    revoked, presented = (twin, gateway) if cut else (gateway, twin)

    assert found.verifies(twin.der)
    assert twin.sha256 != gateway.sha256
    revocations = Revocations(frozenset(), frozenset((revoked.sha256,)))
    assert revocations.hold_any_of((presented, found.root))


@pytest.mark.parametrize("curve", ["secp160r1", "brainpoolP320r1", "prime239v1"])
def test_a_ca_on_a_curve_whose_order_is_not_known_vouches_for_nobody(tmp_path: Path, curve: str) -> None:
    """So no certificate that it signed has a twin that must be revoked too."""
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -subj /CN=Root -keyout key -out ca"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    issuer = parse_certificate(ssl.PEM_cert_to_DER_cert((tmp_path / "ca").read_text()))

    assert issuer.key is not None
    assert issuer.key.group_order is None
    assert key_strength(issuer) is Strength.BROKEN
