"""Dependencies of the incremental compile that random events hardly ever show."""

import sys
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import REGISTRY, TRUST, RegistryDocument, ReservedEUI, bucket_of
from stationkeeper_operator.compiling import compile
from stationkeeper_operator.compiling.fitting.document_space import Bound
from stationkeeper_operator.compiling.gateways import registry_compiler
from stationkeeper_operator.compiling.incremental import bucket_memory, pause
from stationkeeper_operator.resources.records import (
    GATEWAY,
    GATEWAY_DEFAULTS,
    SECRET,
    TAKES_OVER,
    TRUSTED_CA,
    Key,
    Reference,
    decode_resource,
)
from tests.operator.changing_world import (
    CLIENT,
    CONTENTS,
    EUIS,
    LNS,
    MOVES,
    RELEASE,
    ROOTS,
    URI,
    ChangingWorld,
    Event,
    made,
    secret,
)
from tests.operator.resource_building import NOW, make_pem, metadata

BY_DEFAULT = {"eui": EUIS[0]}
SECOND_URI = "wss://second.example.com:1"
PLAIN = {"uri": "ws://lns:1"}
GATEWAY_A, SECOND_A, GATEWAY_B = Key(GATEWAY, "a", "g0"), Key(GATEWAY, "a", "g1"), Key(GATEWAY, "b", "g0")
NAME = REGISTRY[bucket_of(EUI64(int(EUIS[0], 16)))]
"""The document of nearly all EUIs here."""


def gateway(key: Key, spec: Any, uid: str = "", age: int = 2, takes_over: str = "") -> Event:
    """Return a Gateway that exists from now on."""
    meta = metadata(key.name, key.namespace, age, uid or f"uid-{key.namespace}-{key.name}-0")
    if takes_over:
        meta["annotations"] = {TAKES_OVER: takes_over}
    return key, decode_resource(GATEWAY, {"metadata": meta, "spec": spec})


def document_in(world: ChangingWorld) -> RegistryDocument:
    document = world.in_force[NAME]
    assert isinstance(document, RegistryDocument)
    return document


def served(*euis: str) -> Event:
    """Return a TrustedCA of the release that serves these EUIs, or all, in the namespaces a and b."""
    ranges = {"euiRanges": [f"{each}/64" for each in euis]} if euis else {}
    serves = [{"namespace": each, **ranges} for each in ("a", "b")]
    return made(TRUSTED_CA, RELEASE, "c0", {"certificates": ROOTS[0], "serves": serves})


# -- each part of a Gateway


def test_an_annotation_alone_hands_an_eui_over() -> None:
    world, spec = ChangingWorld(), {"eui": EUIS[0], "lns": PLAIN}
    world.happens(served(), gateway(GATEWAY_A, spec, age=3), gateway(GATEWAY_B, spec))
    world.happens((GATEWAY_A, None))
    world.happens()
    assert world.told[GATEWAY_B].reason == Reason.EUI_CONFLICT
    world.happens(gateway(GATEWAY_B, spec, takes_over="uid-a-g0-0"))
    assert world.told[GATEWAY_B].accepted


def test_a_gateway_that_is_made_again_has_its_new_uid() -> None:
    world, spec = ChangingWorld(), {"eui": EUIS[0], "lns": PLAIN}
    world.happens(gateway(GATEWAY_A, spec))
    world.happens()
    world.happens(gateway(GATEWAY_A, spec, uid="another"))
    assert [each.uid for each in document_in(world).gateways] == ["another"]


def test_the_older_of_two_gateways_is_another_one_when_one_is_made_again() -> None:
    world, spec = ChangingWorld(), {"eui": EUIS[0], "lns": PLAIN}
    world.happens(gateway(GATEWAY_A, spec, age=3), gateway(SECOND_A, spec, age=1))
    world.happens()
    assert world.told[SECOND_A].reason == Reason.EUI_CONFLICT
    world.happens(gateway(SECOND_A, spec, age=5))
    assert world.told[SECOND_A].accepted


