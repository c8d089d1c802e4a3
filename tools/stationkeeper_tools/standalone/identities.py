"""Give objects what an API server adds: a uid, a creation time and a generation. Pure."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from stationkeeper_tools.standalone.manifest_files import ObjectKey

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Identity(msgspec.Struct, frozen=True):
    """The identity of one object while it exists.

    Attributes:
        kind, namespace, name: which object.
        uid: unique; a later object with the same name gets another one.
        created: in microseconds since 1970; of two objects, the older one has the lower number.
        generation: the number of the spec's version, from 1.
        spec: SHA-256 of the spec of that generation, in hex.
        file: the name of the manifest file that has it.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    created: int
    generation: int
    spec: str
    file: str

    @property
    def metadata(self) -> dict[str, Any]:
        """The fields of `metadata`."""
        created = _EPOCH + self.created * _MICROSECOND
        return {"uid": self.uid, "generation": self.generation, "creationTimestamp": created.isoformat()}


class Identities:
    """The identities of all objects.

    Args:
        known: the earlier identities.
        last: the creation time of the newest object, as `Identity.created`; that object may be deleted.
    """

    def __init__(self, known: Iterable[Identity] = (), last: int = 0) -> None:
        self._known = {ObjectKey(each.kind, each.namespace, each.name): each for each in known}
        self.last = max((last, *(each.created for each in self._known.values())))

    @property
    def all(self) -> tuple[Identity, ...]:
        """The identities of the objects that exist."""
        return tuple(self._known.values())

    @property
    def files(self) -> dict[ObjectKey, str]:
        """The file of each object."""
        return {key: each.file for key, each in self._known.items()}

    def of(self, key: ObjectKey, content: dict[str, Any], file: str, now: datetime) -> Identity:
        """Return the identity of an object with this content.

        Args:
            key: which object.
            content: the content of its manifest.
            file: the name of the manifest file.
            now: the time, aware; a new object counts as newer than the others even if the clock was set back.
        """
        text = msgspec.json.encode(content.get("spec"), order="deterministic")
        spec = hashlib.sha256(text).hexdigest()
        identity = self._known.get(key)
        if identity is None:
            self.last = max(self.last + 1, (now - _EPOCH) // _MICROSECOND)
            identity = Identity(*key, str(uuid4()), self.last, 1, spec, file)
        elif (identity.spec, identity.file) != (spec, file):
            generation = identity.generation + (identity.spec != spec)
            identity = msgspec.structs.replace(identity, generation=generation, spec=spec, file=file)
        self._known[key] = identity
        return identity

    def forget(self, key: ObjectKey) -> None:
        """Remove the identity of a deleted object."""
        self._known.pop(key, None)
