"""Keep the revoked certificates that gateways used last up to date; others are not stored."""

from collections import Counter
from collections.abc import Callable, Iterable

from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_operator.compiling.trust.revocation_entries import Known
from stationkeeper_operator.resources.records import Gateway
from stationkeeper_operator.resources.resource_status import StatusCertificate

_Revoked = dict[str, frozenset[str]]


class KnownCertificates:
    """The known certificates of all Gateways that are not being deleted."""

    def __init__(self) -> None:
        self._revoked: _Revoked = {}
        self._counts: dict[str, Counter[StatusCertificate]] = {}

    @property
    def certificates(self) -> Known:
        """The result of `known_certificates`, without certificates that nothing revokes."""
        return {name: set(counts) for name, counts in self._counts.items()}

    def set_revoked(self, records: Iterable[TrustedAuthority], gateways: Callable[[], Iterable[Gateway]]) -> None:
        """Set the revoked entries; if they have changed, search all Gateways again.

        Args:
            records: the TrustedCAs that will be in force.
            gateways: returns all Gateways that are not being deleted.
        """
        entries = ((f"{each.namespace}/{each.name}", (*each.revoked_serials, *each.revoked_sha256)) for each in records)
        revoked = {name: frozenset(listed) for name, listed in entries if listed}
        if revoked == self._revoked:
            return
        self._revoked, self._counts = revoked, {}
        for each in gateways() if revoked else ():
            self._count(each, 1)

    def change(self, before: Gateway | None, after: Gateway | None) -> bool:
        """Apply a change of a Gateway; return whether the result has changed."""
        if not self._revoked:
            return False
        changes = [self._count(each, number) for each, number in ((before, -1), (after, 1)) if each is not None]
        return any(changes)

    def _count(self, gateway: Gateway, number: int) -> bool:
        certificate = gateway.status.certificate
        revoked = self._revoked.get(certificate.trusted_ca) if certificate is not None else None
        if certificate is None or revoked is None or revoked.isdisjoint({certificate.serial, certificate.sha256}):
            return False
        counts = self._counts.setdefault(certificate.trusted_ca, Counter())
        counts[certificate] += number
        if not counts[certificate]:
            del counts[certificate]
        return True