def test_a_gateway_whose_spec_cannot_be_decoded_is_suspended_too() -> None:
    world = ChangingWorld()
    world.happens(gateway(GATEWAY_A, {"eui": EUIS[0], "lns": PLAIN}))
    world.happens(gateway(GATEWAY_A, {"client": 7}))
    assert world.told[GATEWAY_A].reason == Reason.INVALID_SPEC
    world.happens(gateway(GATEWAY_A, {"client": 7, "suspended": True}))
    assert world.told[GATEWAY_A].reason == Reason.SUSPENDED
    assert [each.suspended for each in document_in(world).gateways] == [True]


def test_another_error_of_a_spec_is_reported() -> None:
    world = ChangingWorld()
    world.happens(gateway(GATEWAY_A, {"client": 7}))
    assert "$.client" in world.told[GATEWAY_A].message
    world.happens(gateway(GATEWAY_A, {"lns": 7}))
    assert "$.lns" in world.told[GATEWAY_A].message


def test_no_earlier_version_of_a_gateway_stays_in_memory() -> None:
    world, spec = ChangingWorld(), {"eui": EUIS[0], "lns": PLAIN}
    world.happens(made(*GATEWAY_A, spec, 3), made(*GATEWAY_B, spec))
    world.happens()
    before = [world.resources[each] for each in (GATEWAY_A, GATEWAY_B)]
    world.happens(made(*GATEWAY_A, spec, 3, observedGeneration=1), made(*GATEWAY_B, spec, observedGeneration=1))
    unused = [object()]
    assert [sys.getrefcount(before[number]) for number in range(2)] == [sys.getrefcount(unused[0])] * 2


# -- TrustedCAs and GatewayDefaults


def test_a_trusted_ca_that_came_later_follows_its_secret_too() -> None:
    world, anchors = ChangingWorld(), Reference(SECRET, "b", "anchors")
    source = {"certificatesFrom": {"secretKeyRef": {"name": "anchors", "key": "ca.crt"}}}
    first = made(TRUSTED_CA, "a", "c0", source)
    world.happens(secret(Reference(SECRET, "a", "anchors"), CONTENTS["anchors"][0]), first)
    world.happens(secret(anchors, CONTENTS["anchors"][0]), made(TRUSTED_CA, "b", "c0", source))
    world.happens()
    world.happens(secret(anchors, CONTENTS["anchors"][1]))


def test_a_gateway_gets_the_release_default_where_its_own_namespace_has_none_any_more() -> None:
    world, key = ChangingWorld(), Key(GATEWAY, "a", "g0")
    other = {"lns": {"uri": SECOND_URI, "trust": LNS}}
    world.happens(
        made(GATEWAY_DEFAULTS, RELEASE, "default", {"lns": {"uri": URI, "trust": LNS}}),
        made(GATEWAY_DEFAULTS, "a", "default", other),
        made(*key, BY_DEFAULT),
    )
    world.happens()
    assert world.told[key].lns_uri == SECOND_URI
    world.happens((Key(GATEWAY_DEFAULTS, "a", "default"), None))
    world.happens()
    assert world.told[key].lns_uri == URI
    world.happens((Key(GATEWAY_DEFAULTS, RELEASE, "default"), None))
    world.happens()
    assert not world.told[key].accepted
    world.happens(made(GATEWAY_DEFAULTS, RELEASE, "default", other))
    world.happens()
    assert world.told[key].lns_uri == SECOND_URI


def test_a_default_with_other_tokens_and_another_uri_changes_gateways_with_the_same_token_too() -> None:
    world, tokens = ChangingWorld(), {f"{each}.{EUIS[0]}": b"Bearer ONE" for each in ("a", "b")}

    def default(uri: str) -> Event:
        auth = {"tokenByEUI": {"secretRef": {"name": "tokens"}}}
        return made(GATEWAY_DEFAULTS, RELEASE, "default", {"lns": {"uri": uri, "trust": LNS, "auth": auth}})

    reference = Reference(SECRET, RELEASE, "tokens")
    world.happens(secret(reference, tokens), default(URI), made(*GATEWAY_A, BY_DEFAULT), made(*GATEWAY_B, BY_DEFAULT))
    world.happens()
    world.happens(secret(reference, {**tokens, f"a.{EUIS[0]}": b"Bearer TWO"}), default(SECOND_URI))
    assert world.told[GATEWAY_A].lns_uri == world.told[GATEWAY_B].lns_uri == SECOND_URI


