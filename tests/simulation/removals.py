"""The removals from the Secrets after the deletion of a resource: each gets exactly one event."""

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
    """The removals of one run.

    Args:
        history: what users applied.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._told: Counter[Owner] = Counter()
        self._held: dict[str, dict[Owner, str]] = {}
        self._gone: set[Owner] = set()
        self._unsure: set[Owner] = set()

    def take_in(self, change: Change) -> None:
        """Take in a change of a published Secret."""
        name = change.place.name
        before, now = self._held.get(name, {}), _owners(change)
        self._held[name] = now
        if change.writer is None:
            # The content of a damaged document is unknown, and a restored record is removed once more.
            self._unsure |= before.keys() | now.keys() | self._gone
            return
        others = {each for document, held in self._held.items() if document != name for each in held}
        gone = before.keys() - now.keys() - others
        self._gone |= {each for each in gone if self._was_in_force(each, before[each])}
        self._gone -= now.keys()

    def _was_in_force(self, owner: Owner, eui: str) -> bool:
        """Return whether a resource was in force when it was deleted; an earlier reduction is no removal."""
        specs = self._history.all_of(*owner)
        is_deleted = bool(specs) and specs[-1].until is not None
        return is_deleted and not any(each.spec.get("suspended") or each.spec.get("eui", "") != eui for each in specs)

    def told(self, involved: dict[str, str]) -> tuple[str, Key, int]:
        """Check that a removal may be reported; return the resource, and the version of its deletion."""
        plural, key = PLURALS[involved["kind"]], (involved["namespace"], involved["name"])
        owner = (plural, key, involved["uid"])
        self._told[owner] += 1
        assert self._told[owner] == 1 or owner in self._unsure, f"the removal of {key} was told twice"
        since = self._history.ended(plural, key, involved["uid"])
        assert since is not None, f"the removal of {key} was told, and it is there"
        return plural, key, since

    def untold(self) -> Iterator[str]:
        """Return the removals that should have been reported by now, and were not."""
        for plural, key, uid in sorted(self._gone - self._unsure - self._told.keys()):
            yield f"the removal of {plural} {key} {uid} was not told"


def _owners(change: Change) -> dict[Owner, str]:
    """Return the resources in a document with their EUIs; the EUI of a TrustedCA is empty."""
    document = change.place.name.removeprefix("stationkeeper-")
    encoded = (change.object.get("data") or {}).get(document) if change.kind != "DELETED" else None
    if not encoded:
        return {}
    try:
        content: Document = decode(document, base64.b64decode(encoded)).content
    except StationkeeperError:
        return {}
    if isinstance(content, TrustDocument):
        found = {("trustedcas", (each.namespace, each.name), each.uid): "" for each in content.authorities}
    else:
        found = {("gateways", (each.namespace, each.name), each.uid): each.eui for each in content.gateways}
    return {owner: eui for owner, eui in found.items() if owner[1][0] in fleet.NAMESPACES}
