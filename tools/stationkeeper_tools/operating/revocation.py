"""Find which certificate to revoke, and at which TrustedCAs. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_operator.resources.records import TRUSTED_CA
from stationkeeper_tools.operating.fleet import (
    Change,
    Edit,
    FleetError,
    FleetFault,
    FleetResource,
    gateway_of,
    trusted_ca_of,
)
from stationkeeper_tools.operating.fleet_status import ca_of_last_visit

FINGERPRINTS = ("revocation", "sha256Fingerprints")
SERIALS = ("revocation", "serials")


@dataclass(frozen=True)
class Revocation:
    """A new entry for revocation lists, and the TrustedCAs that get it.

    Attributes:
        path: the list's path, below `spec`.
        entry: the fingerprint or serial number.
        trusted_cas: the TrustedCAs that get the entry.
        may_still_trust: other TrustedCAs with a CA of the same name. A serial number is not added there: if the CA has
            another key, it may be the number of another gateway's certificate.
    """

    path: tuple[str, str]
    entry: str
    trusted_cas: tuple[FleetResource, ...]
    may_still_trust: tuple[FleetResource, ...] = ()

    @property
    def edit(self) -> Edit:
        """The edit that adds the entry."""
        return Edit(Change.ADD, self.path, self.entry)

    @property
    def undo(self) -> Edit:
        """The edit that removes the entry again."""
        return Edit(Change.REMOVE, self.path, self.entry)


def revocation_of_gateway(resources: Iterable[FleetResource], eui: EUI64) -> Revocation:
    """Return how to revoke the certificate that a gateway used last.

    It is revoked by its fingerprint, since a careless CA may give one serial number to several certificates.

    Args:
        resources: all in view.
        eui: of the gateway.

    Raises:
        FleetError: there is no such gateway, or its certificate or CA is not known.
    """
    listed = list(resources)
    gateway = gateway_of(listed, eui)
    shown = gateway.status.get("certificate")
    sha256 = str(shown.get("sha256", "")) if isinstance(shown, dict) else ""
    if not sha256:
        detail = (
            f"{gateway.key} has never used a certificate, so it is not known which one to revoke: give it by --cert,"
            f" or suspend the gateway: stationkeeper suspend {format_hex(eui)}"
        )
        raise FleetError(FleetFault.NOT_FOUND, detail)
    first = trusted_ca_of(listed, ca_of_last_visit(gateway))
    return Revocation(FINGERPRINTS, sha256, (first, *_related(first, listed)))


def revocation_of_certificate(
    resources: Iterable[FleetResource], sha256: str, issuers: Collection[str], trusted_ca: str | None
) -> Revocation:
    """Return how to revoke a certificate at each TrustedCA in view that may vouch for it.

    The TrustedCAs are found by the names of the issuers. An entry at a TrustedCA that does not vouch for it does no
    harm.

    Args:
        resources: all in view.
        sha256: of the certificate, lower-case hex.
        issuers: the names of the CA that issued it, and of the CAs above it, as statuses write them.
        trusted_ca: the name of a TrustedCA that has the CA; None to search for it.

    Raises:
        FleetError: no TrustedCA in view has one of them.
    """
    listed = list(resources)
    if trusted_ca is not None:
        first = trusted_ca_of(listed, trusted_ca)
        return Revocation(FINGERPRINTS, sha256, (first, *_related(first, listed)))
    found = tuple(each for each in listed if each.key.kind == TRUSTED_CA and set(_subjects(each)) & set(issuers))
    if not found:
        detail = f"no TrustedCA in view has the issuer {next(iter(issuers), '')[:200]!a}; name one by --ca"
        raise FleetError(FleetFault.NOT_FOUND, detail)
    return Revocation(FINGERPRINTS, sha256, found)


def revocation_of_serial(resources: Iterable[FleetResource], serial: str, trusted_ca: str) -> Revocation:
    """Return how to revoke a serial number of a CA.

    Args:
        resources: all in view.
        serial: in the form of `spec.revocation.serials`.
        trusted_ca: the name of a TrustedCA that has the CA.

    Raises:
        FleetError: there is no such TrustedCA.
    """
    listed = list(resources)
    first = trusted_ca_of(listed, trusted_ca)
    same = [each for each in _related(first, listed) if _fingerprints(each) & _fingerprints(first)]
    others = [each for each in _related(first, listed) if each not in same]
    return Revocation(SERIALS, serial, (first, *same), tuple(others))


def _related(first: FleetResource, resources: Iterable[FleetResource]) -> tuple[FleetResource, ...]:
    """Return the other TrustedCAs that may vouch for the same gateways.

    They hold one of its certificates, or one with the same name: a renewed or a cross-signed CA.
    """
    fingerprints, names = _fingerprints(first), set(_subjects(first))
    return tuple(
        each
        for each in resources
        if each.key.kind == TRUSTED_CA
        and each.key != first.key
        and (_fingerprints(each) & fingerprints or set(_subjects(each)) & names)
    )


def _fingerprints(each: FleetResource) -> set[str]:
    listed = each.status.get("certificates") or ()
    return {str(one.get("sha256", "")).lower() for one in listed if not one.get("problem")} - {""}


def _subjects(each: FleetResource) -> Iterator[str]:
    return (str(one.get("subject", "")) for one in each.status.get("certificates") or ())
