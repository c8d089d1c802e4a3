"""The examination of one client certificate at one time, with its results so far."""

from collections.abc import Iterable
from datetime import datetime

from OpenSSL import crypto

from stationkeeper_core.cached import cached_property
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import FOR_EVER
from stationkeeper_core.trust.path_certificate import PathCertificate, PathCertificates
from stationkeeper_core.trust.verification import Path, Verification, is_signed, verify
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.client_certificate import ClientCertificate
from stationkeeper_core.x509.extensions import SUBJECT_ALTERNATIVE_NAME

MAX_CONSTRAINT_BYTES = 2**21
"""Bytes of names times bytes of name constraints, since OpenSSL compares each with each: about 10 ms at most."""


class Examination:
    """A client certificate and the time of its judgement.

    Each question to OpenSSL is asked only once, for any number of TrustedCAs. The cost charged to each TrustedCA does
    not depend on that.

    Args:
        certificate: the presented certificate.
        trust: the trust generation; its certificate objects are used if the client presented the same certificates.
        now: the time, aware.
        loaded: the end-entity certificate as an object of OpenSSL, if there is one already.

    Attributes:
        has_presented: whether anything else was presented beside it.
        leaf: the end-entity certificate.
        seconds: the time since the epoch, whole.
    """

    def __init__(
        self,
        certificate: ClientCertificate,
        trust: TrustGeneration,
        now: datetime,
        loaded: crypto.X509 | None = None,
    ) -> None:
        self._certificate = certificate
        self._certificates = PathCertificates(trust.certificates)
        self._is_configured = trust.certificates.find(certificate.leaf.der) is not None
        self._verified: dict[Path, Verification] = {}
        self._signed: dict[tuple[PathCertificate, PathCertificate], bool] = {}
        self._boundaries: set[int] = set()
        self.has_presented = False
        for der in certificate.others:
            self.has_presented = self.has_presented or der != certificate.leaf.der
        self.leaf = self._certificates.of_certificate(certificate.leaf, loaded)
        self.seconds = int(now.timestamp() // 1)
        self.consider((self.leaf,))

    @cached_property
    def presented(self) -> tuple[PathCertificate, ...]:
        """The CA certificates that were presented with it."""
        return self._parts(self._certificate.presented)

    @cached_property
    def presented_without_ca(self) -> tuple[PathCertificate, ...]:
        """The other certificates that were presented with it, which may issue nothing."""
        return self._parts(self._certificate.presented_without_ca)

    @cached_property
    def presented_by_subject(self) -> dict[str, list[PathCertificate]]:
        """All presented certificates by their folded subjects; those of CAs first."""
        found: dict[str, list[PathCertificate]] = {}
        for each in (*self.presented, *self.presented_without_ca):
            found.setdefault(each.subject, []).append(each)
        return found

    @cached_property
    def names(self) -> list[str]:
        """The folded names to look up in TrustedCAs: that of the issuer, and that of the certificate itself."""
        # A client's own name matters only if its certificate is an anchor.
        return [self.leaf.issuer, self.leaf.subject] if self._is_configured else [self.leaf.issuer]

    @property
    def presented_names(self) -> list[str]:
        """The folded issuer names of the certificates that were presented with it."""
        return [each.issuer for each in (*self.presented, *self.presented_without_ca)]

    def _parts(self, certificates: Iterable[Certificate]) -> tuple[PathCertificate, ...]:
        found = dict.fromkeys(self._certificates.of_certificate(each) for each in certificates)
        found.pop(self.leaf, None)
        self.consider(found)
        return tuple(found)

    def consider(self, certificates: Iterable[PathCertificate]) -> None:
        """Record that the judgement depends on the validity periods of `certificates`."""
        for each in certificates:
            self._boundaries.add(each.begins)
            self._boundaries.add(each.ends + 1)

    def consider_deadlines(self, deadlines: Iterable[int]) -> None:
        """Record that the judgement depends on `deadlines`; a deadline has passed after its second."""
        self._boundaries.update(each + 1 for each in deadlines)

    @property
    def interval(self) -> tuple[int, int]:
        """The start (included) and end (excluded) of the time in which nothing that was considered changes."""
        since, until = -FOR_EVER, FOR_EVER
        for each in self._boundaries:
            if since < each <= self.seconds:
                since = each
            elif self.seconds < each < until:
                until = each
        return since, until

    def verify(self, path: Path) -> Verification:
        """Verify `path` with OpenSSL at this time."""
        found = self._verified.get(path)
        if found is None:
            found = self._verified[path] = verify(path, self.seconds)
        return found

    def is_signed(self, certificate: PathCertificate, issuer: PathCertificate) -> bool:
        """Return whether the key of `issuer` signed `certificate`."""
        found = self._signed.get((certificate, issuer))
        if found is None:
            found = self._signed[certificate, issuer] = is_signed(certificate, issuer)
        return found


def constraint_bytes(path: Path) -> int:
    """Return the bytes of names, multiplied by the bytes of name constraints that OpenSSL compares them with."""
    constraints = 0
    for each in path[1:]:
        constraints += each.constraint_bytes
    # Formatting the names is the most expensive part, and hardly any CA constrains names.
    return constraints * sum(_name_bytes(each) for each in path[:-1]) if constraints else 0


def _name_bytes(certificate: PathCertificate) -> int:
    subject = len(certificate.certificate.subject)
    return subject + certificate.certificate.extension_bytes(SUBJECT_ALTERNATIVE_NAME)
