"""A Kubernetes API server in memory, with the parts that the operator and CUPS use. Pure: no time passes in it.

It has these properties of a real one: one counter of versions for all objects; conflicts by `uid` and
`resourceVersion`; a change of the spec increases the generation, a change of the status does not; the pages of a LIST
show one state; watches begin at a version, show every change in order, and answer 410 if their history was dropped;
RFC 7396 merge patches; server-side apply by one manager; a new `metadata.uid` for a new object of an old name.

No object is ever changed: each update makes another one. So returned objects need no copy, and nobody may change them.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from stationkeeper_tools.standalone.merge_patch import merged

Object = dict[str, Any]
_COLLECTIONS = {
    "secrets": "v1",
    "configmaps": "v1",
    "pods": "v1",
    "events": "v1",
    "leases": "coordination.k8s.io/v1",
    "trustedcas": "stationkeeper.io/v1alpha1",
    "gateways": "stationkeeper.io/v1alpha1",
    "gatewaydefaults": "stationkeeper.io/v1alpha1",
}
HISTORY = 400
"""The maximum number of changes in the history of watches."""


class RefusedError(Exception):
    """The API server refuses a request.

    Attributes:
        status: the HTTP status.
        reason: the CamelCase word of the answer.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class Writer(NamedTuple):
    """An operator that writes.

    Attributes:
        identity: in the Lease.
        term: the number of changes of the Lease's holder when it sent the write.
    """

    identity: str
    term: int


@dataclass(frozen=True)
class Place:
    """The meaning of a path: a collection, or an object of it.

    Attributes:
        plural: the resource.
        namespace: empty for the collection of all namespaces.
        name: empty for a collection.
        subresource: `status`, or empty.
    """

    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def of(cls, path: str) -> "Place":
        """Read the path of a request, such as `/api/v1/namespaces/a/secrets/b`."""
        parts = path.removeprefix("/apis/").removeprefix("/api/").split("/")
        rest = parts[2:] if path.startswith("/apis/") else parts[1:]
        namespace = ""
        if rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = (*rest, "", "")[:3]
        if plural not in _COLLECTIONS:
            raise RefusedError(404, "NotFound")
        return cls(plural, namespace, name, subresource)


@dataclass(frozen=True)
class Change:
    """One entry of the history.

    Attributes:
        version: its `resourceVersion`.
        kind: ADDED, MODIFIED or DELETED.
        place: of the object.
        object: after the change; a deleted one in its last state, with the version of its deletion.
        before: the object before the change; None if it did not exist.
        writer: the operator that did it; None for all others.
    """

    version: int
    kind: str
    place: Place
    object: Object
    before: Object | None
    writer: Writer | None = None


