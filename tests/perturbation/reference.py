"""The applied resources, and the clients that they must accept: the reference for the pods. Pure.

It knows nothing of documents, generations of them or leaders. A moment is the number of a change that a user made.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

Key = tuple[str, str]
"""Plural and name of a resource."""


@dataclass(frozen=True)
class Spec:
    """A spec of a resource, in force from one change to the next.

    Attributes:
        since: the moment that brought it.
        until: the moment that replaced or deleted it; None while it is the present one.
        uid, generation: of the resource.
        allows: the roots that it trusts, or the EUIs that it registers; nobody if it is suspended. Those of a Secret
            that it names are not in here.
        secret: whether its roots are in the Secret that all of these name.
    """

    since: int
    until: int | None
    uid: str
    generation: int
    allows: frozenset[str]
    secret: bool = False


@dataclass
class Reference:
    """The reference of all runs on one stage.

    Attributes:
        now: the moment of the last change.
        specs: of each resource, in order.
        roots: what the Secret of roots held, in order: since when, and the roots.
        token: what the Secret of the token holds.
    """

    now: int = 0
    specs: dict[Key, list[Spec]] = field(default_factory=dict)
    roots: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    token: str = ""

    def apply(self, key: Key, answered: dict[str, Any], allows: frozenset[str], *, secret: bool = False) -> None:
        """Take in that a resource was created or changed, as the API server answered."""
        self.now += 1
        metadata = answered["metadata"]
        self._end(key)
        self.specs.setdefault(key, []).append(
            Spec(self.now, None, metadata["uid"], metadata["generation"], allows, secret)
        )

    def delete(self, key: Key) -> None:
        """Take in that a resource was deleted."""
        self.now += 1
        self._end(key)

    def renew(self, roots: frozenset[str]) -> None:
        """Take in that the Secret of roots was written."""
        self.now += 1
        self.roots.append((self.now, roots))

    def _end(self, key: Key) -> None:
        listed = self.specs.setdefault(key, [])
        if listed and listed[-1].until is None:
            listed[-1] = replace(listed[-1], until=self.now)

    def present(self, plural: str) -> Iterator[tuple[str, Spec]]:
        """Return each resource that exists, and its spec."""
        for (kind, name), listed in self.specs.items():
            if kind == plural and listed and listed[-1].until is None:
                yield name, listed[-1]

    def began(self, key: Key, uid: str, generation: int) -> int | None:
        """Return the moment that brought a generation of a resource; None if it never existed."""
        listed = self.specs.get(key, ())
        return next((each.since for each in listed if (each.uid, each.generation) == (uid, generation)), None)

    def ended(self, key: Key, uid: str) -> int | None:
        """Return the moment at which a resource was deleted; None if it exists or never existed."""
        listed = [each for each in self.specs.get(key, ()) if each.uid == uid]
        return listed[-1].until if listed else None

    def allowed_since(self, key: Key, what: str, moment: int) -> bool:
        """Return whether a resource of that name has allowed a root or an EUI at any time since a moment."""
        listed = [each for each in self.specs.get(key, ()) if each.until is None or each.until > moment]
        return any(what in each.allows or (each.secret and self._held(each, what, moment)) for each in listed)

    def _held(self, spec: Spec, root: str, moment: int) -> bool:
        """Return whether, since a moment, the Secret held a root while that spec named it."""
        for place, (_, roots) in enumerate(self.roots):
            until = self.roots[place + 1][0] if place + 1 < len(self.roots) else None
            if root in roots and (until is None or until > max(moment, spec.since)):
                return True
        return False

    def lets_in(self, root: str, eui: str) -> bool:
        """Return whether a gateway with a certificate of a root must be accepted, after all changes are done."""
        held = self.roots[-1][1] if self.roots else frozenset[str]()
        trusts = any(root in spec.allows or (spec.secret and root in held) for _, spec in self.present("trustedcas"))
        return trusts and any(eui in spec.allows for _, spec in self.present("gateways"))
