from datetime import timedelta
from functools import cache
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.credentials import (
    ABSENT,
    client_authentication,
    parse_token,
    server_authentication,
    token_authentication,
)
from stationkeeper_core.protocol.private_key import parse_private_key
from stationkeeper_core.protocol.station_preflight import StationSet, preflight
from tests.core.certificates import NOW, ca, leaf
from tests.core.private_keys import CURVES, FORMS, fixed, fixed_ec, fixed_rsa, written

KEYS = ("RSA 2048", *CURVES)
TOKEN = b"Authorization: Bearer NNSXS.ABC\r\n"


@cache
def trust(subject: str = "root") -> bytes:
    return ca(subject, ends=NOW + timedelta(days=20)).der


@cache
def certificate() -> bytes:
    return leaf(ca("clients")).der


def der(name: str, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return written(fixed(name), Encoding.DER, form)


def refusal(blob: bytes) -> str:
    with pytest.raises(StationkeeperError) as refused:
        preflight(blob)
    assert refused.value.reason is Reason.CREDENTIALS_UNUSABLE
    return refused.value.detail


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=16)


@given(TEXTS)
def test_the_trust_alone_passes(subject: str) -> None:
    anchor = ca(subject).der
    assert preflight(server_authentication(anchor)) == StationSet(anchor, b"", b"")


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=4000))
def test_every_token_that_is_taken_passes(text: str) -> None:
    try:
        line = parse_token(text.encode())
    except StationkeeperError:
        return
    assert preflight(token_authentication(trust(), line)) == StationSet(trust(), b"", line)


@given(TEXTS, st.sampled_from(KEYS), st.sampled_from(FORMS))
def test_every_key_that_is_converted_passes(subject: str, name: str, form: tuple[Encoding, PrivateFormat]) -> None:
    key = parse_private_key(written(fixed(name), *form)).der
    client = leaf(ca("clients"), subject).der
    assert preflight(client_authentication(trust(), client, key)) == StationSet(trust(), client, key)


def test_an_rsa_key_passes_as_pkcs8_too() -> None:
    key = der("RSA 2048")
    assert preflight(trust() + certificate() + key).key == key


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (der("P-256"), "misreads"),
        (der("P-384"), "misreads"),
        (der("P-384", PrivateFormat.TraditionalOpenSSL), "misreads"),
        (der("P-521"), "misreads"),
        (der("P-521", PrivateFormat.TraditionalOpenSSL), "misreads"),
        (
            ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
            "something other than",
        ),
        (
            fixed_rsa().private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")),
            "something other than",
        ),
        (written(fixed_ec("P-256")), "no DER sequence in the place of the key"),
        (der("RSA 2048") + b"\0", "have more bytes after the key"),
        (der("RSA 2048") * 2, "have more bytes after the key"),
        (der("RSA 2048")[:-1], "end within the key"),
        (trust("other"), "something other than"),
        (ABSENT, "no DER sequence in the place of the key"),
        (TOKEN, "no DER sequence in the place of the key"),
        (b"", "no DER sequence in the place of the key"),
        (b"\x30\x00", "end within the key"),
        (b"\x30\x02\x02\x00", "something other than"),
        (b"\x30\x80\x02\x01\x00\x00\x00", "misreads"),
        (b"\x30\x83\x00\x01\x00" + bytes(256), "misreads"),
        (b"\x30\x82\x00\x03\x02\x01\x00", "misreads"),
    ],
    # Each process that runs a part of the tests must name them alike, and some keys are new each time.
    ids=count(),
)
def test_a_key_that_a_station_would_misread_is_refused(key: bytes, why: str) -> None:
    assert why in refusal(trust() + certificate() + key)


def padded(content: bytes, length: int) -> bytes:
    """Return a DER sequence with that many content bytes, encoded as a Basics Station misreads it."""
    return b"\x30\x81" + bytes((length,)) + content.ljust(length, b"\0")


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (b"", "no DER sequence in the place of the trust"),
        (b"-----BEGIN CERTIFICATE-----", "PEM"),
        (ABSENT * 3, "no DER sequence in the place of the trust"),
        (trust(), "no DER sequence in the place of the client certificate"),
        (trust() + b"\0", "no four zero bytes"),
        (trust() + b"\0\0\0\1" + ABSENT, "no four zero bytes"),
        (trust() + ABSENT, "have no key"),
        (trust() + ABSENT + b"\0\0\0", "no four zero bytes"),
        (trust() + ABSENT + ABSENT + b"\0", "have more bytes after the absent key"),
        (trust() + ABSENT + ABSENT + TOKEN, "have more bytes after the absent key"),
        (trust() + trust("second") + ABSENT * 2, "in the place of the key"),
        (trust() + trust("second") + ABSENT + TOKEN, "in the place of the key"),
        (trust() + certificate() + ABSENT, "in the place of the key"),
        (trust() + ABSENT + der("RSA 2048"), "a key without a client certificate"),
        (trust()[:-1] + ABSENT * 2, "no four zero bytes in the place of the key"),
        (trust()[:200], "end within the trust"),
        (b"\x30", "end within the trust"),
        (der("RSA 2048") + ABSENT * 2, "something other than a certificate in the place of the trust"),
        (trust() + der("RSA 2048") + der("RSA 2048"), "in the place of the client certificate"),
        (padded(b"\x30", 200) + ABSENT * 2, "misreads"),
        (trust() + padded(b"\x30", 200) + der("RSA 2048"), "misreads"),
        (trust() + ABSENT + TOKEN[:-2], "token"),
        (trust() + ABSENT + TOKEN[:-2] + b"\n", "token"),
        (trust() + ABSENT + b"Bearer NNSXS.ABC\r\n", "token"),
        (trust() + ABSENT + b"Authorization: \r\n", "token"),
        (trust() + ABSENT + b"Authorization: a\r\nX\r\n", "not `Name: value`"),
        (trust() + ABSENT + b"Authorization: a\r\nX: \r\n", "not `Name: value`"),
        (trust() + ABSENT + b"Authorization: a\r\n\r\n", "not `Name: value`"),
        (trust() + ABSENT + b"Authorization: a\nX: b\r\n", "cannot stand in a header"),
        (trust() + ABSENT + b"Authorization: \xe9\r\n", "cannot stand in a header"),
        (trust() + ABSENT + b"Authorization: " + b"x" * 65535 + b"\r\n", "at most 65535"),
    ],
)
def test_a_blob_that_a_station_would_drop_or_misread_is_refused(blob: bytes, why: str) -> None:
    assert why in refusal(blob)


def test_a_blob_of_65535_bytes_passes() -> None:
    room = 65535 - len(trust()) - len(ABSENT) - len(b"Authorization: \r\n")
    preflight(trust() + ABSENT + b"Authorization: " + b"x" * room + b"\r\n")


PIECES = st.sampled_from(
    [trust(), certificate(), ABSENT, TOKEN, der("RSA 2048"), der("P-256"), b"\0", b"\x30", b"\x30\x81\x80"]
)


@given(st.lists(PIECES | st.binary(max_size=8), max_size=5).map(b"".join))
def test_any_bytes_are_cut_without_a_rest_or_refused_by_name(blob: bytes) -> None:
    try:
        found = preflight(blob)
    except StationkeeperError as error:
        assert error.reason is Reason.CREDENTIALS_UNUSABLE
    else:
        assert b"".join(part or ABSENT for part in (found.trust, found.certificate, found.key)) == blob
