import random
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_core.x509.crl import Crl, parse_crl, signer_of
from stationkeeper_core.x509.keys import KeyKind, PublicKey
from stationkeeper_core.x509.serial_numbers import unpack_serials
from stationkeeper_core.x509.signatures import SignatureAlgorithm, read_signature_algorithm
from stationkeeper_core.x509.signing import is_signed_by
from tests.core import odd_certificates as odd
from tests.core.certificates import NOW, ca, name
from tests.core.revocation_lists import CrlWish, make_crl
from tests.core.slow_keys import rsa_key
from tests.examples import examples
from tests.fuzz.der_mutations import mutated

REASONS = {Reason.MALFORMED_CRL, Reason.TOO_LARGE, Reason.CRL_UNSUPPORTED}
SAMPLE = make_crl(ca("Root"), wish=CrlWish((1, 2**100), number=7))


def _odd_crl(**odd_parts: Any) -> bytes:
    """Return a list of the serial numbers 7 and -129, signed by `odd.KEY`."""
    time = odd.tlv(23, b"260531000000Z")
    parts = {
        "version": b"\x02\x01\x01",
        "algorithm": odd.ECDSA_SHA256,
        "issuer": odd.common_name("Root"),
        "this_update": time,
        "next_update": odd.tlv(23, b"260701000000Z"),
        "entries": odd.sequence(odd.sequence(b"\x02\x01\x07", time), odd.sequence(b"\x02\x02\xff\x7f", time)),
        "extensions": b"",
    } | odd_parts
    outer = parts.pop("outer", parts["algorithm"])
    return odd.Parts(algorithm=outer).sealed(odd.sequence(*parts.values()))


def _entry_with(extension: bytes) -> bytes:
    time = odd.tlv(23, b"260531000000Z")
    entries = (odd.sequence(serial, time, odd.sequence(extension)) for serial in (b"\x02\x01\x07", b"\x02\x02\xff\x7f"))
    return odd.sequence(*entries)


ODD = {
    "version 1": _odd_crl(version=b""),
    "no next update": _odd_crl(next_update=b""),
    "ECDSA with NULL": _odd_crl(algorithm=odd.ECDSA_SHA256_WITH_NULL),
    "issuer as T61String": _odd_crl(issuer=odd.common_name("ROOT ", 20)),
    "critical FALSE written out": _odd_crl(
        extensions=odd.tlv(0xA0, odd.sequence(odd.extension("551d14", b"\x02\x01\x05", odd.FALSE)))
    ),
    "a point with FALSE written out": _odd_crl(
        extensions=odd.tlv(0xA0, odd.sequence(odd.extension("551d1c", b"\x30\x03\x84\x01\x00", odd.TRUE)))
    ),
    "entries with an odd extension": _odd_crl(entries=_entry_with(odd.extension("2a03", b"abc", odd.FALSE))),
    "long lengths": _odd_crl(entries=odd.long_form(0x30, _entry_with(odd.extension("551d15", b"\x0a\x01\x01"))[2:])),
}


@pytest.mark.parametrize("der", ODD.values(), ids=ODD)
def test_a_list_of_an_old_or_home_made_encoder_counts(der: bytes) -> None:
    crl = parse_crl(der)

    assert unpack_serials(crl.serials) == {7, -129}
    assert signer_of(crl, [parse_certificate(odd.ROOT.der)], NOW).der == odd.ROOT.der


