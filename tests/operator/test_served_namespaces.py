"""The namespaces that a TrustedCA of the release's namespace serves."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.eui_range import EUIRange
from stationkeeper_core.published.documents import TRUST, ServedNamespace, TrustDocument
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.retention.reductions import reduced_documents
from stationkeeper_operator.compiling.served_namespaces import common_serves, serves, serves_less
from tests.operator.resource_building import make_ca, make_pem, plan_of, verdict_on

RELEASE = "stationkeeper"
ROOT = make_pem("root")


def spec(*listed: Any, **more: Any) -> dict[str, Any]:
    return {"certificates": ROOT, "serves": list(listed), **more}


def served(plan: PublishPlan) -> tuple[ServedNamespace, ...]:
    document = plan.documents[TRUST]
    assert isinstance(document, TrustDocument)
    return document.authorities[0].serves


def test_a_ca_of_the_release_serves_its_listed_namespaces_in_normal_form() -> None:
    listed = spec({"namespace": "b", "euiRanges": ["0200000000000000/8", "0100000000000000/8"]}, {"namespace": "*"})
    resource = make_ca(listed, namespace=RELEASE)
    plan = plan_of(resource)
    assert verdict_on(resource, plan).accepted
    assert served(plan) == (
        ServedNamespace(namespace="*"),
        ServedNamespace(namespace="b", eui_ranges=("0100000000000000/8", "0200000000000000/8")),
    )
    assert served(plan_of(make_ca({"certificates": ROOT}, namespace=RELEASE))) == ()


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ([{"namespace": "Team"}], Reason.INVALID_SPEC),
        ([{"namespace": "a/b"}], Reason.INVALID_SPEC),
        ([{"namespace": ""}], Reason.INVALID_SPEC),
        ([{"namespace": "a"}, {"namespace": "a"}], Reason.INVALID_SPEC),
        ([{"namespace": "a", "euiRanges": []}], Reason.INVALID_SPEC),
        ([{"namespace": "a", "euiRanges": ["0102030405060708/7"]}], Reason.EUI_RANGE_INVALID),
        ([{"namespace": f"n{number}"} for number in range(257)], Reason.INVALID_SPEC),
        ([{"namespace": "a", "euiRanges": [f"{number:016X}/64" for number in range(1025)]}], Reason.INVALID_SPEC),
    ],
)
def test_an_invalid_served_namespace_is_refused_and_widens_nothing(listed: list[Any], reason: Reason) -> None:
    resource = make_ca(spec(*listed), namespace=RELEASE)
    assert verdict_on(resource, plan_of(resource)).reason == reason
    before = plan_of(make_ca(spec({"namespace": "old"}), namespace=RELEASE))
    assert served(plan_of(resource, in_force=before.documents)) == (ServedNamespace(namespace="old"),)


def test_no_tenant_speaks_for_another_namespace() -> None:
    resource = make_ca(spec({"namespace": "*"}), namespace="team")
    plan = plan_of(resource)
    assert verdict_on(resource, plan).reason == Reason.INVALID_SPEC
    trust = plan.documents[TRUST]
    assert isinstance(trust, TrustDocument)
    assert trust.authorities == ()


def test_a_refused_spec_takes_away_what_it_no_longer_serves() -> None:
    before = plan_of(make_ca(spec({"namespace": "*", "euiRanges": ["0100000000000000/8"]}), namespace=RELEASE))
    broken = make_ca(spec({"namespace": "b"}, intermediates="broken"), namespace=RELEASE)
    after = plan_of(broken, in_force=before.documents)
    assert served(after) == (ServedNamespace(namespace="b", eui_ranges=("0100000000000000/8",)),)
    assert reduced_documents(before.documents, after.documents) == {TRUST}
    alone = make_ca({"certificates": ROOT, "intermediates": "broken"}, namespace=RELEASE)
    assert served(plan_of(alone, in_force=before.documents)) == ()


RANGES = [EUIRange(0, 0), *(EUIRange(number << 62, 2) for number in range(4)), EUIRange(0, 1), EUIRange(3 << 60, 4)]
entries = st.builds(
    lambda namespace, ranges: ServedNamespace(namespace=namespace, eui_ranges=tuple(sorted(map(str, ranges)))),
    st.sampled_from(["*", "a", "b"]),
    st.sets(st.sampled_from(RANGES), max_size=3),
)
served_sets = st.lists(entries, max_size=3, unique_by=lambda each: each.namespace).map(tuple)
namespaces = st.sampled_from(["a", "b", "c"])
euis = st.integers(0, 2**64 - 1).map(EUI64) | st.sampled_from([EUI64(each.prefix) for each in RANGES])


@given(served_sets, served_sets, namespaces, euis)
def test_the_common_part_of_two_serves_is_what_both_serve(
    one: tuple[ServedNamespace, ...], other: tuple[ServedNamespace, ...], namespace: str, eui: EUI64
) -> None:
    both = common_serves(one, other)
    assert serves(both, namespace, eui) == (serves(one, namespace, eui) and serves(other, namespace, eui))
    assert not serves_less(both, one)
    assert len({each.namespace for each in both}) == len(both)


@given(served_sets, served_sets, namespaces, euis)
def test_serving_less_in_any_entry_is_a_reduction(
    old: tuple[ServedNamespace, ...], new: tuple[ServedNamespace, ...], namespace: str, eui: EUI64
) -> None:
    if serves(old, namespace, eui) and not serves(new, namespace, eui):
        assert serves_less(old, new)
    assert not serves_less(old, old)


def test_unreadable_ranges_of_a_document_serve_no_gateway() -> None:
    odd = (ServedNamespace(namespace="*", eui_ranges=("nonsense",)),)
    assert not serves(odd, "a", EUI64(1))
    assert common_serves(odd, odd) == ()
