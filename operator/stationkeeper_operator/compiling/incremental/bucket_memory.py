"""Keep one registry document up to date: the claims on its EUIs, the decisions on them, and the records that fit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import RegisteredGateway, RegistryDocument, ReservedEUI, digest
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.fitting.capacity import Contents, fit, payload_without_shares
from stationkeeper_operator.compiling.fitting.document_space import REGISTRY_BOUNDS
from stationkeeper_operator.compiling.gateways.eui_claims import Claim, Grounds, Settled
from stationkeeper_operator.compiling.gateways.registry_compiler import Bucket, edited, parsed_eui, settle_all
from stationkeeper_operator.compiling.incremental.multi_index import MultiIndex
from stationkeeper_operator.compiling.retention.object_differences import differing
from stationkeeper_operator.resources.records import Key

Owner = tuple[EUI64, str]
"""An EUI and the namespace of the Gateway that claims it."""


_MOST_EDITS = 64
"""The number of changed EUIs above which a document is built from all its candidates."""


@dataclass(frozen=True)
class InForceChange:
    """The changes of the Gateways in force: the records before and after."""

    removed: tuple[RegisteredGateway, ...] = ()
    added: tuple[RegisteredGateway, ...] = ()


class _Claim:
    """The claim of one namespace to one EUI, and what was decided on it last.

    There is one for each Gateway. To save memory, a part that equals the record in force is not stored again.

    Attributes:
        namespace: its name.
        candidate: that of its Gateway with the EUI; None if it has none.
        in_force: the record in force.
        reserved: the reservation in force.
        settled: the decided candidate; None if there is none.
        reservation: the decided reservation, or `_AS_IN_FORCE`; None for none.
        record: the record in the document.
    """

    __slots__ = ("candidate", "in_force", "namespace", "record", "reservation", "reserved", "settled")

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.candidate: Candidate[RegisteredGateway] | None = None
        self.in_force: RegisteredGateway | None = None
        self.reserved: ReservedEUI | None = None
        self.settled: Candidate[RegisteredGateway] | None = None
        self.reservation: ReservedEUI | _AsInForce | None = None
        self.record: RegisteredGateway | None = None

    @property
    def is_live(self) -> bool:
        """Whether something claims the EUI."""
        return self.candidate is not None or self.in_force is not None or self.reserved is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing claims the EUI, and the document has nothing of the claim."""
        return not self.is_live and self.settled is None and self.reservation is None and self.record is None

    def set_in_force(self, record: RegisteredGateway | None) -> None:
        """Set the record in force."""
        if isinstance(self.reservation, _AsInForce) and _reservation(record) != _reservation(self.in_force):
            self.reservation = _reservation(self.in_force)
        self.in_force = record

    def settle(self, settled: Settled | None) -> None:
        """Set what was decided; None if there is nothing to decide any more."""
        self.settled = settled.candidate if settled is not None else None
        kept = settled.reserved if settled is not None else None
        self.reservation = _AS_IN_FORCE if kept is not None and kept == _reservation(self.in_force) else kept

    def decision(self) -> Settled | None:
        """Return the last decision; None if there is none."""
        kept = _reservation(self.in_force) if isinstance(self.reservation, _AsInForce) else self.reservation
        return None if self.settled is None and kept is None else Settled(self.settled, kept)


class _AsInForce(Enum):
    """The reservation that the record in force gives."""

    AS_IN_FORCE = 0


_AS_IN_FORCE = _AsInForce.AS_IN_FORCE


def _reservation(record: RegisteredGateway | None) -> ReservedEUI | None:
    if record is None:
        return None
    return ReservedEUI(eui=record.eui, namespace=record.namespace, uid=record.uid, rank=record.rank)


