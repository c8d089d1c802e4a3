"""What an API server adds to an object: who it is, when it came, how often its spec changed. Pure."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from stationkeeper_tools.standalone.held_files import ObjectKey

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Identity(msgspec.Struct, frozen=True):
    """Of one object, for as long as it exists.

    Attributes:
        kind, namespace, name: which object.
        uid: no other object has it, nor has a later one of the same name.
        created: in microseconds since 1970; of two objects, the one that came first has the lower number.
        generation: how often the spec was another one.
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
    """Of all objects.

    Args:
        known: those that there were before.
        last: when the last object came, as `Identity.created`; it may be gone.
    """

    def __init__(self, known: Iterable[Identity] = (), last: int = 0) -> None:
        self._known = {ObjectKey(each.kind, each.namespace, each.name): each for each in known}
        self.last = max((last, *(each.created for each in self._known.values())))

    @property
    def all(self) -> tuple[Identity, ...]:
        """Those of the objects that exist."""
        return tuple(self._known.values())

    @property
    def files(self) -> dict[ObjectKey, str]:
        """The file of each object."""
        return {key: each.file for key, each in self._known.items()}

    def of(self, key: ObjectKey, content: dict[str, Any], file: str, now: datetime) -> Identity:
        """Return the identity of an object whose content is this.

        Args:
            key: which object.
            content: as its manifest has it.
            file: the name of that manifest.
            now: the time, aware; where the clock was set back, a new object still counts as newer than the others.
        """
        text = msgspec.json.encode(content.get("spec"), order="deterministic")
        spec = hashlib.sha256(text).hexdigest()
        held = self._known.get(key)
        if held is None:
            self.last = max(self.last + 1, (now - _EPOCH) // _MICROSECOND)
            held = Identity(*key, str(uuid4()), self.last, 1, spec, file)
        elif (held.spec, held.file) != (spec, file):
            generation = held.generation + (held.spec != spec)
            held = msgspec.structs.replace(held, generation=generation, spec=spec, file=file)
        self._known[key] = held
        return held

    def forget(self, key: ObjectKey) -> None:
        """Take in that an object does not exist any more."""
        self._known.pop(key, None)