def test_an_equal_default_of_another_namespace_is_named() -> None:
    world, lns = ChangingWorld(), {"lns": {"uri": URI, "trust": LNS}}
    defaults = [made(GATEWAY_DEFAULTS, each, "default", lns) for each in (RELEASE, "a")]
    world.happens(*defaults, made(*GATEWAY_A, BY_DEFAULT))
    world.happens()
    assert "GatewayDefaults a/default" in world.told[GATEWAY_A].message
    world.happens((Key(GATEWAY_DEFAULTS, "a", "default"), None))
    assert f"GatewayDefaults {RELEASE}/default" in world.told[GATEWAY_A].message


def test_a_compile_is_not_done_while_gateways_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause, "LEAST_BEFORE_PAUSE", 0)
    world, default = ChangingWorld(), Key(GATEWAY_DEFAULTS, "a", "default")
    world.happens(made(*default, {"lns": {"uri": URI, "trust": LNS}}), made(*GATEWAY_A, BY_DEFAULT))
    world.happens()
    compiler = world.restarted()
    assert compiler.compile(world.in_force, NOW).is_done
    compiler.take_in(world.apply([made(*default, {"lns": {"uri": SECOND_URI, "trust": LNS}})]))
    assert not compiler.compile(world.in_force, NOW, lambda: True).is_done


def test_another_reason_of_a_refused_default_is_reported_on_its_gateways() -> None:
    world = ChangingWorld()
    default = made(GATEWAY_DEFAULTS, "a", "default", {"lns": {"uri": URI, "trust": LNS, "auth": CLIENT}})
    world.happens(default, made(*GATEWAY_A, BY_DEFAULT))
    assert Reason.REFERENCE_NOT_FOUND in world.told[GATEWAY_A].message
    world.happens(secret(Reference(SECRET, "a", "client"), CONTENTS["client"][0], label="no"))
    assert Reason.REFERENCE_NOT_LABELLED in world.told[GATEWAY_A].message


def test_a_key_of_an_intermediate_counts_in_its_own_namespace_alone() -> None:
    world = ChangingWorld()
    spec = {"eui": EUIS[0], "lns": {"uri": URI, "trust": LNS, "auth": CLIENT}}
    for key in (GATEWAY_A, GATEWAY_B):
        world.happens(secret(Reference(SECRET, key.namespace, "client"), CONTENTS["client"][0]), made(*key, spec))
    world.happens()
    between = make_pem("between", key="gateway", issuer=("root one", "one"))
    world.happens(made(TRUSTED_CA, "b", "c0", {"certificates": ROOTS[0], "intermediates": between}))
    assert world.told[GATEWAY_A].accepted
    assert world.told[GATEWAY_B].reason == Reason.PRIVATE_KEY_OF_CA


@pytest.mark.parametrize("spec", [{"certificates": ROOTS[0]}, {"certificates": "nonsense"}])
@pytest.mark.parametrize("name", ["c0", f"{RELEASE}/c0"])
def test_a_gateway_is_compiled_again_when_a_trusted_ca_that_it_names_appears(name: str, spec: Any) -> None:
    world = ChangingWorld()
    world.happens(made(*GATEWAY_A, {"eui": EUIS[0], "lns": PLAIN, "client": {"trustedCAs": [name]}}))
    world.happens()
    assert "does not exist" in world.told[GATEWAY_A].message
    world.happens(made(TRUSTED_CA, RELEASE if "/" in name else "a", "c0", spec))
    assert "does not exist" not in world.told[GATEWAY_A].message


def test_the_vouching_cas_of_a_gateway_that_is_moved_here_change_too() -> None:
    world, moved = ChangingWorld(), {"eui": EUIS[0], "lns": PLAIN, "cups": MOVES[2]}
    client = secret(Reference(SECRET, "b", "client"), CONTENTS["client"][0])
    world.happens(client, made(TRUSTED_CA, "b", "c0", {"certificates": ROOTS[0]}), made(*GATEWAY_B, moved))
    world.happens()
    vouching = world.told[GATEWAY_B].vouching
    world.happens(made(TRUSTED_CA, "b", "c1", {"certificates": "nonsense"}))
    assert world.told[GATEWAY_B].accepted
    assert world.told[GATEWAY_B].vouching != vouching


