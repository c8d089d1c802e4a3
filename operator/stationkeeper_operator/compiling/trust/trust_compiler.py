"""Compile all TrustedCAs into the trust document."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from stationkeeper_core.published.documents import Document, TrustDocument, TrustedAuthority
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.fitting.capacity import Contents, Fitted, fit
from stationkeeper_operator.compiling.fitting.document_space import TRUST_BOUNDS
from stationkeeper_operator.compiling.trust.trusted_ca_compiler import compile_trusted_ca
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import Key, TrustedCA


@dataclass(frozen=True)
class CompiledTrust:
    """The trust document, and the candidate of each TrustedCA.

    Attributes:
        candidates: of all TrustedCAs that are not being deleted.
        fitted: the document, with the record of each TrustedCA.
        document: the same document.
    """

    candidates: tuple[Candidate[TrustedAuthority], ...]
    fitted: Fitted[TrustedAuthority]
    document: TrustDocument

    @property
    def records(self) -> dict[Key, TrustedAuthority]:
        """The record in force of each TrustedCA; none for those without one."""
        return self.fitted.records


def compile_trust(world: World, in_force: Document | None, now: datetime) -> CompiledTrust:
    """Compile the trust document.

    Args:
        world: all resources except those that are being deleted; Gateways do not count.
        in_force: the present trust document; None if there is no readable one.
        now: the time, aware; certificates that have expired by then are left out.
    """
    records = {each.uid: each for each in in_force.authorities} if isinstance(in_force, TrustDocument) else {}
    candidates = tuple(
        compile_trusted_ca(resource, world, records.get(resource.metadata.uid), now)
        for resource in world.resources.values()
        if isinstance(resource, TrustedCA)
    )
    release = world.release_namespace
    fitted = fit(Contents(candidates, partial(_trust_document, release), release, TRUST_BOUNDS), in_force)
    document = fitted.document
    assert isinstance(document, TrustDocument)  # noqa: S101 - it was built as that
    return CompiledTrust(candidates, fitted, document)


def _trust_document(release_namespace: str, records: Iterable[TrustedAuthority], _omission: int) -> TrustDocument:
    ordered = sorted(records, key=lambda each: (each.namespace, each.name))
    return TrustDocument(release_namespace=release_namespace, authorities=tuple(ordered))
