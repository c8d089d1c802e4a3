"""What the operator knows of the cluster: the resources, and the Secrets and ConfigMaps that they name.

Two sources report on the resources: the events of a watch, which may be late, doubled or lost, and LISTs, which are
true as of their resourceVersion. Versions are compared as integers, and the newer one wins. After a LIST, nothing that
is not newer than it and not in it exists, so a late event cannot bring back what is gone; a deletion that is newer than
the LIST stays one.

Of Secrets and ConfigMaps only those keys are kept that a resource names, within a budget of each namespace. An object
of which a named key was never read is *unresolved* until it was read, or the API server said that it does not exist.
"""

from collections import Counter
from collections.abc import Collection, Iterator

import msgspec

from stationkeeper_operator.compiling.retention.reductions import resource_reduced
from stationkeeper_operator.compiling.world import SECRET_LABELS
from stationkeeper_operator.resources.named_references import admitting_references, reference_keys
from stationkeeper_operator.resources.records import SECRET, Key, Reference, ReferencedObject, Resource
from stationkeeper_operator.resources.specs import EVERY_KEY
from stationkeeper_operator.watching.known import Change, Known, KnownChanges, ListInProgress
from stationkeeper_operator.watching.reference_budget import ReferenceBudget

Scope = tuple[str, str | None]


