"""The removals that still need an event, in an annotation of their Secret.

A deleted resource has no status, so an event reports that its removal is enforced, some time after the write. The
leader may end before that, and a write may succeed without an answer. So the write that removes a record also notes the
removal, and the note is deleted after the event is written.
"""

from collections.abc import Iterable

import msgspec

ANNOTATION = "stationkeeper.io/removed"
_MAX_BYTES = 65_536
"""The maximum size; annotations have 256 KiB together. Further removals get an event too, unless the leader ends."""


class Removed(msgspec.Struct, frozen=True, array_like=True):
    """A deleted resource whose record was removed.

    Attributes:
        kind, namespace, name, uid: of the resource.
    """

    kind: str
    namespace: str
    name: str
    uid: str


def encode_removed(listed: Iterable[Removed]) -> str:
    """Return the text of the annotation; only the latest removals if not all fit."""
    kept: list[bytes] = []
    size = 2
    for removed in reversed(tuple(listed)):
        encoded = msgspec.json.encode(removed)
        size += len(encoded) + 1
        if size > _MAX_BYTES:
            break
        kept.append(encoded)
    return f"[{b','.join(reversed(kept)).decode()}]" if kept else ""


def decode_removed(text: str) -> tuple[Removed, ...]:
    """Return the removals in an annotation; empty if it cannot be read, because another program wrote it."""
    if not text or len(text) > _MAX_BYTES:
        return ()
    try:
        return msgspec.json.decode(text, type=tuple[Removed, ...])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ()
