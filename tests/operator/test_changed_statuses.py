"""Changes of statuses alone reach the compiler, but no judgement: the operator itself writes 100,000 of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.resources.records import GATEWAY, Key, Resource, decode_resource
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_operator.watching.store_results import Change
from tests.operator.test_resource_store import TOKEN, gateway, read, secret


def test_changed_statuses_are_returned_apart_and_without_the_state_before() -> None:
    store = ResourceStore()
    store.put(gateway(1, "a"))
    store.put(gateway(2, "b"))
    store.put(gateway(3, "c"))
    assert store.changes().restated == {}
    for version, name in enumerate("abc", start=4):
        store.put(gateway(version, name))
    assert store.restated == 3
    store.put(gateway(7, "b", uri="wss://new:1"))
    store.remove(gateway(8, "c"))
    found = store.changes()
    assert found.restated == {gateway(4, "a").key: gateway(4, "a")}
    assert found.world.restated == found.restated
    assert {key.name for key in found.before} == {"b", "c"}
    assert store.restated == 0
    assert store.changes().world == WorldChanges()


def test_a_removed_resource_leaves_no_changed_status() -> None:
    store = ResourceStore()
    store.put(gateway(1))
    store.put(gateway(2))
    store.remove(gateway(3))
    assert store.changes().world == WorldChanges()


def test_nothing_is_kept_of_resources_that_came_and_went_between_two_turns() -> None:
    store = ResourceStore()
    store.put(gateway(1, "stays"))
    assert store.changes().before
    for version in range(2, 62, 3):
        name = f"gateway-{version}"
        store.put(gateway(version, name))
        store.put(gateway(version + 1, name))
        store.remove(gateway(version + 2, name))
    store.put(gateway(90, "stays", uri="wss://new:1"))
    store.remove(gateway(91, "stays"))
    store.put(gateway(92, "stays"))
    store.remove(gateway(93, "stays"))
    found = store.changes()
    assert found.before == {gateway(1, "stays").key: gateway(1, "stays")}
    assert found.after == {}


def test_nothing_is_kept_of_secrets_that_were_named_for_a_while_between_two_turns() -> None:
    store = ResourceStore()
    store.put(gateway(1))
    read(store, secret(1))
    assert store.changes().referenced == {TOKEN: secret(1)}
    store.remove(gateway(2))
    store.put(gateway(3))
    read(store, secret(1))
    assert store.changes().referenced == {TOKEN: secret(1)}
    store.remove(gateway(4))
    assert store.changes().referenced == {TOKEN: None}
    for version in range(5, 50, 2):
        store.put(gateway(version))
        read(store, secret(1))
        store.remove(gateway(version + 1))
    assert store.changes().referenced == {}
    store.put(gateway(60))
    read(store, None)
    assert store.changes().referenced == {TOKEN: None}


def test_a_return_of_everything_says_what_was_deleted_or_changed_just_before() -> None:
    store = ResourceStore()
    for version, name in enumerate(("deleted", "changed", "stays"), start=1):
        store.put(gateway(version, name))
    assert store.changes().before
    store.remove(gateway(4, "deleted"))
    store.put(gateway(5, "changed", uri="wss://new:1"))
    store.put(gateway(6, "stays"))
    store.return_all_next()
    deleted, changed, stays = gateway(1, "deleted"), gateway(2, "changed"), gateway(6, "stays")
    found = store.changes().world
    assert found.resources == {
        deleted.key: ResourceChange(deleted, None),
        changed.key: ResourceChange(changed, gateway(5, "changed", uri="wss://new:1")),
        stays.key: ResourceChange(None, stays),
    }
    assert found.restated == {}
    assert store.changes().world == WorldChanges()


def test_a_new_generation_is_more_than_a_changed_status_although_the_spec_is_the_same() -> None:
    store = ResourceStore()
    store.put(gateway(1))
    after = gateway(2)
    assert store.put(replace(after, metadata=replace(after.metadata, generation=7))) is Change.SPEC


_NAMES = st.sampled_from("ab")
_STEPS = st.one_of(
    st.tuples(st.just("put"), _NAMES, st.integers(0, 2), st.integers(1, 2), st.integers(0, 2)),
    st.tuples(st.just("remove"), _NAMES),
    st.tuples(st.just("list"), st.sets(_NAMES), st.sampled_from((-4, 0))),
    st.tuples(st.just("take"), st.booleans()),
)


@given(steps=st.lists(_STEPS, max_size=30))
def test_the_changes_lead_from_each_taken_state_to_the_present_one(steps: list[tuple[Any, ...]]) -> None:
    store, known, version = ResourceStore(), dict[Key, Resource](), 10
    for what, *given_ in (*steps, ("take", False)):
        version += 1
        if what == "put":
            name, status, uid, spec = given_
            store.put(_resource(version, name, status, f"uid-{uid}", f"wss://lns-{spec}:1"))
        elif what == "remove":
            store.remove(gateway(version, given_[0]))
        elif what == "list":
            names, late = given_
            listed = store.begin_list(GATEWAY, None)
            for name in sorted(names):
                held = store.get(gateway(1, name).key)
                listed.add(held if held is not None and late else _resource(version + late, name, 5))
            for _ in store.merge_steps(listed, str(version + late)):
                pass
        else:
            if given_[0]:
                store.return_all_next()
            world = store.changes().world
            assert world.resources.keys().isdisjoint(world.restated)
            for key, (before, after) in world.resources.items():
                held = known.pop(key, None)
                assert before is None or (held is not None and _judged(before) == _judged(held))
                if after is not None:
                    assert before is not None or held is None or _judged(held) == _judged(after)
                    known[key] = after
            for key, resource in world.restated.items():
                assert _judged(known[key]) == _judged(resource)
                known[key] = resource
            assert known == store.snapshot().resources


def _resource(version: int, name: str, status: int, uid: str = "uid-1", uri: str = "wss://lns-0:1") -> Resource:
    metadata = {"namespace": "team", "name": name, "uid": uid, "resourceVersion": str(version)}
    spec = {"eui": "0000000000000001", "lns": {"uri": uri}}
    return decode_resource(GATEWAY, {"metadata": metadata, "spec": spec, "status": {"number": status}})


def _judged(resource: Resource) -> tuple[object, ...]:
    return resource.metadata.uid, resource.metadata.generation, resource.spec
