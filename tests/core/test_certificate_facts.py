import random
import string
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import crypto

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from tests.core import odd_certificates as odd
from tests.core.odd_certificates import (
    BASIC_CONSTRAINTS,
    CA_TRUE,
    COMMON_NAME,
    ECDSA_SHA256_WITH_NULL,
    EXTENDED_KEY_USAGE,
    FALSE,
    KEY_USAGE,
    ORGANISATION,
    TRUE,
    Parts,
    attribute,
    common_name,
    ecdsa,
    extension,
    indefinite,
    leaf,
    long_form,
    oid,
    rdn,
    root,
    sequence,
    tlv,
    validity,
)
from tests.examples import examples
from tests.fuzz.certificate_oracle import check_certificate
from tests.fuzz.certificate_seeds import seeds
from tests.fuzz.der_mutations import mutated

# pyOpenSSL's names are deprecated in favour of cryptography's, but cryptography reads names differently than OpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:X509.get_(subject|issuer) is deprecated:DeprecationWarning")

EUI = "0102030405060708"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def openssl_verifies(end_entity: bytes, anchor: bytes) -> bool:
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(NOW)
    try:
        store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, anchor))
        loaded = crypto.load_certificate(crypto.FILETYPE_ASN1, end_entity)
        crypto.X509StoreContext(store, loaded).verify_certificate()
    except (crypto.Error, crypto.X509StoreContextError):
        return False
    return True


def name_of(*values: tuple[bytes, int]) -> bytes:
    """Return a name with an organisation for each string, and the EUI as the Common Name."""
    parts = (rdn(attribute(ORGANISATION, value, tag)) for value, tag in values)
    return sequence(*parts, rdn(attribute(COMMON_NAME, EUI.encode())))


def segmented(*parts: bytes) -> bytes:
    return tlv(0x2C, b"".join(tlv(4, each) for each in parts))


PLAIN = leaf()
ODD_LEAVES = {
    "plain": PLAIN.der,
    "version 1": leaf(version=b"").der,
    "version 1 written out": leaf(version=bytes.fromhex("a003020100")).der,
    "version 4": leaf(version=bytes.fromhex("a003020103")).der,
    "critical FALSE written out": leaf(extensions=(extension(BASIC_CONSTRAINTS, b"\x30\0", FALSE),)).der,
    "critical is 01": leaf(extensions=(extension(BASIC_CONSTRAINTS, b"\x30\0", b"\x01\x01\x01"),)).der,
    "ECDSA with NULL": leaf(algorithm=ECDSA_SHA256_WITH_NULL).der,
    "ECDSA with other parameters": leaf(algorithm=sequence(oid("2a8648ce3d040302"), b"\x02\x01\x01")).der,
    "T61String with Latin-1": leaf(subject=name_of((b"Gr\xfcn", 20))).der,
    "PrintableString with Latin-1": leaf(subject=name_of((b"Gr\xfcn", 19))).der,
    "BMPString": leaf(subject=name_of(("Grün".encode("utf-16-be"), 30))).der,
    "UniversalString": leaf(subject=name_of(("Grün".encode("utf-32-be"), 28))).der,
    "NumericString": leaf(subject=name_of((b"12 3", 18))).der,
    "an unknown string": leaf(subject=name_of((b"x", 9))).der,
    "an empty part": leaf(subject=sequence(rdn(), rdn(attribute(COMMON_NAME, EUI.encode())))).der,
    "a part of two": leaf(
        subject=sequence(rdn(attribute(ORGANISATION, b"b"), attribute(COMMON_NAME, EUI.encode())))
    ).der,
    "a string in segments": leaf(
        subject=sequence(rdn(sequence(oid(COMMON_NAME), segmented(EUI[:3].encode(), EUI[3:].encode()))))
    ).der,
    "issuer in other letters": leaf(issuer=common_name("  rOOT\t ")).der,
    "issuer as BMPString": leaf(issuer=common_name("Root".encode("utf-16-be"), 30)).der,
    "serial number 0": leaf(serial=b"\x02\x01\x00").der,
    "serial number below 0": leaf(serial=b"\x02\x02\xff\x7f").der,
    "serial number of 70 bytes": leaf(serial=tlv(2, b"\x01" * 70)).der,
    "GeneralizedTime before 2050": leaf(validity=validity(b"20260101000000Z", b"20360101000000Z", (24, 24))).der,
    "year 0": leaf(validity=validity(b"00000229000000Z", b"99991231235959Z", (24, 24))).der,
    "a time in segments": leaf(validity=sequence(tlv(0x37, tlv(23, b"260101000000Z")), tlv(23, b"360101000000Z"))).der,
    "signed part of open length": PLAIN.sealed(indefinite(0x30, PLAIN.content)),
    "signed part of long length": PLAIN.sealed(long_form(0x30, PLAIN.content)),
    "an extension twice": leaf(extensions=(extension("2a03", b"a"), extension("2a03", b"b"))).der,
    "an extension's value in segments": leaf(
        extensions=(sequence(oid(BASIC_CONSTRAINTS), tlv(0x24, tlv(4, b"\x30") + tlv(4, b"\0"))),)
    ).der,
    "bytes after an extension's value": leaf(extensions=(extension(BASIC_CONSTRAINTS, b"\x30\0\x05\0"),)).der,
    "unique identifiers": leaf(unique_identifiers=tlv(0x81, b"\0a") + tlv(0x82, b"\0b")).der,
}


