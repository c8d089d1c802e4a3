"""The known state of the cluster: the resources and their references.

Two sources report on the resources: watch events, which may be late, doubled or lost, and LISTs, which are true as of
their resourceVersion. Versions are compared as integers, and the newer one wins. After a LIST, a resource exists only
if the LIST has it or if its version is newer. So a late event cannot bring a deleted resource back; a deletion newer
than the LIST stays a deletion.
"""

from collections.abc import Iterator

from stationkeeper_operator.compiling.retention.reductions import resource_reduced
from stationkeeper_operator.resources.named_references import reference_keys
from stationkeeper_operator.resources.records import Key, Resource, share_parts
from stationkeeper_operator.watching.reference_budget import ReferenceBudget
from stationkeeper_operator.watching.reference_index import ReferenceIndex, version_number
from stationkeeper_operator.watching.store_results import Change, ListInProgress, StoreChanges, StoreSnapshot

Scope = tuple[str, str | None]

_IN_ONE_STEP = 1_000
"""The number of resources to go through in one step of a merge."""


class ResourceStore:
    """The store; used from one thread only.

    Args:
        budget: the budget of the namespaces.

    Attributes:
        references: the index of the references.
    """

    def __init__(self, budget: ReferenceBudget | None = None) -> None:
        self._resources: dict[Key, Resource] = {}
        self._deleted: dict[Key, int] = {}
        self._listed: dict[Scope, int] = {}
        # The versions of first LISTs whose items count already.
        self._begun: dict[Scope, int] = {}
        self.references = ReferenceIndex(budget or ReferenceBudget())
        # The earlier state of the resources that changed since `changes`; None before the first call.
        self._before: dict[Key, Resource | None] | None = None
        self._must_return_all = True
        # The earlier states are not kept: the operator may write 100,000 statuses while nothing else changes.
        self._restated: dict[Key, None] = {}

    @property
    def restated(self) -> int:
        """The number of resources of which only the status changed since `changes`."""
        return len(self._restated)

    @property
    def is_empty(self) -> bool:
        """Whether no resource is known."""
        return not self._resources

    def get(self, key: Key) -> Resource | None:
        """Return the resource; None if there is none."""
        return self._resources.get(key)

    def put(self, resource: Resource) -> Change:
        """Take in a report on the state of a resource."""
        key, version = resource.key, _version(resource)
        known = self._resources.get(key)
        if known is None and version <= max(self._listed_version(key), self._deleted.get(key, -1)):
            return Change.NOTHING
        if known is not None and version <= _version(known):
            return Change.NOTHING
        is_restated = known is not None and _compared_part(resource) == _compared_part(known)
        self._hold(key, resource, is_restated=is_restated)
        if is_restated:
            return Change.STATUS
        return Change.REDUCTION if known is not None and resource_reduced(known, resource) else Change.SPEC

    def remove(self, last: Resource) -> Change:
        """Take in a report that a resource was deleted.

        Args:
            last: the object of the event, with the resourceVersion of its deletion.
        """
        key, version = last.key, _version(last)
        if version > self._listed_version(key):
            self._deleted[key] = max(version, self._deleted.get(key, -1))
        known = self._resources.get(key)
        if known is None or _version(known) > version:
            return Change.NOTHING
        self._drop(key)
        return Change.REDUCTION

    def begin_list(self, kind: str, namespace: str | None) -> ListInProgress:
        """Return the collector for a LIST of `kind`; call it before the request."""
        scope = (kind, namespace)
        is_first = scope not in self._listed and scope not in self._begun
        return ListInProgress(kind, namespace, self._resources, is_first=is_first)

    def count_at_once(self, listed: ListInProgress, resource_version: str) -> None:
        """Record that items of a first LIST count before its end.

        If it fails, the next LIST may be older, as after a restore of etcd: these items then do not count any more.
        """
        self._begun[listed.kind, listed.namespace] = version_number(resource_version)

    def merge_steps(self, listed: ListInProgress, resource_version: str) -> Iterator[Change]:
        """Take in a LIST that was read to its end, step by step; reports may come between the steps.

        Yields:
            The change of each step. The caller must take all steps.
        """
        scope, version = (listed.kind, listed.namespace), version_number(resource_version)
        is_older = version < max(self._listed.get(scope, -1), self._begun.pop(scope, -1))
        # Set it now: a late report on a deleted or not yet merged resource must not count meanwhile.
        self._listed[scope] = version
        keys = tuple(self._resources)
        for key, resource in listed.items.items():
            yield Change.NOTHING if resource is None else self._merge_item(resource, is_older)
            listed.items[key] = None
        for start in range(0, len(keys), _IN_ONE_STEP):
            for key in [each for each in keys[start : start + _IN_ONE_STEP] if _in_scope(each, scope)]:
                if key in listed.items or key not in self._resources:
                    yield Change.NOTHING
                elif is_older or _version(self._resources[key]) <= version:
                    self._drop(key)
                    yield Change.REDUCTION
            yield Change.NOTHING
        stale = [key for key, at in self._deleted.items() if _in_scope(key, scope) and (is_older or at <= version)]
        for key in stale:
            del self._deleted[key]

    def return_all_next(self) -> None:
        """Make the next `changes` return all resources, and those that were deleted since the last call."""
        self._must_return_all = True
        self.references.return_all_next()

    def changes(self) -> StoreChanges:
        """Return the changes since the last call; at first, everything."""
        before = self._before or {}
        if self._must_return_all:
            before = dict.fromkeys(self._resources) | before
        after = {key: self._resources[key] for key in before if key in self._resources}
        restated = {key: self._resources[key] for key in self._restated if key not in before}
        self._before, self._restated, self._must_return_all = {}, {}, False
        return StoreChanges(before, after, self.references.take_changed(), restated)

    def snapshot(self) -> StoreSnapshot:
        """Return the present state."""
        never_read = self.references.never_read
        undecided = (
            frozenset(key for key, each in self._resources.items() if reference_keys(each) & never_read)
            if never_read
            else frozenset[Key]()
        )
        return StoreSnapshot(dict(self._resources), self.references.existing, undecided)

    def _merge_item(self, resource: Resource, is_older: bool) -> Change:
        known = self._resources.get(resource.key)
        if is_older:
            self._hold(resource.key, resource)
            return Change.SPEC
        if known is None and self._deleted.get(resource.key, -1) < _version(resource):
            self._hold(resource.key, resource)
            return Change.SPEC
        return Change.NOTHING if known is None else self.put(resource)

    def _listed_version(self, key: Key) -> int:
        return max(self._listed.get((key.kind, key.namespace), -1), self._listed.get((key.kind, None), -1))

    def _hold(self, key: Key, resource: Resource, *, is_restated: bool = False) -> None:
        known = self._resources.get(key)
        if known is not None:
            share_parts(resource, known)
        if is_restated:
            self._restated[key] = None
        elif self._before is not None:
            self._before.setdefault(key, known)
        self._resources[key] = resource
        self._deleted.pop(key, None)
        self.references.replace(known, resource)

    def _drop(self, key: Key) -> None:
        dropped = self._resources.pop(key)
        self._restated.pop(key, None)
        # Drop a resource that was created and deleted since the last `changes`: a former leader may not take changes
        # for months.
        if self._before is not None and self._before.setdefault(key, dropped) is None:
            del self._before[key]
        self.references.replace(dropped, None)


def _compared_part(resource: Resource) -> tuple[object, ...]:
    metadata = resource.metadata
    # A status names the generation that it is about.
    identity = (metadata.uid, metadata.generation, metadata.being_deleted, metadata.annotations)
    return (*identity, resource.spec, resource.suspended, resource.problem)


def _in_scope(key: Key, scope: Scope) -> bool:
    kind, namespace = scope
    return key.kind == kind and namespace in {None, key.namespace}


def _version(resource: Resource) -> int:
    return resource.metadata.version
