"""The steps that resources wait for, by resource and by name. Pure.

People know resources by their names. A recreated resource has another uid; what holds for it waits for the steps of
every resource of this name.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stationkeeper_operator.resources.records import Key
from stationkeeper_operator.rollout.step_fact import Step


class ResourceRef(NamedTuple):
    """One resource by key and uid; another resource of the same name is not equal."""

    key: Key
    uid: str


class ResourceSteps:
    """For each resource its latest step in each document. Iterates over the resources."""

    def __init__(self) -> None:
        self._of: dict[Key, dict[str, dict[str, Step]]] = {}

    def __iter__(self) -> Iterator[ResourceRef]:
        for key in self._of:
            yield from self.of_one_name(key)

    def attach(self, ref: ResourceRef, step: Step) -> None:
        """Make a resource wait for a step instead of its earlier one in the same document."""
        self._of.setdefault(ref.key, {}).setdefault(ref.uid, {})[step.document] = step

    def drop(self, ref: ResourceRef, document: str) -> Step | None:
        """Remove the step of a resource in a document, and return it; None if there is none."""
        of_name = self._of.get(ref.key, {})
        steps = of_name.get(ref.uid, {})
        step = steps.pop(document, None)
        if step is not None and not steps:
            del of_name[ref.uid]
            if not of_name:
                del self._of[ref.key]
        return step

    def of(self, ref: ResourceRef) -> Mapping[str, Step]:
        """Return the steps of a resource, by document."""
        return self._of.get(ref.key, {}).get(ref.uid, {})

    def of_name(self, key: Key) -> Mapping[str, Step]:
        """Return the latest steps of all resources of a name, by document."""
        all_steps = self._of.get(key, {}).values()
        if len(all_steps) == 1:
            return next(iter(all_steps))
        latest: dict[str, Step] = {}
        for step in (step for steps in all_steps for step in steps.values()):
            if step.document not in latest or step.generation > latest[step.document].generation:
                latest[step.document] = step
        return latest

    def of_one_name(self, key: Key) -> Iterator[ResourceRef]:
        """Yield the resources of a name."""
        yield from (ResourceRef(key, uid) for uid in self._of.get(key, ()))
