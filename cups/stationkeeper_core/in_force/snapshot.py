"""The state that decides requests; it takes in one document at a time.

`Holdings` gets documents in any order, and accepts or refuses each independently; a refusal changes nothing. When it
has every document, it has a `Snapshot`. Both are immutable, so a reader never sees half a change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import msgspec

from stationkeeper_core.cached import cached_property
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.in_force.gateway_registry import GatewayRegistry, RegistryBucket
from stationkeeper_core.in_force.registry_reading import read_registry
from stationkeeper_core.published.document_envelope import Header, open_document
from stationkeeper_core.published.documents import ALL_NAMESPACES, ServedNamespace, TrustDocument, decode_trust
from stationkeeper_core.published.registry_layout import TRUST, RegistryLayout
from stationkeeper_core.trust.generation import TrustGeneration

CONTRACT_WITH_SERVED_NAMESPACES = 2


class OlderGenerationError(StationkeeperError):
    """A document is older than the one in force.

    Attributes:
        generation: of the older one.
    """

    def __init__(self, document: str, generation: int, in_force: int) -> None:
        detail = f"{document} has generation {generation}, {in_force} is in force"
        super().__init__(Reason.OLDER_GENERATION, detail)
        self.generation = generation


@dataclass(frozen=True)
class Snapshot:
    """One trust generation and one registry, which decide a request."""

    trust: TrustGeneration
    registry: GatewayRegistry


@dataclass(frozen=True)
class Holdings:
    """The documents in force.

    Attributes:
        trust: from the trust document; None until there is one.
        buckets: from the registry documents, by their names.
        layout: the documents that are needed.
        floors: the last known generation of each document; an older one is refused.
    """

    trust: TrustGeneration | None = None
    buckets: Mapping[str, RegistryBucket] = field(default_factory=lambda: MappingProxyType({}))
    layout: RegistryLayout = field(default_factory=RegistryLayout)
    floors: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def accept(self, document: str, value: bytes) -> "Holdings":
        """Return the holdings with `value` in force as `document`; the same object if it is already in force.

        It checks in this order: the header, its contract and the digest; that it is not older than the document in
        force; that every certificate and every record can be used.

        Raises:
            StationkeeperError: with a reason of `Fault.LOAD`; the state in force does not change.
        """
        header, payload = open_document(document, value)
        current, floor = self._in_force(document), self.floors.get(document, 0)
        if current is None and header.generation < floor:
            raise OlderGenerationError(document, header.generation, floor)
        if current is not None:
            if header.generation < current.generation:
                raise OlderGenerationError(document, header.generation, current.generation)
            if (header.generation, header.sha256) == (current.generation, current.sha256):
                return self
        if document == TRUST:
            return replace(self, trust=_trust(decode_trust(header, payload), header, self.trust))
        bucket = read_registry(document, header, payload)
        return replace(self, buckets=MappingProxyType({**self.buckets, document: bucket}))

    @property
    def missing(self) -> tuple[str, ...]:
        """The documents that are still missing."""
        return tuple(document for document in self.layout.documents if self._in_force(document) is None)

    @property
    def generations(self) -> dict[str, int]:
        """The generation of each document in force."""
        in_force = ((document, self._in_force(document)) for document in self.layout.documents)
        return {document: each.generation for document, each in in_force if each is not None}

    @cached_property
    def snapshot(self) -> Snapshot | None:
        """The snapshot; None while a document is missing."""
        if self.trust is None or self.missing:
            return None
        buckets = tuple(self.buckets[document] for document in self.layout.registry)
        return Snapshot(self.trust, GatewayRegistry(buckets))

    def _in_force(self, document: str) -> TrustGeneration | RegistryBucket | None:
        return self.trust if document == TRUST else self.buckets.get(document)


def _trust(document: TrustDocument, header: Header, previous: TrustGeneration | None) -> TrustGeneration:
    if header.contract < CONTRACT_WITH_SERVED_NAMESPACES:
        document = _serving_all(document)
    try:
        return TrustGeneration(document, header.generation, header.sha256, previous)
    except StationkeeperError as error:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{TRUST}: {error.detail}") from None


def _serving_all(document: TrustDocument) -> TrustDocument:
    """Return a document of contract 1 with its old meaning: a release's TrustedCA speaks for every namespace.

    So no gateway is refused between the upgrade of CUPS and that of the operator.
    """
    everywhere = (ServedNamespace(namespace=ALL_NAMESPACES),)
    authorities = (
        msgspec.structs.replace(each, serves=everywhere) if each.namespace == document.release_namespace else each
        for each in document.authorities
    )
    return msgspec.structs.replace(document, authorities=tuple(authorities))
