"""After a restart, each document is written complete, and documents that an event waits for come first."""

from datetime import timedelta

import pytest

from stationkeeper_core.published.documents import TRUST, Document, RegistryDocument, decode, encode, encode_payload
from stationkeeper_operator.compiling.incremental import pause
from stationkeeper_operator.resources.records import GATEWAY, Gateway, Key, Reference
from tests.operator.changing_world import ChangingWorld, Step, made
from tests.operator.member_fleet import fleet, member, spec_of
from tests.operator.resource_building import NOW


def has_gateway(document: Document, key: Key | Reference) -> bool:
    return isinstance(document, RegistryDocument) and any(each.name == key.name for each in document.gateways)


def test_after_a_restart_what_is_removed_does_not_wait_for_all_gateways() -> None:
    world, number = ChangingWorld(), 400
    world.happens(*fleet(number))
    world.happens()
    fewer = {**spec_of(2), "client": {"trustedCAs": ["other"]}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pause, "LEAST_BEFORE_PAUSE", 10)
        for event in (made(*member(1), {**spec_of(1), "suspended": True}), made(*member(2), fewer), (member(3), None)):
            (name,) = (name for name in world.in_force if has_gateway(world.in_force[name], event[0]))
            compiler = world.restarted(event)
            plan = compiler.compile(world.in_force, NOW)
            assert plan.work.gateways < number / 4
            assert plan.documents.keys() == {TRUST, name}
            assert plan.documents[name] == world.from_nothing().documents[name]
            assert not compiler.has_compiled_all
            world.in_force[name] = plan.documents[name]


def test_named_secrets_that_are_read_after_their_gateways_are_taken_in_are_no_events_of_the_first_compile() -> None:
    world, number = ChangingWorld(), 400
    world.happens(*fleet(number))
    world.happens()
    compiler = world.restarted(prepared=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pause, "LEAST_BEFORE_PAUSE", 10)
        plan = compiler.compile(world.in_force, NOW, lambda: True)
    assert plan.work.gateways < number / 4


def test_a_gateway_may_be_deleted_between_the_preparation_and_the_first_compile() -> None:
    world = ChangingWorld()
    world.happens(*fleet(2))
    world.happens()
    world.take(Step([(member(0), None)], timedelta(), 0, restarts=True, change_waits=False, prepared=3))
    assert member(0) not in world.told
    assert member(1) in world.told


def test_after_a_restart_an_event_is_written_with_its_whole_document() -> None:
    world, number = ChangingWorld(), 400
    world.happens(*fleet(number))
    world.happens()
    compiler = world.restarted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pause, "LEAST_BEFORE_PAUSE", 10)
        patch.setattr(pause, "MOST_WITH_EVENTS", 10)
        compiler.compile(world.in_force, NOW, lambda: True)
        compiler.take_in(world.apply([made(*member(1), {**spec_of(1), "suspended": True})]))
        plans = [compiler.compile(world.in_force, NOW)]
        while not plans[-1].is_done:
            plans.append(compiler.compile(world.in_force, NOW))
    whole = world.from_nothing().documents
    assert [each for each in plans if not each.documents.items() <= whole.items()] == []
    (name,) = (name for name in whole if has_gateway(world.in_force[name], member(1)))
    before = [each for each in plans if name not in each.documents]
    assert sum(each.work.gateways for each in before) < number / 4


def test_after_a_restart_a_gateway_of_an_event_is_reported_early() -> None:
    world, number = ChangingWorld(), 400
    world.happens(*fleet(number))
    world.happens()
    compiler = world.restarted()

    def compiled() -> set[Key]:
        """Compile, with a waiting change once a Gateway has a verdict; return the Gateways with a changed verdict."""
        plan = compiler.compile(world.in_force, NOW, lambda: any(key.kind == GATEWAY for key in compiler.verdicts))
        return {key for key in plan.verdicts if key.kind == GATEWAY}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pause, "LEAST_BEFORE_PAUSE", 10)
        compiler.compile(world.in_force, NOW, lambda: True)
        compiler.take_in(world.apply([made(*member(1), {**spec_of(1), "suspended": True})]))
        while not (told := compiled()):
            pass
    assert len(told) < number / 2
    assert member(1) in told


def test_after_a_restart_the_records_in_force_use_the_texts_of_their_gateways() -> None:
    world, number = ChangingWorld(), 40
    world.happens(*fleet(number))
    world.happens()
    world.in_force = {
        name: decode(name, encode(name, 1, encode_payload(each))).content for name, each in world.in_force.items()
    }
    compiler = world.restarted()
    while not (plan := compiler.compile(world.in_force, NOW)).is_done:
        pass
    registries = [each for each in plan.documents.values() if isinstance(each, RegistryDocument)]
    records = [each for registry in registries for each in registry.gateways]
    assert len(records) == number
    for each in records:
        gateway = compiler.resources[Key(GATEWAY, each.namespace, each.name)]
        assert isinstance(gateway, Gateway)
        assert gateway.spec is not None
        assert each.eui is gateway.spec.eui
        metadata = gateway.metadata
        assert [each.namespace, each.name, each.uid] == [metadata.namespace, metadata.name, metadata.uid]
        assert each.name is metadata.name
        assert each.uid is metadata.uid
    assert len({id(verdict) for key, verdict in compiler.verdicts.items() if key.kind == GATEWAY}) < number
