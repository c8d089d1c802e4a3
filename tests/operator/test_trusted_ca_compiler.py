from datetime import timedelta
from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.published import TRUST, TrustDocument, TrustedAuthority
from stationkeeper_operator.compiling.compile import PublishPlan
from tests.operator.resource_building import (
    NOW,
    PRIVATE_KEY,
    der,
    make_ca,
    make_pem,
    make_secret,
    plan_of,
    verdict_on,
)

ROOT = make_pem("root")
OTHER = make_pem("other")
OLD = make_pem("old", end=-1)
LEAF = make_pem("leaf", authority=None)
REF = {"secretKeyRef": {"name": "lns-token", "key": "ca"}}


def authorities(plan: PublishPlan) -> tuple[TrustedAuthority, ...]:
    document = plan.documents[TRUST]
    assert isinstance(document, TrustDocument)
    return document.authorities


REFUSED: list[tuple[dict[str, Any], Reason]] = [
    ({}, Reason.INVALID_SPEC),
    ({"certificates": 7}, Reason.INVALID_SPEC),
    ({"certificates": ROOT, "certificatesFrom": REF}, Reason.INVALID_SPEC),
    ({"certificatesFrom": {}}, Reason.INVALID_SPEC),
    ({"certificatesFrom": REF}, Reason.REFERENCE_NOT_FOUND),
    ({"certificates": ROOT, "euiRanges": []}, Reason.INVALID_SPEC),
    ({"certificates": "hello"}, Reason.NO_CERTIFICATE),
    ({"certificates": "-----BEGIN CERTIFICATE-----\n"}, Reason.MALFORMED_PEM),
    ({"certificates": ROOT + PRIVATE_KEY}, Reason.PRIVATE_KEY_IN_TRUSTED_CA),
    ({"certificates": ROOT, "intermediates": PRIVATE_KEY}, Reason.PRIVATE_KEY_IN_TRUSTED_CA),
    ({"certificates": LEAF, "intermediates": PRIVATE_KEY}, Reason.PRIVATE_KEY_IN_TRUSTED_CA),
    ({"certificates": LEAF}, Reason.NOT_A_CERTIFICATE_AUTHORITY),
    ({"certificates": make_pem("ca-false", authority=False)}, Reason.NOT_A_CERTIFICATE_AUTHORITY),
    ({"certificates": make_pem("no-sign", key_cert_sign=False)}, Reason.NOT_A_CERTIFICATE_AUTHORITY),
    ({"certificates": ROOT, "intermediates": LEAF}, Reason.NOT_A_CERTIFICATE_AUTHORITY),
    ({"certificates": OLD}, Reason.ANCHOR_EXPIRED),
    ({"certificates": ROOT, "euiRanges": ["01/8"]}, Reason.EUI_RANGE_INVALID),
    ({"certificates": ROOT, "revocation": {"serials": ["xyz"]}}, Reason.INVALID_SPEC),
    ({"certificates": ROOT, "revocation": {"sha256Fingerprints": ["ab"]}}, Reason.INVALID_SPEC),
    ({"certificates": "x" * 300_000}, Reason.TOO_LARGE),
    ({"certificates": ROOT, "suspended": True}, Reason.SUSPENDED),
    ({"certificates": 7, "suspended": True}, Reason.SUSPENDED),
]


@pytest.mark.parametrize(("spec", "reason"), REFUSED)
def test_a_spec_that_cannot_be_used_is_refused_with_its_reason_and_nothing_published(
    spec: dict[str, Any], reason: Reason
) -> None:
    resource = make_ca(spec)
    plan = plan_of(resource)
    verdict = verdict_on(resource, plan)
    assert (verdict.accepted, verdict.reason, verdict.document) == (False, reason, None)
    assert verdict.certificates == ()
    assert authorities(plan) == ()


@pytest.mark.parametrize(("spec", "reason"), REFUSED)
def test_no_message_repeats_a_key_and_all_are_bounded(spec: dict[str, Any], reason: Reason) -> None:
    resource = make_ca(spec)
    message = verdict_on(resource, plan_of(resource)).message
    assert 0 < len(message) <= 1024, reason
    assert not any(line in message for line in PRIVATE_KEY.splitlines()[1:-1])


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (make_secret({"ca": "AA=="}, label=None), Reason.REFERENCE_NOT_LABELLED),
        (make_secret({"ca": "AA=="}, label="false"), Reason.REFERENCE_NOT_LABELLED),
        (make_secret({}, label="trust"), Reason.REFERENCE_KEY_MISSING),
        (make_secret({"ca": "/w=="}, label="trust"), Reason.MALFORMED_PEM),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(secret: Any, reason: Reason) -> None:
    resource = make_ca({"certificatesFrom": REF})
    assert verdict_on(resource, plan_of(resource, referenced=secret)).reason == reason


def test_an_accepted_spec_is_published_normalised() -> None:
    resource = make_ca(
        {
            "certificates": OTHER + ROOT + ROOT,
            "intermediates": make_pem("between"),
            "euiRanges": ["aabb000000000000/16", "0102000000000000/16"],
            "revocation": {"serials": ["00:0a:1b"], "sha256Fingerprints": [":".join(["AB"] * 32)]},
        }
    )
    plan = plan_of(resource)
    (record,) = authorities(plan)
    verdict = verdict_on(resource, plan)
    assert record.anchors == tuple(sorted([der(ROOT), der(OTHER)]))
    assert record.intermediates == (der(make_pem("between")),)
    assert record.eui_ranges == ("0102000000000000/16", "AABB000000000000/16")
    assert record.revoked_serials == ("A1B",)
    assert record.revoked_sha256 == ("ab" * 32,)
    assert (verdict.accepted, verdict.reason, verdict.document) == (True, "Accepted", TRUST)
    assert [each.role for each in verdict.certificates] == ["Anchor", "Anchor", "Intermediate"]
    assert verdict.certificates[0].not_after == "2027-06-01T00:00:00Z"


