import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import example, given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.private_key import MAX_KEY_DER_BYTES, MAX_KEY_TEXT_BYTES, parse_private_key
from tests.core import odd_certificates as odd
from tests.core.private_keys import CURVES, FORMS, Key, fixed, fixed_ec, fixed_rsa, rsa_of, written
from tests.core.slow_keys import dsa_key, rsa_key

GOLDEN = {
    "P-256": "30770201010420755e941cfcf2be7961b9734372c2b67b28ebf83e869cb59b4ce8e9145ac98ca2a00a06082a8648ce3d030107"
    "a144034200049260e4b81a0fded81b4ab32048311686f2c425e55e3b98dd8d3ae3723a0221071cbedb75a9e0ea447344152b9a6ceaeab61a"
    "1e1772afb88bd60d68be13740232",
    "P-384": "303e0201010430000000000000000000000000000000005d589497a357ee7e4a12da94df88472c5559c990f6ab00fa195673e2c0"
    "06b33ea00706052b81040022",
    "P-521": "30500201010442000000000000000000000000000000000000000000000000000000000000000000002d6396852e0d226526be077"
    "df02b5dc11f3882a17e32993c29ff3383990934b3a00706052b81040023",
}
GOLDEN_RSA_SHA256 = "352088414ff45440fa406ec441e4255aa998ecffac055ff375a948c230a9d67d"
EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def refusal(content: bytes) -> StationkeeperError:
    with pytest.raises(StationkeeperError) as refused:
        parse_private_key(content)
    assert refused.value.reason is Reason.PRIVATE_KEY_UNUSABLE
    assert refused.value.__cause__ is None
    return refused.value


