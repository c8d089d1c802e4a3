import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_tools.station.credential_set import Authentication, CredentialSet, split_blob
from stationkeeper_tools.station.faults import StationError, StationFault
from tests.tools.station.blobs import ABSENT, TOKEN, sequence

CA, CERTIFICATE, KEY = sequence(700, 1), sequence(600, 2), sequence(119, 3)


def test_the_crc_of_nothing_configured_is_the_one_that_gateways_report() -> None:
    assert CredentialSet().crc == 2077607535


@pytest.mark.parametrize(
    ("parts", "blob"),
    [
        ((CA, b"", b""), CA + ABSENT + ABSENT),
        ((CA, CERTIFICATE, KEY), CA + CERTIFICATE + KEY),
        ((CA, b"", TOKEN), CA + ABSENT + TOKEN),
    ],
)
def test_each_form_of_blob_gives_its_set_whose_crc_is_that_of_the_blob(
    parts: tuple[bytes, bytes, bytes], blob: bytes
) -> None:
    credentials = split_blob(blob)

    assert credentials == CredentialSet(*parts)
    assert credentials.crc == zlib.crc32(blob)


@pytest.mark.parametrize(
    ("blob", "fault"),
    [
        (b"-----BEGIN CERTIFICATE-----\n", StationFault.BLOB_REJECTED),
        (ABSENT + ABSENT + ABSENT, StationFault.BLOB_REJECTED),
        (CA, StationFault.BLOB_REJECTED),
        (CA[:-1], StationFault.BLOB_REJECTED),
        (CA + b"-----BEGIN", StationFault.BLOB_REJECTED),
        (CA + CERTIFICATE[:-1], StationFault.BLOB_REJECTED),
        (CA + CERTIFICATE + KEY[:-1], StationFault.BLOB_REJECTED),
        # A P-256 key as PKCS#8 has 138 bytes, and so a length `30 81`: it is taken for thousands.
        (CA + CERTIFICATE + sequence(135), StationFault.BLOB_REJECTED),
        (sequence(200) + ABSENT + ABSENT, StationFault.BLOB_REJECTED),
        (CA + ABSENT + KEY[:-3], StationFault.BLOB_OVERRUN),
    ],
)
def test_what_a_station_does_not_take_is_a_named_fault(blob: bytes, fault: StationFault) -> None:
    with pytest.raises(StationError) as refused:
        split_blob(blob)

    assert refused.value.fault is fault


def test_of_two_trust_certificates_the_second_is_taken_for_the_clients() -> None:
    assert split_blob(CA + CERTIFICATE + ABSENT + ABSENT) == CredentialSet(CA, CERTIFICATE, b"")


def test_what_follows_the_key_is_dropped() -> None:
    assert split_blob(CA + CERTIFICATE + KEY + b"more") == CredentialSet(CA, CERTIFICATE, KEY)


_PIECES = st.sampled_from([CA, CERTIFICATE, KEY, ABSENT, TOKEN, sequence(200), b"\x30", b"\x30\x82", b"\x30\x81\x01"])


@given(st.one_of(st.binary(min_size=1, max_size=64), st.lists(_PIECES, min_size=1, max_size=5).map(b"".join)))
def test_any_blob_gives_a_set_of_its_own_bytes_or_a_named_fault(blob: bytes) -> None:
    try:
        credentials = split_blob(blob)
    except StationError as error:
        assert error.fault in {StationFault.BLOB_REJECTED, StationFault.BLOB_OVERRUN}
        return
    assert blob.startswith(credentials.trust)
    assert credentials.certificate in blob
    assert credentials.key in blob
    assert len(credentials.trust) + len(credentials.certificate) + len(credentials.key) <= len(blob)


@pytest.mark.parametrize(
    ("credentials", "authentication"),
    [
        (CredentialSet(), Authentication.NONE),
        (CredentialSet(b"", CERTIFICATE, KEY), Authentication.NONE),
        (CredentialSet(CA), Authentication.SERVER),
        (CredentialSet(CA, CERTIFICATE), Authentication.SERVER),
        (CredentialSet(CA, b"", TOKEN), Authentication.TOKEN),
        (CredentialSet(CA, CERTIFICATE, KEY), Authentication.MUTUAL),
    ],
)
def test_which_files_there_are_says_what_a_set_is_for(
    credentials: CredentialSet, authentication: Authentication
) -> None:
    assert credentials.authentication is authentication


@pytest.mark.parametrize(
    ("token", "lines"),
    [
        (TOKEN, TOKEN),
        (TOKEN.rstrip(), TOKEN),
        (b"Authorization: Bearer a\nX-Key: b\n\n", b"Authorization: Bearer a\r\nX-Key: b\r\n"),
        (b"Authorization: Bearer a\0 rest", b"Authorization: Bearer a\r\n"),
        (b"\n", b""),
    ],
)
def test_a_token_becomes_whole_header_lines(token: bytes, lines: bytes) -> None:
    assert CredentialSet(CA, b"", token).header_lines == lines


@pytest.mark.parametrize("token", [b"Bearer a", b"Authorization:Bearer a", b": a", b"Authorization: a\nb\n"])
def test_a_token_without_its_headers_name_is_refused_without_repeating_it(token: bytes) -> None:
    with pytest.raises(StationError) as refused:
        _ = CredentialSet(CA, b"", token).header_lines

    assert refused.value.fault is StationFault.TOKEN_MALFORMED
    assert token.decode() not in str(refused.value)


@pytest.mark.slow
@given(st.binary(max_size=60) | st.from_regex(rb"([A-Za-z-]+: [^\n]*\r?\n)*", fullmatch=True))
def test_any_token_gives_whole_lines_or_token_malformed(token: bytes) -> None:
    try:
        lines = CredentialSet(CA, b"", token).header_lines
    except StationError as error:
        assert error.fault is StationFault.TOKEN_MALFORMED
        return
    assert lines == b"" or lines.endswith(b"\r\n")
    assert b"\r\n\r\n" not in lines


def test_neither_key_nor_token_stands_in_what_python_prints_of_a_set() -> None:
    assert "secret" not in repr(CredentialSet(CA, b"", TOKEN))
