import base64
import random
from datetime import timedelta
from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TRUST, RevocationList, TrustDocument, TrustedAuthority
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_core.x509.serial_numbers import unpack_serials
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.records import (
    CONFIG_MAP,
    Reference,
    ReferencedObject,
    TrustedCA,
    decode_referenced,
)
from tests.core.certificates import MAY_SIGN, NOW, Signer, ca
from tests.core.revocation_lists import CrlWish, crl_pem, distribution_point, make_crl
from tests.operator.resource_building import PRIVATE_KEY, make_ca, make_secret, metadata, plan_of, verdict_on

ROOT, OTHER = ca("Root"), ca("Other")
ISSUING = ca("Issuing", ROOT)
SPEC = {"certificates": to_pem(ROOT.der), "intermediates": to_pem(ISSUING.der)}
SOURCE = {"configMapKeyRef": {"name": "crls", "key": "ca.crl"}}
SECRET_SOURCE = {"secretKeyRef": {"name": "lns-token", "key": "ca.crl"}}
BROKEN = {"euiRanges": ["junk"]}
DAY = timedelta(days=1)
TOMORROW = CrlWish(begins=NOW + DAY, ends=NOW + 2 * DAY)


def trusted(*ders: bytes, name: str = "acme", age: int = 100, **revocation: Any) -> TrustedCA:
    crl = {"crl": crl_pem(*ders)} if ders else {}
    return make_ca({**SPEC, "revocation": {**crl, **revocation}}, name, age=age)


def config_map(content: bytes) -> dict[Reference, ReferencedObject]:
    raw = {"metadata": metadata("crls", "lorawan"), "binaryData": {"ca.crl": base64.b64encode(content).decode()}}
    return {Reference(CONFIG_MAP, "lorawan", "crls"): decode_referenced(CONFIG_MAP, raw)}


def authority(plan: PublishPlan, name: str = "acme") -> TrustedAuthority:
    document = plan.documents[TRUST]
    assert isinstance(document, TrustDocument)
    return next(each for each in document.authorities if each.name == name)


def lists(plan: PublishPlan, name: str = "acme") -> dict[str, RevocationList]:
    return {each.issuer_key: each for each in authority(plan, name).revocation_lists}


def revoked(plan: PublishPlan, issuer: Signer, name: str = "acme") -> set[int]:
    found = lists(plan, name).get(issuer.certificate.key_sha256 or "")
    return set(unpack_serials(found.serials)) if found else set()


def verdict_after(plan: PublishPlan, spec: dict[str, Any], **more: Any) -> tuple[PublishPlan, Verdict]:
    resource = make_ca(spec)
    after = plan_of(resource, in_force=plan.documents, **more)
    return after, verdict_on(resource, after)


def test_the_lists_of_a_spec_are_published_by_the_keys_of_their_issuers() -> None:
    resource = trusted(make_crl(ROOT, 1, 2), make_crl(ISSUING, 1), crlExpired="Refuse")
    plan = plan_of(resource)
    assert (revoked(plan, ROOT), revoked(plan, ISSUING)) == ({1, 2}, {1})
    assert {each.refuse_overdue for each in lists(plan).values()} == {True}
    verdict = verdict_on(resource, plan)
    assert verdict.accepted
    shown = {each.issuer: each for each in verdict.revocation_lists}
    assert (shown["CN=Root"].entries, shown["CN=Issuing"].entries) == (2, 1)
    assert (shown["CN=Root"].this_update, shown["CN=Root"].next_update) == (
        "2026-05-31T00:00:00Z",
        "2026-06-02T00:00:00Z",
    )
    assert not shown["CN=Root"].overdue


@pytest.mark.parametrize("content", [make_crl(ROOT, 7), crl_pem(make_crl(ROOT, 7)).encode()])
def test_a_list_may_be_kept_elsewhere_as_der_or_pem(content: bytes) -> None:
    plan = plan_of(trusted(crlFrom=SOURCE), referenced=config_map(content))
    assert revoked(plan, ROOT) == {7}


def test_the_newer_of_two_lists_of_an_issuer_counts_and_distribution_points_add_up() -> None:
    newer = make_crl(ROOT, wish=CrlWish((3,), number=5))
    part = make_crl(
        ROOT,
        wish=CrlWish(
            (9,), ends=NOW + timedelta(hours=3), extensions=[(distribution_point(only_contains_user_certs=True), True)]
        ),
    )
    plan = plan_of(trusted(newer, make_crl(ROOT, wish=CrlWish((4,), number=4)), part))
    assert revoked(plan, ROOT) == {3, 9}
    (found,) = lists(plan).values()
    assert found.next_update == int((NOW + timedelta(hours=3)).timestamp())


