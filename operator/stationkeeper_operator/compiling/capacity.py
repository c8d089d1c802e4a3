"""Which of a document's candidates fit into its Secret.

Nothing is ever cut: what does not fit is refused, on the newest resources. What is in force goes first, so that a
resource that is new or has grown pushes out none that is in force.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

import msgspec

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published import MAX_AUTHORITIES, Document, TrustDocument, encode, encode_payload
from stationkeeper_operator.compiling.candidate import Candidate, R
from stationkeeper_operator.resources import Key

_CERTAINLY_FITS = 990_000
_LARGEST_GENERATION = 2**63 - 1


@dataclass(frozen=True)
class Fitted(Generic[R]):
    """A document and who is in it.

    Attributes:
        document: the content.
        payload: of it.
        records: what is in force of each resource; none for those of which nothing is.
    """

    document: Document
    payload: bytes
    records: dict[Key, R]


def fit(
    name: str,
    candidates: Sequence[Candidate[R]],
    build: Callable[[Iterable[R]], Document],
    in_force: Document | None,
) -> Fitted[R]:
    """The document with as many of `candidates` as fit.

    Args:
        name: of the document.
        candidates: those that belong into it.
        build: the document of some records, sorted.
        in_force: the present one, which is known to fit.
    """
    wanted = _attempt(
        name, {each.key: record for each in candidates if (record := each.wanted or each.kept)}, build, in_force
    )
    if wanted is not None:
        return wanted
    steps = _steps(candidates)
    found: Fitted[R] = Fitted(build(()), encode_payload(build(())), {})
    fitting = 0
    beyond = len(steps) + 1
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        attempted = _attempt(name, dict(steps[:middle]), build, in_force)
        if attempted is None:
            beyond = middle
        else:
            fitting = middle
            found = attempted
    return found


def _steps(candidates: Sequence[Candidate[R]]) -> list[tuple[Key, R]]:
    """Records in the order of their precedence: what is kept, what becomes no larger, what grows; oldest first."""
    oldest_first = sorted(candidates, key=lambda each: each.seniority)
    kept = [(each.key, each.kept) for each in oldest_first if each.kept is not None]
    changes = [each for each in oldest_first if each.wanted is not None and each.wanted != each.kept]
    changes.sort(key=lambda each: _size(each.wanted) > _size(each.kept))
    return kept + [(each.key, each.wanted) for each in changes if each.wanted is not None]


def _attempt(
    name: str, records: dict[Key, R], build: Callable[[Iterable[R]], Document], in_force: Document | None
) -> Fitted[R] | None:
    document = build(records.values())
    payload = encode_payload(document)
    if isinstance(document, TrustDocument) and len(document.authorities) > MAX_AUTHORITIES:
        return None
    if len(payload) > _CERTAINLY_FITS and document != in_force:
        try:
            encode(name, _LARGEST_GENERATION, payload)
        except StationkeeperError:
            return None
    return Fitted(document, payload, records)


def _size(record: R | None) -> int:
    return 0 if record is None else len(msgspec.json.encode(record))
