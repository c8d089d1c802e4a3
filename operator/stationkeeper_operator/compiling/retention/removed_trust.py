"""Describe in words what a change of a TrustedCA takes away: certificates, ranges, and revocations."""

from collections.abc import Iterable, Iterator

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.eui_range import parse_range
from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.serial_numbers import unpack_serials
from stationkeeper_operator.compiling.certificate_rules import certificate_of, show
from stationkeeper_operator.compiling.served_namespaces import serves, serves_less

_SHOWN = 10
_MAX_SHOWN = 64


def certificates_removed(before: TrustedAuthority, after: TrustedAuthority) -> str:
    """Return the removed anchors and intermediates as text, without those replaced by one of the same name and key."""
    anchors = _removed(before.anchors, after.anchors)
    intermediates = _removed(before.intermediates, (*after.anchors, *after.intermediates))
    parts = (("anchor", anchors), ("intermediate", intermediates))
    return "; ".join(f"{kind} {show(removed)}" for kind, removed in parts if removed)


def is_narrower(before: TrustedAuthority, after: TrustedAuthority) -> bool:
    """Return whether its EUI ranges or served namespaces may be narrower than before."""
    return before.eui_ranges != after.eui_ranges or serves_less(before.serves, after.serves)


def may_vouch_for(record: TrustedAuthority, namespace: str, eui: EUI64) -> bool:
    """Return whether it may vouch for a Gateway of `namespace` with `eui`."""
    try:
        in_range = not record.eui_ranges or any(eui in parse_range(text) for text in record.eui_ranges)
    except StationkeeperError:
        return False
    return in_range and (namespace == record.namespace or serves(record.serves, namespace, eui))


def revocations_removed(before: TrustedAuthority, after: TrustedAuthority | None) -> str:
    """Return the revocations that `after` no longer has: their number and the first ones; empty for none.

    A CRL counts only while a certificate with its issuer's key is in force.

    Args:
        before: the earlier record.
        after: the present record; None if there is none.
    """
    serials = sorted(set(before.revoked_serials) - set(after.revoked_serials if after else ()))
    fingerprints = sorted(set(before.revoked_sha256) - set(after.revoked_sha256 if after else ()))
    entries = [f"{each:X}" for each in sorted(_crl_entries_removed(before, after))]
    parts = (("serial numbers", serials), ("fingerprints", fingerprints), ("entries of CRLs", entries))
    return "; ".join(f"{kind}: {len(removed)}, {_first(removed)}" for kind, removed in parts if removed)


def _crl_entries_removed(before: TrustedAuthority, after: TrustedAuthority | None) -> Iterator[int]:
    present = {each.issuer_key: each.serials for each in after.revocation_lists} if after else {}
    record = after or before
    keys = {each.key_sha256 for each in _readable((*record.anchors, *record.intermediates))}
    for each in before.revocation_lists:
        now = present.get(each.issuer_key, b"")
        if each.issuer_key in keys and now != each.serials:
            yield from unpack_serials(each.serials) - unpack_serials(now)


def _removed(before: Iterable[bytes], after: Iterable[bytes]) -> list[Certificate]:
    """Return the certificates of `before` without a certificate in `after` with the same name and key."""
    remaining = {_identity(each) for each in _readable(after)}
    return [each for each in _readable(before) if _identity(each) not in remaining]


def _identity(certificate: Certificate) -> tuple[str, str]:
    return certificate.folded_subject, certificate.key_sha256 or certificate.sha256


def _readable(ders: Iterable[bytes]) -> Iterator[Certificate]:
    return (each for each in map(certificate_of, ders) if each is not None)


def _first(texts: list[str]) -> str:
    shown = ", ".join(each[:_MAX_SHOWN] for each in texts[:_SHOWN])
    return f"such as {shown}" if len(texts) > _SHOWN else shown