class ResourceStore:
    """The store; used from one thread only.

    Args:
        budget: of what namespaces name.
    """

    def __init__(self, budget: ReferenceBudget | None = None) -> None:
        self._resources: dict[Key, Resource] = {}
        self._gone: dict[Key, int] = {}
        self._listed: dict[Scope, int] = {}
        self._budget = budget or ReferenceBudget()
        self._keys: dict[Reference, Counter[str]] = {}
        self._read: dict[Reference, frozenset[str]] = {}
        self._admitting: Counter[Reference] = Counter()
        self._known: dict[Reference, ReferencedObject | None] = {}
        self._unresolved: set[Reference] = set()
        self._reports: Counter[Reference] = Counter()
        self._before: dict[Key, Resource | None] | None = None
        self._stirred: set[Reference] = set()

    @property
    def unresolved(self) -> frozenset[Reference]:
        """The named objects that have to be read."""
        return frozenset(self._unresolved)

    @property
    def named(self) -> frozenset[Reference]:
        """All objects that resources name."""
        return frozenset(self._keys)

    @property
    def unwatched(self) -> frozenset[Reference]:
        """The named objects whose changes no watch shows: those that do not exist, and Secrets without their label."""
        return frozenset(reference for reference, found in self._known.items() if not _is_watched(reference, found))

    def names(self, reference: Reference) -> bool:
        """Whether a resource names that object."""
        return reference in self._keys

    def lets_in(self, reference: Reference) -> bool:
        """Whether a resource names that object to say whom to let in."""
        return self._admitting[reference] > 0

    def get(self, key: Key) -> Resource | None:
        """The resource, if there is one."""
        return self._resources.get(key)

    def put(self, resource: Resource) -> Change:
        """Takes in a report that the resource is as it is given."""
        key, version = resource.key, _version(resource)
        held = self._resources.get(key)
        if held is None and version <= max(self._listed_version(key), self._gone.get(key, -1)):
            return Change.NOTHING
        if held is not None and version <= _version(held):
            return Change.NOTHING
        self._hold(key, resource)
        if held is None:
            return Change.SPEC
        if resource.metadata.uid == held.metadata.uid and _wanted(resource) == _wanted(held):
            return Change.STATUS
        return Change.REDUCTION if resource_reduced(held, resource) else Change.SPEC

    def remove(self, last: Resource) -> Change:
        """Takes in a report that the resource was deleted.

        Args:
            last: the object as the event gives it, with the resourceVersion of its deletion.
        """
        key, version = last.key, _version(last)
        if version > self._listed_version(key):
            self._gone[key] = max(version, self._gone.get(key, -1))
        held = self._resources.get(key)
        if held is None or _version(held) > version:
            return Change.NOTHING
        self._drop(key)
        return Change.REDUCTION

    def begin_list(self, kind: str, namespace: str | None) -> ListInProgress:
        """A LIST of `kind` that is about to be sent."""
        return ListInProgress(kind, namespace, self._resources)

    def merge_list(self, listed: ListInProgress, resource_version: str) -> Change:
        """Takes in a LIST that was read to its end."""
        return max(self.merging(listed, resource_version), key=lambda change: change.value, default=Change.NOTHING)

    def merging(self, listed: ListInProgress, resource_version: str) -> Iterator[Change]:
        """Take in a LIST that was read to its end, step by step; reports may come between.

        Yields:
            What each step changed. All steps are to be taken.
        """
        scope, version = (listed.kind, listed.namespace), _number(resource_version)
        went_back = version < self._listed.get(scope, -1)
        # From now on: a late report of what is gone, or is listed and not taken in yet, must not count meanwhile.
        self._listed[scope] = version
        held = [key for key in self._resources if _in_scope(key, scope)]
        for key, resource in listed.found.items():
            yield Change.NOTHING if resource is None else self._merge_item(resource, went_back)
            listed.found[key] = None
        for key in held:
            if key in listed.found or key not in self._resources:
                yield Change.NOTHING
            elif went_back or _version(self._resources[key]) <= version:
                self._drop(key)
                yield Change.REDUCTION
        stale = [key for key, at in self._gone.items() if _in_scope(key, scope) and (went_back or at <= version)]
        for key in stale:
            del self._gone[key]

    def ticket(self, reference: Reference) -> int:
        """What `settle` wants to know: how often the object was reported before it was asked for."""
        return self._reports[reference]

    def settle(self, reference: Reference, ticket: int, found: ReferencedObject | None) -> bool:
        """Takes in the answer to a GET or LIST of a named object.

        Args:
            reference: which object.
            ticket: as of before the request; what was reported since may be newer than the answer.
            found: None where the API server said that it does not exist.

        Returns:
            Whether anything that matters has changed.
        """
        if reference not in self._keys:
            return False
        current = ticket == self._reports[reference]
        if found is None and not current:
            return False
        if current:
            self._unresolved.discard(reference)
        return self._know(reference, found)

    def stir(self, reference: Reference, resource_version: str, *, gone: bool) -> bool:
        """Takes in that a Secret or ConfigMap changed, or left what is watched.

        Args:
            reference: which object.
            resource_version: as of the change.
            gone: whether it was deleted, or lost its label.

        Returns:
            Whether it has to be read.
        """
        if reference not in self._keys:
            return False
        held = self._known.get(reference)
        if not gone and held is not None and held.metadata.resource_version == resource_version:
            return False
        self._reports[reference] += 1
        return True

    def doubt(self, reference: Reference) -> None:
        """Takes in that the object changed and could not be read."""
        if reference in self._keys:
            self._unresolved.add(reference)

    def tell_all(self) -> None:
        """Have `changes` give all there is, as at first."""
        self._before = None

    def changes(self) -> KnownChanges:
        """What is other than when this was called before; at first, all there is."""
        if self._before is None:
            before, after = dict.fromkeys(self._resources), dict(self._resources)
            referenced = dict(self._known)
        else:
            before = self._before
            after = {key: self._resources[key] for key in before if key in self._resources}
            referenced = {reference: self._known.get(reference) for reference in self._stirred}
        self._before, self._stirred = {}, set()
        return KnownChanges(before, after, referenced, self._never_read())

    def _never_read(self) -> frozenset[tuple[Reference, str]]:
        return frozenset(
            (reference, key)
            for reference in self._unresolved
            for key in self._keys[reference].keys() - self._read.get(reference, frozenset())
        )

    def picture(self) -> Known:
        """All that is known now."""
        never_read = self._never_read()
        undecided = (
            frozenset(key for key, each in self._resources.items() if reference_keys(each) & never_read)
            if never_read
            else frozenset[Key]()
        )
        existing = {reference: found for reference, found in self._known.items() if found is not None}
        return Known(dict(self._resources), existing, undecided)

    def _merge_item(self, resource: Resource, went_back: bool) -> Change:
        held = self._resources.get(resource.key)
        if went_back:
            self._hold(resource.key, resource)
            return Change.SPEC
        if held is None and self._gone.get(resource.key, -1) < _version(resource):
            self._hold(resource.key, resource)
            return Change.SPEC
        return Change.NOTHING if held is None else self.put(resource)

    def _listed_version(self, key: Key) -> int:
        return max(self._listed.get((key.kind, key.namespace), -1), self._listed.get((key.kind, None), -1))

    def _hold(self, key: Key, resource: Resource) -> None:
        held = self._resources.get(key)
        if self._before is not None:
            self._before.setdefault(key, held)
        self._resources[key] = resource
        self._gone.pop(key, None)
        self._admitting.update(admitting_references(resource))
        if held is not None:
            self._admitting.subtract(admitting_references(held))
        self._count(reference_keys(resource), reference_keys(held) if held is not None else frozenset())

    def _drop(self, key: Key) -> None:
        dropped = self._resources.pop(key)
        if self._before is not None:
            self._before.setdefault(key, dropped)
        self._admitting.subtract(admitting_references(dropped))
        self._count(frozenset(), reference_keys(dropped))

    def _count(self, new: Collection[tuple[Reference, str]], old: Collection[tuple[Reference, str]]) -> None:
        for reference, key in new:
            keys = self._keys.setdefault(reference, Counter())
            keys[key] += 1
            if (reference, key) not in old and (
                self._known.get(reference) is None or key not in self._read.get(reference, ())
            ):
                self._unresolved.add(reference)
        for reference, key in old:
            keys = self._keys[reference]
            keys[key] -= 1
            if not keys[key]:
                del keys[key]
            if not keys:
                self._let_go(reference)

    def _let_go(self, reference: Reference) -> None:
        del self._keys[reference], self._reports[reference], self._admitting[reference]
        self._known.pop(reference, None)
        if self._before is not None:
            self._stirred.add(reference)
        self._read.pop(reference, None)
        self._unresolved.discard(reference)
        self._budget.release(reference)
        self._retry_refused(reference.namespace)

    def _know(self, reference: Reference, found: ReferencedObject | None) -> bool:
        unknown = reference not in self._known
        held = self._known.get(reference)
        if (
            found is not None
            and held is not None
            and _number(found.metadata.resource_version) < _number(held.metadata.resource_version)
        ):
            return False
        before, named = self._read.get(reference, frozenset[str]()), frozenset(self._keys[reference])
        kept = self._cut(reference, named, found)
        self._known[reference], self._read[reference] = kept, named
        if self._before is not None:
            self._stirred.add(reference)
        if held is None or kept is None:
            return unknown or kept is not held
        return named - before != frozenset() or _substance(kept) != _substance(held)

    def _cut(
        self, reference: Reference, named: Collection[str], found: ReferencedObject | None
    ) -> ReferencedObject | None:
        """Only what is named and used of an object, if that is within the budget."""
        if found is None:
            self._budget.release(reference)
            self._retry_refused(reference.namespace)
            return None
        labels = {name: found.metadata.labels[name] for name in SECRET_LABELS if name in found.metadata.labels}
        data = {key: content for key, content in found.data.items() if key in named or EVERY_KEY in named}
        problem = self._budget.take(reference, sum(map(len, data.values())))
        metadata = msgspec.structs.replace(found.metadata, labels=labels)
        return ReferencedObject(metadata=metadata, data={} if problem else data, problem=problem)

    def _retry_refused(self, namespace: str) -> None:
        self._unresolved |= self._budget.refused(namespace) & self._keys.keys()


def _is_watched(reference: Reference, found: ReferencedObject | None) -> bool:
    if found is None:
        return False
    return reference.kind != SECRET or "true" in found.metadata.labels.values()


def _substance(found: ReferencedObject) -> tuple[object, ...]:
    return (found.data, found.metadata.labels, found.metadata.being_deleted, found.problem)


def _wanted(resource: Resource) -> tuple[object, ...]:
    metadata = resource.metadata
    return (resource.spec, resource.suspended, resource.problem, metadata.being_deleted, metadata.annotations)


def _in_scope(key: Key, scope: Scope) -> bool:
    kind, namespace = scope
    return key.kind == kind and namespace in {None, key.namespace}


def _version(resource: Resource) -> int:
    return resource.metadata.version


def _number(resource_version: str) -> int:
    return int(resource_version) if resource_version.isascii() and resource_version.isdigit() else 0
