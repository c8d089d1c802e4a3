"""Which faults were active when an event happened: the coverage of several runs."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.api_server import Change
from tests.simulation.fleet import RELEASE

KINDS = (
    "user acts",
    "new leader",
    "Secret marked",
    "Secret written",
    "pod loads",
    "pod ready",
    "pod not ready",
    "status written",
    "Enforced said",
    "removal told",
)


@dataclass
class Coverage:
    """The coverage of one run, or of several.

    Attributes:
        met: how often a kind of event happened during a kind of fault, or just after it.
    """

    met: Counter[tuple[str, str]] = field(default_factory=Counter)

    def changed(self, faults: Iterable[str], change: Change) -> None:
        """Take in a change of the API server."""
        kind = _kind(change)
        if kind:
            self.add(faults, kind)

    def add(self, faults: Iterable[str], kind: str) -> None:
        """Take in an event."""
        for fault in faults:
            self.met[fault, kind] += 1

    def table(self, faults: Iterable[str]) -> str:
        """Return a table with a row for each kind of fault and a column for each kind of event."""
        rows = sorted(faults)
        width = max(map(len, rows), default=0)
        head = " " * width + "".join(f" {each:>14}" for each in KINDS)
        lines = [f"{row:{width}}" + "".join(f" {self.met[row, kind]:14d}" for kind in KINDS) for row in rows]
        reached = sum(self.met[row, kind] > 0 for row in rows for kind in KINDS)
        return "\n".join((head, *lines, f"{reached} of {len(rows) * len(KINDS)} pairs were reached"))


def _kind(change: Change) -> str:
    plural = change.place.plural
    if plural == "leases":
        return _of_lease(change)
    if plural == "pods":
        return _of_pod(change)
    if change.writer is None:
        return "user acts" if change.place.namespace != RELEASE else ""
    if plural == "secrets":
        before = (change.before or {}).get("data")
        return "Secret marked" if change.object.get("data") == before else "Secret written"
    if plural == "events":
        return "removal told" if change.object["reason"] == "Enforced" else ""
    return "Enforced said" if _enforced(change.object) and not _enforced(change.before) else "status written"


def _of_lease(change: Change) -> str:
    before = ((change.before or {}).get("spec") or {}).get("leaseTransitions")
    return "new leader" if change.object["spec"].get("leaseTransitions") != before else ""


def _of_pod(change: Change) -> str:
    was, now = (_ready(each) for each in (change.before, change.object))
    return "" if was == now else ("pod ready" if now else "pod not ready")


def _ready(found: dict[str, object] | None) -> bool:
    return "'True'" in str((found or {}).get("status"))


def _enforced(found: dict[str, object] | None) -> bool:
    status = (found or {}).get("status")
    listed = status.get("conditions") if isinstance(status, dict) else None
    return any((each["type"], each["status"]) == ("Enforced", "True") for each in listed or ())
