"""Compile the CRLs of a TrustedCA into one published list for each issuer's key.

Each CRL counts separately: an unusable one is refused and affects no other. Parsed CRLs are cached, within a bound.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial

from msgspec.structs import replace

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published.documents import RevocationList, TrustedAuthority
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.crl import CLOCK_TOLERANCE, Crl, newest, parse_crl, signer_of, split_crls
from stationkeeper_core.x509.serial_numbers import count_serials, pack_serials, unpack_serials
from stationkeeper_operator.compiling.candidate import Problems
from stationkeeper_operator.compiling.certificate_rules import certificate_of
from stationkeeper_operator.compiling.verdict import RevocationListStatus
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import TrustedCA
from stationkeeper_operator.resources.specs import Revocation

_REMEMBERED = 64
_MAX_ISSUER = 256
_MAX_STATUSES = 200
_SHOWN = 100
_SHOWN_PROBLEMS = 3


@dataclass(frozen=True)
class Source:
    """The CRLs of a spec.

    Attributes:
        field: the field of the spec, for messages.
        ders: the CRLs, not parsed.
    """

    field: str
    ders: tuple[bytes, ...] = ()


def find_crls(namespace: str, revocation: Revocation, world: World) -> Source:
    """Return the CRLs of a spec, if any.

    Raises:
        StationkeeperError: as `World.read` and `split_crls`, or `InvalidSpec`.
    """
    if revocation.crl is not None and revocation.crl_from is not None:
        raise StationkeeperError(Reason.INVALID_SPEC, "revocation has both crl and crlFrom, give one")
    if revocation.crl_from is not None:
        field = "revocation.crlFrom"
        content = world.read(namespace, revocation.crl_from, field)
    elif revocation.crl is not None:
        field, content = "revocation.crl", revocation.crl.encode()
    else:
        return Source("")
    try:
        return Source(field, split_crls(content))
    except StationkeeperError as error:
        raise StationkeeperError(error.reason, f"{field}: {error.detail}") from None


def crl_start_times(resource: TrustedCA, world: World) -> tuple[datetime, ...]:
    """Return the time from which each readable CRL of a spec counts."""
    revocation = (resource.spec.revocation if resource.spec is not None else None) or Revocation()
    source = Problems().attempt(lambda: find_crls(resource.metadata.namespace, revocation, world))
    crls = (_parse(der) for der in (source.ders if source is not None else ()))
    return tuple(each.this_update - CLOCK_TOLERANCE for each in crls if isinstance(each, Crl))


@dataclass(frozen=True)
class ReadLists:
    """The revocations by the CRLs of a spec.

    Attributes:
        lists: sorted by the key of the issuer.
        left_out: why each CRL of an issuer that may not sign CRLs does not count. Only that CRL is refused, with a
            note: no later CRL of that issuer can be better, and the rest of the spec does not depend on it.
    """

    lists: tuple[RevocationList, ...]
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """A note for the author of the spec."""
        if not self.left_out:
            return ""
        more = f" and {len(self.left_out) - _SHOWN_PROBLEMS} more" if len(self.left_out) > _SHOWN_PROBLEMS else ""
        return f"ignored: {'; '.join(self.left_out[:_SHOWN_PROBLEMS])}{more}"

    def with_those_in_force(
        self, in_force: Iterable[RevocationList], *, refuse_overdue: bool
    ) -> tuple[RevocationList, ...]:
        """Return these lists; if a CRL was left out, also those of `in_force` whose issuer has no new list."""
        if not self.left_out:
            return self.lists
        read = {each.issuer_key for each in self.lists}
        kept = (replace(each, refuse_overdue=refuse_overdue) for each in in_force if each.issuer_key not in read)
        return tuple(sorted((*self.lists, *kept), key=lambda each: each.issuer_key))


def read_revocation_lists(
    source: Source, issuers: Sequence[Certificate], problems: Problems, *, refuse_overdue: bool, now: datetime
) -> ReadLists:
    """Read the CRLs of a spec; leave out those that cannot be used.

    Args:
        source: the CRLs.
        issuers: the possible signers of the CRLs.
        problems: collects problems.
        refuse_overdue: whether all certificates of an issuer are refused when its CRL is overdue.
        now: the time, aware.
    """
    signed: dict[str, list[Crl]] = {}
    left_out: list[str] = []
    for number, der in enumerate(source.ders, start=1):
        where = source.field if len(source.ders) == 1 else f"{source.field}, CRL {number}"
        found = problems.attempt(partial(_read, der, issuers, where, now))
        if isinstance(found, str):
            left_out.append(found)
        elif found is not None:
            signed.setdefault(found[0], []).append(found[1])
    lists = (_published(key, newest(signed[key]), refuse_overdue) for key in sorted(signed))
    return ReadLists(tuple(lists), tuple(left_out))


def merged_lists(
    in_force: Iterable[RevocationList], read: Iterable[RevocationList], *, refuse_overdue: bool
) -> tuple[RevocationList, ...]:
    """Return the revocations for a spec with an unusable part: all earlier ones, and all new ones.

    A newer list of an issuer sets the time of the next update, so that a mistake elsewhere in the spec does not make a
    CRL overdue.
    """
    merged = {each.issuer_key: each for each in in_force}
    for new in read:
        old = merged.get(new.issuer_key, new)
        newer = max(old, new, key=lambda each: each.this_update)
        merged[new.issuer_key] = replace(
            newer,
            serials=pack_serials(unpack_serials(old.serials) | unpack_serials(new.serials)),
            refuse_overdue=old.refuse_overdue or new.refuse_overdue,
        )
    return tuple(
        replace(merged[key], refuse_overdue=refuse_overdue or merged[key].refuse_overdue) for key in sorted(merged)
    )


def revocation_list_statuses(record: TrustedAuthority, now: datetime) -> tuple[RevocationListStatus, ...]:
    """Return the status entries of the lists in force, at most 200."""
    subjects: dict[str | None, str] = {}
    for der in (*record.anchors, *record.intermediates):
        certificate = certificate_of(der)
        if certificate is not None:
            subjects.setdefault(certificate.key_sha256, certificate.subject[:_MAX_ISSUER])
    return tuple(
        RevocationListStatus(
            issuer=subjects.get(each.issuer_key, f"key {each.issuer_key}"),
            entries=count_serials(each.serials),
            this_update=_shown_seconds(each.this_update),
            next_update="" if each.next_update is None else _shown_seconds(each.next_update),
            overdue=each.next_update is not None and each.next_update < now.timestamp(),
        )
        for each in record.revocation_lists[:_MAX_STATUSES]
    )


def overdue_note(status: RevocationListStatus, *, refused: bool) -> str:
    """Return a note on a list with an overdue next update.

    Args:
        status: the status entry of the list.
        refused: whether the TrustedCA then refuses the certificates of the issuer.
    """
    consequence = "all certificates of this issuer are refused" if refused else "its revocations stay in force"
    return (
        f"the CRL of {status.issuer[:_SHOWN]!a} is overdue since {status.next_update}: {consequence}; publish a new one"
    )


def _read(der: bytes, issuers: Sequence[Certificate], where: str, now: datetime) -> tuple[str, Crl] | str:
    """Return the key of the signer and the list; or why the list is left out."""
    crl = _parse(der)
    try:
        if isinstance(crl, StationkeeperError):
            raise crl
        signer = signer_of(crl, issuers, now)
    except StationkeeperError as error:
        if error.reason == Reason.CRL_SIGNER_NOT_ALLOWED:
            return f"{where}: {error.detail} ({error.reason})"
        raise StationkeeperError(error.reason, f"{where}: {error.detail}") from None
    return signer.key_sha256 or "", crl


@lru_cache(maxsize=_REMEMBERED)
def _parse(der: bytes) -> Crl | StationkeeperError:
    try:
        return parse_crl(der)
    except StationkeeperError as error:
        return StationkeeperError(error.reason, error.detail)
    except Exception as error:
        # An unforeseen error in one resource must not stop the compile of all others.
        return StationkeeperError(Reason.MALFORMED_CRL, f"it cannot be read: {type(error).__name__}")


def _published(issuer_key: str, crls: Sequence[Crl], refuse_overdue: bool) -> RevocationList:
    serials = crls[0].serials
    if len(crls) > 1:
        serials = pack_serials(frozenset().union(*(unpack_serials(each.serials) for each in crls)))
    due = [int(each.next_update.timestamp()) for each in crls if each.next_update is not None]
    return RevocationList(
        issuer_key=issuer_key,
        serials=serials,
        this_update=max(int(each.this_update.timestamp()) for each in crls),
        next_update=min(due, default=None),
        refuse_overdue=refuse_overdue,
    )


def _shown_seconds(seconds: int) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
