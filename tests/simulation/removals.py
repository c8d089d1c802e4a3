"""What was taken out of the Secrets since its resource was deleted: each is told, and none twice."""

import base64
from collections import Counter
from collections.abc import Iterator

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.documents import Document, TrustDocument, decode
from tests.simulation import fleet
from tests.simulation.api_server import Change
from tests.simulation.history import History, Key

PLURALS = {"TrustedCA": "trustedcas", "Gateway": "gateways"}
Owner = tuple[str, Key, str]
"""Plural, name and uid of a resource."""


class Removals:
    """Of one run.

    Args:
        history: what users applied.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._told: Counter[Owner] = Counter()
        self._held: dict[str, frozenset[Owner]] = {}
        self._gone: set[Owner] = set()
        self._unsure: set[Owner] = set()

    def take_in(self, change: Change) -> None:
        """Take in a change of a published Secret."""
        name = change.place.name
        before, now = self._held.get(name, frozenset()), _owners(change)
        self._held[name] = now
        if change.writer is None:
            # Nobody can know what was in a document that somebody damaged, and what was put back goes once more.
            self._unsure |= before | now | self._gone
            return
        others = {each for document, held in self._held.items() if document != name for each in held}
        self._gone |= before - now - others
        self._gone -= now

    def told(self, involved: dict[str, str]) -> tuple[str, Key, int]:
        """Check that a removal may be told; return of what, and by which version it was deleted."""
        plural, key = PLURALS[involved["kind"]], (involved["namespace"], involved["name"])
        owner = (plural, key, involved["uid"])
        self._told[owner] += 1
        assert self._told[owner] == 1 or owner in self._unsure, f"the removal of {key} was told twice"
        since = self._history.ended(plural, key, involved["uid"])
        assert since is not None, f"the removal of {key} was told, and it is there"
        return plural, key, since

    def untold(self) -> Iterator[str]:
        """Return what should have been told by now, and was not."""
        for plural, key, uid in sorted(self._gone - self._unsure - self._told.keys()):
            specs = self._history.all_of(plural, key, uid)
            # One that was suspended before it was deleted was out of force by then, which its status said.
            if specs and specs[-1].until is not None and not any(each.spec.get("suspended") for each in specs):
                yield f"the removal of {plural} {key} {uid} was not told"


def _owners(change: Change) -> frozenset[Owner]:
    document = change.place.name.removeprefix("stationkeeper-")
    encoded = (change.object.get("data") or {}).get(document) if change.kind != "DELETED" else None
    if not encoded:
        return frozenset()
    try:
        content: Document = decode(document, base64.b64decode(encoded)).content
    except StationkeeperError:
        return frozenset()
    if isinstance(content, TrustDocument):
        owners = (("trustedcas", (each.namespace, each.name), each.uid) for each in content.authorities)
    else:
        owners = (("gateways", (each.namespace, each.name), each.uid) for each in content.gateways)
    return frozenset(each for each in owners if each[1][0] in fleet.NAMESPACES)
