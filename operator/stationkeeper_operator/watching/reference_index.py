"""The index of named Secrets and ConfigMaps: how many resources name each key, and its content.

Only keys that a resource names are stored, within the budget of the namespace. An object with a named key that was
never read is *unresolved* until it is read, or until the API server answers that it does not exist.
"""

from collections import Counter
from collections.abc import Collection, Mapping

import msgspec

from stationkeeper_operator.compiling.world import SECRET_LABELS
from stationkeeper_operator.resources.named_references import admitting_references, reference_keys
from stationkeeper_operator.resources.records import SECRET, Reference, ReferencedObject, Resource, TrustedCA
from stationkeeper_operator.resources.specs import EVERY_KEY
from stationkeeper_operator.watching.reference_budget import ReferenceBudget

_Names = Collection[tuple[Reference, str]]


class ReferenceIndex:
    """The index; used from one thread only.

    Args:
        budget: the budget of the namespaces.
    """

    def __init__(self, budget: ReferenceBudget) -> None:
        self._budget = budget
        # How many resources name each key.
        self._keys: dict[Reference, Counter[str]] = {}
        self._admitting: Counter[Reference] = Counter()
        # The content, and the keys that were named when it was read.
        self._known: dict[Reference, ReferencedObject | None] = {}
        self._read: dict[Reference, frozenset[str]] = {}
        self._unresolved: set[Reference] = set()
        self._reports: Counter[Reference] = Counter()
        # The changes since `take_changed`, and whether the object was known at that call. None if
        # everything must be returned.
        self._changed: dict[Reference, bool] | None = None

    @property
    def unresolved(self) -> frozenset[Reference]:
        """The named objects that must be read."""
        return frozenset(self._unresolved)

    @property
    def named(self) -> frozenset[Reference]:
        """All objects that resources name."""
        return frozenset(self._keys)

    @property
    def unwatched(self) -> frozenset[Reference]:
        """The named objects without a watch: those that do not exist, and Secrets without their label."""
        return frozenset(reference for reference, found in self._known.items() if not _is_watched(reference, found))

    @property
    def never_read(self) -> frozenset[tuple[Reference, str]]:
        """The named keys whose existence is not known."""
        return frozenset(
            (reference, key)
            for reference in self._unresolved
            for key in self._keys[reference].keys() - self._read.get(reference, frozenset())
        )

    @property
    def existing(self) -> dict[Reference, ReferencedObject]:
        """The named objects that exist, by their last read."""
        return {reference: found for reference, found in self._known.items() if found is not None}

    def admits(self, reference: Reference) -> bool:
        """Return whether a resource uses that object to decide which clients are accepted."""
        return self._admitting[reference] > 0

    def replace(self, earlier: Resource | None, resource: Resource | None) -> None:
        """Count the references of a resource in place of its earlier version.

        Args:
            earlier: the earlier counted resource; None for a new one.
            resource: the present resource; None if it no longer exists.
        """
        new: _Names = reference_keys(resource) if resource is not None else ()
        old: _Names = reference_keys(earlier) if earlier is not None else ()
        if not new and not old:
            return
        if resource is not None:
            self._admitting.update(admitting_references(resource))
        if earlier is not None:
            self._admitting.subtract(admitting_references(earlier))
        for reference, key in new:
            keys = self._keys.setdefault(reference, Counter())
            keys[key] += 1
            if (reference, key) not in old and (
                self._known.get(reference) is None or key not in self._read.get(reference, ())
            ):
                self._unresolved.add(reference)
        if isinstance(resource, TrustedCA) and _is_new_spec(earlier, resource):
            self._read_again(new)
        for reference, key in old:
            keys = self._keys[reference]
            keys[key] -= 1
            if not keys[key]:
                del keys[key]
            if not keys:
                self._forget(reference)

    def _read_again(self, names: _Names) -> None:
        """Make known objects unknown until they are read again, for the status of a TrustedCA that names them.

        The person who wrote its spec may just have changed them, and their watch may be late. Their known content stays
        in force meanwhile.
        """
        for reference, key in names:
            self._unresolved.add(reference)
            if reference in self._read:
                self._read[reference] -= {key}

    def reports_on(self, reference: Reference) -> int:
        """Return the number of reports on a named object; call it before a GET or LIST, for `take_in_answer`."""
        return self._reports[reference]

    def take_in_answer(self, reference: Reference, reports_before: int, answer: ReferencedObject | None) -> bool:
        """Take in the answer to a GET or LIST of a named object.

        Args:
            reference: the object.
            reports_before: the number of reports before the request; a later report may be newer than the answer.
            answer: the object; None if the API server answered that it does not exist.

        Returns:
            Whether anything relevant changed.
        """
        if reference not in self._keys:
            return False
        current = reports_before == self._reports[reference]
        if answer is None and not current:
            return False
        if current:
            self._unresolved.discard(reference)
        return self._store(reference, answer)

    def note_change(self, reference: Reference, resource_version: str, *, deleted: bool) -> bool:
        """Record that a Secret or ConfigMap changed, or is no longer watched.

        Args:
            reference: the object.
            resource_version: the version of the change.
            deleted: whether it was deleted, or lost its label.

        Returns:
            Whether it must be read.
        """
        if reference not in self._keys:
            return False
        known = self._known.get(reference)
        if not deleted and known is not None and known.metadata.resource_version == resource_version:
            return False
        self._reports[reference] += 1
        return True

    def mark_unresolved(self, reference: Reference) -> None:
        """Mark the object to be read again: it changed and could not be read."""
        if reference in self._keys:
            self._unresolved.add(reference)

    def return_all_next(self) -> None:
        """Make the next `take_changed` return everything, as at the first call."""
        self._changed = None

    def take_changed(self) -> Mapping[Reference, ReferencedObject | None]:
        """Return possible changes since the last call (None: the object does not exist); at first, everything."""
        changed, self._changed = self._changed, {}
        if changed is None:
            return dict(self._known)
        return {reference: self._known.get(reference) for reference in changed}

    def _forget(self, reference: Reference) -> None:
        del self._keys[reference], self._reports[reference], self._admitting[reference]
        was_known = reference in self._known
        self._known.pop(reference, None)
        # Drop an object that came and went since `take_changed`: a former leader may not take changes for months.
        if self._changed is not None and not self._changed.setdefault(reference, was_known):
            del self._changed[reference]
        self._read.pop(reference, None)
        self._unresolved.discard(reference)
        self._budget.release(reference)
        self._retry_refused(reference.namespace)

    def _store(self, reference: Reference, answer: ReferencedObject | None) -> bool:
        unknown = reference not in self._known
        earlier = self._known.get(reference)
        if (
            answer is not None
            and earlier is not None
            and version_number(answer.metadata.resource_version) < version_number(earlier.metadata.resource_version)
        ):
            return False
        before, named = self._read.get(reference, frozenset[str]()), frozenset(self._keys[reference])
        kept = self._named_content(reference, named, answer)
        self._known[reference], self._read[reference] = kept, named
        if self._changed is not None:
            self._changed.setdefault(reference, not unknown)
        if earlier is None or kept is None:
            return unknown or kept is not earlier
        return named - before != frozenset() or _compared_part(kept) != _compared_part(earlier)

    def _named_content(
        self, reference: Reference, named: Collection[str], answer: ReferencedObject | None
    ) -> ReferencedObject | None:
        """Return the named and used content of an object, if it is within the budget."""
        if answer is None:
            self._budget.release(reference)
            self._retry_refused(reference.namespace)
            return None
        labels = {name: answer.metadata.labels[name] for name in SECRET_LABELS if name in answer.metadata.labels}
        data = {key: content for key, content in answer.data.items() if key in named or EVERY_KEY in named}
        problem = self._budget.take(reference, sum(map(len, data.values())))
        metadata = msgspec.structs.replace(answer.metadata, labels=labels)
        return ReferencedObject(metadata=metadata, data={} if problem else data, problem=problem)

    def _retry_refused(self, namespace: str) -> None:
        self._unresolved |= self._budget.refused(namespace) & self._keys.keys()


def _is_new_spec(earlier: Resource | None, resource: TrustedCA) -> bool:
    """Return whether a TrustedCA has a spec that may name changed objects; a reduction does not wait for them."""
    if resource.suspended or resource.metadata.being_deleted:
        return False
    return earlier is None or earlier.metadata.generation != resource.metadata.generation


def _is_watched(reference: Reference, found: ReferencedObject | None) -> bool:
    if found is None:
        return False
    return reference.kind != SECRET or "true" in found.metadata.labels.values()


def _compared_part(found: ReferencedObject) -> tuple[object, ...]:
    return (found.data, found.metadata.labels, found.metadata.being_deleted, found.problem)


def version_number(resource_version: str) -> int:
    """Return a resourceVersion as a number for comparison; 0 if it is not a number."""
    return int(resource_version) if resource_version.isascii() and resource_version.isdigit() else 0