def test_who_has_an_eui_is_decided_again_when_the_trust_is_put_in_force() -> None:
    world, spec = ChangingWorld(), {"eui": EUIS[0], "lns": PLAIN}
    for key, root in ((GATEWAY_A, ROOTS[0]), (GATEWAY_B, ROOTS[1])):
        world.happens(made(TRUSTED_CA, key.namespace, "c0", {"certificates": root}), made(*key, spec))
    world.happens()
    trust_alone = 1 << sorted([TRUST, *REGISTRY]).index(TRUST)
    world.happens(made(TRUSTED_CA, "a", "c1", {"certificates": ROOTS[1]}), published=trust_alone)
    assert [world.told[each].accepted for each in (GATEWAY_A, GATEWAY_B)] == [False, True]
    world.happens()
    assert [world.told[each].accepted for each in (GATEWAY_A, GATEWAY_B)] == [True, False]


# -- reservations and their limit


@pytest.fixture
def _one_reservation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_compiler, "MAX_RESERVED", 1)


def with_reserved(world: ChangingWorld, *reserved: ReservedEUI) -> None:
    """Replace the document in force by a version with these reservations, as a restored backup does."""
    world.in_force[NAME] = replace(document_in(world), reserved=reserved)


def test_a_reservation_that_is_put_back_counts_again() -> None:
    world, refused = ChangingWorld(), gateway(SECOND_A, {"eui": EUIS[1], "lns": {"uri": "nonsense"}})
    world.happens(gateway(GATEWAY_A, {"eui": EUIS[0], "lns": PLAIN}), refused)
    reserved = ReservedEUI(eui=EUIS[1], namespace="a", uid="before", rank=0)
    with_reserved(world, reserved)
    world.happens()
    assert document_in(world).reserved == (reserved,)
    with_reserved(world)
    world.happens()
    assert document_in(world).reserved == ()


@pytest.mark.usefixtures("_one_reservation")
def test_a_reservation_beyond_the_limit_is_forgotten() -> None:
    world = ChangingWorld()
    events = [gateway(GATEWAY_A, {"eui": EUIS[0], "lns": PLAIN}), gateway(SECOND_A, {"eui": EUIS[1], "lns": PLAIN})]
    world.happens(*events)
    for key in (SECOND_A, GATEWAY_A):
        world.happens((key, None))
        world.happens()
    assert [each.eui for each in document_in(world).reserved] == [EUIS[0]]
    world.happens(events[0])
    assert document_in(world).reserved == ()


@pytest.mark.usefixtures("_one_reservation")
def test_a_namespace_may_wait_for_another_eui_once_it_waits_for_fewer() -> None:
    world, spec = ChangingWorld(), {"eui": EUIS[1], "lns": PLAIN}
    world.happens(gateway(GATEWAY_A, spec))
    with_reserved(world, ReservedEUI(eui=EUIS[0], namespace="b", uid="before", rank=0, waits=True))
    world.happens(gateway(GATEWAY_B, spec), published=0)
    assert world.told[GATEWAY_B].reason == Reason.EUI_CONFLICT
    with_reserved(world)
    world.happens()
    assert world.told[GATEWAY_B].accepted


@pytest.mark.usefixtures("_one_reservation")
def test_the_euis_that_a_namespace_waits_for_are_counted_together() -> None:
    world, waiting = ChangingWorld(), Key(GATEWAY, "b", "g1")
    first, second = ({"eui": each, "lns": PLAIN} for each in EUIS[:2])
    world.happens(served(EUIS[0]), gateway(GATEWAY_A, first), gateway(SECOND_A, second))
    world.happens(gateway(GATEWAY_B, second), published=0)
    assert world.told[GATEWAY_B].accepted
    world.happens(gateway(waiting, first), published=0)
    assert [world.told[each].reason for each in (GATEWAY_B, waiting)] == [Reason.EUI_CONFLICT] * 2


# -- full documents


