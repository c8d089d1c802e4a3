"""One TrustedCA in force, with parsed certificates and ranges."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.eui_range import EUIRange, parse_range
from stationkeeper_core.published.documents import ALL_NAMESPACES, TrustedAuthority
from stationkeeper_core.trust.path_certificate import PathCertificate, PathCertificates
from stationkeeper_core.trust.revocation import Revocations, issuer_lists


class TrustedCA:
    """A TrustedCA in force. Only its anchors are trusted; its intermediates help to build paths.

    Args:
        record: its published record.
        certificates: the collection that stores its certificates.
        release_namespace: the namespace with TrustedCAs that may speak for Gateways of other namespaces.

    Attributes:
        record: as given.
        reference: `namespace/name`.
        revocations: what it revokes.
        order: the sort key of the order in which TrustedCAs are asked; those that revoke come first.
        anchors, intermediates: its certificates by their folded subjects; an anchor is never in `intermediates`.

    Raises:
        StationkeeperError: a certificate or range cannot be read.
    """

    def __init__(self, record: TrustedAuthority, certificates: PathCertificates, release_namespace: str) -> None:
        self.record = record
        self.reference = f"{record.namespace}/{record.name}"
        self.revocations = Revocations(
            frozenset(record.revoked_serials), frozenset(record.revoked_sha256), issuer_lists(record.revocation_lists)
        )
        self.order = (not self.revocations.is_any, self.reference)
        anchors = {der: certificates.of(der) for der in record.anchors}
        self.anchors = _by_subject(anchors.values())
        self._anchors = frozenset(anchors.values())
        self.intermediates = _by_subject(certificates.of(der) for der in record.intermediates if der not in anchors)
        self._ranges = _ranges(record.eui_ranges)
        serves = record.serves if record.namespace == release_namespace else ()
        self._serves: dict[str, list[tuple[EUIRange, ...]]] = {}
        for each in serves:
            self._serves.setdefault(each.namespace, []).append(_ranges(each.eui_ranges))

    @property
    def subjects(self) -> frozenset[str]:
        """The folded names under which it may have issued certificates."""
        return frozenset((*self.anchors, *self.intermediates))

    def may_speak_for(self, eui: EUI64) -> bool:
        """Return whether its EUI ranges contain `eui`."""
        return _holds(self._ranges, eui)

    def serves(self, namespace: str, eui: EUI64 | None) -> bool:
        """Return whether it may vouch for a Gateway of `namespace` with `eui`: its own, or one that it serves."""
        if namespace == self.record.namespace:
            return True
        entries = (*self._serves.get(namespace, ()), *self._serves.get(ALL_NAMESPACES, ()))
        return eui is not None and any(_holds(ranges, eui) for ranges in entries)

    def is_anchor(self, certificate: PathCertificate) -> bool:
        """Return whether `certificate` is one of its anchors."""
        return certificate in self._anchors

    def is_intermediate(self, certificate: PathCertificate) -> bool:
        """Return whether `certificate` is one of its intermediates."""
        return any(each is certificate for each in self.intermediates.get(certificate.subject, ()))


def _ranges(texts: Iterable[str]) -> tuple[EUIRange, ...]:
    return tuple(parse_range(text) for text in texts)


def _holds(ranges: tuple[EUIRange, ...], eui: EUI64) -> bool:
    return not ranges or any(eui in each for each in ranges)


def _by_subject(certificates: Iterable[PathCertificate]) -> Mapping[str, tuple[PathCertificate, ...]]:
    found: dict[str, list[PathCertificate]] = {}
    for certificate in certificates:
        found.setdefault(certificate.subject, []).append(certificate)
    return MappingProxyType({subject: tuple(same) for subject, same in found.items()})