@pytest.mark.parametrize(
    ("field", "der"),
    [
        ("signature algorithm", _odd_crl(algorithm=odd.sequence(b"\x06\0"), outer=odd.ECDSA_SHA256)),
        ("signature algorithm", _odd_crl(outer=odd.sequence(odd.oid("2a03")))),
        ("issuer", _odd_crl(issuer=odd.common_name(b"\xff"))),
        ("thisUpdate", _odd_crl(this_update=odd.tlv(23, b"2605310000Z"))),
        ("nextUpdate", _odd_crl(next_update=odd.tlv(24, b"20261301000000Z"))),
        ("list of entries", _odd_crl(entries=odd.sequence(odd.sequence(b"\x02\x02\0\x07")))),
        ("list of extensions", _odd_crl(extensions=odd.tlv(0xA0, b"\x30\x01\x30"))),
        ("CRL number", _odd_crl(extensions=odd.tlv(0xA0, odd.sequence(odd.extension("551d14", b"a"))))),
        ("reason of an entry", _odd_crl(entries=_entry_with(odd.extension("551d15", b"a")))),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_by_the_name_of_its_field(field: str, der: bytes) -> None:
    with pytest.raises(StationkeeperError, match=field) as refused:
        parse_crl(der)
    assert refused.value.reason is Reason.MALFORMED_CRL


@settings(max_examples=examples(500), deadline=None)
@given(st.integers(0, 2**64))
def test_any_change_of_a_list_is_refused_by_name_or_read_as_cryptography_reads_it(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    der = mutated(chance.choice([SAMPLE, *ODD.values()]), chance)
    try:
        found = parse_crl(der)
    except StationkeeperError as error:
        assert error.reason in REASONS
        return
    try:
        known = x509.load_der_x509_crl(der)
        assert found.issuer == known.issuer.rfc4514_string()
        assert (found.this_update, found.next_update) == (known.last_update_utc, known.next_update_utc)
        assert unpack_serials(found.serials) == {each.serial_number for each in known}
        assert signed_by(found) == known.is_signature_valid(odd.KEY.public_key())
    except (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, UnsupportedAlgorithm):
        return


def signed_by(crl: Crl) -> bool:
    """Return whether `odd.KEY` signed it; the name of its issuer does not matter."""
    key = parse_certificate(odd.ROOT.der).key
    assert key is not None
    return is_signed_by(key, crl.fields.algorithm, crl.fields.signed, crl.fields.signature)


@pytest.mark.parametrize("salt", [20, 32])
def test_a_list_signed_with_rsa_pss_counts_with_its_own_parameters(salt: int) -> None:
    key = rsa_key(2048)
    builder = x509.CertificateRevocationListBuilder(name("Root"), NOW, NOW + timedelta(days=1), [], [])
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    der = builder.sign(key, hashes.SHA256(), rsa_padding=scheme).public_bytes(Encoding.DER)
    spki = odd.public_key(key)
    mine, other = parse_certificate(odd.root(key=spki).der), parse_certificate(odd.ROOT.der)

    assert signer_of(parse_crl(der), [mine], NOW).key_sha256 == mine.key_sha256
    with pytest.raises(StationkeeperError) as refused:
        signer_of(parse_crl(der), [other], NOW)
    assert refused.value.reason is Reason.CRL_SIGNATURE_INVALID


POINT = "551d1c"


@pytest.mark.parametrize(
    ("der", "said"),
    [
        (_odd_crl(extensions=odd.tlv(0xA0, odd.sequence(odd.extension(POINT, b"a", odd.TRUE)))), "cannot be read"),
        (
            _odd_crl(extensions=odd.tlv(0xA0, odd.sequence(odd.extension(POINT, b"\x30\x03\x87\x01\x00", odd.TRUE)))),
            "has an unknown field",
        ),
        (
            _odd_crl(entries=odd.sequence(odd.sequence(odd.tlv(2, b"\1" * 65), odd.tlv(23, b"260531000000Z")))),
            "a serial number has 65 bytes",
        ),
    ],
)
def test_a_list_that_says_something_unknown_is_refused(der: bytes, said: str) -> None:
    with pytest.raises(StationkeeperError, match=said) as refused:
        parse_crl(der)
    assert refused.value.reason is Reason.MALFORMED_CRL


def test_an_issuer_whose_key_cannot_be_read_signed_no_list() -> None:
    keyless = parse_certificate(odd.root(key=odd.sequence(odd.sequence(odd.oid("2a03")), odd.tlv(4, b""))).der)
    assert keyless.key is None

    with pytest.raises(StationkeeperError) as refused:
        signer_of(parse_crl(_odd_crl()), [keyless], NOW)
    assert refused.value.reason is Reason.CRL_SIGNATURE_INVALID


PLAIN = SignatureAlgorithm("1.3.101.112", None, has_own_hash=True)
NULL = b"\5\0"
RSA_KEY = rsa_key(2048)
ED25519, ED448 = ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()


def key_of(key: Any) -> PublicKey:
    found = parse_certificate(odd.root(key=odd.public_key(key)).der).key
    assert found is not None
    return found


@pytest.mark.parametrize("key", [ED25519, ED448])
def test_an_edwards_key_signs_without_a_hash_of_the_algorithm(key: Any) -> None:
    signature = key.sign(b"list")

    assert is_signed_by(key_of(key), PLAIN, b"list", signature)
    assert not is_signed_by(key_of(key), PLAIN, b"other", signature)
    assert not is_signed_by(key_of(key), read_signature_algorithm(odd.ECDSA_SHA256), b"list", signature)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (odd.KEY, odd.sequence(odd.oid("2a864886f70d01010b"), NULL)),
        (RSA_KEY, odd.ECDSA_SHA256),
        (odd.KEY, odd.sequence(odd.oid("2a03"))),
        (RSA_KEY, odd.sequence(odd.oid("2a864886f70d010102"), NULL)),
        (RSA_KEY, odd.sequence(odd.oid("2a864886f70d01010a"), odd.sequence(b"\2\1\5"))),
        (RSA_KEY, odd.sequence(odd.oid("2a864886f70d01010a"))),
        (RSA_KEY, odd.sequence(odd.oid("2a864886f70d01010a"), odd.sequence(odd.tlv(0xA1, b"\2\1\5")))),
    ],
)
def test_an_algorithm_of_another_kind_than_the_key_or_unknown_signs_nothing(key: Any, algorithm: bytes) -> None:
    signature = RSA_KEY.sign(b"list", padding.PKCS1v15(), hashes.SHA256())

    assert not is_signed_by(key_of(key), read_signature_algorithm(algorithm), b"list", signature)


def test_an_rsa_key_signs_by_pkcs_1() -> None:
    algorithm = read_signature_algorithm(odd.sequence(odd.oid("2a864886f70d01010b"), NULL))
    signature = RSA_KEY.sign(b"list", padding.PKCS1v15(), hashes.SHA256())

    assert is_signed_by(key_of(RSA_KEY), algorithm, b"list", signature)
    assert not is_signed_by(key_of(RSA_KEY), algorithm, b"other", signature)


def test_a_key_without_bytes_signs_nothing() -> None:
    assert not is_signed_by(PublicKey(KeyKind.RSA, "1.2.840.113549.1.1.1"), PLAIN, b"", b"")


@pytest.mark.parametrize("entry", [b"\x02\x01\x07", b"\x02\x01\x07\x05\x00"], ids=["nothing", "NULL"])
def test_an_entry_without_its_time_is_refused(entry: bytes) -> None:
    with pytest.raises(StationkeeperError, match="an entry has no time") as refused:
        parse_crl(_odd_crl(entries=odd.sequence(odd.sequence(entry))))
    assert refused.value.reason is Reason.MALFORMED_CRL