def spki(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(("encoding", "form"), FORMS)
@pytest.mark.parametrize("name", CURVES)
def test_an_elliptic_curve_key_becomes_the_golden_sec1_whatever_form_it_came_in(
    name: str, encoding: Encoding, form: PrivateFormat
) -> None:
    found = parse_private_key(written(fixed_ec(name), encoding, form))
    assert found.der.hex() == GOLDEN[name]
    assert found.public == spki(fixed_ec(name))


@pytest.mark.parametrize(("encoding", "form"), FORMS)
def test_an_rsa_key_becomes_the_golden_pkcs1_whatever_form_it_came_in(encoding: Encoding, form: PrivateFormat) -> None:
    found = parse_private_key(written(fixed_rsa(), encoding, form))
    assert hashlib.sha256(found.der).hexdigest() == GOLDEN_RSA_SHA256
    assert found.public == spki(fixed_rsa())


@pytest.mark.parametrize("bits", [3072, 4096])
def test_larger_rsa_keys_are_converted_as_openssl_does(bits: int, tmp_path: Path) -> None:
    generated = rsa_key(bits)
    (tmp_path / "key.pem").write_bytes(written(generated))
    command = "openssl rsa -in key.pem -traditional -outform DER -out key.der"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    assert parse_private_key(written(generated)).der == (tmp_path / "key.der").read_bytes()


@pytest.mark.parametrize("name", CURVES)
def test_the_elliptic_curve_keys_of_openssl_are_taken_and_no_length_is_one_that_a_station_misreads(
    name: str, tmp_path: Path
) -> None:
    subprocess.run(
        ["openssl", "ecparam", "-name", CURVES[name].name.replace("secp256r1", "prime256v1"), "-genkey", "-out", "key"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    found = parse_private_key((tmp_path / "key").read_bytes())
    assert found.der[1] == len(found.der) - 2 < 0x80
    again = load_der_private_key(found.der, None)
    assert isinstance(again, ec.EllipticCurvePrivateKey)
    assert spki(again) == found.public


@pytest.mark.parametrize(
    "decorate",
    [
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: b"Bag Attributes\n  friendlyName: gateway\n" + pem,
        lambda pem: EC_PARAMETERS + pem,
        lambda pem: pem.strip(),
    ],
)
def test_a_pem_file_is_taken_as_tools_write_it(decorate: object) -> None:
    assert callable(decorate)
    assert parse_private_key(decorate(written(fixed_ec("P-256")))).der.hex() == GOLDEN["P-256"]


def encrypted(form: PrivateFormat, encoding: Encoding) -> bytes:
    return fixed_rsa().private_bytes(encoding, form, BestAvailableEncryption(b"passphrase"))


@pytest.mark.parametrize(
    "content",
    [
        encrypted(PrivateFormat.PKCS8, Encoding.PEM),
        encrypted(PrivateFormat.PKCS8, Encoding.DER),
        encrypted(PrivateFormat.TraditionalOpenSSL, Encoding.PEM),
    ],
)
def test_an_encrypted_key_is_refused_with_how_to_decrypt_it(content: bytes) -> None:
    assert "openssl pkey" in refusal(content).detail
    assert "encrypted" in refusal(content).detail


def test_keys_of_other_kinds_are_refused_with_which_to_use() -> None:
    others: list[PrivateKeyTypes] = [
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
        dsa_key(),
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.SECP224R1()),
        rsa_key(1024),
        rsa_key(4104),
    ]
    for key in others:
        for encoding in (Encoding.PEM, Encoding.DER):
            content = key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
            assert "use RSA of 2048 to 4096 bits, P-256, P-384 or P-521" in refusal(content).detail


def test_a_text_that_is_not_exactly_one_key_is_refused() -> None:
    one, other = written(fixed_ec("P-256")), written(fixed_rsa())
    public = fixed_rsa().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    openssh = fixed_rsa().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    der = written(fixed_rsa(), Encoding.DER)
    assert "only one" in refusal(one + other).detail
    for content in (b"", b"\n", public, openssh, der + der, der[:-1], der + b"\0", one[:-10], one[40:], one + public):
        refusal(content)
    assert "base64" in refusal(one.replace(b"MIG", b"M!G")).detail
    assert f"at most {MAX_KEY_TEXT_BYTES}" in refusal(bytes(MAX_KEY_TEXT_BYTES + 1)).detail


def test_rsa_numbers_that_do_not_belong_together_are_refused() -> None:
    numbers = fixed_rsa().private_numbers()
    not_prime = rsa_of(numbers.p + 2, numbers.q)
    assert "do not belong together" in refusal(written(not_prime)).detail
    bent = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d, numbers.dmp1 + 2, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    )
    refusal(written(bent.private_key(unsafe_skip_rsa_key_validation=True)))


def test_an_elliptic_curve_key_with_the_public_key_of_another_is_refused() -> None:
    def sec1(key: ec.EllipticCurvePrivateKey) -> bytes:
        return written(key, Encoding.DER, PrivateFormat.TraditionalOpenSSL)

    refusal(sec1(fixed_ec("P-256"))[:40] + sec1(ec.generate_private_key(ec.SECP256R1()))[40:])


def test_nothing_of_a_key_is_shown_by_its_record() -> None:
    assert "der=" not in repr(parse_private_key(written(fixed_ec("P-384"))))


def damaged() -> st.SearchStrategy[bytes]:
    """Keys in all forms with some bytes replaced."""
    names = st.sampled_from(["RSA 2048", *CURVES])
    contents = st.tuples(names, st.sampled_from(FORMS)).map(lambda each: written(fixed(each[0]), *each[1]))
    patches = st.tuples(st.integers(0, 2000), st.binary(max_size=4))

    def patch(content: bytes, change: tuple[int, bytes]) -> bytes:
        place, replacement = change[0] % len(content), change[1]
        return content[:place] + replacement + content[place + len(replacement) :]

    return st.builds(patch, contents, patches)


@given(st.binary(max_size=300) | damaged())
@example(b"-----BEGIN PRIVATE KEY-----")
@example(b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----")
def test_any_bytes_are_a_key_that_can_be_read_again_or_refused_by_name(content: bytes) -> None:
    try:
        found = parse_private_key(content)
    except StationkeeperError as error:
        assert error.reason is Reason.PRIVATE_KEY_UNUSABLE
        assert len(error.detail) < 300
    else:
        assert parse_private_key(found.der) == found
        assert found.der[:2] == b"\x30\x82" or found.der[1] < 0x80


def test_der_that_is_longer_than_any_usable_key_is_not_read() -> None:
    assert "bytes in DER, more than any that can be used" in refusal(b"\x30" * (MAX_KEY_DER_BYTES + 1)).detail


def test_a_certificate_next_to_the_key_is_named() -> None:
    text = written(fixed_ec("P-256")) + b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"

    assert "has a certificate beside it; keep the key alone" in refusal(text).detail


def test_a_key_of_an_algorithm_that_nobody_knows_is_refused() -> None:
    unknown = odd.sequence(b"\2\1\0", odd.sequence(odd.oid("2a03")), odd.tlv(4, b"\4\0"))

    assert "is of a kind that a Basics Station does not know" in refusal(unknown).detail
