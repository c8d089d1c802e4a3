"""What every new generation has to exceed, so that no CUPS pod takes it for an older one.

A clock may go back, and a Secret may be damaged, replaced by an older one or deleted. So the highest generation that
was ever used is known in three places: the process remembers it over its terms, each document's header tells its own,
and each write leaves the highest of all documents as an annotation on its Secret, which outlasts damaged data.

None of them tells that a Secret was replaced by an older one which holds just what is wanted now. The pods do: they
have a later generation in force, which nothing that is published replaces until it is published anew above that.
"""

from collections.abc import Mapping

import msgspec

from stationkeeper_core.published.documents import MAX_GENERATION

ANNOTATION = "stationkeeper.io/generation"

_MAX_DIGITS = 20
_FURTHEST_MS = 86_400_000
"""A pod that was taken over must not use up the numbers."""


class _Header(msgspec.Struct):
    generation: int = 0


class GenerationFloor:
    """Of one process.

    Attributes:
        value: the highest generation that is known to have been used, of whichever document.
    """

    def __init__(self) -> None:
        self.value = 0
        self._in_pods: dict[str, int] = {}

    def raise_to(self, generation: int) -> None:
        """Take in that a generation was used."""
        self.value = max(self.value, generation)

    def outruns(self, document: str, generation: int, held: int, now_ms: int) -> bool:
        """Take in what a pod has in force; return whether it is later than what is published.

        Args:
            document: its name.
            generation: that the pod has.
            held: that is published.
            now_ms: milliseconds since the epoch.
        """
        is_later = held < generation <= max(self.value, now_ms) + _FURTHEST_MS
        if is_later:
            self._in_pods[document] = generation
            self.raise_to(generation)
        return is_later

    def is_outrun(self, document: str, held: int) -> bool:
        """Whether a pod has a later generation of a document than the one that is published."""
        return held < self._in_pods.get(document, 0)

    def following(self, held: int, now_ms: int) -> int:
        """Return the generation for a write; it counts as used once `raise_to` is told.

        Args:
            held: the one that the document has.
            now_ms: milliseconds since the epoch.
        """
        return max(held + 1, self.value + 1, now_ms)


def generation_told(value: bytes, annotations: Mapping[str, str] | None) -> int:
    """Return the highest generation that a Secret tells of, 0 where it tells none.

    Args:
        value: the document in it, which may be damaged.
        annotations: of the Secret.
    """
    return max(_of_header(value), _of_annotation((annotations or {}).get(ANNOTATION, "")))


def _of_header(value: bytes) -> int:
    try:
        found = msgspec.json.decode(value.partition(b"\n")[0], type=_Header).generation
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return 0
    return found if 0 <= found <= MAX_GENERATION else 0


def _of_annotation(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        return 0
    found = int(text)
    return found if found <= MAX_GENERATION else 0