NO_CRL = ca("No CRL", extensions=(MAY_SIGN,))


@pytest.mark.parametrize(
    ("revocation", "reason"),
    [
        ({"crl": "nonsense"}, Reason.MALFORMED_CRL),
        ({"crl": PRIVATE_KEY}, Reason.PRIVATE_KEY_IN_TRUSTED_CA),
        ({"crl": crl_pem(make_crl(OTHER, 1))}, Reason.CRL_ISSUER_UNKNOWN),
        ({"crl": crl_pem(make_crl(ca("Root"), 1))}, Reason.CRL_SIGNATURE_INVALID),
        (
            {"crl": crl_pem(make_crl(ROOT, wish=CrlWish(begins=NOW + DAY, ends=NOW + 2 * DAY)))},
            Reason.CRL_NOT_YET_VALID,
        ),
        (
            {"crl": crl_pem(make_crl(ROOT, wish=CrlWish(extensions=[(distribution_point(indirect_crl=True), True)])))},
            Reason.CRL_UNSUPPORTED,
        ),
        ({"crl": crl_pem(make_crl(ROOT, 1)), "crlFrom": SOURCE}, Reason.INVALID_SPEC),
        ({"crlFrom": {}}, Reason.INVALID_SPEC),
        ({"crlFrom": SOURCE}, Reason.REFERENCE_NOT_FOUND),
        ({"crlExpired": "Perhaps"}, Reason.INVALID_SPEC),
        ({"crl": 7}, Reason.INVALID_SPEC),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_its_reason_and_what_was_revoked_stays_so(
    revocation: dict[str, Any], reason: Reason
) -> None:
    resource = make_ca({**SPEC, "revocation": revocation})
    assert verdict_on(resource, plan_of(resource)).reason == reason
    before = plan_of(trusted(make_crl(ROOT, 1, 2)))
    after, verdict = verdict_after(before, {**SPEC, "revocation": revocation})
    assert (verdict.accepted, verdict.reason, verdict.document) == (False, reason, TRUST)
    assert revoked(after, ROOT) >= {1, 2}


def test_a_list_whose_issuer_may_not_sign_lists_is_left_out_alone_and_reported() -> None:
    both = to_pem(ROOT.der) + to_pem(NO_CRL.der)
    crl = crl_pem(make_crl(ROOT, 7), make_crl(NO_CRL, 1))
    resource = make_ca({"certificates": both, "revocation": {"crl": crl, "serials": ["1A"]}})
    plan = plan_of(resource)
    verdict = verdict_on(resource, plan)
    assert verdict.accepted
    assert "revocation.crl, CRL 2" in verdict.message
    assert "lacks cRLSign (CRLSignerNotAllowed)" in verdict.message
    assert (revoked(plan, ROOT), revoked(plan, NO_CRL)) == ({7}, set())
    assert authority(plan).revoked_serials == ("1A",)


def test_lists_in_force_stay_if_their_issuer_may_no_longer_sign() -> None:
    may = ca("No CRL", key=NO_CRL.key)
    crl = {"crl": crl_pem(make_crl(may, 1, 2)), "crlExpired": "Refuse"}
    before = plan_of(make_ca({"certificates": to_pem(may.der), "revocation": crl}))
    assert revoked(before, may) == {1, 2}
    spec = {"certificates": to_pem(NO_CRL.der), "revocation": {**crl, "crl": crl_pem(make_crl(NO_CRL, 3))}}
    for _ in range(2):
        before, verdict = verdict_after(before, spec)
        assert verdict.accepted
        assert revoked(before, may) == {1, 2}
    after, verdict = verdict_after(before, {"certificates": to_pem(may.der)})
    assert verdict.accepted
    assert lists(after) == {}


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (make_secret({"ca.crl": "AA=="}, label=None), Reason.REFERENCE_NOT_LABELLED),
        (make_secret({}, label="trust"), Reason.REFERENCE_KEY_MISSING),
        (make_secret({"ca.crl": ""}, label="trust"), Reason.MALFORMED_CRL),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(secret: Any, reason: Reason) -> None:
    resource = trusted(crlFrom=SECRET_SOURCE)
    assert verdict_on(resource, plan_of(resource, referenced=secret)).reason == reason


def test_a_reference_that_breaks_later_unrevokes_nothing_and_one_that_is_mended_acts() -> None:
    before = plan_of(trusted(crlFrom=SOURCE), referenced=config_map(make_crl(ROOT, 1)))
    spec = {**SPEC, "revocation": {"crlFrom": SOURCE}}
    broken, verdict = verdict_after(before, spec)
    assert (verdict.reason, revoked(broken, ROOT)) == (Reason.REFERENCE_NOT_FOUND, {1})
    mended, verdict = verdict_after(broken, spec, referenced=config_map(make_crl(ROOT, 2)))
    assert (verdict.reason, revoked(mended, ROOT)) == ("Accepted", {2})


def test_a_list_acts_next_to_a_broken_part_and_next_to_a_broken_list() -> None:
    before = plan_of(trusted(make_crl(ROOT, 1), crlExpired="Refuse"))
    newer = make_crl(ROOT, wish=CrlWish((2,), begins=NOW - timedelta(hours=1), ends=NOW + 9 * DAY))
    for extra, crls in ((BROKEN, (newer,)), ({}, (newer, make_crl(OTHER, 5))), ({"certificates": "none"}, (newer,))):
        after, verdict = verdict_after(before, {**SPEC, **extra, "revocation": {"crl": crl_pem(*crls)}})
        assert not verdict.accepted
        assert revoked(after, ROOT) == {1, 2}
        (found,) = lists(after).values()
        assert found.refuse_overdue
        assert found.next_update == int((NOW + 9 * DAY).timestamp())
        again, _ = verdict_after(after, {**SPEC, **extra, "revocation": {"crl": crl_pem(*crls)}})
        assert again.payloads == after.payloads


def test_refusal_of_the_overdue_and_of_the_weak_act_next_to_a_broken_part_but_are_not_lifted() -> None:
    allowing = plan_of(make_ca({**SPEC, "weakSignatures": "Allow", "revocation": {"crl": crl_pem(make_crl(ROOT))}}))
    assert authority(allowing).weak_signatures
    after, _ = verdict_after(allowing, {**SPEC, **BROKEN, "revocation": {"crlExpired": "Refuse"}})
    assert not authority(after).weak_signatures
    assert all(each.refuse_overdue for each in lists(after).values())
    lifted, _ = verdict_after(
        after, {**SPEC, **BROKEN, "weakSignatures": "Allow", "revocation": {"crlExpired": "Warn"}}
    )
    assert lifted.payloads == after.payloads


def test_without_lists_in_an_accepted_spec_none_is_in_force() -> None:
    before = plan_of(trusted(make_crl(ROOT, 1)))
    after, verdict = verdict_after(before, dict(SPEC))
    assert verdict.accepted
    assert lists(after) == {}


@pytest.mark.parametrize("policy", ["Warn", "Refuse"])
def test_an_overdue_list_stays_in_force_and_is_named(policy: str) -> None:
    resource = trusted(make_crl(ROOT, 1), crlExpired=policy)
    before = plan_of(resource)
    assert before.deadline == NOW + DAY
    after = plan_of(resource, in_force=before.documents, now=NOW + DAY + timedelta(seconds=1))
    verdict = verdict_on(resource, after)
    assert after.payloads[TRUST] == before.payloads[TRUST]
    assert verdict.accepted
    assert verdict.revocation_lists[0].overdue
    assert ("all certificates of this issuer are refused" in verdict.message) == (policy == "Refuse")
    assert "overdue since 2026-06-02T00:00:00Z" in verdict.message
    assert after.deadline == NOW + timedelta(days=10), "the next deadline is the end of the certificates"


CHANCE = random.Random(1)  # noqa: S311 - no secret
LARGE = 15_000


def large() -> bytes:
    return make_crl(ROOT, *(CHANCE.getrandbits(127) for _ in range(LARGE)))


@pytest.mark.slow
def test_a_revocation_that_does_not_fit_is_reported_and_changes_nothing() -> None:
    bystanders = [trusted(large(), name=f"bystander-{number}", age=number) for number in range(3)]
    before = plan_of(*bystanders, trusted(make_crl(ROOT, 5), age=900))
    assert {len(revoked(before, ROOT, each.metadata.name)) for each in bystanders} == {LARGE}

    crl = crl_pem(large())
    for extra in ({}, BROKEN):
        resource = make_ca({**SPEC, **extra, "revocation": {"crl": crl}}, age=900)
        after = plan_of(*bystanders, resource, in_force=before.documents)
        verdict = verdict_on(resource, after)
        assert (verdict.accepted, verdict.reason) == (False, Reason.CAPACITY_EXCEEDED)
        assert "still accepted" in verdict.message
        assert after.payloads[TRUST] == before.payloads[TRUST]
        assert all(verdict_on(each, after).accepted for each in bystanders)
