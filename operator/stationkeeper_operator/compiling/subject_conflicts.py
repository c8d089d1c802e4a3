"""One subject, one key, over all TrustedCAs in force.

The TLS library that judges handshakes looks an issuer up by its name and takes the first that it finds. Of two CAs with
one subject and different keys it would refuse the gateways of one, those at least whose certificates do not name their
issuer's key, as version 1 certificates never do. Whoever may apply a TrustedCA could so lock another's gateways out.
What is in force goes first, then the oldest; the other is refused by name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.pem import parse_certificate
from stationkeeper_core.published import TrustedAuthority
from stationkeeper_core.trust_anchors import folded_name
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.resources import Key

_REMEMBERED = 4096

_Owners = dict[str, tuple[bytes, Key]]


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
        for subject, key in _retained(candidate, held.get(candidate.resource.metadata.uid)):
            owners.setdefault(subject, (key, candidate.key))
    judged: list[Candidate[TrustedAuthority]] = []
    for candidate in ordered:
        refusal = _conflict(candidate, owners)
        kept = replace(candidate, wanted=None, refusal=refusal) if refusal else candidate
        for subject, key in _identities(kept.wanted or kept.kept):
            owners.setdefault(subject, (key, candidate.key))
        judged.append(kept)
    return judged


def _retained(candidate: Candidate[TrustedAuthority], held: TrustedAuthority | None) -> Iterator[tuple[str, bytes]]:
    """What is in force of it and is to stay so, be it in another certificate."""
    asked = {*_identities(candidate.wanted), *_identities(candidate.kept)}
    return (each for each in _identities(held) if each in asked)


def _conflict(candidate: Candidate[TrustedAuthority], owners: _Owners) -> StationkeeperError | None:
    own: _Owners = {}
    for subject, key in _identities(candidate.wanted):
        known, owner = owners.get(subject) or own.setdefault(subject, (key, candidate.key))
        if known != key:
            whose = "itself" if owner == candidate.key else f"TrustedCA {owner.namespace}/{owner.name}"
            return StationkeeperError(
                Reason.SUBJECT_CONFLICT,
                f"{whose} holds a certificate with the same subject and another key; use a CA with another subject,"
                " or take the other away first",
            )
    return None


def _identities(record: TrustedAuthority | None) -> Iterator[tuple[str, bytes]]:
    return (_identity(der) for der in _certificates(record))


def _certificates(record: TrustedAuthority | None) -> tuple[bytes, ...]:
    return (*record.anchors, *record.intermediates) if record else ()


@lru_cache(maxsize=_REMEMBERED)
def _identity(der: bytes) -> tuple[str, bytes]:
    certificate = parse_certificate(der)
    key = certificate.x509.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return folded_name(certificate.subject), key
