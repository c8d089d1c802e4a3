import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.client_certificate import MAX_PRESENTED, read_client_certificate
from tests.core.certificates import EUI, MAY_SIGN, X400_NAME, Signer, Wish, ca, issue, name
from tests.core.states import presented
from tests.examples import examples

ROOT = ca("Root")
LEAF = issue(Wish(name(EUI)), ROOT)


@pytest.mark.parametrize(
    "common_name", ["0102030405060708", "AABBCCDDEEFF0011", "aabbccddeeff0011", "AabbCCddeeFF0011"]
)
def test_a_common_name_of_16_hex_digits_is_the_eui_in_either_case(common_name: str) -> None:
    assert presented(issue(Wish(name(common_name)), ROOT)).eui == int(common_name, 16)


@pytest.mark.parametrize(
    "subject",
    [
        x509.Name([]),
        name(EUI, EUI),
        name(EUI, "0807060504030201"),
        name("010203040506070"),
        name("01020304050607080"),
        name(f" {EUI}"),
        name(f"{EUI} "),
        name("01-02-03-04-05-06-07-08"),
        name("gateway"),
        name("\uff10102030405060708"[:16]),
        x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, EUI)]),
    ],
)
def test_any_other_common_name_is_refused(subject: x509.Name) -> None:
    with pytest.raises(StationkeeperError) as refused:
        _ = presented(issue(Wish(subject), ROOT)).eui
    assert refused.value.reason is Reason.COMMON_NAME_NOT_EUI


@pytest.mark.parametrize("kind", [_ASN1Type.PrintableString, _ASN1Type.BMPString, _ASN1Type.T61String])
def test_the_encoding_of_the_common_name_does_not_matter_where_it_can_be_read(kind: _ASN1Type) -> None:
    attribute = x509.NameAttribute(NameOID.COMMON_NAME, EUI, _type=kind)
    assert presented(issue(Wish(x509.Name([attribute])), ROOT)).eui == int(EUI, 16)


def test_a_name_that_is_longer_than_the_standards_allow_does_not_strand_a_gateway() -> None:
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "Germany", _validate=False)
    common_name = x509.NameAttribute(NameOID.COMMON_NAME, EUI)

    certificate = presented(issue(Wish(x509.Name([country, common_name])), ROOT))

    assert certificate.eui == int(EUI, 16)


@pytest.mark.parametrize("chain", [(), (b"",), (b"no certificate",), (ROOT.der + b"x",)])
def test_a_certificate_that_cannot_be_read_is_refused(chain: tuple[bytes, ...]) -> None:
    with pytest.raises(StationkeeperError) as refused:
        read_client_certificate(chain)
    assert refused.value.reason is Reason.MALFORMED_CERTIFICATE


def test_other_presented_certificates_are_used_if_readable_within_a_bound() -> None:
    chain = (ROOT.der, b"no certificate", *[ROOT.der] * 20)

    assert len(read_client_certificate(chain).presented) == MAX_PRESENTED - 1


def test_an_extension_that_only_openssl_can_read_does_not_strand_a_gateway() -> None:
    end_entity = issue(Wish(name(EUI), extensions=(X400_NAME,)), ROOT)

    assert presented(end_entity).eui == int(EUI, 16)


@pytest.mark.parametrize(
    "other",
    [
        issue(Wish(name("Without constraints")), ROOT),
        issue(Wish(name("CA:FALSE"), ca=False), ROOT),
        issue(Wish(name("May sign, but is no CA"), extensions=(MAY_SIGN,)), ROOT),
        issue(Wish(name("Odd"), extensions=(X400_NAME,)), ROOT),
    ],
)
def test_a_presented_certificate_that_is_not_a_ca_builds_no_chain(other: Signer) -> None:
    assert presented(issue(Wish(name(EUI)), other), other).presented == ()


@given(st.lists(st.binary(max_size=100), max_size=4))
def test_any_bytes_as_a_chain_are_read_or_refused_by_name(chain: list[bytes]) -> None:
    with pytest.raises(StationkeeperError) as refused:
        read_client_certificate(tuple(chain))
    assert refused.value.reason is Reason.MALFORMED_CERTIFICATE


@settings(max_examples=examples(200))
@given(st.data())
def test_a_certificate_with_any_byte_changed_is_read_or_refused_by_name(data: st.DataObject) -> None:
    der = bytearray(LEAF.der)
    der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        _ = read_client_certificate((bytes(der), bytes(der))).eui
    except StationkeeperError as error:
        assert error.reason in {Reason.MALFORMED_CERTIFICATE, Reason.COMMON_NAME_NOT_EUI}
