"""The floor for new generations: each must exceed it, or CUPS pods would treat it as older.

A clock may go back, and a Secret may be damaged, deleted or replaced by an older one. So the highest used generation is
kept in three places: the process remembers it over its terms, each document's header has its own, and each write stores
the highest one of all documents in an annotation of its Secret, which remains if the data is damaged.

None of these shows that a Secret was replaced by an older one with exactly the desired content. The pods show it: they
have a later generation in force, and load nothing until the content is published again with a generation above that.
"""

from collections.abc import Mapping

import msgspec

from stationkeeper_core.published.documents import MAX_GENERATION

ANNOTATION = "stationkeeper.io/generation"

_MAX_DIGITS = 20
_FURTHEST_MS = 86_400_000
"""How far a reported generation may be ahead of the clock: a hostile pod must not use up the numbers."""


class _Header(msgspec.Struct):
    generation: int = 0


class GenerationFloor:
    """The floor of one process.

    Attributes:
        value: the highest known generation of any document.
    """

    def __init__(self) -> None:
        self.value = 0
        self._in_pods: dict[str, int] = {}

    def raise_to(self, generation: int) -> None:
        """Record that a generation was used."""
        self.value = max(self.value, generation)

    def note_pod_generation(self, document: str, generation: int, published: int, now_ms: int) -> bool:
        """Record the generation that a pod has in force; return whether it is later than the published one.

        Args:
            document: the name of the document.
            generation: the generation of the pod.
            published: the published generation.
            now_ms: milliseconds since the epoch.
        """
        is_later = published < generation <= max(self.value, now_ms) + _FURTHEST_MS
        if is_later:
            self._in_pods[document] = generation
            self.raise_to(generation)
        return is_later

    def is_overtaken(self, document: str, published: int) -> bool:
        """Return whether a pod has a later generation of a document than the published one."""
        return published < self._in_pods.get(document, 0)

    def following(self, published: int, now_ms: int) -> int:
        """Return the generation for a write; it counts as used after `raise_to`.

        Args:
            published: the present generation of the document.
            now_ms: milliseconds since the epoch.
        """
        return max(published + 1, self.value + 1, now_ms)


def highest_generation_in(value: bytes, annotations: Mapping[str, str] | None) -> int:
    """Return the highest generation in a Secret; 0 if there is none.

    Args:
        value: the document in it, possibly damaged.
        annotations: the annotations of the Secret.
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
