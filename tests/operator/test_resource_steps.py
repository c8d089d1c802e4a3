"""Steps are never forgotten before they are proven, and take a bounded space."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key
from stationkeeper_operator.rollout.resource_steps import ResourceRef, ResourceSteps
from stationkeeper_operator.rollout.step_fact import Step
from tests.examples import examples
from tests.operator.enforcing import resources_in

MOST_REMOVED = 2
REFS = [
    ResourceRef(Key(TRUSTED_CA, namespace, name), uid) for namespace in "ab" for name in "xyz" for uid in ("1", "2")
]
DOCUMENTS = ["trust", "registry-00"]
WRITES = st.lists(st.tuples(st.sampled_from(REFS), st.sampled_from(DOCUMENTS), st.booleans()), max_size=40)


@settings(deadline=None, max_examples=examples(300))
@given(WRITES)
def test_a_name_waits_for_the_latest_step_of_each_of_its_resources(writes: list[tuple[ResourceRef, str, bool]]) -> None:
    steps = ResourceSteps(MOST_REMOVED)
    latest: dict[Key, dict[str, int]] = defaultdict(dict)
    present: set[ResourceRef] = set()
    for generation, (ref, document, is_removed) in enumerate(writes, start=1):
        (steps.attach_removed if is_removed else steps.attach)(ref, Step(document, generation))
        present = present - {ref} if is_removed else present | {ref}
        latest[ref.key][document] = generation
        for key, documents in latest.items():
            waits_for = steps.of_name(key)
            assert all(waits_for[name].generation >= number for name, number in documents.items())
        for namespace in "ab":
            removed = [each for each in resources_in(steps) if each.key.namespace == namespace and each not in present]
            assert len(removed) <= MOST_REMOVED + 1, "and one that stands for the others"


@settings(deadline=None, max_examples=examples(300))
@given(WRITES)
def test_a_step_and_its_resources_know_each_other(writes: list[tuple[ResourceRef, str, bool]]) -> None:
    steps = ResourceSteps(MOST_REMOVED)
    for generation, (ref, document, is_removed) in enumerate(writes, start=1):
        (steps.attach_removed if is_removed else steps.attach)(ref, Step(document, generation))
    pairs = {(ref, step) for ref in resources_in(steps) for step in steps.of(ref).values()}
    assert pairs == {(ref, step) for step in steps.steps for ref in steps.refs(step)}
    for ref, step in pairs:
        steps.drop(ref, step.document)
    assert not resources_in(steps)
    assert not steps.steps
    assert not steps._removed


def test_a_resource_that_came_back_no_longer_counts_as_removed() -> None:
    steps = ResourceSteps(most_removed=1)
    first, second, *_ = REFS
    steps.attach_removed(first, Step("trust", 1))
    steps.attach(first, Step("trust", 2))
    steps.attach_removed(second, Step("trust", 3))
    assert steps.of(second) == {"trust": Step("trust", 3)}


def test_a_removed_resource_keeps_its_own_steps_although_others_came_to_the_limit() -> None:
    steps = ResourceSteps(most_removed=1)
    first, second, *_ = REFS
    steps.attach_removed(first, Step("trust", 1))
    steps.attach_removed(second, Step("trust", 2))
    steps.note_told(first)
    steps.attach_removed(first, Step("registry-00", 3))
    assert steps.of(first) == {"trust": Step("trust", 1), "registry-00": Step("registry-00", 3)}


def test_resources_of_another_kind_do_not_wait_for_those_in_common() -> None:
    steps = ResourceSteps(most_removed=1)
    gateways = [ResourceRef(Key(GATEWAY, "a", name), "1") for name in "xyz"]
    for generation, each in enumerate(gateways, start=1):
        steps.attach_removed(each, Step("registry-00", generation))
    assert steps.of_name(Key(GATEWAY, "a", "other")) == {"registry-00": Step("registry-00", 3)}
    assert not steps.of_name(Key(TRUSTED_CA, "a", "other"))


def test_only_a_removal_with_an_event_is_forgotten_for_another_one() -> None:
    steps = ResourceSteps(most_removed=2)
    first, second, third, fourth, *_ = [each for each in REFS if each.key.namespace == "a"]
    steps.attach_removed(first, Step("trust", 1))
    steps.attach_removed(second, Step("trust", 2))
    assert [steps.awaits_event(each) for each in (first, third)] == [True, False]
    steps.note_told(second)
    steps.note_told(third)
    steps.attach_removed(third, Step("trust", 3))
    assert [bool(steps.of(each)) for each in (first, second, third)] == [True, False, True]
    steps.attach_removed(fourth, Step("trust", 4))
    assert not steps.of(fourth), "none of the others has its event"
    steps.note_told(first)
    steps.attach_removed(first, Step("trust", 5))
    assert steps.awaits_event(first), "it was removed again"