@pytest.fixture
def _space_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = (
        Bound(1_500, share=150, shares=300, release_share=200, reserve=200),
        Bound(4_000, share=600, shares=1_200, release_share=600, reserve=400),
    )
    monkeypatch.setattr(compile, "REGISTRY_BOUNDS", bounds)
    monkeypatch.setattr(bucket_memory, "REGISTRY_BOUNDS", bounds)


def large(eui: str, uri: str = "ws://lns:1", **client: Any) -> dict[str, Any]:
    """Return the spec of a Gateway; a document has space for one of these."""
    pins = [sha256(f"{eui} {each}".encode()).hexdigest() for each in range(10)]
    return {"eui": eui, "lns": {"uri": uri}, "client": {"sha256Fingerprints": pins, **client}}


@pytest.mark.usefixtures("_space_for_one")
def test_a_gateway_gets_the_space_of_one_that_is_deleted() -> None:
    world = ChangingWorld()
    world.happens(gateway(GATEWAY_A, large(EUIS[0]), age=3), gateway(SECOND_A, large(EUIS[1])))
    world.happens()
    assert world.told[SECOND_A].reason == Reason.CAPACITY_EXCEEDED
    world.happens((GATEWAY_A, None))
    assert world.told[SECOND_A].accepted


@pytest.mark.usefixtures("_space_for_one")
def test_the_older_gateway_gets_the_space() -> None:
    world = ChangingWorld()
    world.happens(gateway(GATEWAY_A, large(EUIS[0]), age=3), gateway(SECOND_A, large(EUIS[1])), published=0)
    assert world.told[GATEWAY_A].accepted
    world.happens(gateway(SECOND_A, large(EUIS[1]), age=5), published=0)
    assert world.told[SECOND_A].accepted
    assert world.told[GATEWAY_A].reason == Reason.CAPACITY_EXCEEDED


@pytest.mark.usefixtures("_space_for_one")
def test_in_a_full_document_a_refused_spec_still_takes_away_what_it_no_longer_names() -> None:
    world = ChangingWorld()
    both = gateway(GATEWAY_A, large(EUIS[0], trustedCAs=["c0", "c1"]), age=3)
    world.happens(both, gateway(SECOND_A, large(EUIS[1])))
    world.happens(gateway(GATEWAY_A, large(EUIS[0], "nonsense", trustedCAs=["c0", "c1"]), age=3))
    world.happens()
    assert world.told[SECOND_A].reason == Reason.CAPACITY_EXCEEDED
    world.happens(gateway(GATEWAY_A, large(EUIS[0], "nonsense", trustedCAs=["c0"]), age=3))
    assert [each.trusted_cas for each in document_in(world).gateways] == [("a/c0",)]


def naming(key: Key, number: int, age: int = 2) -> Event:
    """Return a Gateway that names some TrustedCAs: with more of them it needs more space, and allows more."""
    names = [sha256(f"{each} {key}".encode()).hexdigest() for each in range(number)]
    return gateway(key, {"eui": EUIS[int(key.name[1])], "lns": PLAIN, "client": {"trustedCAs": names}}, age=age)


@pytest.mark.usefixtures("_space_for_one")
@pytest.mark.parametrize("earlier", [0, 1])
def test_an_event_takes_no_space_of_a_gateway_that_waits_to_be_compiled_again(
    earlier: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pause, "MOST_WITH_EVENTS", 0)
    world, older = ChangingWorld(), naming(SECOND_A, 1, age=5)
    # Their document comes later, and its Gateways are compiled first.
    euis = [f"{each:016X}" for each in range(100) if bucket_of(EUI64(each)) > bucket_of(EUI64(int(EUIS[0], 16)))]
    others = [("b", f"g{each}", {"eui": each, "lns": PLAIN}) for each in euis]
    if earlier:
        world.happens(older, naming(GATEWAY_A, earlier), *(made(GATEWAY, *each) for each in others))
        world.happens()
    changed = [made(GATEWAY, *each[:2], {**each[2], "suspended": True}) for each in others]
    world.happens(older, naming(GATEWAY_A, 10), *changed)
    # The Gateways that are in force now must be compiled again; they wait behind the event.
    world.happens(naming(SECOND_A, 10, age=5))
    assert world.told[GATEWAY_A].accepted
    assert world.told[SECOND_A].reason == Reason.CAPACITY_EXCEEDED
