"""The event `its removal was loaded` comes for each removed resource, once, and not before every pod has loaded it."""

from collections.abc import Iterable

import pytest

from stationkeeper_core.published.documents import TRUST, Document, RegisteredGateway, TrustDocument
from stationkeeper_core.published.registry_layout import layout_of
from stationkeeper_operator.compiling.retention.document_changes import document_changes
from stationkeeper_operator.publishing.removal_annotation import Removed
from stationkeeper_operator.resources.records import GATEWAY, Key
from stationkeeper_operator.rollout.resource_steps import ResourceRef, ResourceSteps
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker, still_held
from stationkeeper_operator.rollout.step_fact import PodReport
from tests.operator.counted_registry import RELEASE, documents_of, gateway
from tests.operator.enforcing import resources_in

FEW, MANY = 16, 32
ROOF = gateway("00000000000000AA")
TRUSTED = {TRUST: TrustDocument(release_namespace=RELEASE)}


def tracker() -> RolloutTracker:
    return RolloutTracker(lambda _key: None, RELEASE, asks=True)


def removal(of: Iterable[RegisteredGateway], buckets: int = FEW) -> tuple[dict[str, Document], dict[str, Document]]:
    """Return the documents with these gateways, and those without them that replace them."""
    before, after = documents_of(buckets, of), documents_of(buckets, ())
    changed = {name for name, document in before.items() if document != after[name]}
    return {name: before[name] for name in changed}, {name: after[name] for name in changed}


def publish(made: RolloutTracker, of: Iterable[RegisteredGateway], generation: int) -> None:
    before, after = removal(of)
    changes = {name: document_changes(before[name], after[name]) for name in after}
    list(made.published(changes, dict.fromkeys(after, generation), 100.0))
    made.note_unwritten((), {}, ())


def told_at_end(made: RolloutTracker) -> list[str]:
    return [each.resource.metadata.uid for each in made.removals(TRUSTED, {}) if each is not None]


def told(made: RolloutTracker, *pods: PodReport) -> list[str]:
    found = made.reported(pods, 101.0)
    return [each.resource.metadata.uid for each in made.proven(found.to_check)]


def pod(generation: int, buckets: int = FEW, **others: int) -> PodReport:
    documents = (TRUST, *layout_of(buckets).registry)
    return PodReport(f"cups-{buckets}", {**dict.fromkeys(documents, generation), **others}, buckets=buckets)


def begun(*counts: int) -> RolloutTracker:
    made = tracker()
    made.begin_turn({name: 4 for count in counts for name in (TRUST, *layout_of(count).registry)})
    made.note_unwritten((), {}, ())
    told(made, *(pod(4, count) for count in counts))
    return made


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> RolloutTracker:
    """Return a tracker that remembers the steps of ten removed resources of a namespace."""
    made = begun(FEW)
    monkeypatch.setattr(made.enforcement, "_steps", ResourceSteps(most_removed=10))
    return made


def test_each_removal_has_its_event_however_many_there_were_before(limited: RolloutTracker) -> None:
    removed = [gateway(f"{number:016X}") for number in range(40)]
    for generation, each in enumerate(removed, start=5):
        publish(limited, [each], generation)
        assert not told_at_end(limited)
        assert told(limited, pod(generation)) == [each.uid]
    assert all(ref.key.name for ref in resources_in(limited.enforcement._steps)), "nothing waits in common"


def test_a_removal_without_an_event_is_remembered_while_those_with_one_are_forgotten(limited: RolloutTracker) -> None:
    silent = PodReport("cups-1", dict.fromkeys((TRUST, *layout_of(FEW).registry), 5), problem="timeout")
    first = [gateway(f"{number:016X}") for number in range(5)]
    publish(limited, first, 5)
    assert not told_at_end(limited)
    assert len(told(limited, pod(5), silent)) == 5
    later = [gateway(f"{number:016X}") for number in range(5, 15)]
    publish(limited, later, 6)
    assert not told_at_end(limited)
    assert not told(limited, pod(6), silent)
    assert sorted(told(limited, pod(6))) == sorted(each.uid for each in later)


