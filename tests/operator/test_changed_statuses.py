"""Changes of statuses alone reach the compiler, but no judgement: the operator itself writes 100,000 of them."""

from msgspec.structs import replace

from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
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
