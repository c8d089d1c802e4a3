"""All TrustedCAs in force at one time, with an index by names."""

from collections.abc import Iterable

from stationkeeper_core.published.documents import TrustDocument
from stationkeeper_core.trust.path_certificate import PathCertificate, PathCertificates
from stationkeeper_core.trust.trusted_ca import TrustedCA


class TrustGeneration:
    """All TrustedCAs in force at one time. Immutable.

    The constructor needs about 0.1 ms on a slow core for each certificate that `previous` does not hold: run it in a
    thread.

    Args:
        document: the published document.
        generation: of that document.
        sha256: the digest of that document.
        previous: the generation before; equal certificates are taken from it.

    Attributes:
        generation, sha256: as given.
        release_namespace: the namespace with TrustedCAs that may speak for Gateways of other namespaces.
        trusted_cas: the TrustedCAs in force.
        certificates: those of all TrustedCAs.

    Raises:
        StationkeeperError: a certificate or range of the document cannot be read.
    """

    def __init__(
        self, document: TrustDocument, generation: int, sha256: str, previous: "TrustGeneration | None" = None
    ) -> None:
        self.generation = generation
        self.sha256 = sha256
        self.release_namespace = document.release_namespace
        self.certificates = PathCertificates()
        source = _ReusedCertificates(self.certificates, previous.certificates if previous else None)
        self.trusted_cas = tuple(TrustedCA(each, source, document.release_namespace) for each in document.authorities)
        self._by_subject: dict[str, dict[str, list[TrustedCA]]] = {}
        for trusted_ca in self.trusted_cas:
            for subject in trusted_ca.subjects:
                namespaces = self._by_subject.setdefault(subject, {})
                namespaces.setdefault(trusted_ca.record.namespace, []).append(trusted_ca)

    def has_subject(self, subject: str) -> bool:
        """Return whether a TrustedCA has a certificate with the folded `subject`."""
        return subject in self._by_subject

    def named(self, subjects: Iterable[str]) -> list[TrustedCA]:
        """Return the TrustedCAs that have a certificate with one of the folded `subjects`, each once."""
        namespaces = (same for subject in subjects for same in self._by_subject.get(subject, {}).values())
        return list(dict.fromkeys(each for same in namespaces for each in same))

    def named_in(self, namespace: str, subjects: Iterable[str]) -> list[TrustedCA]:
        """Return the TrustedCAs of `namespace` that have a certificate with one of the folded `subjects`, each once."""
        found: dict[TrustedCA, None] = {}
        for subject in subjects:
            namespaces = self._by_subject.get(subject)
            if namespaces is not None and namespace in namespaces:
                found.update(dict.fromkeys(namespaces[namespace]))
        return list(found)


class _ReusedCertificates(PathCertificates):
    """Stores certificates in one collection, and takes equal ones from another."""

    def __init__(self, kept: PathCertificates, previous: PathCertificates | None) -> None:
        super().__init__()
        self._kept, self._previous = kept, previous

    def find(self, der: bytes) -> PathCertificate | None:
        found = self._kept.find(der)
        if found is None and self._previous is not None and (before := self._previous.find(der)) is not None:
            return self.keep(before)
        return found

    def keep(self, certificate: PathCertificate) -> PathCertificate:
        _ = certificate.key_identifier, certificate.authority_key_identifier
        return self._kept.keep(certificate)
