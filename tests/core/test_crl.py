import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.crl import MAX_CRL_BYTES, MAX_CRLS, Crl, newest, parse_crl, signer_of, split_crls
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_core.x509.serial_numbers import unpack_serials
from tests.core.certificates import MAY_SIGN, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.revocation_lists import UNKNOWN, CrlWish, Extension, crl_pem, distribution_point, make_crl
from tests.examples import examples

ROOT, OTHER, SAME_NAME = ca("Root"), ca("Other"), ca("Root")
ISSUING = ca("Issuing", ROOT)
REASONS = {Reason.MALFORMED_CRL, Reason.TOO_LARGE, Reason.CRL_UNSUPPORTED, Reason.PRIVATE_KEY_IN_TRUSTED_CA}
SAMPLE = make_crl(ROOT, 1, 2**100, wish=CrlWish((1, 2**100), number=7))
HOLD = x509.CRLReason(x509.ReasonFlags.certificate_hold)


def _read(content: bytes) -> list[Crl]:
    return [parse_crl(der) for der in split_crls(content)]


def _refusal(content: bytes) -> Reason:
    with pytest.raises(StationkeeperError) as refused:
        _read(content)
    return refused.value.reason


def _signer_refusal(der: bytes, *issuers: Signer) -> Reason:
    with pytest.raises(StationkeeperError) as refused:
        signer_of(parse_crl(der), [each.certificate for each in issuers], NOW)
    return refused.value.reason


@settings(max_examples=examples(200))
@given(st.binary(max_size=400))
def test_any_bytes_give_lists_or_a_named_refusal(content: bytes) -> None:
    try:
        _read(content)
    except StationkeeperError as error:
        assert error.reason in REASONS


@settings(max_examples=examples(300))
@given(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255), st.booleans())
def test_a_damaged_list_is_refused_or_not_signed_by_its_issuer(position: int, value: int, cut: bool) -> None:
    damaged = SAMPLE[:position] if cut else SAMPLE[:position] + bytes([value]) + SAMPLE[position + 1 :]
    if damaged == SAMPLE:
        return
    try:
        for crl in _read(damaged):
            signer_of(crl, [ROOT.certificate], NOW)
    except StationkeeperError as error:
        allowed = {*REASONS, Reason.CRL_ISSUER_UNKNOWN, Reason.CRL_SIGNATURE_INVALID}
        assert error.reason in allowed
    else:
        # The remaining damage is only another encoding of the same signature.
        assert _read(damaged)[0].serials == _read(SAMPLE)[0].serials


def test_pem_and_der_and_several_lists_are_read() -> None:
    other = make_crl(OTHER, 9)
    for content in (SAMPLE, crl_pem(SAMPLE).encode(), f"0 comment\r\n{crl_pem(SAMPLE)}".encode()):
        (crl,) = _read(content)
        assert (crl.issuer, crl.entries, crl.number) == ("CN=Root", 2, 7)
        assert unpack_serials(crl.serials) == {1, 2**100}
        assert (crl.this_update, crl.next_update) == (NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert [each.issuer for each in _read(crl_pem(SAMPLE, other).encode())] == ["CN=Root", "CN=Other"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.MALFORMED_CRL),
        (b"hello", Reason.MALFORMED_CRL),
        (b"\xff\xfe", Reason.MALFORMED_CRL),
        (b"\x30\x00", Reason.MALFORMED_CRL),
        (SAMPLE + b"x", Reason.MALFORMED_CRL),
        (b"-----BEGIN X509 CRL-----\n", Reason.MALFORMED_CRL),
        (b"-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n", Reason.MALFORMED_CRL),
        (to_pem(ROOT.der).encode(), Reason.MALFORMED_CRL),
        (ROOT.der, Reason.MALFORMED_CRL),
        (b"0", Reason.MALFORMED_CRL),
        (b"-----BEGIN PRIVATE KEY-----\n", Reason.PRIVATE_KEY_IN_TRUSTED_CA),
        (bytes(MAX_CRL_BYTES + 1), Reason.TOO_LARGE),
        (crl_pem(SAMPLE).encode() * (MAX_CRLS + 1), Reason.TOO_LARGE),
    ],
)
def test_a_content_without_a_list_is_refused(content: bytes, reason: Reason) -> None:
    assert _refusal(content) == reason