def test_removals_beyond_the_limit_fill_no_memory_while_a_pod_cannot_be_reached(limited: RolloutTracker) -> None:
    silent = PodReport("cups-1", dict.fromkeys((TRUST, *layout_of(FEW).registry), 4), problem="timeout")
    for generation in range(5, 35):
        publish(limited, [gateway(f"{generation:016X}")], generation)
        assert not told_at_end(limited)
        assert not told(limited, pod(generation), silent)
    assert len(resources_in(limited.enforcement._steps)) == 10 + 1
    assert len(limited._removal_events._deleted) == 10
    assert (
        len(
            told(
                limited, PodReport("cups-1", {name: known.latest for name, known in limited.enforcement._known.items()})
            )
        )
        == 10
    )
    assert not limited._removal_events._deleted


def test_removals_that_wait_for_another_document_have_their_event_after_very_many_publishes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stationkeeper_operator.rollout.enforcement._MAX_PROVEN", 10)
    made = begun(FEW)
    (unloaded,) = set(layout_of(FEW).registry[:1])
    removed = [each for each in (gateway(f"{n:016X}") for n in range(60)) if unloaded not in removal([each])[0]]
    made.begin_turn({unloaded: 5})
    made.note_unwritten((), {}, ())
    for generation, each in enumerate(removed, start=6):
        publish(made, [each], generation)
        assert not told_at_end(made)
        assert not told(made, pod(generation, **{unloaded: 4}))
        assert len(made.enforcement._steps.steps) <= 11 + FEW
    for generation, each in enumerate(removed, start=6):
        (waits_for,) = made.enforcement._steps.of(
            ResourceRef(Key(GATEWAY, each.namespace, each.name), each.uid)
        ).values()
        assert waits_for.generation >= generation, "never for an earlier one"
    last = PodReport("cups-16", {**pod(5 + len(removed)).generations, unloaded: 5})
    assert sorted(told(made, last)) == sorted(each.uid for each in removed)
    assert not made._removal_events._deleted


def test_a_removal_that_one_count_has_loaded_waits_for_the_copy_of_the_other_count() -> None:
    made = begun(FEW, MANY)
    before, after = removal([ROOF])
    copied, copies = removal([ROOF], MANY)
    changes = {name: document_changes(old, new) for name, old, new in _pairs(before, after)}
    changes |= {name: document_changes(old, new) for name, old, new in _pairs(copied, copies)}
    list(made.published(changes, dict.fromkeys(after, 5), 100.0))
    assert not told(made, pod(5), pod(4, MANY)), "the turn is not over"
    list(made.published_copies(changes, dict.fromkeys(copies, 5), 100.0))
    made.note_unwritten((), {}, ())
    assert not told_at_end(made)
    assert not made._proven_early
    assert not told(made, pod(5), pod(4, MANY))
    assert told(made, pod(5), pod(5, MANY)) == [ROOF.uid]


def test_a_removal_whose_copy_could_not_be_written_waits_although_pods_were_quicker_than_the_turn() -> None:
    made = begun(FEW, MANY)
    before, after = removal([ROOF])
    copied, copies = removal([ROOF], MANY)
    changes = {name: document_changes(old, new) for name, old, new in _pairs(before, after)}
    list(made.published(changes, dict.fromkeys(after, 5), 100.0))
    assert not told(made, pod(5), pod(4, MANY))
    made.note_unwritten(set(copies), still_held(copies, copied, copies), ())
    assert not told_at_end(made)
    assert not told(made, pod(5), pod(4, MANY))
    list(
        made.published_copies(
            {name: document_changes(copied[name], copies[name]) for name in copies}, dict.fromkeys(copies, 6), 100.0
        )
    )
    made.note_unwritten((), {}, ())
    assert told(made, pod(5), pod(6, MANY)) == [ROOF.uid]


def _pairs(before: dict[str, Document], after: dict[str, Document]) -> list[tuple[str, Document, Document]]:
    return [(name, before[name], after[name]) for name in after]


def test_an_operator_that_asks_no_pod_remembers_no_removal_of_an_earlier_one() -> None:
    asks_none = RolloutTracker(lambda _key: None, RELEASE, asks=False)
    noted = Removed("TrustedCA", "lorawan", "acme", "u1")
    assert asks_none.begin_turn({TRUST: 4}, {TRUST: (noted,)})
    assert not resources_in(asks_none.enforcement._steps)
    assert not asks_none._removal_events._deleted
