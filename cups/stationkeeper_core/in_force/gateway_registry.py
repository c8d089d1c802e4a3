"""The gateways in force and the reserved EUIs, by EUI."""

from collections.abc import Iterable, Iterator

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import RegisteredGateway, RegistryDocument, ReservedEUI
from stationkeeper_core.published.packed_gateways import GatewayPacker, PackedGateways
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, bucket_of
from stationkeeper_core.trust.scope import Scope

Holder = RegisteredGateway | ReservedEUI
"""A holder of an EUI: a Gateway of one namespace, or the reservation for a namespace that had such a Gateway."""


class RegistryBucket:
    """The gateways of one registry document, packed. Immutable.

    Attributes:
        generation: of the document that it was made from.
        sha256: the digest of that document.
    """

    def __init__(self, gateways: PackedGateways, reserved: Iterable[ReservedEUI], generation: int, sha256: str) -> None:
        self.generation = generation
        self.sha256 = sha256
        self._gateways = gateways
        self._reserved: dict[int, tuple[ReservedEUI, ...]] = {}
        for each in reserved:
            eui = int(each.eui, 16)
            self._reserved[eui] = (*self._reserved.get(eui, ()), each)

    @classmethod
    def of_document(cls, document: RegistryDocument, generation: int = 0, sha256: str = "") -> "RegistryBucket":
        """Return the bucket of a decoded document.

        Args:
            document: as `decode` gave it.
            generation: of its header.
            sha256: of its header.
        """
        packer = GatewayPacker()
        for each in document.gateways:
            packer.add(EUI64(int(each.eui, 16)), each)
        return cls(packer.finish(), document.reserved, generation, sha256)

    def __len__(self) -> int:
        return len(self._gateways)

    def __iter__(self) -> Iterator[RegisteredGateway]:
        return iter(self._gateways)

    @property
    def euis(self) -> Iterator[EUI64]:
        """The EUIs of all gateways; the same EUI of several namespaces comes several times in a row."""
        return self._gateways.euis

    def gateways(self, eui: EUI64) -> tuple[RegisteredGateway, ...]:
        """Return the Gateways with `eui`, in order of their rank, then their namespace."""
        return self._gateways.with_eui(eui)

    def holders(self, eui: EUI64) -> tuple[Holder, ...]:
        """Return the Gateways and reservations with `eui`, in order of their rank, then their namespace."""
        gateways, reserved = self._gateways.with_eui(eui), self._reserved.get(eui)
        return gateways if reserved is None else tuple(sorted((*gateways, *reserved), key=_order))


class GatewayRegistry:
    """All gateways in force at one time. Immutable, with one bucket for each number; it caches the last answer."""

    def __init__(self, buckets: tuple[RegistryBucket, ...]) -> None:
        if len(buckets) not in BUCKET_COUNTS:
            raise ValueError(f"a registry has one of {BUCKET_COUNTS} buckets, not {len(buckets)}")
        self._buckets = buckets
        # A request looks up one EUI several times; without this cache, its gateway is unpacked each time.
        self._last: tuple[EUI64, tuple[Holder, ...]] | None = None

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets)

    def holders(self, eui: EUI64) -> tuple[Holder, ...]:
        """Return the Gateways and reservations with `eui`, in order of their rank, then their namespace."""
        last = self._last
        if last is not None and last[0] == eui:
            return last[1]
        found = self._buckets[bucket_of(eui, len(self._buckets))].holders(eui)
        self._last = (eui, found)
        return found

    def scope(self, eui: EUI64 | None) -> Scope:
        """Return the scope of a certificate with `eui`: the TrustedCAs to ask about it; None means no EUI."""
        return Scope(eui, () if eui is None else tuple([each.namespace for each in self.holders(eui)]))


def _order(holder: Holder) -> tuple[int, str]:
    return holder.rank, holder.namespace
