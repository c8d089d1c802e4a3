"""The gateways in force, by EUI."""

from collections.abc import Iterator

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published import BUCKETS, RegisteredGateway, RegistryDocument, bucket_of


class RegistryBucket:
    """The gateways of one registry document. Immutable.

    Attributes:
        generation: of the document that it was made of.
        sha256: the digest of that document.
    """

    def __init__(self, document: RegistryDocument, generation: int, sha256: str) -> None:
        self.generation = generation
        self.sha256 = sha256
        self._gateways = {int(gateway.eui, 16): gateway for gateway in document.gateways}

    def __len__(self) -> int:
        return len(self._gateways)

    def __iter__(self) -> Iterator[RegisteredGateway]:
        return iter(self._gateways.values())

    def find(self, eui: EUI64) -> RegisteredGateway | None:
        """The gateway with `eui`, or None."""
        return self._gateways.get(eui)


class GatewayRegistry:
    """All gateways in force at one time. Immutable; made of one bucket of each number."""

    def __init__(self, buckets: tuple[RegistryBucket, ...]) -> None:
        if len(buckets) != BUCKETS:
            raise ValueError(f"{len(buckets)} buckets make no registry of {BUCKETS}")
        self._buckets = buckets

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets)

    def find(self, eui: EUI64) -> RegisteredGateway | None:
        """The gateway with `eui`, or None."""
        return self._buckets[bucket_of(eui)].find(eui)
