"""The incremental compile equals a full compile, and its work is in proportion to the change."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import REGISTRY, TRUST, RegistryDocument, bucket_of
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_operator.compiling import compile
from stationkeeper_operator.compiling.fitting import capacity
from stationkeeper_operator.compiling.fitting.document_space import Bound
from stationkeeper_operator.compiling.gateways import registry_compiler
from stationkeeper_operator.compiling.incremental import bucket_memory, incremental_registry, pause
from stationkeeper_operator.compiling.incremental.compile_work import Work
from stationkeeper_operator.compiling.incremental.incremental_compiler import IncrementalCompiler, PlanChange
from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.resources.records import (
    GATEWAY,
    GATEWAY_DEFAULTS,
    SECRET,
    TRUSTED_CA,
    Gateway,
    Key,
    Reference,
    ReferencedObject,
)
from tests.examples import examples
from tests.operator.changing_world import (
    CLIENT,
    CONTENTS,
    CRL_ROOT,
    EARLY,
    EUIS,
    LATER,
    LNS,
    MOVES,
    RELEASE,
    ROOTS,
    SHORT_LNS,
    SOON,
    URI,
    ChangingWorld,
    Event,
    Step,
    made,
    secret,
)
from tests.operator.member_fleet import fleet, member, spec_of
from tests.operator.resource_building import NOW, make_pem
from tests.operator.world_events import steps

HOUR = timedelta(hours=1)
_NARROW = (
    Bound(1_500, share=150, shares=300, release_share=200, reserve=200),
    Bound(4_000, share=600, shares=1_200, release_share=600, reserve=400),
)


@given(steps(8))
@settings(max_examples=examples(60))
def test_after_any_events_all_is_as_if_compiled_from_nothing(taken: list[Step]) -> None:
    world = ChangingWorld()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pause, "LEAST_BEFORE_PAUSE", 1)
        patch.setattr(pause, "MOST_WITH_EVENTS", 1)
        for each in taken:
            world.take(each)


def test_very_many_gateways_with_one_eui_cost_work_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    number, refused = 200, list[Key]()

    def conflict(gateway: Gateway, eui: EUI64, owner: Key) -> Any:
        refused.append(gateway.key)
        return registry_compiler.conflict(gateway, eui, owner)

    monkeypatch.setattr(incremental_registry, "conflict", conflict)
    world, reference = ChangingWorld(), Reference(SECRET, "a", "token")
    token = {"token": {"secretKeyRef": {"name": "token", "key": "token"}}}
    spec = {"eui": EUIS[0], "lns": {"uri": URI, "trust": LNS, "auth": token}}
    gateways = [made(GATEWAY, "a", f"g{each}", spec) for each in range(number)]
    world.happens(secret(reference, {"token": b"Bearer ONE"}), *gateways)
    world.happens(secret(reference, {"token": b"Bearer TWO"}))
    compiler = world.restarted()
    while not compiler.compile(world.in_force, NOW).is_done:
        pass
    assert len(refused) < 20 * number


def test_a_record_in_force_under_another_name_is_still_that_of_its_gateway() -> None:
    world, key, reference = ChangingWorld(), Key(GATEWAY, "a", "g0"), Reference(SECRET, "a", "client")
    lns = {"uri": URI, "trust": LNS, "auth": CLIENT}
    world.happens(secret(reference, CONTENTS["client"][0]), made(*key, {"eui": EUIS[0], "lns": lns}))
    world.happens()
    name = REGISTRY[bucket_of(EUI64(int(EUIS[0], 16)))]
    document = world.in_force[name]
    assert isinstance(document, RegistryDocument)
    (record,) = document.gateways
    world.in_force[name] = replace(document, gateways=(replace(record, name="g9"),))
    world.happens((reference, None))
    assert world.told[key].document == name
    assert world.told[key].message.endswith("the last accepted version stays in force")


@given(steps(8))
@settings(max_examples=examples(60))
def test_full_documents_and_reservations_give_the_same_result_too(taken: list[Step]) -> None:
    world = ChangingWorld()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile, "REGISTRY_BOUNDS", _NARROW)
        patch.setattr(bucket_memory, "REGISTRY_BOUNDS", _NARROW)
        patch.setattr(registry_compiler, "MAX_RESERVED", 1)
        for each in taken:
            world.take(each)


# -- what depends on what, one by one


CLIENT_SECRET, TOKENS = Reference(SECRET, "b", "client"), Reference(SECRET, RELEASE, "tokens")
OWN_CERTIFICATE = {"eui": EUIS[0], "lns": {"uri": URI, "trust": LNS, "auth": CLIENT}}
BY_DEFAULT = {"eui": EUIS[0]}


def test_a_gateway_is_compiled_again_when_its_key_becomes_that_of_a_trusted_ca() -> None:
    world, gateway = ChangingWorld(), Key(GATEWAY, "b", "g0")
    world.happens(secret(CLIENT_SECRET, CONTENTS["client"][0]), made(*gateway, OWN_CERTIFICATE))
    world.happens()
    assert world.told[gateway].accepted
    assert world.happens(made(TRUSTED_CA, "b", "c0", {"certificates": ROOTS[2]})).gateways == 1
    assert world.told[gateway].reason == Reason.PRIVATE_KEY_OF_CA
    world.happens((Key(TRUSTED_CA, "b", "c0"), None))
    world.happens()
    assert world.told[gateway].accepted


def test_a_root_counts_where_no_other_namespace_has_its_key() -> None:
    world, late = ChangingWorld(), Key(GATEWAY, RELEASE, "late")
    own = Reference(SECRET, RELEASE, "client")
    world.happens(
        secret(CLIENT_SECRET, CONTENTS["client"][0]),
        secret(own, CONTENTS["client"][2]),
        made(GATEWAY, "b", "g0", OWN_CERTIFICATE),
    )
    world.happens(made(TRUSTED_CA, "a", "c0", {"certificates": ROOTS[2]}))
    elsewhere = next(each for each in EUIS if bucket_of(EUI64(int(each, 16))) != bucket_of(EUI64(1)))
    world.happens(made(*late, {**OWN_CERTIFICATE, "eui": elsewhere}), published=0)
    assert world.told[late].accepted
    world.happens((Key(GATEWAY, "b", "g0"), None), published=1 << bucket_of(EUI64(1)))
    world.happens()
    assert world.told[late].reason == Reason.PRIVATE_KEY_OF_CA


def test_only_the_gateways_whose_tokens_changed_are_compiled() -> None:
    world, gateways = ChangingWorld(), [Key(GATEWAY, each, "g0") for each in ("a", "b")]
    by_eui = {"lns": {"uri": URI, "trust": LNS, "auth": {"tokenByEUI": {"secretRef": {"name": "tokens"}}}}}
    tokens = {f"{each.namespace}.{EUIS[0]}": b"Bearer ONE" for each in gateways}
    world.happens(
        secret(TOKENS, tokens),
        made(GATEWAY_DEFAULTS, RELEASE, "default", by_eui),
        *(made(*each, BY_DEFAULT) for each in gateways),
    )
    world.happens()
    assert world.happens(secret(TOKENS, {**tokens, f"b.{EUIS[0]}": b"Bearer TWO"})).gateways == 1
    world.happens()
    assert world.happens(secret(TOKENS, {f"b.{EUIS[0]}": b"Bearer TWO"})).gateways == 1
    assert world.told[gateways[0]].reason == Reason.TOKEN_MISSING_FOR_EUI


def test_a_change_of_serves_decides_again_between_two_namespaces() -> None:
    world, second = ChangingWorld(), Key(GATEWAY, "b", "g0")
    spec = {"eui": EUIS[0], "lns": {"uri": "ws://lns:1"}}
    served = [made(TRUSTED_CA, RELEASE, "c0", {"certificates": ROOTS[0], "serves": [{"namespace": "*"}]})]
    world.happens(*served, made(GATEWAY, "a", "g0", spec, 3), made(*second, spec, 1))
    world.happens()
    assert world.told[second].reason == Reason.EUI_CONFLICT
    world.happens(made(TRUSTED_CA, RELEASE, "c0", {"certificates": ROOTS[0], "serves": [{"namespace": "b"}]}))
    world.happens()
    assert world.told[second].accepted


def test_a_certificate_that_a_gateway_showed_is_known_as_one_that_is_revoked() -> None:
    world, authority = ChangingWorld(), Key(TRUSTED_CA, "a", "c0")
    spec = {"eui": EUIS[0], "lns": {"uri": "ws://lns:1"}}
    world.happens(
        made(GATEWAY, "a", "g0", spec), made(*authority, {"certificates": ROOTS[0], "revocation": {"serials": ["AB"]}})
    )
    assert "AB" in world.told[authority].message
    seen = {"serial": "AB", "sha256": "cd" * 32, "trustedCA": "a/c0"}
    assert world.happens(made(GATEWAY, "a", "g0", spec, certificate=seen)).gateways <= 1
    assert "AB" not in world.told[authority].message
    world.happens(made(GATEWAY, "a", "g0", spec))
    assert "AB" in world.told[authority].message


def test_an_anchor_is_kept_from_when_its_renewal_is_published() -> None:
    world, anchors = ChangingWorld(), Reference(SECRET, "a", "anchors")
    source = {"certificatesFrom": {"secretKeyRef": {"name": "anchors", "key": "ca.crt"}, "retain": "2h"}}
    world.happens(secret(anchors, CONTENTS["anchors"][0]), made(TRUSTED_CA, "a", "c0", source))
    world.happens(secret(anchors, CONTENTS["anchors"][1]), published=0)
    world.happens(wait=HOUR)
    world.happens(wait=2 * HOUR)


# -- what time alone changes


def changes_by_time(world: ChangingWorld, key: Key, wait: timedelta) -> bool:
    """Return whether the verdict changes after a while without events, compared with a full compile."""
    world.happens()
    world.happens()
    before = world.told[key]
    world.happens(wait=wait)
    return world.told[key] != before


@pytest.mark.parametrize(
    ("spec", "days"),
    [
        ({"certificates": ROOTS[0] + SOON}, 4),
        ({"certificates": SOON}, 4),
        ({"certificates": ROOTS[0] + LATER}, 3),
        ({"certificates": to_pem(CRL_ROOT.der), "revocation": {"crl": EARLY}}, 2),
        ({"certificates": to_pem(CRL_ROOT.der), "revocation": {"crl": EARLY}}, 6),
    ],
)
def test_trust_changes_by_time(spec: dict[str, Any], days: int) -> None:
    world, key = ChangingWorld(), Key(TRUSTED_CA, "a", "c0")
    world.happens(made(*key, spec))
    assert changes_by_time(world, key, timedelta(days=days))


def test_an_expiring_lns_certificate_is_reported_on_its_gateway_and_its_default() -> None:
    world, key, default = ChangingWorld(), Key(GATEWAY, "a", "g0"), Key(GATEWAY_DEFAULTS, "b", "default")
    lns = {"lns": {"uri": URI, "trust": SHORT_LNS}}
    world.happens(made(*key, {"eui": EUIS[0], **lns}), made(*default, lns))
    world.happens()
    world.happens(wait=timedelta(days=3))
    assert "expired" in world.told[key].message
    assert "expired" in world.told[default].message


@pytest.mark.parametrize("content", [1, 0])
def test_a_gateway_that_is_moved_here_is_judged_again_when_its_certificate_ends(content: int) -> None:
    world, key = ChangingWorld(), Key(GATEWAY, "b", "g0")
    root = {"certificates": ROOTS[0] + ROOTS[1]}
    moved = {"eui": EUIS[0], "lns": {"uri": "ws://lns:1"}, "cups": MOVES[2]}
    world.happens(secret(CLIENT_SECRET, CONTENTS["client"][content]), made(TRUSTED_CA, "b", "c0", root))
    world.happens(made(*key, moved))
    assert world.told[key].accepted
    assert changes_by_time(world, key, timedelta(days=5)) == (content == 1)


def test_a_gateway_that_is_moved_here_is_accepted_once_the_ca_of_its_certificate_is_valid() -> None:
    world, key = ChangingWorld(), Key(GATEWAY, "b", "g0")
    leaf = make_pem(EUIS[0], authority=None, key="gateway", issuer=("later", "later"))
    client = {**CONTENTS["client"][0], "tls.crt": leaf.encode()}
    moved = {"eui": EUIS[0], "lns": {"uri": "ws://lns:1"}, "cups": MOVES[2]}
    world.happens(secret(CLIENT_SECRET, client), made(TRUSTED_CA, "b", "c0", {"certificates": ROOTS[0] + LATER}))
    world.happens(made(*key, moved))
    world.happens()
    assert world.told[key].reason == Reason.WOULD_BE_REFUSED
    world.happens(wait=timedelta(days=3))
    assert world.told[key].accepted


# -- how much work it is


def as_new(events: Sequence[Event]) -> WorldChanges:
    """Return the events as changes of objects that did not exist before."""
    resources = {
        key: ResourceChange(None, found)
        for key, found in events
        if isinstance(key, Key) and not isinstance(found, ReferencedObject)
    }
    return WorldChanges(
        resources,
        {key: found for key, found in events if isinstance(key, Reference) and isinstance(found, ReferencedObject)},
    )


def test_the_work_is_in_proportion_to_the_change() -> None:
    world, number = ChangingWorld(), 400
    assert world.happens(*fleet(number)) == Work(number, len(REGISTRY))
    assert world.happens() == Work(number, 0), "all of them are in force now"
    assert world.happens() == Work(0, 0)
    assert world.happens(made(*member(7), {**spec_of(7), "suspended": True})) == Work(1, 1)
    assert world.happens() == Work(1, 0)
    assert world.happens(secret(Reference(SECRET, "b", "token-9"), {"token": b"Bearer TWO"})) == Work(1, 1)
    world.happens()
    assert world.happens(made(*member(9), spec_of(9), observedGeneration=1)) == Work(0, 0), "its status alone"
    assert world.happens(made(TRUSTED_CA, "b", "c1", {"certificates": ROOTS[1]})) == Work(0, 0)
    assert world.happens((member(8), None)) == Work(0, 1)
    other = {"lns": {"uri": "wss://second.example.com:1", "trust": LNS}}
    assert world.happens(made(GATEWAY_DEFAULTS, "a", "default", other)).gateways == number // 2 - 1


def test_an_event_overtakes_a_change_of_a_default() -> None:
    compiler = IncrementalCompiler(RELEASE)

    def compiled(*events: Event, change_waits: bool = False) -> PlanChange:
        compiler.take_in(as_new(events))
        return compiler.compile({}, NOW, lambda: change_waits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pause, "LEAST_BEFORE_PAUSE", 10)
        patch.setattr(pause, "MOST_WITH_EVENTS", 10)
        assert compiled(*fleet(200)).is_done
        other = {"lns": {"uri": "wss://second.example.com:1", "trust": LNS}}
        suspended = made(*member(1), {**spec_of(1), "suspended": True})
        plan = compiled(made(GATEWAY_DEFAULTS, "a", "default", other), suspended, change_waits=True)
        assert not plan.is_done
        assert plan.work.gateways < 100
        assert plan.verdicts[member(1)].reason == Reason.SUSPENDED
        assert plan.verdicts[member(1)].document in plan.payloads
        assert len(plan.payloads.keys() - {TRUST}) <= 2, "that one, and one more so that it goes on"
        rounds = [compiled(change_waits=True)]
        while not rounds[-1].is_done:
            rounds.append(compiled(change_waits=True))
        assert len(rounds) > 1
    assert compiler.verdicts[member(198)].lns_uri == "wss://second.example.com:1"


def test_an_event_does_not_wait_for_all_that_was_put_in_force_before_it() -> None:
    world, number = ChangingWorld(), 500
    world.happens(*fleet(number))
    # All of it is in force now: each Gateway must be compiled again, but no event waits for that.
    compiler = IncrementalCompiler(RELEASE)
    compiler.take_in(as_new(fleet(number)))
    compiler.compile({}, NOW)
    compiler.take_in(as_new([made(*member(1), {**spec_of(1), "suspended": True})]))
    plan = compiler.compile(world.in_force, NOW)
    assert not plan.is_done
    assert plan.work.gateways <= pause.MOST_WITH_EVENTS + 2
    assert plan.verdicts[member(1)].reason == Reason.SUSPENDED
    assert plan.verdicts[member(1)].document in plan.payloads


def test_a_change_of_a_gateway_builds_no_document_from_all_its_candidates() -> None:
    world, fits = ChangingWorld(), list[Any]()
    world.happens(*fleet(200))
    world.happens()

    def fit(*given: Any) -> Any:
        fits.append(given)
        return capacity.fit(*given)

    moved = f"{0xA840410000000000 + 400:016X}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_memory, "fit", fit)
        assert world.happens(made(*member(7), {**spec_of(7), "suspended": True})).documents == 1
        assert world.happens(made(*member(300), spec_of(300))).documents == 1
        world.happens()
        assert world.happens((member(9), None)).documents == 1
        world.happens()
        assert world.happens(made(*member(11), {**spec_of(11), "eui": moved})).documents
        # Another namespace claims an EUI, and no longer does.
        world.happens(made(GATEWAY, "b", "g0", spec_of(12)), published=0)
        world.happens((Key(GATEWAY, "b", "g0"), None), published=0)
    assert not fits


def test_no_registry_document_is_ready_before_all_its_gateways_were_compiled() -> None:
    compiler = IncrementalCompiler(RELEASE)
    compiler.take_in(as_new(fleet(100)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pause, "LEAST_BEFORE_PAUSE", 10)
        plan = compiler.compile({}, NOW, lambda: True)
        assert set(plan.documents) == {TRUST}
        assert not (plan.is_done or compiler.has_compiled_all)
        assert not any(key.kind == GATEWAY for key in plan.verdicts)