@pytest.mark.parametrize("der", ODD_LEAVES.values(), ids=ODD_LEAVES)
def test_a_certificate_that_openssl_verifies_is_read(der: bytes) -> None:
    assert openssl_verifies(der, odd.ROOT.der)

    found = parse_certificate(der)

    assert found.common_names == (EUI,)
    assert found.folded_issuer == parse_certificate(odd.ROOT.der).folded_subject
    assert found.key is not None
    assert (found.key.curve, found.key.bits) == ("secp256r1", 256)
    assert check_certificate(der)


ODD_ROOTS = {
    "plain": odd.ROOT,
    "critical FALSE written out": root(extensions=(extension(BASIC_CONSTRAINTS, CA_TRUE, FALSE),)),
    "CA is 01": root(extensions=(extension(BASIC_CONSTRAINTS, bytes.fromhex("3003010101")),)),
    "version 1 with extensions": root(version=b""),
    "key usage with bits beyond its end": root(
        extensions=(*odd.ROOT.extensions, extension(KEY_USAGE, b"\x03\x02\x02\x07"))  # type: ignore[misc]
    ),
}


@pytest.mark.parametrize("parts", ODD_ROOTS.values(), ids=ODD_ROOTS)
def test_an_odd_ca_certificate_that_openssl_takes_is_one_here_too(parts: Parts) -> None:
    assert openssl_verifies(PLAIN.der, parts.der)

    found = parse_certificate(parts.der)

    assert found.is_authority
    assert found.is_self_issued
    assert found.signs_itself
    assert found.may_sign_certificates


@pytest.mark.parametrize(
    ("field", "parts"),
    [
        ("version", leaf(version=bytes.fromhex("a00402020002"))),
        ("serial number", leaf(serial=b"\x02\x02\x00\x07")),
        ("serial number", leaf(serial=b"\x04\x01\x07")),
        ("signature algorithm", leaf(algorithm=sequence(b"\x06\0"), outer_algorithm=odd.ECDSA_SHA256)),
        ("outer form", leaf(outer_algorithm=sequence(b"\x06\0"))),
        ("issuer", leaf(issuer=common_name(b"\xff"))),
        ("validity", leaf(validity=validity(b"260132000000Z"))),
        ("validity", leaf(validity=validity(b"260101000000+0000"))),
        ("validity", leaf(validity=validity(b"26010100000 Z"))),
        ("subject", leaf(subject=common_name(b"\xd8\x00", 30))),
        ("subject", leaf(subject=sequence(rdn(sequence(b"\x06\x02\x2a\x80", tlv(12, b"a")))))),
        ("public key", leaf(key=b"\x30\x05\x30")),
        ("list of extensions", leaf(extensions=(sequence(oid("2a03"), b"\x01\x02\x01\x01", tlv(4, b"")),))),
    ],
)
def test_an_unreadable_field_is_refused_by_its_name(field: str, parts: Parts) -> None:
    assert not openssl_verifies(parts.der, odd.ROOT.der)
    with pytest.raises(StationkeeperError) as refused:
        parse_certificate(parts.der)
    assert refused.value.reason is Reason.MALFORMED_PEM
    assert f"a certificate's {field} cannot be read" in refused.value.detail


