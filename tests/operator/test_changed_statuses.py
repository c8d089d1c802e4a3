"""Changes of statuses alone reach the compiler, but no judgement: the operator itself writes 100,000 of them."""

from msgspec.structs import replace

from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.watching.known import Change
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.test_resource_store import gateway


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


def test_of_a_removed_resource_no_changed_status_is_left() -> None:
    store = ResourceStore()
    store.put(gateway(1))
    store.put(gateway(2))
    store.remove(gateway(3))
    assert store.changes().world == WorldChanges()


def test_a_new_generation_is_more_than_a_changed_status_although_the_spec_is_the_same() -> None:
    store = ResourceStore()
    store.put(gateway(1))
    after = gateway(2)
    assert store.put(replace(after, metadata=replace(after.metadata, generation=7))) is Change.SPEC
