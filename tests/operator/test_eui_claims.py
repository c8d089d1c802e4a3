"""One EUI in several namespaces: no tenant blocks another one, and none inherits a gateway."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import REGISTRY, Document, RegistryDocument, ReservedEUI, bucket_of
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.gateways import registry_compiler
from stationkeeper_operator.compiling.trust import scopes
from stationkeeper_operator.compiling.trust.scopes import may_overlap
from stationkeeper_operator.resources.records import TAKES_OVER, Gateway, Resource, TrustedCA
from tests.examples import examples
from tests.operator.resource_building import EUI, make_ca, make_gateway, make_pem, plan_of, verdict_on
from tests.operator.test_client_tokens import OLD, OTHER, secret
from tests.operator.test_client_tokens import spec as token_spec
from tests.operator.test_gateway_compiler import gateways, spec

NAME = REGISTRY[bucket_of(EUI64(int(EUI, 16)))]
RELEASE = "stationkeeper"


def ca_of(namespace: str, *keys: str, name: str = "acme", **fields: Any) -> TrustedCA:
    certificates = "".join(make_pem(f"root {key}", key=key) for key in keys)
    return make_ca({"certificates": certificates, **fields}, name, namespace)


def shared_ca(*served: Any) -> TrustedCA:
    listed = [{"namespace": each} if isinstance(each, str) else each for each in served]
    fields: dict[str, Any] = {"serves": listed} if listed else {}
    return ca_of(RELEASE, "shared", **fields)


def gateway_of(namespace: str, uid: str = "", age: int = 100, takes_over: str = "", **fields: Any) -> Gateway:
    annotations = {TAKES_OVER: takes_over, "another": "one"} if takes_over else {}
    return make_gateway(
        spec(**fields), "roof", namespace, age=age, uid=uid or f"uid-{namespace}", annotations=annotations
    )


def in_force(plan: PublishPlan) -> list[str]:
    return [each.namespace for each in gateways(plan)]


def reserved(plan: PublishPlan) -> tuple[ReservedEUI, ...]:
    document = plan.documents[NAME]
    assert isinstance(document, RegistryDocument)
    return document.reserved


def run(*worlds: Sequence[Resource], start: Mapping[str, Document] | None = None) -> PublishPlan:
    """Return the last plan for a history of worlds; each plan is in force for the next one."""
    documents = start or {}
    for world in worlds:
        plan = plan_of(*world, in_force=documents)
        documents = plan.documents
    return plan


A, B = gateway_of("a"), gateway_of("b", age=50)
SHARED = shared_ca("a", "b")


def test_registering_a_foreign_eui_first_with_an_own_ca_blocks_no_one() -> None:
    thief, owner = gateway_of("b", age=200), gateway_of("a", age=1)
    plan = run([thief, ca_of("b", "b")], [thief, owner, ca_of("b", "b"), ca_of("a", "a")])
    assert in_force(plan) == ["b", "a"]
    assert [each.rank for each in gateways(plan)] == [0, 1]
    assert all(verdict_on(each, plan).accepted for each in (thief, owner))


def test_with_one_ca_for_both_the_second_waits_and_learns_nothing_of_the_first() -> None:
    plan = run([A, SHARED], [A, B, SHARED])
    assert in_force(plan) == ["a"]
    verdict = verdict_on(B, plan)
    assert (verdict.reason, verdict.document) == (Reason.EUI_CONFLICT, None)
    assert TAKES_OVER in verdict.message
    assert not any(word in verdict.message for word in ("a/", "roof", "uid-a", "namespace a", "acme"))


@pytest.mark.parametrize(
    "gap",
    [
        [B, SHARED],
        [SHARED],
        [gateway_of("b", "uid-b-2", age=10), SHARED],
        [A, B],
        [B],
    ],
    ids=["its Gateway", "both Gateways", "its Gateway, and B's is made anew", "the CA", "the CA and its Gateway"],
)
def test_a_waiting_gateway_does_not_inherit_a_replaced_one(gap: list[Resource]) -> None:
    waiting = next((each for each in gap if each.metadata.namespace == "b"), B)
    replaced = gateway_of("a", "uid-a-2", age=1)
    before = run([A, B, SHARED])
    during = run(gap, gap, start=before.documents)
    assert "b" not in in_force(during)
    after = run([replaced, waiting, SHARED], start=during.documents)
    assert in_force(after) == ["a"]
    assert gateways(after)[0].rank == 0
    assert verdict_on(waiting, after).reason == Reason.EUI_CONFLICT


def test_a_tenant_with_a_copy_of_anothers_ca_waits_also_while_that_ca_is_replaced() -> None:
    original, copy = ca_of("a", "a"), ca_of("b", "a")
    before = run([A, original, B, copy])
    assert in_force(before) == ["a"]
    during = run([A, B, copy], [A, copy], [A, gateway_of("b", "uid-b-2"), copy], start=before.documents)
    assert in_force(during) == ["a"]
    assert in_force(run([A, original, B, copy], start=during.documents)) == ["a"]


def test_a_gateway_with_a_spec_that_cannot_be_used_keeps_its_eui_from_others() -> None:
    broken = make_gateway({"eui": EUI}, "roof", "a", uid="uid-a-2")
    plan = run([A, B, SHARED], [broken, B, SHARED])
    assert in_force(plan) == []
    assert verdict_on(broken, plan).reason == Reason.LNS_MISSING
    assert verdict_on(B, plan).reason == Reason.EUI_CONFLICT


def test_a_later_copy_of_a_ca_takes_no_gateway_from_its_owner() -> None:
    thief, owner = gateway_of("b", age=200), gateway_of("a", age=1)
    cas = [ca_of("b", "b"), ca_of("a", "a")]
    before = run([thief, cas[0]], [thief, owner, *cas])
    attack: list[Resource] = [thief, owner, ca_of("b", "b", "a"), cas[1]]
    plan = run(attack, start=before.documents)
    for _ in range(3):
        assert in_force(plan) == ["a"]
        assert verdict_on(owner, plan).accepted
        assert verdict_on(thief, plan).reason == Reason.EUI_CONFLICT
        assert all(each.rank > gateways(plan)[0].rank for each in reserved(plan))
        plan = run(attack, start=plan.documents)
    # The same holds while the owner's Gateway, or its TrustedCA, is being replaced.
    assert in_force(run([thief, attack[2], cas[1]], start=plan.documents)) == []
    assert "b" not in in_force(run([thief, owner, attack[2]], attack, start=plan.documents))


def test_a_copy_added_during_a_replacement_takes_nothing() -> None:
    thief, owner = gateway_of("b", age=200), gateway_of("a", age=1)
    cas, copies = [ca_of("b", "b"), ca_of("a", "a")], ca_of("b", "b", "a")
    before = run([thief, cas[0]], [thief, owner, *cas])
    plan = run([thief, copies, cas[1]], [thief, gateway_of("a", "uid-a-2"), copies, cas[1]], start=before.documents)
    assert in_force(plan) == ["a"]


def test_an_issuer_or_what_it_issued_counts_as_the_ca_itself_and_its_mere_name_does_not() -> None:
    root = make_pem("root", key="root")
    below = make_pem("below", key="below", issuer=("root", "root"))
    fake = make_pem("root", key="fake")
    for first, second, meets in ((root, below, True), (below, root, True), (fake, below, False), (below, fake, False)):
        plan = run([A, B, make_ca({"certificates": first}, "x", "a"), make_ca({"certificates": second}, "x", "b")])
        assert (in_force(plan) == ["a"]) is meets


def test_one_token_in_two_namespaces_is_a_conflict_and_another_one_is_none() -> None:
    first = make_gateway(token_spec("one"), "roof", "a", age=9)
    second = make_gateway(token_spec("one"), "roof", "b", age=1)
    both = {**secret("one", OLD, namespace="a"), **secret("one", OLD, namespace="b")}
    assert in_force(plan_of(first, second, referenced=both)) == ["a"]
    other = {**secret("one", OLD, namespace="a"), **secret("one", OTHER, namespace="b")}
    assert in_force(plan_of(first, second, referenced=other)) == ["a", "b"]


def test_a_person_hands_an_eui_over_by_the_uid_of_the_deleted_gateway() -> None:
    before = run([A, B, SHARED])
    named = gateway_of("b", age=50, takes_over="uid-a")
    still_there = run([A, named, SHARED], start=before.documents)
    assert in_force(still_there) == ["a"]
    gone = run([B, SHARED], start=before.documents)
    assert [(each.namespace, each.uid, each.waits) for each in reserved(gone)] == [
        ("a", "uid-a", False),
        ("b", "uid-b", True),
    ]
    wrong = gateway_of("b", age=50, takes_over="uid-x")
    assert in_force(run([wrong, SHARED], start=gone.documents)) == []
    assert in_force(run([gateway_of("b", age=50, takes_over="uid-b"), SHARED], start=gone.documents)) == []
    handed = run([named, SHARED], start=gone.documents)
    assert in_force(handed) == ["b"]
    assert reserved(handed) == ()
    # And it does not fall back by itself.
    back = gateway_of("a", "uid-a-2", age=1)
    assert in_force(run([named, back, SHARED], start=handed.documents)) == ["b"]


def test_the_release_hands_an_eui_over_by_serving_it_in_one_namespace_only() -> None:
    before = run([A, B, SHARED])
    plan = run([A, B, shared_ca("b")], start=before.documents)
    assert in_force(plan) == ["a", "b"]
    ranges = shared_ca("b", {"namespace": "a", "euiRanges": ["FF00000000000000/8"]})
    assert in_force(run([B, ranges], start=before.documents)) == ["b"]


def test_a_gateway_that_lost_to_the_release_returns_when_that_is_undone() -> None:
    own = [ca_of("a", "a"), ca_of("b", "b")]
    before = run([A, B, *own])
    assert in_force(before) == ["a", "b"]
    during = run([A, B, *own, SHARED], [A, B, *own, SHARED], start=before.documents)
    assert in_force(during) == ["a"]
    assert in_force(run([A, B, *own], start=during.documents)) == ["a", "b"]


def test_a_gateway_of_the_release_is_served_by_its_own_namespace_alone() -> None:
    own, other = gateway_of(RELEASE, age=9), gateway_of("a")
    assert in_force(run([own, other, shared_ca(), ca_of("a", "a")])) == ["a", RELEASE]
    assert in_force(run([own, other, shared_ca("*")])) == ["a"]


def test_an_eui_goes_back_to_its_own_namespace_with_its_rank() -> None:
    own = [ca_of("a", "a"), ca_of("b", "b")]
    before = run([A, *own], [A, B, *own])
    gone = run([A, *own], start=before.documents)
    assert [(each.namespace, each.rank, each.waits) for each in reserved(gone)] == [("b", 1, False)]
    back = run([A, gateway_of("b", "uid-b-2"), *own], start=gone.documents)
    assert [(each.namespace, each.rank) for each in gateways(back)] == [("a", 0), ("b", 1)]
    assert reserved(back) == ()


def test_a_gateway_that_gets_another_eui_leaves_the_old_one_reserved() -> None:
    moved = make_gateway(spec(eui="00000000000000FF"), "roof", "a", uid="uid-a")
    plan = run([A, SHARED], [moved, B, SHARED])
    assert [(each.namespace, each.eui) for each in gateways(plan)] == [("a", "00000000000000FF")]
    assert verdict_on(B, plan).reason == Reason.EUI_CONFLICT


def test_reservations_are_bounded_for_each_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_compiler, "MAX_RESERVED", 3)
    euis = [f"{number:016X}" for number in range(10_000) if bucket_of(EUI64(number)) == bucket_of(EUI64(int(EUI, 16)))]
    mine = [make_gateway(spec(eui=each), f"g{each.lower()}", "a") for each in euis[:8]]
    other = make_gateway(spec(eui=euis[8]), "g", "c", uid="uid-c")
    theirs = make_gateway(spec(eui=euis[7]), "g", "b", age=1)
    plan = run([*mine, other, theirs, SHARED], [theirs, SHARED])
    assert [(each.namespace, each.eui) for each in reserved(plan) if not each.waits] == [
        ("a", euis[0]),
        ("a", euis[1]),
        ("a", euis[7]),
        ("c", euis[8]),
    ]


def test_a_gateway_beyond_the_waiting_limit_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_compiler, "MAX_RESERVED", 1)
    euis = [f"{number:016X}" for number in range(10_000) if bucket_of(EUI64(number)) == 0][:4]
    cas = [ca_of("a", "a"), ca_of("b", "a")]
    mine = [make_gateway(spec(eui=each), f"g{each.lower()}", "a", age=9) for each in euis]
    theirs = [make_gateway(spec(eui=each), f"g{each.lower()}", "b", age=1) for each in euis]
    before = run([*mine, *theirs, *cas])
    assert set(in_force(before)) == {"a"}
    during = run([*mine, *theirs, cas[1]], start=before.documents)
    assert set(in_force(during)) == {"a"}


NAMESPACES = ["a", "b", RELEASE]
KEYS = ["k1", "k2"]


@st.composite
def worlds(draw: st.DrawFn) -> list[Resource]:
    resources: list[Resource] = []
    for namespace in NAMESPACES:
        if draw(st.booleans()):
            uid = f"uid-{namespace}-{draw(st.integers(0, 1))}"
            broken = draw(st.integers(0, 4)) == 0
            fields = {"eui": EUI} if broken else spec()
            age = draw(st.integers(1, 3))
            resources.append(make_gateway(fields, f"roof-{uid[-1]}", namespace, uid=uid, age=age))
        keys = draw(st.sets(st.sampled_from(KEYS)))
        if keys:
            served = draw(st.sets(st.sampled_from(["a", "b", "*"]))) if namespace == RELEASE else set()
            extra: dict[str, Any] = {"serves": [{"namespace": each} for each in sorted(served)]} if served else {}
            resources.append(ca_of(namespace, *sorted(keys), **extra))
    return resources


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(60))
@given(st.lists(worlds(), min_size=1, max_size=5), st.randoms())
def test_no_client_matches_two_gateways_in_force_and_no_history_inherits(
    history: list[list[Resource]], chance: Any
) -> None:
    documents: Mapping[str, Document] = {}
    for world in history:
        plan = plan_of(*world, in_force=documents)
        shuffled = chance.sample(world, len(world))
        assert plan_of(*shuffled, in_force=documents).payloads == plan.payloads
        scopes = {each.namespace: keys_of(world, each.namespace) for each in gateways(plan)}
        assert not any(scopes[one] & scopes[other] for one, other in itertools.combinations(scopes, 2))
        before, after = documents.get(NAME), plan.documents[NAME]
        assert isinstance(after, RegistryDocument)
        if isinstance(before, RegistryDocument):
            # An EUI in force stays in force or becomes reserved; a reserved one stays reserved.
            assert namespaces_of(before) <= namespaces_of(after)
        settled = plan_of(*world, in_force=plan.documents)
        assert plan_of(*world, in_force=settled.documents).payloads == settled.payloads
        documents = plan.documents


def namespaces_of(document: RegistryDocument) -> set[str]:
    return {each.namespace for each in document.gateways} | {each.namespace for each in document.reserved}


def keys_of(world: Sequence[Resource], namespace: str) -> set[str]:
    found: set[str] = set()
    for each in world:
        if not isinstance(each, TrustedCA) or each.spec is None:
            continue
        served = {entry.namespace for entry in each.spec.serves or ()}
        is_served = namespace != RELEASE and bool({namespace, "*"} & served)
        if each.metadata.namespace == namespace or is_served:
            found |= {key for key in KEYS if make_pem(f"root {key}", key=key) in (each.spec.certificates or "")}
    return found


def test_many_issuers_of_one_name_do_not_hide_the_one_that_signed() -> None:
    issued = make_pem("line", key="line", issuer=("root", "root"))
    mine = make_ca({"certificates": issued}, "acme", "a")
    decoys = "".join(make_pem("root", key=f"decoy {number}") for number in range(30))
    theirs = make_ca({"certificates": decoys + make_pem("root", key="root")}, "acme", "b")
    before = run([A, mine], [A, B, mine, theirs])
    assert in_force(before) == ["a"]
    assert verdict_on(B, before).reason == Reason.EUI_CONFLICT
    assert in_force(run([A, B, theirs], start=before.documents)) == ["a"]


def test_more_issuers_of_one_name_than_are_tried_count_as_an_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "_MAX_TRIES", 3)
    may_overlap.cache_clear()
    mine = make_ca({"certificates": make_pem("line", key="line", issuer=("root", "root"))}, "acme", "a")
    decoys = "".join(make_pem("root", key=f"decoy {number}") for number in range(4))
    theirs = make_ca({"certificates": decoys}, "acme", "b")
    assert in_force(run([A, mine], [A, B, mine, theirs])) == ["a"]
    may_overlap.cache_clear()
    few = make_ca({"certificates": make_pem("root", key="decoy 0")}, "acme", "b")
    assert in_force(run([A, mine], [A, B, mine, few])) == ["a", "b"]
    may_overlap.cache_clear()
