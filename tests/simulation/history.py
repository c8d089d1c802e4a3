"""The history of what users applied: the reference for pods and statuses. Pure.

It knows nothing of documents, generations or leaders. A moment is a version of the API server.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.simulation import fleet
from tests.simulation.api_server import Change, Object

T = TypeVar("T")
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
    """The history of one run.

    Attributes:
        specs: of each resource, in order.
        texts: of the ConfigMap of each namespace, in order: since when, and its `ca.crt`; None if it does not exist.
        tokens: of the Secret of each namespace, in order: since when, and its tokens; None if it does not exist.
    """

    specs: dict[str, dict[Key, list[Spec]]] = field(default_factory=lambda: {"trustedcas": {}, "gateways": {}})
    texts: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)
    tokens: dict[str, list[tuple[int, Mapping[str, str] | None]]] = field(default_factory=dict)

    def take_in(self, change: Change) -> None:
        """Remember a change of the API server."""
        key = (change.place.namespace, change.place.name)
        data = change.object.get("data", {}) if change.kind != "DELETED" else {}
        if change.place.plural == "configmaps":
            self.texts.setdefault(key[0], []).append((change.version, data.get("ca.crt")))
        elif (change.place.plural, key[1]) == ("secrets", "tokens"):
            tokens = {name: base64.b64decode(encoded).decode() for name, encoded in data.items()}
            self.tokens.setdefault(key[0], []).append((change.version, tokens or None))
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

    def spec(self, plural: str, key: Key, uid: str, generation: int) -> Spec | None:
        """Return a generation of a resource; None if it never existed."""
        listed = self.specs[plural].get(key, ())
        return next((each for each in listed if (each.uid, each.generation) == (uid, generation)), None)

    def ended(self, plural: str, key: Key, uid: str) -> int | None:
        """Return the version by which a resource was deleted; None while it exists."""
        listed = [each for each in self.specs[plural].get(key, ()) if each.uid == uid]
        return listed[-1].until if listed else None

    def all_of(self, plural: str, key: Key, uid: str) -> list[Spec]:
        """Return all specs that a resource ever had."""
        return [each for each in self.specs[plural].get(key, ()) if each.uid == uid]

    def trusts(self, key: Key, root: str, since: int, *, revocable: bool = False) -> bool:
        """Return whether, since a version, a TrustedCA of that name ever trusted a root.

        Args:
            key: its name.
            root: the root.
            since: the version.
            revocable: whether the question is about the certificate that may be revoked.
        """
        return any(
            not each.spec.get("suspended")
            and not (revocable and revokes(each.spec, root))
            and any(fleet.pem(root) in text for text in self.texts_of(key[0], each, since))
            for each in self._since("trustedcas", key, since)
        )

    def registers(self, key: Key, eui: str, since: int, token: str = "") -> bool:
        """Return whether, since a version, a Gateway of that name ever let an EUI in, by a token if one is given.

        A deleted Secret takes no token out of force, see `texts_of`.
        """
        return any(
            each.spec.get("eui") == eui
            and not each.spec.get("suspended")
            and (not token or self._has_token(key, each, token, since))
            for each in self._since("gateways", key, since)
        )

    def texts_of(self, namespace: str, spec: Spec, since: int) -> list[str]:
        """Return every text of certificates that a spec has referred to since a version.

        A deleted ConfigMap takes nothing out of force: its earlier content still counts.
        """
        own: Any = spec.spec.get("certificates")
        if own is not None:
            return [own]
        return list(_meant(self.texts.get(namespace, []), max(since, spec.since)))

    def _has_token(self, key: Key, spec: Spec, token: str, since: int) -> bool:
        if not takes_tokens(spec.spec):
            return False
        meant = _meant(self.tokens.get(key[0], []), max(since, spec.since))
        return any(each.get(key[1]) == token for each in meant)

    def _since(self, plural: str, key: Key, since: int) -> Iterator[Spec]:
        for each in self.specs[plural].get(key, ()):
            if each.until is None or each.until > since:
                yield each


def revokes(spec: Mapping[str, Any], root: str) -> bool:
    """Return whether a spec revokes the certificate of a root that may be revoked."""
    revocation = spec.get("revocation") or {}
    return fleet.SERIAL in revocation.get("serials", ()) or revocation.get("crl") == fleet.crl(root)


def takes_tokens(spec: Mapping[str, Any]) -> bool:
    """Return whether a Gateway with that spec accepts a token."""
    return bool((spec.get("client") or {}).get("tokens"))


def _meant(listed: list[tuple[int, T | None]], since: int) -> Iterator[T]:
    """Yield the values that counted at any moment since a version: each counts until the next one."""
    for place, (_, value) in enumerate(listed):
        following = next((each for each in listed[place + 1 :] if each[1] is not None), None)
        if value is not None and (following is None or following[0] > since):
            yield value