class BucketMemory:
    """The state of one bucket.

    Args:
        name: the name of the document.
        number: the number of the bucket.
        release_namespace: the namespace with a share of its own.

    Attributes:
        name: the name of the document.
        document: the last fitted document; None before.
        sha256: the digest of its payload.
        payload: its payload, until the caller takes it; None if it is already in force.
    """

    def __init__(self, name: str, number: int, release_namespace: str) -> None:
        self.name = name
        self.document: RegistryDocument | None = None
        self.sha256 = ""
        self.payload: bytes | None = None
        self._number = number
        self._release = release_namespace
        self._claims: MultiIndex[EUI64, _Claim] = MultiIndex()
        self._reserved: dict[Owner, ReservedEUI] = {}
        self._in_force: RegistryDocument | None = None
        self._contested: set[EUI64] = set()
        self._stale: set[EUI64] = set()
        # The EUIs whose records changed since the last fit.
        self._edited: set[EUI64] = set()
        self._must_rebuild = True
        self._fits_without_shares = False

    @property
    def is_current(self) -> bool:
        """Whether the document is up to date."""
        return not (self._stale or self._edited or self._must_rebuild)

    @property
    def in_force(self) -> Sequence[RegisteredGateway]:
        """The records in force."""
        return self._in_force.gateways if self._in_force is not None else ()

    def claim(self, owner: Owner, candidate: Candidate[RegisteredGateway] | None) -> None:
        """Set the candidate of the Gateway that has an EUI in its namespace; None if there is none."""
        self._claim_of(owner).candidate = candidate
        self._note_claim_change(owner[0])

    def replace_resource(self, owner: Owner, candidate: Candidate[RegisteredGateway]) -> None:
        """Replace the resource of a Gateway without a change that matters, to release the memory of the old one."""
        claim = self._claim_of(owner)
        settled = claim.settled
        if settled is not None and settled.key == candidate.key:
            same = settled is claim.candidate
            claim.settled = candidate if same else replace(settled, resource=candidate.resource)
        claim.candidate = candidate

    def set_in_force(self, document: RegistryDocument | None) -> InForceChange:
        """Set the document in force, and return its changes."""
        if document is self._in_force:
            return InForceChange()
        changes = self._change_in_force(document)
        reserved = {(parsed_eui(each), each.namespace): each for each in (document.reserved if document else ())}
        kept = [owner for owner in {**self._reserved, **reserved} if self._reserved.get(owner) != reserved.get(owner)]
        self._reserved = reserved
        for owner in kept:
            self._claim_of(owner).reserved = reserved.get(owner)
        for owner in (*changes, *kept):
            self._note_claim_change(owner[0])
        if kept:
            # The number of waiting entries of a namespace decides whether another one fits.
            self.mark_contested_stale()
        if not self._fits_without_shares:
            self._must_rebuild = True
        return InForceChange(
            tuple(before for before, _ in changes.values() if before is not None),
            tuple(after for _, after in changes.values() if after is not None),
        )

    def _change_in_force(
        self, document: RegistryDocument | None
    ) -> dict[Owner, tuple[RegisteredGateway | None, RegisteredGateway | None]]:
        """Set the records in force; return those that differ, before and after."""
        before = self._in_force.gateways if self._in_force is not None else ()
        removed, added = differing(before, document.gateways if document is not None else ())
        self._in_force = document
        new = {(parsed_eui(each), each.namespace): each for each in added}
        old = {(parsed_eui(each), each.namespace): each for each in removed}
        pairs = {owner: (old.get(owner), new.get(owner)) for owner in {**old, **new}}
        for owner, (_, after) in pairs.items():
            self._claim_of(owner).set_in_force(after)
        return {owner: pair for owner, pair in pairs.items() if pair[0] != pair[1]}

    def mark_contested_stale(self) -> None:
        """Mark all contested EUIs for a new decision, after a change of the scopes."""
        self._stale |= self._contested

    def fit(self, grounds: Grounds) -> tuple[bool, Iterable[Key]]:
        """Bring the document up to date.

        Args:
            grounds: the grounds for deciding claims.

        Returns:
            Whether the document was made again, and the Gateways with a changed record or a newly settled candidate.
        """
        settled = self._settle(grounds)
        edits, self._edited = self._edited, set()
        if not (self._must_rebuild or edits):
            return False, settled
        changed = None if self._must_rebuild else self._edit(edits)
        if changed is None:
            changed = self._fit_all()
        for eui in edits:
            self._drop_empty(eui)
        return True, settled | changed

    def _fit_all(self) -> set[Key]:
        """Build the document from all candidates; return the Gateways with a changed record."""
        self._must_rebuild = False
        bucket = self._bucket()
        contents = Contents(bucket.candidates, partial(bucket.document, self._number), self._release, REGISTRY_BOUNDS)
        fitted = fit(contents, self._in_force)
        self._fits_without_shares = fitted.fits_without_shares
        assert isinstance(fitted.document, RegistryDocument)  # noqa: S101 - it was built as that
        self._put(fitted.document, fitted.payload)
        return self._set_records((claim for _, claim in self._claims), fitted.records)

    def _edit(self, euis: Set[EUI64]) -> set[Key] | None:
        """Change the records of some EUIs in the document, if everything fits.

        Returns:
            The Gateways with a changed record; None if the document must be built from all its candidates.
        """
        if self.document is None or not self._fits_without_shares or len(euis) > _MOST_EDITS:
            return None
        claims = [claim for eui in euis for claim in self._claims.of(eui)]
        found = edited(self.document, euis, (each for claim in claims if (each := claim.decision()) is not None))
        if found is None:
            return None
        document, chosen = found
        payload = payload_without_shares(document, self._release, REGISTRY_BOUNDS)
        if payload is None:
            return None
        self._put(document, payload)
        return self._set_records(claims, chosen)

    def _put(self, document: RegistryDocument, payload: bytes) -> None:
        is_in_force = document == self._in_force
        self.document = self._in_force if is_in_force else document
        self.sha256, self.payload = digest(payload), None if is_in_force else payload

    @staticmethod
    def _set_records(claims: Iterable[_Claim], records: Mapping[Key, RegisteredGateway]) -> set[Key]:
        """Set the records of claims; return the Gateways with a changed record."""
        found: set[Key] = set()
        for claim in claims:
            before, settled = claim.record, claim.settled
            claim.record = records.get(settled.key) if settled is not None else None
            if settled is not None and claim.record != before:
                found.add(settled.key)
        return found

    def candidate_of(self, owner: Owner, key: Key) -> Candidate[RegisteredGateway] | None:
        """Return the settled candidate of the Gateway that has an EUI in its namespace."""
        claim = self._find(owner)
        settled = claim.settled if claim is not None else None
        return settled if settled is not None and settled.key == key else None

    def record_of(self, owner: Owner, key: Key) -> RegisteredGateway | None:
        """Return the record in the document of the Gateway that has an EUI in its namespace; None if there is none."""
        claim = self._find(owner)
        # A record by another writer may have another name: the candidate has the name of the Gateway.
        is_its_own = claim is not None and claim.settled is not None and claim.settled.key == key
        return claim.record if claim is not None and is_its_own else None

    def recorded(self) -> Iterator[Key]:
        """Yield the Gateways with a record in the document."""
        for _, claim in self._claims:
            if claim.record is not None and claim.settled is not None:
                yield claim.settled.key

    def _find(self, owner: Owner) -> _Claim | None:
        eui, namespace = owner
        return next((each for each in self._claims.of(eui) if each.namespace == namespace), None)

    def _claim_of(self, owner: Owner) -> _Claim:
        """Return the claim of a namespace to an EUI; a new one if there was none."""
        found = self._find(owner)
        if found is None:
            found = _Claim(owner[1])
            self._claims.add(owner[0], found)
        return found

    def _note_claim_change(self, eui: EUI64) -> None:
        """Record a change of the claims to an EUI."""
        is_contested = self._claims.is_shared(eui) and sum(each.is_live for each in self._claims.of(eui)) > 1
        if is_contested or eui in self._contested:
            # The waiting entries of a namespace are counted over all EUIs.
            self._stale |= self._contested
        if is_contested:
            self._contested.add(eui)
        else:
            self._contested.discard(eui)
        self._stale.add(eui)

    def _settle(self, grounds: Grounds) -> set[Key]:
        """Settle the stale EUIs; return the Gateways with changed candidates."""
        claims = {
            eui: {
                each.namespace: Claim(each.namespace, each.candidate, each.in_force, each.reserved)
                for each in self._claims.of(eui)
                if each.is_live
            }
            for eui in self._stale
        }
        changed_keys: set[Key] = set()
        for eui, settled in settle_all(claims, self._in_force, grounds):
            before = self._decisions(eui)
            for each in self._claims.of(eui):
                each.settle(settled.get(each.namespace))
            after = tuple(settled.values())
            if not self._has_same_entries(before, after):
                self._edited.add(eui)
            else:
                self._drop_empty(eui)
            changed_keys |= {each.candidate.key for each in after if each.candidate is not None}
        self._stale.clear()
        return changed_keys

    def _decisions(self, eui: EUI64) -> tuple[Settled, ...]:
        return tuple(found for each in self._claims.of(eui) if (found := each.decision()) is not None)

    def _drop_empty(self, eui: EUI64) -> None:
        for each in [each for each in self._claims.of(eui) if each.is_empty]:
            self._claims.discard(eui, each)

    def _has_same_entries(self, before: tuple[Settled, ...], after: tuple[Settled, ...]) -> bool:
        """Return whether two results give the document the same entries."""
        if len(before) != 1 or len(after) != 1:
            return not before and not after
        old, new = before[0], after[0]
        if old.candidate is None or new.candidate is None:
            return old.candidate is new.candidate and old.reserved == new.reserved
        if not self._fits_without_shares:
            return _has_same_records(old.candidate, new.candidate) and old.reserved == new.reserved
        # If everything fits, each Gateway's first choice is in the document, and it has no reservation.
        first, then = (each.desired or each.fallback for each in (old.candidate, new.candidate))
        return first == then and (then is not None or old.reserved == new.reserved)

    def _bucket(self) -> Bucket:
        bucket = Bucket(contested={format_hex(eui) for eui in self._contested})
        for _, claim in self._claims:
            if (decision := claim.decision()) is not None:
                bucket.take_in(decision)
        return bucket


def _has_same_records(old: Candidate[RegisteredGateway], new: Candidate[RegisteredGateway]) -> bool:
    return (old.key, old.seniority, old.desired, old.fallback, old.minimal) == (
        new.key,
        new.seniority,
        new.desired,
        new.fallback,
        new.minimal,
    )