@pytest.mark.parametrize(
    "extension",
    [
        (x509.DeltaCRLIndicator(1), True),
        (x509.DeltaCRLIndicator(1), False),
        (distribution_point(indirect_crl=True), True),
        (distribution_point(only_contains_ca_certs=True), True),
        (distribution_point(only_contains_attribute_certs=True), True),
        (distribution_point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})), True),
        (UNKNOWN, True),
    ],
)
def test_a_list_from_which_revocation_cannot_be_determined_is_refused(extension: Extension) -> None:
    assert _refusal(make_crl(ROOT, wish=CrlWish((1,), extensions=[extension]))) is Reason.CRL_UNSUPPORTED


@pytest.mark.parametrize(
    "extension",
    [
        (x509.CertificateIssuer([x509.DirectoryName(name("Other"))]), True),
        (x509.CRLReason(x509.ReasonFlags.remove_from_crl), False),
        (UNKNOWN, True),
    ],
)
def test_an_entry_from_which_revocation_cannot_be_determined_refuses_the_list(extension: Extension) -> None:
    assert _refusal(make_crl(ROOT, wish=CrlWish((1,), entry_extensions=[extension]))) is Reason.CRL_UNSUPPORTED


@pytest.mark.parametrize(
    "extension",
    [
        (distribution_point(only_contains_user_certs=True), True),
        (distribution_point(full_name=[x509.UniformResourceIdentifier("http://ca.example/1.crl")]), True),
        (UNKNOWN, False),
    ],
)
def test_a_list_whose_entries_mean_what_they_say_is_taken(extension: Extension) -> None:
    (crl,) = _read(make_crl(ROOT, wish=CrlWish((1,), extensions=[extension])))
    assert crl.entries == 1


def test_an_entry_on_hold_is_revoked() -> None:
    (crl,) = _read(make_crl(ROOT, wish=CrlWish((5,), entry_extensions=[(HOLD, False)])))
    assert unpack_serials(crl.serials) == {5}


def test_a_list_of_ten_thousand_entries_is_read() -> None:
    (crl,) = _read(make_crl(ROOT, *range(2**120, 2**120 + 10_000)))
    assert crl.entries == 10_000
    assert len(crl.serials) == 10_000 * 17


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stationkeeper_core.x509.crl.MAX_ENTRIES", 2)
    assert len(_read(make_crl(ROOT, 1, 2))) == 1
    assert _refusal(make_crl(ROOT, 1, 2, 3)) is Reason.TOO_LARGE


def test_the_signer_is_the_issuer_whose_key_signed() -> None:
    renewed = issue(Wish(name("ROOT"), ca=True, key=ROOT.key))
    for issuers in ([ROOT], [SAME_NAME, ROOT], [OTHER, ROOT], [renewed]):
        found = signer_of(parse_crl(SAMPLE), [each.certificate for each in issuers], NOW)
        assert found.key_sha256 == ROOT.certificate.key_sha256


def test_a_list_that_its_issuer_did_not_sign_or_may_not_is_refused() -> None:
    no_crl = ca("No CRL", extensions=(MAY_SIGN,))
    assert _signer_refusal(SAMPLE) is Reason.CRL_ISSUER_UNKNOWN
    assert _signer_refusal(SAMPLE, OTHER, ISSUING) is Reason.CRL_ISSUER_UNKNOWN
    assert _signer_refusal(SAMPLE, SAME_NAME) is Reason.CRL_SIGNATURE_INVALID
    assert _signer_refusal(make_crl(no_crl, 1), no_crl) is Reason.CRL_SIGNER_NOT_ALLOWED
    tomorrow = CrlWish((1,), begins=NOW + timedelta(days=1), ends=NOW + timedelta(days=9))
    assert _signer_refusal(make_crl(ROOT, wish=tomorrow), ROOT) is Reason.CRL_NOT_YET_VALID


