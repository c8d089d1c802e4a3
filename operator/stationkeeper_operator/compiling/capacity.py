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
    """Records in the order of their precedence; oldest first.

    What is in force, less what the specs take away, fits; then comes what becomes no larger, what is revoked anew, and
    what grows.
    """
    oldest_first = sorted(candidates, key=lambda each: each.seniority)
    base = {each.key: each.shrunk or each.kept for each in oldest_first}
    kept = [(key, record) for key, record in base.items() if record is not None]
    changes = [
        (each.key, each.wanted) for each in oldest_first if each.wanted is not None and each.wanted != base[each.key]
    ]
    smaller = [change for change in changes if _size(change[1]) <= _size(base[change[0]])]
    settled = {key for key, _ in smaller}
    revoking = [(each.key, each.kept) for each in oldest_first if each.shrunk and each.kept and each.key not in settled]
    return kept + smaller + revoking + [change for change in changes if change[0] not in settled]


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
