from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TRUST, TrustDocument, TrustedAuthority
from stationkeeper_core.trust.revocation import Revocations
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_operator.resources.records import GATEWAY, Gateway, decode_resource
from tests.core import odd_certificates
from tests.operator.resource_building import der, make_ca, make_pem, metadata, plan_of, verdict_on

ROOT = make_pem("root")
LEAF = parse_certificate(der(make_pem("leaf", authority=None)))


def record_of(**revocation: Any) -> TrustedAuthority:
    document = plan_of(make_ca({"certificates": ROOT, "revocation": revocation})).documents[TRUST]
    assert isinstance(document, TrustDocument)
    return document.authorities[0]


def came_in(serial: str, sha256: str = "ab" * 32, trusted_ca: str = "lorawan/acme", name: str = "roof") -> Gateway:
    shown = {"serial": serial, "sha256": sha256, "notAfter": "2027-01-01T00:00:00Z", "trustedCA": trusted_ca}
    raw = {"metadata": metadata(name, "lorawan"), "spec": {"eui": "0123456789ABCDEF"}, "status": {"certificate": shown}}
    found = decode_resource(GATEWAY, raw)
    assert isinstance(found, Gateway)
    return found


@pytest.mark.parametrize("text", ["1715004", "00001715004", " 1715004 ", "-1715004", "10"])
def test_digits_alone_are_refused_as_they_may_be_decimal(text: str) -> None:
    resource = make_ca({"certificates": ROOT, "revocation": {"serials": [text]}})
    verdict = verdict_on(resource, plan_of(resource))
    assert (verdict.accepted, verdict.reason) == (False, Reason.INVALID_SPEC)
    assert "dec:" in verdict.message


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("dec:1715004", "1A2B3C"),
        ("1715004 (0x1a2b3c)", "1A2B3C"),
        ("0x1715004", "1715004"),
        ("serial=1715004", "1715004"),
        ("serial=001A2B3C", "1A2B3C"),
        ("1A:2B:3C", "1A2B3C"),
        ("0", "0"),
        ("-1A", "-1A"),
        ("-dec:26", "-1A"),
    ],
)
def test_a_serial_is_published_in_one_form_however_a_tool_prints_it(text: str, published: str) -> None:
    assert record_of(serials=[text]).revoked_serials == (published,)


@pytest.mark.parametrize("serial", [b"\x02\x01\x80", b"\x02\x01\x00", b"\x02\x02\x00\x80"])
def test_a_decision_compares_the_published_value(serial: bytes) -> None:
    certificate = parse_certificate(odd_certificates.leaf(serial=serial).der)
    record = record_of(serials=[f"dec:{certificate.serial_number}".replace("dec:-", "-dec:")])
    revocations = Revocations(frozenset(record.revoked_serials), frozenset(record.revoked_sha256))
    assert revocations.hold_any_of((certificate,))


@pytest.mark.parametrize("prefix", ["sha256 Fingerprint=", "SHA256 Fingerprint=", ""])
def test_a_fingerprint_is_taken_as_openssl_prints_it(prefix: str) -> None:
    assert record_of(sha256Fingerprints=[prefix + ":".join(["AB"] * 32)]).revoked_sha256 == ("ab" * 32,)


def test_an_entry_that_names_nothing_known_is_reported() -> None:
    ca = make_ca({"certificates": ROOT, "revocation": {"serials": ["dec:1715004", "0xBEEF"]}})
    known = verdict_on(ca, plan_of(ca, came_in("1A2B3C")))
    assert known.accepted
    assert "used last: BEEF (in hex)" in known.message
    assert "1A2B3C" not in known.message
    all_known = verdict_on(ca, plan_of(ca, came_in("1A2B3C"), came_in("BEEF", name="mast")))
    assert all_known.message == "the spec is in force"


def test_certificates_of_other_tenants_gateways_are_not_compared() -> None:
    ca = make_ca({"certificates": ROOT, "revocation": {"serials": ["BEEF"]}})
    assert "BEEF" in verdict_on(ca, plan_of(ca, came_in("BEEF", trusted_ca="rival/acme"))).message


def test_a_serial_of_the_trusted_ca_itself_is_known() -> None:
    serial = parse_certificate(der(ROOT)).serial
    ca = make_ca({"certificates": ROOT, "revocation": {"serials": [f"0x{serial}"]}})
    assert verdict_on(ca, plan_of(ca)).message == "the spec is in force"


def test_many_unmatched_entries_give_a_bounded_note() -> None:
    entries = [f"0x{number:X}F" for number in range(1, 4000)]
    ca = make_ca({"certificates": ROOT, "revocation": {"serials": entries, "sha256Fingerprints": [LEAF.sha256]}})
    message = verdict_on(ca, plan_of(ca)).message
    assert "and 3997 more" in message
    assert len(message) < 400