@pytest.mark.parametrize("count", [256, 257])
def test_the_parts_of_a_name_and_the_extensions_are_bounded(count: int) -> None:
    many_parts = leaf(subject=sequence(*[rdn(attribute(ORGANISATION, b"a"))] * count)).der
    many_extensions = leaf(extensions=(extension("2a03", b""),) * count).der
    for der in (many_parts, many_extensions):
        if count > 256:
            with pytest.raises(StationkeeperError, match="more than 256"):
                parse_certificate(der)
        else:
            assert parse_certificate(der).der == der


@pytest.mark.parametrize("tag", [0x24, 0x30, 0xA0])
def test_nested_elements_cost_little_and_are_refused(tag: int) -> None:
    deep = b""
    for _ in range(3000):
        deep = bytes([tag, 0x80]) + deep + b"\0\0" if len(deep) < 8000 else deep
    with pytest.raises(StationkeeperError):
        parse_certificate(indefinite(0x30, deep))
    with pytest.raises(StationkeeperError):
        parse_certificate(leaf(subject=common_name(b"").replace(b"\x0c\0", deep)).der)


ENVELOPES = {
    "open length": indefinite(0x30, PLAIN.der[4:]),
    "long length": long_form(0x30, PLAIN.der[4:]),
    "long NULL": leaf(
        algorithm=ECDSA_SHA256_WITH_NULL, outer_algorithm=sequence(oid("2a8648ce3d040302"), b"\x05\x81\0")
    ).der,
}


@pytest.mark.parametrize("der", ENVELOPES.values(), ids=ENVELOPES)
def test_unsigned_parts_may_vary_without_a_change_of_the_fingerprint(der: bytes) -> None:
    strict = leaf(algorithm=ECDSA_SHA256_WITH_NULL).der if b"\x05\x81\0" in der else PLAIN.der
    assert openssl_verifies(der, odd.ROOT.der)

    found = parse_certificate(der)

    assert found.der == strict
    assert found.sha256 == parse_certificate(strict).sha256


def test_bytes_that_follow_a_certificate_are_refused() -> None:
    with pytest.raises(StationkeeperError, match="bytes follow"):
        parse_certificate(PLAIN.der + b"\0")


def test_a_key_has_one_fingerprint_however_it_is_written() -> None:
    point = odd.OTHER_KEY.public_key().public_numbers()
    x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
    curve = sequence(oid("2a8648ce3d0201"), oid("2a8648ce3d030107"))
    written = [bytes([4]) + x + y, bytes([2 + y[-1] % 2]) + x, bytes([6 + y[-1] % 2]) + x + y]
    keys = [parse_certificate(leaf(key=sequence(curve, tlv(3, b"\0" + each))).der) for each in written]

    assert len({each.key_sha256 for each in keys}) == 1
    assert keys[0].key_sha256 == parse_certificate(PLAIN.der).key_sha256


RSA_NUMBERS = tlv(2, b"\0" + bytes([0xC1] * 256)), tlv(2, b"\x01\0\x01")


@pytest.mark.parametrize(
    ("algorithm", "numbers"),
    [
        (sequence(oid("2a864886f70d010101")), RSA_NUMBERS),
        (sequence(oid("2a864886f70d01010a"), b"\x05\0"), RSA_NUMBERS),
        (sequence(oid("55080101"), b"\x05\0"), RSA_NUMBERS),
        (sequence(oid("2a864886f70d010101"), b"\x05\0"), (tlv(2, b"\0\0" + bytes([0xC1] * 256)), RSA_NUMBERS[1])),
    ],
)
def test_an_rsa_key_is_the_same_key_in_every_form(algorithm: bytes, numbers: tuple[bytes, bytes]) -> None:
    plain = sequence(sequence(oid("2a864886f70d010101"), b"\x05\0"), tlv(3, b"\0" + sequence(*RSA_NUMBERS)))
    other = sequence(algorithm, tlv(3, b"\0" + sequence(*numbers)))

    found = parse_certificate(leaf(key=other).der)

    assert found.key_sha256 == parse_certificate(leaf(key=plain).der).key_sha256
    assert found.key is not None
    assert found.key.bits == 2048


