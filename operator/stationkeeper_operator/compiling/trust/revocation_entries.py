"""The serial numbers and fingerprints that a TrustedCA's spec revokes, and those of unknown certificates."""

from collections.abc import Iterable

from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.x509.revoked_names import parse_fingerprint, parse_serial
from stationkeeper_operator.compiling.certificate_rules import certificate_of
from stationkeeper_operator.resources.records import Gateway, Resource
from stationkeeper_operator.resources.resource_status import StatusCertificate

_SERIALS, _FINGERPRINTS = "revocation.serials", "revocation.sha256Fingerprints"
_SHOWN = 3
_MAX_SHOWN = 64

Known = dict[str, set[StatusCertificate]]
"""The certificates that gateways used last, by `namespace/name` of the TrustedCA that vouched."""


def read_serial(text: str) -> str:
    """Return the serial number of an entry in the form of documents: upper-case hex without leading zeros.

    Raises:
        StationkeeperError: `InvalidSpec`.
    """
    return f"{parse_serial(text, _SERIALS):X}"


def read_revoked_fingerprint(text: str) -> str:
    """Return the fingerprint of an entry, 64 lower-case hex digits.

    Raises:
        StationkeeperError: `InvalidSpec`.
    """
    return parse_fingerprint(text, _FINGERPRINTS)


def known_certificates(resources: Iterable[Resource]) -> Known:
    """Return the certificates that gateways used last, from the statuses of Gateways."""
    found: Known = {}
    for each in resources:
        certificate = each.status.certificate if isinstance(each, Gateway) else None
        if certificate is not None:
            found.setdefault(certificate.trusted_ca, set()).add(certificate)
    return found


def unmatched_note(record: TrustedAuthority, known: Known) -> str:
    """Return a note on entries that name no known certificate; empty if all are known.

    Known are the certificates of the TrustedCA itself, and those that its gateways used last. An unknown entry may
    still be right: for a certificate that was never used here, or that its gateway has replaced since then.

    Args:
        record: the record in force.
        known: from `known_certificates`.
    """
    if not (record.revoked_serials or record.revoked_sha256):
        return ""
    own = [each for each in map(certificate_of, (*record.anchors, *record.intermediates)) if each is not None]
    used = known.get(f"{record.namespace}/{record.name}", ())
    serials = {each.serial for each in own} | {each.serial for each in used}
    fingerprints = {each.sha256 for each in own} | {each.sha256 for each in used}
    unmatched = [each for each in record.revoked_serials if each not in serials]
    unmatched += [each for each in record.revoked_sha256 if each not in fingerprints]
    if not unmatched:
        return ""
    shown = ", ".join(each[:_MAX_SHOWN] for each in unmatched[:_SHOWN])
    more = f" and {len(unmatched) - _SHOWN} more" if len(unmatched) > _SHOWN else ""
    return (
        f"revoked, but not among the certificates that its gateways used last: {shown}{more} (in hex);"
        " compare them with status.certificate of the Gateway"
    )
