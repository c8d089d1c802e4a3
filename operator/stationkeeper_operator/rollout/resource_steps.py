"""The steps that resources wait for, by resource, by name and by step. Pure.

People know resources by their names. A recreated resource has another uid; what holds for it waits for the steps of
every resource of this name.

While a pod cannot be reached, no step is proven. Removed resources would then fill the memory, since a tenant can
create and delete any number of them. Beyond a limit for each namespace, they have their steps in common.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from stationkeeper_operator.resources.records import Key
from stationkeeper_operator.rollout.step_fact import Step

MOST_REMOVED = 5_000
"""The maximum number of removed resources of one namespace with steps of their own."""
_LOOKED_AT = 10
"""The number of removed resources that are looked at for one that may be forgotten."""


class ResourceRef(NamedTuple):
    """One resource by key and uid; another resource of the same name is not equal."""

    key: Key
    uid: str


class ResourceSteps:
    """For each resource its latest step in each document.

    Args:
        most_removed: see `MOST_REMOVED`.
    """

    def __init__(self, most_removed: int = MOST_REMOVED) -> None:
        self._most_removed = most_removed
        self._of: dict[Key, dict[str, dict[str, Step]]] = {}
        self._refs: dict[Step, set[ResourceRef]] = {}
        # The removed resources of each namespace, and whether the proof of their removal has its event.
        self._removed: dict[str, dict[ResourceRef, bool]] = {}
        self._in_common: set[ResourceRef] = set()

    @property
    def keys(self) -> Collection[Key]:
        """The present names of the resources."""
        return list(self._of)

    @property
    def steps(self) -> Collection[Step]:
        """The steps that a resource waits for, in the order of their first resource."""
        return self._refs.keys()

    def refs(self, step: Step) -> Collection[ResourceRef]:
        """Return the resources that wait for a step."""
        return self._refs.get(step, ())

    def attach(self, ref: ResourceRef, step: Step) -> None:
        """Make a resource wait for a step, in place of its earlier one in the same document."""
        self.replace(ref, step)
        self._forget_removed(ref)

    def attach_removed(self, ref: ResourceRef, step: Step) -> None:
        """Make a removed resource wait for a step; beyond the limit, all resources of its namespace and kind wait."""
        if ref not in self._removed.get(ref.key.namespace, ()):
            self._make_room(ref.key.namespace)
        removed = self._removed.setdefault(ref.key.namespace, {})
        if ref in removed or len(removed) < self._most_removed:
            removed[ref] = False
            self.replace(ref, step)
            return
        others = _others(ref.key)
        self._in_common.add(others)
        for each in (*self.of(ref).values(), step):
            latest = self.of(others).get(each.document)
            if latest is None or latest.generation < each.generation:
                self.replace(others, each)
        for document in tuple(self.of(ref)):
            self.drop(ref, document)

    def note_told(self, ref: ResourceRef) -> None:
        """Record that the proof of a removal has its event: it may be forgotten when there are too many."""
        removed = self._removed.get(ref.key.namespace, {})
        if ref in removed:
            removed[ref] = True

    def awaits_event(self, ref: ResourceRef) -> bool:
        """Return whether a resource is removed and the proof of this has no event yet."""
        return not self._removed.get(ref.key.namespace, {}).get(ref, True)

    def replace(self, ref: ResourceRef, step: Step) -> None:
        """Replace the step of a resource in a document; it stays removed if it was."""
        steps = self._of.setdefault(ref.key, {}).setdefault(ref.uid, {})
        earlier = steps.get(step.document)
        if earlier is not None:
            self._discard(ref, earlier)
        steps[step.document] = step
        self._refs.setdefault(step, set()).add(ref)

    def drop(self, ref: ResourceRef, document: str) -> None:
        """Remove the step of a resource in a document, if it has one."""
        of_name = self._of.get(ref.key, {})
        steps = of_name.get(ref.uid, {})
        step = steps.pop(document, None)
        if step is None:
            return
        self._discard(ref, step)
        if not steps:
            del of_name[ref.uid]
            self._forget_removed(ref)
            self._in_common.discard(ref)
        if not of_name:
            del self._of[ref.key]

    def of(self, ref: ResourceRef) -> Mapping[str, Step]:
        """Return the steps of a resource, by document."""
        return self._of.get(ref.key, {}).get(ref.uid, {})

    def of_name(self, key: Key) -> Mapping[str, Step]:
        """Return the latest steps of all resources of a name, by document; with those in common."""
        listed = (*self._of.get(key, {}).values(), self.of(_others(key)))
        all_steps = [steps for steps in listed if steps]
        if len(all_steps) == 1:
            return all_steps[0]
        latest: dict[str, Step] = {}
        for step in (step for steps in all_steps for step in steps.values()):
            if step.document not in latest or step.generation > latest[step.document].generation:
                latest[step.document] = step
        return latest

    def of_one_name(self, key: Key) -> Iterator[ResourceRef]:
        """Yield the resources of a name."""
        yield from (ResourceRef(key, uid) for uid in self._of.get(key, ()))

    def is_in_common(self, step: Step) -> bool:
        """Return whether all resources of a namespace and kind wait for a step."""
        return not self._in_common.isdisjoint(self._refs.get(step, ()))

    def _make_room(self, namespace: str) -> None:
        """Forget a removed resource whose removal has its event, if there are too many; look at a few of them only."""
        removed = self._removed.get(namespace, {})
        for _ in range(_LOOKED_AT if len(removed) >= self._most_removed else 0):
            oldest = next(iter(removed))
            if removed[oldest]:
                for document in tuple(self.of(oldest)):
                    self.drop(oldest, document)
                return
            # Not now: begin with another one the next time.
            removed[oldest] = removed.pop(oldest)

    def _discard(self, ref: ResourceRef, step: Step) -> None:
        self._refs[step].discard(ref)
        if not self._refs[step]:
            del self._refs[step]

    def _forget_removed(self, ref: ResourceRef) -> None:
        removed = self._removed.get(ref.key.namespace, {})
        removed.pop(ref, None)
        if not removed:
            self._removed.pop(ref.key.namespace, None)


def _others(key: Key) -> ResourceRef:
    """Return what stands for the removed resources beyond the limit; no resource has an empty name."""
    return ResourceRef(Key(key.kind, key.namespace, ""), "")