@pytest.mark.parametrize(
    "odd_extension",
    [
        (extension(BASIC_CONSTRAINTS, b"abc"),),
        (extension(BASIC_CONSTRAINTS, CA_TRUE), extension(BASIC_CONSTRAINTS, CA_TRUE)),
        (extension(BASIC_CONSTRAINTS, bytes.fromhex("30060101ff0201ff")),),
    ],
)
def test_basic_constraints_that_openssl_does_not_take_make_no_authority(odd_extension: tuple[bytes, ...]) -> None:
    parts = root(extensions=odd_extension)
    assert not openssl_verifies(PLAIN.der, parts.der)
    assert not parse_certificate(parts.der).is_authority


@pytest.mark.parametrize(
    ("value", "signs", "revokes"),
    [(b"\x03\x02\x02\x04", True, False), (b"\x03\x02\x01\x02", False, True), (b"\x03\x01\0", False, False)],
)
def test_a_key_usage_says_what_a_ca_may_sign(value: bytes, signs: bool, revokes: bool) -> None:
    found = parse_certificate(root(extensions=(extension(KEY_USAGE, value),)).der)
    assert (found.may_sign_certificates, found.may_sign_crls) == (signs, revokes)


def test_an_extended_key_usage_lets_a_ca_issue_to_clients_only_where_it_says_so() -> None:
    def found(*usages: str) -> Certificate:
        value = sequence(*map(oid, usages))
        return parse_certificate(root(extensions=(extension(EXTENDED_KEY_USAGE, value, TRUE),)).der)

    assert found(odd.SERVER_AUTH, odd.CLIENT_AUTH).may_issue_to_clients
    assert not found(odd.SERVER_AUTH).may_issue_to_clients
    assert found(odd.SERVER_AUTH).critical_extensions == ("2.5.29.37",)
    assert parse_certificate(odd.ROOT.der).may_issue_to_clients


def test_a_certificate_that_bears_its_issuers_name_signs_itself_only_with_its_own_key() -> None:
    forged = replace(odd.ROOT, sign=ecdsa(odd.OTHER_KEY))
    expired = replace(odd.ROOT, validity=validity(b"200101000000Z", b"210101000000Z"))

    assert parse_certificate(odd.ROOT.der).signs_itself
    assert parse_certificate(expired.der).signs_itself
    assert not parse_certificate(forged.der).signs_itself
    assert not parse_certificate(replace(expired, sign=ecdsa(odd.OTHER_KEY)).der).signs_itself
    assert not parse_certificate(PLAIN.der).signs_itself


LETTERS = st.text(alphabet=string.ascii_letters + " \t\näöÄ,+\\#=", max_size=5)
STRINGS = st.one_of(
    st.tuples(LETTERS.map(lambda text: text.encode()), st.just(12)),
    st.tuples(LETTERS.map(lambda text: text.encode("latin-1")), st.sampled_from([18, 19, 20, 22])),
    st.tuples(LETTERS.map(lambda text: text.encode("utf-16-be")), st.just(30)),
    st.tuples(LETTERS.map(lambda text: text.encode("utf-32-be")), st.just(28)),
)
NAMES = st.lists(
    st.lists(st.tuples(st.sampled_from([COMMON_NAME, ORGANISATION]), STRINGS), max_size=2), min_size=1, max_size=2
)


def _name(parts: list[list[tuple[str, tuple[bytes, int]]]]) -> bytes:
    return sequence(*(rdn(*(attribute(kind, *value) for kind, value in part)) for part in parts))


@settings(max_examples=examples(300))
@given(NAMES, NAMES)
def test_two_names_are_one_exactly_where_they_are_to_openssl(
    one: list[list[tuple[str, tuple[bytes, int]]]], other: list[list[tuple[str, tuple[bytes, int]]]]
) -> None:
    der = leaf(subject=_name(one), issuer=_name(other)).der
    loaded = crypto.load_certificate(crypto.FILETYPE_ASN1, der)

    found = parse_certificate(der)

    assert found.is_self_issued == (loaded.get_subject() == loaded.get_issuer())
    assert check_certificate(der)


@settings(max_examples=examples(300))
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_name(der: bytes) -> None:
    check_certificate(der)


@pytest.mark.slow
@settings(max_examples=examples(1500), deadline=None)
@given(st.integers(0, 2**64))
def test_any_change_of_a_certificate_is_read_as_openssl_and_cryptography_read_it(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    check_certificate(mutated(chance.choice(seeds()), chance))


@pytest.mark.parametrize("der", seeds(), ids=count())
def test_every_kind_of_key_signature_name_and_extension_is_read(der: bytes) -> None:
    assert check_certificate(der)
