"""The documents that a turn could not write, and the conditions that wait for them. Pure."""

from collections.abc import Collection, Iterator, Mapping

from stationkeeper_core.published.documents import TRUST
from stationkeeper_operator.resources.records import Key
from stationkeeper_operator.rollout.resource_steps import ResourceRef
from stationkeeper_operator.rollout.step_fact import count_of

MOST_SHOWN = 100_000
"""The number of conditions above which all of them are compared again, so that deleted resources are forgotten."""


class Unwritten:
    """The unwritten documents after the last turn.

    Attributes:
        unknown: those whose content in force is not known.
    """

    def __init__(self) -> None:
        self.unknown: Collection[str] = ()
        self._documents: Collection[str] = ()
        self._unchanged: Mapping[ResourceRef, str] = {}
        self._unchanged_keys: frozenset[Key] = frozenset()
        self._was_noted = False
        # The conditions that named an unwritten document, and whether the resource must leave this document.
        self._shown: dict[ResourceRef, tuple[str, bool]] = {}

    def note(self, documents: Collection[str], unchanged: Mapping[ResourceRef, str], unknown: Collection[str]) -> None:
        """Record what a turn could not write; see `Enforcement.note_unwritten` for the arguments."""
        self._was_noted = self._was_noted or (documents, unchanged) != (self._documents, self._unchanged)
        self._documents, self._unchanged, self.unknown = documents, unchanged, unknown
        self._unchanged_keys = frozenset(ref.key for ref in unchanged)

    def take_noted(self) -> bool:
        """Return whether something else was recorded since the last call."""
        was_noted, self._was_noted = self._was_noted, False
        return was_noted

    def shown_for(self, ref: ResourceRef, documents: Collection[str], counts: Collection[int]) -> str:
        """Return the unwritten document that a condition names; empty if there is none.

        Args:
            ref: the resource of the condition.
            documents: the documents that hold it, or held it before its removal.
            counts: the counts of registry documents that the pods read.
        """
        own = next((each for each in documents if each in self._documents), "")
        found = own or self.elsewhere(documents, counts) or self._unchanged.get(ref, "")
        if found:
            self._shown[ref] = found, ref in self._unchanged
        return found

    def elsewhere(self, documents: Collection[str], counts: Collection[int]) -> str:
        """Return an unwritten document of a count that pods read and that `documents` lacks; empty if there is none."""
        if TRUST in documents:
            return ""
        lacking = set(counts) - {count_of(each) for each in documents}
        return next((each for each in sorted(self._documents) if count_of(each) in lacking), "")

    def must_leave(self, key: Key) -> bool:
        """Return whether a resource of this name must still leave an unwritten document."""
        return key in self._unchanged_keys

    def written_since(self) -> Iterator[ResourceRef]:
        """Yield the resources whose condition waited for a document that is not unwritten any more.

        A person may have restored its Secret, or the change of another resource was written, so that no publish changes
        the condition.
        """
        shown, self._shown = self._shown, {}
        for ref, (document, must_leave) in shown.items():
            # Compared again, only the resources that still exist are shown again.
            waits = document in self._documents and (ref in self._unchanged or not must_leave)
            if waits and len(shown) <= MOST_SHOWN:
                self._shown[ref] = document, must_leave
            else:
                yield ref