class ApiServer:
    """The API server of a run.

    Attributes:
        version: of the last change.
        on_change: called after each change.
        writer: the writer of the present change.
    """

    def __init__(self) -> None:
        self.version = 0
        self.on_change: list[Callable[[Change], None]] = []
        self.writer: Writer | None = None
        self._to_tell: dict[str, list[asyncio.Future[None]]] = {}
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._history: list[Change] = []
        self._uids = 0

    def get(self, place: Place) -> Object:
        """Return an object.

        Raises:
            RefusedError: 404.
        """
        return self._held(place)

    def list(self, place: Place, selects: Callable[[Object], bool] = lambda _object: True) -> list[Object]:
        """Return all present objects of a collection, by name."""
        found = (
            each
            for (plural, namespace, _), each in sorted(self._objects.items())
            if plural == place.plural and place.namespace in {"", namespace}
        )
        return [each for each in found if selects(each)]

    def changes(self, place: Place, since: int) -> Iterator[Change]:
        """Return the changes of a collection after a version.

        Raises:
            RefusedError: 410: that part of the history was dropped.
        """
        oldest = self._history[0].version if self._history else self.version + 1
        if since + 1 < oldest:
            raise RefusedError(410, "Expired")
        # Every version has one entry.
        for change in self._history[since + 1 - oldest :]:
            if change.place.plural == place.plural and place.namespace in {"", change.place.namespace}:
                yield change

    def tell_once(self, plural: str, changed: "asyncio.Future[None]") -> None:
        """Complete a future at the next change of a resource of a kind."""
        self._to_tell.setdefault(plural, []).append(changed)

    def forget_history(self) -> None:
        """Drop the history of all watches, as a restart or a compaction does."""
        self._history.clear()

    def create(self, place: Place, body: Mapping[str, Any]) -> Object:
        """Create an object.

        Raises:
            RefusedError: 409: there is one of that name.
        """
        name = body["metadata"]["name"]
        if (place.plural, place.namespace, name) in self._objects:
            raise RefusedError(409, "AlreadyExists")
        self._uids += 1
        identity = {"namespace": place.namespace, "uid": f"uid-{self._uids}", "generation": 1}
        made = {"apiVersion": _COLLECTIONS[place.plural], **body, "metadata": {**body["metadata"], **identity}}
        made.pop("status", None)
        return self._put(Place(place.plural, place.namespace, name), made, None)

    def replace(self, place: Place, body: Mapping[str, Any]) -> Object:
        """Replace an object, or its status.

        Raises:
            RefusedError: 404, or 409 for another version than the one in the body.
        """
        held = self._held(place)
        _check(held, body["metadata"])
        return self._update(place, held, {**body, "metadata": {**held["metadata"], **body["metadata"]}})

    def merge_patch(self, place: Place, patch: Mapping[str, Any]) -> Object:
        """Merge a patch into an object, or into its status.

        Raises:
            RefusedError: 404, or 409 for another uid or version than the one in the patch.
        """
        held = self._held(place)
        _check(held, patch.get("metadata", {}))
        return self._update(place, held, merged(held, patch))

    def apply(self, place: Place, body: Mapping[str, Any]) -> Object:
        """Apply on the server side by the only manager; it never gives up a field.

        Raises:
            RefusedError: 409 for another version than the one in the body. A missing object is created.
        """
        if (place.plural, place.namespace, place.name) not in self._objects:
            if body["metadata"].get("resourceVersion"):
                raise RefusedError(409, "Conflict")
            return self.create(place, body)
        return self.merge_patch(place, body)

    def delete(self, place: Place) -> None:
        """Delete an object.

        Raises:
            RefusedError: 404.
        """
        held = self._held(place)
        self.version += 1
        del self._objects[place.plural, place.namespace, place.name]
        gone = {**held, "metadata": {**held["metadata"], "resourceVersion": str(self.version)}}
        self._record(Change(self.version, "DELETED", place, gone, held, self.writer))

    def _held(self, place: Place) -> Object:
        found = self._objects.get((place.plural, place.namespace, place.name))
        if found is None:
            raise RefusedError(404, "NotFound")
        return found

    def _update(self, place: Place, held: Object, made: Object) -> Object:
        if place.subresource == "status":
            made = {**held, "status": made.get("status", {})}
        elif _COLLECTIONS[place.plural].startswith("stationkeeper.io"):
            made = {**made, "status": held.get("status", {})}
        before = held["metadata"]
        generation = before["generation"] + (made.get("spec") != held.get("spec"))
        kept = {"generation": generation, "uid": before["uid"], "resourceVersion": before["resourceVersion"]}
        made = {**made, "metadata": {**made["metadata"], **kept}}
        return held if made == held else self._put(Place(place.plural, place.namespace, place.name), made, held)

    def _put(self, place: Place, made: Object, before: Object | None) -> Object:
        self.version += 1
        made = {**made, "metadata": {**made["metadata"], "resourceVersion": str(self.version)}}
        self._objects[place.plural, place.namespace, place.name] = made
        self._record(Change(self.version, "MODIFIED" if before else "ADDED", place, made, before, self.writer))
        return made

    def _record(self, change: Change) -> None:
        self._history.append(change)
        del self._history[:-HISTORY]
        for each in self.on_change:
            each(change)
        for changed in self._to_tell.pop(change.place.plural, ()):
            if not changed.done():
                changed.set_result(None)


def _check(held: Object, metadata: Mapping[str, Any]) -> None:
    for name in ("uid", "resourceVersion"):
        if metadata.get(name) not in {None, held["metadata"][name]}:
            raise RefusedError(409, "Conflict")