def test_some_expired_anchors_are_left_out_and_named() -> None:
    resource = make_ca({"certificates": OLD + ROOT, "intermediates": make_pem("old-between", end=-2)})
    plan = plan_of(resource)
    assert authorities(plan)[0].anchors == (der(ROOT),)
    assert authorities(plan)[0].intermediates == ()
    assert verdict_on(resource, plan).accepted
    assert "CN=old" in verdict_on(resource, plan).message
    assert "CN=old-between" in verdict_on(resource, plan).message


def test_an_anchor_that_is_not_valid_yet_is_published() -> None:
    resource = make_ca({"certificates": make_pem("tomorrow", start=1)})
    assert len(authorities(plan_of(resource))) == 1


def test_an_anchor_that_expires_while_in_force_is_withdrawn() -> None:
    resource = make_ca({"certificates": ROOT})
    before = plan_of(resource)
    after = plan_of(resource, in_force=before.documents, now=NOW + timedelta(days=366))
    assert authorities(after) == ()
    assert verdict_on(resource, after).reason == Reason.ANCHOR_EXPIRED


@pytest.mark.parametrize(
    "spec", [spec for spec, reason in REFUSED if reason != Reason.SUSPENDED and "revocation" not in spec]
)
def test_a_refused_spec_leaves_the_last_accepted_anchors_in_force(spec: dict[str, Any]) -> None:
    before = plan_of(make_ca({"certificates": ROOT}))
    resource = make_ca(spec)
    after = plan_of(resource, in_force=before.documents)
    verdict = verdict_on(resource, after)
    assert authorities(after)[0].anchors == (der(ROOT),)
    assert (verdict.accepted, verdict.document) == (False, TRUST)
    assert "last accepted version stays in force" in verdict.message


def test_another_resource_of_the_same_name_inherits_nothing() -> None:
    before = plan_of(make_ca({"certificates": ROOT}))
    assert authorities(plan_of(make_ca({"certificates": "x"}, uid="new"), in_force=before.documents)) == ()


def test_suspension_and_deletion_withdraw_what_is_in_force() -> None:
    before = plan_of(make_ca({"certificates": ROOT}))
    assert authorities(plan_of(make_ca({"certificates": "x", "suspended": True}), in_force=before.documents)) == ()
    assert authorities(plan_of(in_force=before.documents)) == ()


BROKEN = {"intermediates": LEAF}


def reduce(first: dict[str, Any], second: dict[str, Any]) -> TrustedAuthority | None:
    after = plan_of(make_ca(second), in_force=plan_of(make_ca(first)).documents)
    return authorities(after)[0] if authorities(after) else None


def test_a_refused_spec_takes_away_an_anchor_and_grants_none() -> None:
    found = reduce({"certificates": ROOT + OTHER}, {"certificates": ROOT + make_pem("third"), **BROKEN})
    assert found is not None
    assert found.anchors == (der(ROOT),)


def test_a_refused_spec_revokes_and_unrevokes_nothing() -> None:
    found = reduce(
        {"certificates": ROOT, "revocation": {"serials": ["1"]}},
        {"certificates": ROOT, "revocation": {"serials": ["2", "zz"]}, **BROKEN},
    )
    assert found is not None
    assert found.revoked_serials == ("1", "2")


@pytest.mark.parametrize(
    ("first", "second", "in_force"),
    [
        (None, ["0100000000000000/8"], ("0100000000000000/8",)),
        (["0100000000000000/8"], None, ("0100000000000000/8",)),
        (["0100000000000000/8"], [], ("0100000000000000/8",)),
        (["0100000000000000/8"], ["0000000000000000/0"], ("0100000000000000/8",)),
        (["0100000000000000/8"], ["0102000000000000/16", "0200000000000000/8"], ("0102000000000000/16",)),
        (["0100000000000000/8"], ["0200000000000000/8"], None),
        (["0100000000000000/8"], ["junk"], ("0100000000000000/8",)),
    ],
)
def test_a_refused_spec_only_narrows_the_ranges(
    first: list[str] | None, second: list[str] | None, in_force: tuple[str, ...] | None
) -> None:
    found = reduce({"certificates": ROOT, "euiRanges": first}, {"certificates": ROOT, "euiRanges": second, **BROKEN})
    assert (found.eui_ranges if found else None) == in_force


def test_a_suspended_ca_is_said_to_end_no_traffic_of_its_gateways() -> None:
    suspended = make_ca({"certificates": ROOT, "suspended": True})
    assert "take their keys away at the LNS" in verdict_on(suspended, plan_of(suspended)).message


def test_a_list_of_ranges_that_became_empty_does_not_open_every_eui() -> None:
    found = reduce({"certificates": ROOT, "euiRanges": ["0100000000000000/8"]}, {"certificates": ROOT, "euiRanges": []})

    assert found is not None
    assert found.eui_ranges == ("0100000000000000/8",)
