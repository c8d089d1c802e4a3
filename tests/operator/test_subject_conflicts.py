import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from stationkeeper_core.errors import Reason
from stationkeeper_core.pem import to_pem
from stationkeeper_core.published import TRUST, TrustDocument
from stationkeeper_operator.compiling.compile import PublishPlan
from tests.core.certificates import Signer, Wish, ca, issue, name
from tests.operator.resource_building import make_ca, plan_of, verdict_on

FIRST, SECOND = ca("Internet Widgits Pty Ltd"), ca("Internet Widgits Pty Ltd")
RENEWED = issue(Wish(name("internet  widgits PTY Ltd"), ca=True, key=FIRST.key))


def pem(*signers: Signer) -> str:
    return "".join(to_pem(each.der) for each in signers)


def trusted(plan: PublishPlan) -> list[str]:
    document = plan.documents[TRUST]
    assert isinstance(document, TrustDocument)
    return [f"{each.namespace}/{each.name}" for each in document.authorities]


def test_of_two_cas_with_one_subject_and_two_keys_the_oldest_is_trusted() -> None:
    older = make_ca({"certificates": pem(FIRST)}, "older", "z", age=20)
    newer = make_ca({"certificates": pem(SECOND)}, "newer", "a", age=10)

    plan = plan_of(newer, older)

    assert trusted(plan) == ["z/older"]
    refused = verdict_on(newer, plan)
    assert refused.reason == Reason.SUBJECT_CONFLICT
    assert "z/older" in refused.message


def test_what_is_in_force_stays_against_an_older_resource_that_changes() -> None:
    older = make_ca({"certificates": pem(ca("Other"))}, "older", age=20)
    newer = make_ca({"certificates": pem(SECOND)}, "newer", age=10)
    in_force = plan_of(older, newer).documents
    changed = make_ca({"certificates": pem(FIRST)}, "older", age=20)

    plan = plan_of(changed, newer, in_force=in_force)

    assert verdict_on(newer, plan).accepted
    assert verdict_on(changed, plan).reason == Reason.SUBJECT_CONFLICT
    assert trusted(plan) == ["lorawan/newer"]


def test_the_same_key_under_the_same_subject_is_no_conflict() -> None:
    one = make_ca({"certificates": pem(FIRST)}, "one")
    other = make_ca({"certificates": pem(FIRST, RENEWED)}, "other", "elsewhere")

    assert all(each.accepted for each in plan_of(one, other).verdicts.values())


def test_an_intermediate_counts_as_well() -> None:
    one = make_ca({"certificates": pem(FIRST)}, "one", age=20)
    other = make_ca({"certificates": pem(ca("Root")), "intermediates": pem(SECOND)}, "other", age=10)

    assert verdict_on(other, plan_of(one, other)).reason == Reason.SUBJECT_CONFLICT


def test_two_keys_for_one_subject_within_a_resource_are_refused() -> None:
    both = make_ca({"certificates": pem(FIRST, SECOND)}, "both")

    refused = verdict_on(both, plan_of(both))

    assert refused.reason == Reason.SUBJECT_CONFLICT
    assert "itself" in refused.message


def test_the_way_is_free_once_the_other_is_gone() -> None:
    older = make_ca({"certificates": pem(FIRST)}, "older", age=20)
    newer = make_ca({"certificates": pem(SECOND)}, "newer", age=10)
    in_force = plan_of(older, newer).documents

    assert trusted(plan_of(newer, in_force=in_force)) == ["lorawan/newer"]


@pytest.mark.parametrize(
    "limit",
    [
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.NameConstraints(None, [x509.DirectoryName(name("0102030405060708"))]),
    ],
)
def test_a_certificate_of_anothers_key_that_limits_what_stands_below_it_shuts_nobody_out(
    limit: x509.ExtensionType,
) -> None:
    older = make_ca({"certificates": pem(FIRST)}, "older", "z", age=20)
    limited = issue(Wish(FIRST.subject, ca=True, key=FIRST.key, extensions=(limit,)), SECOND)
    newer = make_ca({"certificates": pem(limited)}, "newer", "a", age=10)

    plan = plan_of(newer, older)

    assert trusted(plan) == ["z/older"]
    refused = verdict_on(newer, plan)
    assert refused.reason == Reason.SUBJECT_CONFLICT
    assert "same subject and key but other constraints" in refused.message
