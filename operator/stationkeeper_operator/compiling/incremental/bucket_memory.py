"""Keep one registry document up to date: the claims on its EUIs, the decisions on them, and the records that fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import RegisteredGateway, RegistryDocument, ReservedEUI, digest
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.fitting.capacity import Contents, fit, payload_without_shares
from stationkeeper_operator.compiling.fitting.room import REGISTRY_BOUNDS
from stationkeeper_operator.compiling.gateways.eui_claims import Claim, Grounds, Settled
from stationkeeper_operator.compiling.gateways.registry_compiler import Bucket, edited, parsed_eui, settle_all
from stationkeeper_operator.compiling.incremental.multi_index import MultiIndex
from stationkeeper_operator.compiling.retention.identity import differing
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
        payload: its payload, until it is taken.
        records: the record of each Gateway in the document.
    """

    def __init__(self, name: str, number: int, release_namespace: str) -> None:
        self.name = name
        self.document: RegistryDocument | None = None
        self.sha256 = ""
        self.payload: bytes | None = None
        self.records: dict[Key, RegisteredGateway] = {}
        self._number = number
        self._release = release_namespace
        self._candidates: dict[Owner, Candidate[RegisteredGateway]] = {}
        self._held: dict[Owner, RegisteredGateway] = {}
        self._reserved: dict[Owner, ReservedEUI] = {}
        self._in_force: RegistryDocument | None = None
        self._namespaces: MultiIndex[EUI64, str] = MultiIndex()
        self._contested: set[EUI64] = set()
        self._settled: dict[EUI64, tuple[Settled, ...]] = {}
        self._stale: set[EUI64] = set()
        # The EUIs whose records changed since the last fit, each with the Gateways that claimed it until then.
        self._edited: dict[EUI64, set[Key]] = {}
        self._must_rebuild = True
        self._fits_without_shares = False

    @property
    def is_current(self) -> bool:
        """Whether the document is up to date."""
        return not (self._stale or self._edited or self._must_rebuild)

    def claim(self, owner: Owner, candidate: Candidate[RegisteredGateway] | None) -> None:
        """Set the candidate of the Gateway that has an EUI in its namespace; None if there is none."""
        if candidate is None:
            self._candidates.pop(owner, None)
        else:
            self._candidates[owner] = candidate
        self._note_claim_change(owner)

    def replace_resource(self, owner: Owner, candidate: Candidate[RegisteredGateway]) -> None:
        """Replace the resource of a Gateway without compiling it, to release the memory of the old one."""
        resource = candidate.resource
        self._candidates[owner] = candidate
        self._settled[owner[0]] = tuple(
            replace(each, candidate=replace(each.candidate, resource=resource))
            if each.candidate is not None and each.candidate.key == resource.key
            else each
            for each in self._settled.get(owner[0], ())
        )

    def set_in_force(self, document: RegistryDocument | None) -> InForceChange:
        """Set the document in force, and return its changes."""
        if document is self._in_force:
            return InForceChange()
        changes = self._change_held(document)
        reserved = {(parsed_eui(each), each.namespace): each for each in (document.reserved if document else ())}
        kept = [owner for owner in {**self._reserved, **reserved} if self._reserved.get(owner) != reserved.get(owner)]
        self._reserved = reserved
        for owner in (*changes, *kept):
            self._note_claim_change(owner)
        if kept:
            # The number of waiting entries of a namespace decides whether another one fits.
            self.mark_contested_stale()
        if not self._fits_without_shares:
            self._must_rebuild = True
        return InForceChange(
            tuple(before for before, _ in changes.values() if before is not None),
            tuple(after for _, after in changes.values() if after is not None),
        )

    def _change_held(
        self, document: RegistryDocument | None
    ) -> dict[Owner, tuple[RegisteredGateway | None, RegisteredGateway | None]]:
        """Set the records in force; return those that differ, before and after."""
        before = self._in_force.gateways if self._in_force is not None else ()
        removed, added = differing(before, document.gateways if document is not None else ())
        self._in_force = document
        new = {(parsed_eui(each), each.namespace): each for each in added}
        old = {(parsed_eui(each), each.namespace): each for each in removed}
        for owner in old.keys() - new.keys():
            del self._held[owner]
        self._held |= new
        pairs = {owner: (old.get(owner), new.get(owner)) for owner in {**old, **new}}
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
        edits, self._edited = self._edited, {}
        if not (self._must_rebuild or edits):
            return False, settled
        if not self._must_rebuild and (changed := self._edit(edits)) is not None:
            return True, settled | changed
        self._must_rebuild = False
        bucket = self._bucket()
        contents = Contents(bucket.candidates, partial(bucket.document, self._number), self._release, REGISTRY_BOUNDS)
        fitted = fit(contents, self._in_force)
        self._fits_without_shares = fitted.fits_without_shares
        before, self.records = self.records, fitted.records
        assert isinstance(fitted.document, RegistryDocument)  # noqa: S101 - it was built as that
        self.document = self._in_force if fitted.document == self._in_force else fitted.document
        self.sha256, self.payload = digest(fitted.payload), fitted.payload
        other = (key for key, record in self.records.items() if before.get(key) != record)
        return True, {*settled, *other, *(before.keys() - self.records.keys())}

    def _edit(self, euis: Mapping[EUI64, set[Key]]) -> set[Key] | None:
        """Change the records of some EUIs in the document, where everything fits.

        Args:
            euis: each with the Gateways that may have a record under it.

        Returns:
            The Gateways with a changed record; None if the document must be built from all its candidates.
        """
        if self.document is None or not self._fits_without_shares or len(euis) > _MOST_EDITS:
            return None
        found = edited(self.document, euis, (each for eui in euis for each in self._settled.get(eui, ())))
        if found is None:
            return None
        document, chosen = found
        payload = payload_without_shares(document, self._release, REGISTRY_BOUNDS)
        if payload is None:
            return None
        former = set().union(*euis.values())
        before = {key: self.records.pop(key) for key in former & self.records.keys()}
        self.records |= chosen
        self.document = self._in_force if document == self._in_force else document
        self.sha256, self.payload = digest(payload), payload
        return {key for key in {**before, **chosen} if before.get(key) != chosen.get(key)}

    def candidate_of(self, owner: Owner, key: Key) -> Candidate[RegisteredGateway] | None:
        """Return the settled candidate of the Gateway that has an EUI in its namespace."""
        found = (each.candidate for each in self._settled.get(owner[0], ()) if each.candidate is not None)
        return next((each for each in found if each.key == key), None)

    def _note_claim_change(self, owner: Owner) -> None:
        """Record a change of a namespace's claim to an EUI."""
        eui, namespace = owner
        if owner in self._candidates or owner in self._held or owner in self._reserved:
            self._namespaces.add(eui, namespace)
        else:
            self._namespaces.discard(eui, namespace)
        is_contested = self._namespaces.is_shared(eui)
        if is_contested or eui in self._contested:
            # The waiting entries of a namespace are counted over all EUIs.
            self._stale |= self._contested
        if is_contested:
            self._contested.add(eui)
        elif eui in self._contested:
            self._contested.discard(eui)
            self._must_rebuild = True
        self._stale.add(eui)

    def _settle(self, grounds: Grounds) -> set[Key]:
        """Settle the stale EUIs; return the Gateways with changed candidates."""
        claims = {
            eui: {
                namespace: Claim(
                    namespace,
                    self._candidates.get((eui, namespace)),
                    self._held.get((eui, namespace)),
                    self._reserved.get((eui, namespace)),
                )
                for namespace in self._namespaces.of(eui)
            }
            for eui in self._stale
        }
        found: set[Key] = set()
        for eui, settled in settle_all(claims, self._in_force, grounds):
            before, after = self._settled.pop(eui, ()), tuple(settled.values())
            if after:
                self._settled[eui] = after
            if not self._has_same_entries(before, after):
                keys = (each.candidate.key for each in before if each.candidate is not None)
                self._edited.setdefault(eui, set()).update(keys)
            found |= {each.candidate.key for each in after if each.candidate is not None}
        self._stale.clear()
        return found

    def _has_same_entries(self, before: tuple[Settled, ...], after: tuple[Settled, ...]) -> bool:
        """Return whether two results give the document the same entries, without looking at its other content."""
        if len(before) != 1 or len(after) != 1:
            return not before and not after
        old, new = before[0], after[0]
        if old.candidate is None or new.candidate is None:
            return old.candidate is new.candidate and old.reserved == new.reserved
        if not self._fits_without_shares:
            return _has_same_records(old.candidate, new.candidate) and old.reserved == new.reserved
        # If everything fits, each Gateway's first choice is in the document, and it has no reservation.
        first, then = (each.desired or each.fallback for each in (old.candidate, new.candidate))
        same_record = old.candidate.key == new.candidate.key and first == then
        return same_record and (then is not None or old.reserved == new.reserved)

    def _bucket(self) -> Bucket:
        bucket = Bucket(contested={format_hex(eui) for eui in self._contested})
        for settled in self._settled.values():
            for each in settled:
                bucket.take_in(each)
        return bucket


def _has_same_records(old: Candidate[RegisteredGateway], new: Candidate[RegisteredGateway]) -> bool:
    return (old.key, old.seniority, old.desired, old.fallback, old.minimal) == (
        new.key,
        new.seniority,
        new.desired,
        new.fallback,
        new.minimal,
    )