@pytest.mark.parametrize(("seconds", "taken"), [(0, True), (300, True), (301, False)])
def test_an_issuer_whose_clock_is_a_little_ahead_has_its_list_taken_at_once(seconds: int, taken: bool) -> None:
    wish = CrlWish((1,), begins=NOW + timedelta(seconds=seconds), ends=NOW + timedelta(days=9))
    crl = parse_crl(make_crl(ROOT, wish=wish))
    if taken:
        assert signer_of(crl, [ROOT.certificate], NOW).der == ROOT.der
    else:
        with pytest.raises(StationkeeperError, match="in the future"):
            signer_of(crl, [ROOT.certificate], NOW)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (CrlWish((1,), number=1), CrlWish((2,), number=2)),
        (CrlWish((1,), number=1), CrlWish((2,), number=2, begins=NOW - timedelta(days=5))),
        (CrlWish((1,), begins=NOW - timedelta(days=2)), CrlWish((2,))),
        (CrlWish((1,)), CrlWish((2,), number=0, begins=NOW - timedelta(days=5))),
    ],
)
def test_the_newer_one_of_two_lists_of_one_scope_counts(older: CrlWish, newer: CrlWish) -> None:
    crls = [parse_crl(make_crl(ROOT, wish=each)) for each in (older, newer)]
    for ordered in (crls, crls[::-1]):
        assert [unpack_serials(each.serials) for each in newest(ordered)] == [{2}]


def test_lists_of_several_distribution_points_add_up() -> None:
    parts = [
        CrlWish((number,), extensions=[(distribution_point(full_name=[x509.UniformResourceIdentifier(url)]), True)])
        for number, url in enumerate(["http://ca.example/1", "http://ca.example/2"])
    ]
    assert len(newest([parse_crl(make_crl(ROOT, wish=each)) for each in parts])) == 2


def _openssl_verifies(folder: Path, anchors: Sequence[Signer], crl: bytes, end_entity: Signer, now: datetime) -> bool:
    (folder / "anchors").write_text("".join(to_pem(each.der) for each in anchors))
    (folder / "crl").write_text(crl_pem(crl))
    (folder / "leaf").write_text(to_pem(end_entity.der))
    options = f"-crl_check -attime {int(now.timestamp())} -CAfile anchors -CRLfile crl leaf"
    command = ["openssl", "verify", *options.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("wish", "anchor", "good"),
    [
        (CrlWish((2,)), ROOT, True),
        (CrlWish((1,)), ROOT, False),
        (CrlWish((2, 1, 3)), ROOT, False),
        (CrlWish((1,), entry_extensions=[(HOLD, False)]), ROOT, False),
        (CrlWish((2,), extensions=[(distribution_point(only_contains_user_certs=True), True)]), ROOT, True),
        (CrlWish((2,), extensions=[(UNKNOWN, False)]), ROOT, True),
        (CrlWish((2,), extensions=[(UNKNOWN, True)]), ROOT, False),
        (CrlWish((2,), extensions=[(distribution_point(only_contains_ca_certs=True), True)]), ROOT, False),
        (CrlWish((2,), extensions=[(distribution_point(indirect_crl=True), True)]), ROOT, False),
        (CrlWish((2,), begins=NOW + timedelta(days=1), ends=NOW + timedelta(days=2)), ROOT, False),
        (CrlWish((2,)), ca("No CRL", extensions=(MAY_SIGN,)), False),
    ],
)
def test_openssl_agrees_on_which_lists_can_be_used_and_what_they_revoke(
    tmp_path: Path, wish: CrlWish, anchor: Signer, good: bool
) -> None:
    end_entity, der = leaf(anchor, serial=1), make_crl(anchor, wish=wish)
    try:
        crl = parse_crl(der)
        signer_of(crl, [anchor.certificate], NOW)
        ours = end_entity.certificate.serial_number not in unpack_serials(crl.serials)
    except StationkeeperError:
        ours = False

    assert ours is good
    assert _openssl_verifies(tmp_path, [anchor], der, end_entity, NOW) is good


def test_the_time_of_a_list_has_a_zone() -> None:
    assert parse_crl(SAMPLE).this_update.tzinfo is UTC
