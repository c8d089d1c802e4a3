"""One subject, one key and one set of constraints, over all TrustedCAs in force.

The TLS library that judges handshakes looks an issuer up by its name and takes the first that it finds. Of two CAs with
one subject and different keys it would refuse the gateways of one, those at least whose certificates do not name their
issuer's key, as version 1 certificates never do. The same key is no better where the certificate limits what may stand
below it: anybody can issue one for another's name and public key, such as for servers only. Whoever may apply a
TrustedCA could so lock another's gateways out. What is in force goes first, then the oldest; the other is refused by
name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.pem import parse_certificate
from stationkeeper_core.published import TrustedAuthority
from stationkeeper_core.x509.der_reader import dotted
from stationkeeper_core.x509.extensions import (
    BASIC_CONSTRAINTS,
    EXTENDED_KEY_USAGE,
    KEY_USAGE,
    NAME_CONSTRAINTS,
    NETSCAPE_CERTIFICATE_TYPE,
    Extension,
)
from stationkeeper_core.x509.names import folded_name
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.resources import Key

_REMEMBERED = 4096
_LIMITING = set(map(dotted, (BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, NAME_CONSTRAINTS, NETSCAPE_CERTIFICATE_TYPE)))

_Identity = tuple[bytes, frozenset[tuple[str, bytes]]]
"""The public key, and the extensions by which a chain may fail, by their OIDs."""
_Owners = dict[str, tuple[_Identity, Key]]


def refuse_subject_conflicts(
    candidates: Iterable[Candidate[TrustedAuthority]], held: Mapping[str, TrustedAuthority]
) -> list[Candidate[TrustedAuthority]]:
    """`candidates`, those refused that would bring a second key for a subject.

    Args:
        candidates: all TrustedCAs.
        held: what is in force, by the resources' UIDs.
    """
    ordered = sorted(candidates, key=lambda each: each.seniority)
    owners: _Owners = {}
    for candidate in ordered:
        for subject, identity in _retained(candidate, held.get(candidate.resource.metadata.uid)):
            owners.setdefault(subject, (identity, candidate.key))
    judged: list[Candidate[TrustedAuthority]] = []
    for candidate in ordered:
        refusal = _conflict(candidate, owners)
        kept = replace(candidate, wanted=None, refusal=refusal) if refusal else candidate
        for subject, identity in _identities(kept.wanted or kept.kept):
            owners.setdefault(subject, (identity, candidate.key))
        judged.append(kept)
    return judged


def _retained(candidate: Candidate[TrustedAuthority], held: TrustedAuthority | None) -> Iterator[tuple[str, _Identity]]:
    """What is in force of it and whose key is to stay so, be it in another certificate."""
    asked = {
        (subject, key) for record in (candidate.wanted, candidate.kept) for subject, (key, _) in _identities(record)
    }
    return ((subject, identity) for subject, identity in _identities(held) if (subject, identity[0]) in asked)


def _conflict(candidate: Candidate[TrustedAuthority], owners: _Owners) -> StationkeeperError | None:
    own: _Owners = {}
    for subject, identity in _identities(candidate.wanted):
        known, owner = owners.get(subject) or own.setdefault(subject, (identity, candidate.key))
        is_successor = owner == candidate.key and known[0] == identity[0]
        if known != identity and not is_successor:
            whose = "itself" if owner == candidate.key else f"TrustedCA {owner.namespace}/{owner.name}"
            what = "another key" if known[0] != identity[0] else "key but other constraints"
            return StationkeeperError(
                Reason.SUBJECT_CONFLICT,
                f"{whose} holds a certificate with the same subject and {what}; use a CA with another subject,"
                " or take the other away first",
            )
    return None


def _identities(record: TrustedAuthority | None) -> Iterator[tuple[str, _Identity]]:
    return (_identity(der) for der in _certificates(record))


def _certificates(record: TrustedAuthority | None) -> tuple[bytes, ...]:
    return (*record.anchors, *record.intermediates) if record else ()


@lru_cache(maxsize=_REMEMBERED)
def _identity(der: bytes) -> tuple[str, _Identity]:
    certificate = parse_certificate(der)
    key = (certificate.key and certificate.key.der) or der
    limits = frozenset((each.identifier, each.value) for each in certificate.fields.extensions if _limits(each))
    return folded_name(certificate.subject), (key, limits)


def _limits(extension: Extension) -> bool:
    """Whether a chain may fail by it; a key usage cannot, as all that are taken may sign certificates."""
    return extension.identifier in _LIMITING or (extension.is_critical and extension.kind != KEY_USAGE)
