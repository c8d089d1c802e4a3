from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TRUST, TrustDocument, TrustedAuthority
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_operator.compiling.compile import PublishPlan
from tests.core import odd_certificates
from tests.core.odd_certificates import CA_TRUE
from tests.core.slow_keys import dsa_key
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


def test_expired_anchors_are_left_out_and_named() -> None:
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


def test_suspension_and_deletion_take_the_resource_out_of_force() -> None:
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


def test_the_message_of_a_suspended_ca_says_that_traffic_continues() -> None:
    suspended = make_ca({"certificates": ROOT, "suspended": True})
    assert "revoke their keys at the LNS" in verdict_on(suspended, plan_of(suspended)).message


def test_a_list_of_ranges_that_became_empty_does_not_open_every_eui() -> None:
    found = reduce({"certificates": ROOT, "euiRanges": ["0100000000000000/8"]}, {"certificates": ROOT, "euiRanges": []})

    assert found is not None
    assert found.eui_ranges == ("0100000000000000/8",)


V1_ROOT = odd_certificates.root(version=b"", extensions=())
ODD_ROOTS = {
    "v1, signs itself": V1_ROOT,
    "critical FALSE written out": odd_certificates.root(
        extensions=(
            odd_certificates.extension(odd_certificates.BASIC_CONSTRAINTS, CA_TRUE, odd_certificates.TRUE),
            odd_certificates.extension(odd_certificates.KEY_USAGE, b"\x03\x02\x01\x06", odd_certificates.FALSE),
        )
    ),
    "ECDSA with NULL": odd_certificates.root(algorithm=odd_certificates.ECDSA_SHA256_WITH_NULL),
    "T61String with Latin-1": odd_certificates.root(
        subject=odd_certificates.common_name(b"Gr\xfcn", 20), issuer=odd_certificates.common_name(b"Gr\xfcn", 20)
    ),
}


@pytest.mark.parametrize("root", ODD_ROOTS.values(), ids=ODD_ROOTS)
def test_a_root_of_an_old_or_home_made_encoder_is_an_anchor(root: odd_certificates.Parts) -> None:
    resource = make_ca({"certificates": to_pem(root.der)})
    plan = plan_of(resource)
    assert verdict_on(resource, plan).accepted
    assert authorities(plan)[0].anchors == (root.der,)


NO_ROOTS = {
    "v1, of another issuer": odd_certificates.leaf(version=b""),
    "v1, named as its issuer but signed by another key": replace(
        V1_ROOT, sign=odd_certificates.ecdsa(odd_certificates.OTHER_KEY)
    ),
    "v1, expired, signed by another key": replace(
        V1_ROOT,
        sign=odd_certificates.ecdsa(odd_certificates.OTHER_KEY),
        validity=odd_certificates.validity(b"200101000000Z", b"210101000000Z"),
    ),
    "v3, without basic constraints": odd_certificates.root(extensions=()),
}


@pytest.mark.parametrize("root", NO_ROOTS.values(), ids=NO_ROOTS)
def test_only_a_ca_certificate_or_a_v1_root_is_an_anchor(root: odd_certificates.Parts) -> None:
    resource = make_ca({"certificates": to_pem(root.der)})
    assert verdict_on(resource, plan_of(resource)).reason == Reason.NOT_A_CERTIFICATE_AUTHORITY


def test_a_v1_root_is_not_an_intermediate() -> None:
    resource = make_ca({"certificates": ROOT, "intermediates": to_pem(V1_ROOT.der)})
    assert verdict_on(resource, plan_of(resource)).reason == Reason.NOT_A_CERTIFICATE_AUTHORITY


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (dsa_key(), Reason.KEY_KIND_UNSUPPORTED),
        (x25519.X25519PrivateKey.generate(), Reason.KEY_KIND_UNSUPPORTED),
        (ec.generate_private_key(ec.SECP256K1()), None),
        (ed25519.Ed25519PrivateKey.generate(), None),
    ],
)
def test_the_kind_of_an_anchors_key_decides(key: Any, reason: Reason | None) -> None:
    resource = make_ca({"certificates": to_pem(odd_certificates.root(key=odd_certificates.public_key(key)).der)})
    verdict = verdict_on(resource, plan_of(resource))
    assert verdict.reason == (reason or "Accepted")


UNUSABLE = {
    "serial number": to_pem(odd_certificates.root(serial=b"\x02\x00").der),
    "not a CA certificate": LEAF,
    "is of the kind": to_pem(odd_certificates.root(key=odd_certificates.public_key(dsa_key())).der),
    "gives by numbers": to_pem(
        odd_certificates.root(
            key=odd_certificates.sequence(
                odd_certificates.sequence(odd_certificates.oid("2a8648ce3d0201"), odd_certificates.sequence()),
                b"\x03\x02\x00\x04",
            )
        ).der
    ),
    "cut short": to_pem(V1_ROOT.der[:-9]),
}


@pytest.mark.parametrize("said", UNUSABLE)
@pytest.mark.parametrize("field", ["certificates", "intermediates"])
def test_a_certificate_that_cannot_be_used_is_named_and_keeps_no_other_out(said: str, field: str) -> None:
    spec = {"certificates": ROOT, "intermediates": make_pem("between")}
    resource = make_ca({**spec, field: UNUSABLE[said] + spec[field]})
    plan = plan_of(resource)
    verdict = verdict_on(resource, plan)
    assert (verdict.accepted, verdict.reason) == (True, "Accepted")
    assert f"left out because they cannot be used: {field}:" in verdict.message
    assert said in verdict.message
    assert authorities(plan)[0].anchors == (der(ROOT),)
    assert authorities(plan)[0].intermediates == (der(make_pem("between")),)


@pytest.mark.parametrize("said", UNUSABLE)
def test_a_text_with_nothing_else_is_refused_and_what_was_in_force_stays(said: str) -> None:
    before = plan_of(make_ca({"certificates": ROOT}))
    resource = make_ca({"certificates": UNUSABLE[said]})
    after = plan_of(resource, in_force=before.documents)
    assert not verdict_on(resource, after).accepted
    assert said in verdict_on(resource, after).message
    assert authorities(after)[0].anchors == (der(ROOT),)


def test_a_private_key_refuses_the_whole_text_even_under_the_label_of_a_certificate() -> None:
    key = odd_certificates.KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    resource = make_ca({"certificates": ROOT + to_pem(key)})
    plan = plan_of(resource)
    assert verdict_on(resource, plan).reason == Reason.PRIVATE_KEY_IN_TRUSTED_CA
    assert authorities(plan) == ()
