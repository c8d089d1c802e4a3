"""What users applied, and what follows from it: the reference that pods and statuses are compared with. Pure.

It knows nothing of documents, generations or leaders. A moment is a version of the API server.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.api_server import Change, Object

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Spec:
    """A spec of a resource, in force from one change to the next.

    Attributes:
        since: the version that brought it.
        until: the version that replaced or deleted it; None while it is the present one.
        uid, generation: of the resource.
        spec: as written.
    """

    since: int
    until: int | None
    uid: str
    generation: int
    spec: Object


@dataclass
class History:
    """Of one run.

    Attributes:
        specs: of each resource, in order.
        texts: of each ConfigMap, in order: since when, and its `ca.crt`; None where it does not exist.
    """

    specs: dict[str, dict[Key, list[Spec]]] = field(default_factory=lambda: {"trustedcas": {}, "gateways": {}})
    texts: dict[Key, list[tuple[int, str | None]]] = field(default_factory=dict)

    def take_in(self, change: Change) -> None:
        """Remember a change of the API server."""
        key = (change.place.namespace, change.place.name)
        if change.place.plural == "configmaps":
            text = None if change.kind == "DELETED" else change.object.get("data", {}).get("ca.crt")
            self.texts.setdefault(key, []).append((change.version, text))
        specs = self.specs.get(change.place.plural)
        if specs is None:
            return
        listed = specs.setdefault(key, [])
        metadata = change.object["metadata"]
        now = (metadata["uid"], metadata["generation"])
        if listed and listed[-1].until is None:
            last = listed[-1]
            if change.kind != "DELETED" and (last.uid, last.generation) == now:
                return
            listed[-1] = Spec(last.since, change.version, last.uid, last.generation, last.spec)
        if change.kind != "DELETED":
            listed.append(Spec(change.version, None, *now, change.object["spec"]))

    def present(self, plural: str) -> Iterator[tuple[Key, Spec]]:
        """Return each resource that exists, and its spec."""
        for key, listed in self.specs[plural].items():
            if listed and listed[-1].until is None:
                yield key, listed[-1]

    def began(self, plural: str, key: Key, uid: str, generation: int) -> int | None:
        """Return the version that brought a generation of a resource; None where it was never there."""
        listed = self.specs[plural].get(key, ())
        return next((each.since for each in listed if (each.uid, each.generation) == (uid, generation)), None)

    def ended(self, plural: str, key: Key, uid: str) -> int | None:
        """Return the version by which a resource was deleted; None while it exists."""
        listed = [each for each in self.specs[plural].get(key, ()) if each.uid == uid]
        return listed[-1].until if listed else None

    def trusts(self, key: Key, root_pem: str, since: int) -> bool:
        """Whether a TrustedCA of that name has trusted a root at any moment since a version."""
        return any(
            not each.spec.get("suspended") and any(root_pem in text for text in self._texts(key[0], each, since))
            for each in self._since("trustedcas", key, since)
        )

    def registers(self, key: Key, eui: str, since: int) -> bool:
        """Whether a Gateway of that name has let an EUI in at any moment since a version."""
        return any(
            each.spec.get("eui") == eui and not each.spec.get("suspended")
            for each in self._since("gateways", key, since)
        )

    def _since(self, plural: str, key: Key, since: int) -> Iterator[Spec]:
        for each in self.specs[plural].get(key, ()):
            if each.until is None or each.until > since:
                yield each

    def _texts(self, namespace: str, spec: Spec, since: int) -> Iterator[str]:
        """Return every text of certificates that a spec has meant since a version.

        A ConfigMap that goes takes nothing out of force: what it held before counts further.
        """
        own: Any = spec.spec.get("certificates")
        if own is not None:
            yield own
            return
        name = spec.spec["certificatesFrom"]["configMapKeyRef"]["name"]
        listed = self.texts.get((namespace, name), [])
        for place, (_, text) in enumerate(listed):
            following = next((each for each in listed[place + 1 :] if each[1] is not None), None)
            if text is not None and (following is None or following[0] > max(since, spec.since)):
                yield text
