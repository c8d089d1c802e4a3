"""Gateways packed into one block of memory; each is decoded on demand.

Content that many records of a bucket share is stored once: the namespace, the URIs, the trust certificate of a
credential set, a whole set of several gateways. The rest of each gateway is in one `bytes` object, which the garbage
collector does not visit. So it visits hundreds of thousands of objects fewer for a bucket. Certificates of single
gateways are compressed with the first ones of the bucket as a dictionary, since they have the same form. That halves
their size, and costs some microseconds for each lookup.
"""

import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import msgspec

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.x509.der import element_length

_BINS = 256
_PLAIN, _COMPRESSED = b"\0", b"\1"
_WINDOW_BITS, _MEMORY_LEVEL, _LEVEL = 12, 5, 1
"""The smallest window that holds a record, since each record needs a new compressor."""
_WORTH_IT_BYTES = 160
_DICTIONARY_BYTES = 3_000


class _Own(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The content of only one gateway.

    Attributes:
        alike: the number of the shared record with the other fields.
        name, uid: of the resource.
        lns, cups: its credentials after their trust; or the number of the set, if others have the same set.
        sha256_fingerprints, token_sha256s, token_sources: as in `RegisteredGateway`.
    """

    alike: int
    name: str
    uid: str
    lns: bytes | int = b""
    cups: bytes | int = b""
    sha256_fingerprints: tuple[str, ...] | None = None
    token_sha256s: tuple[str, ...] = ()
    token_sources: tuple[str, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Own)


class _Place(msgspec.Struct, frozen=True, order=True):
    """The place of a gateway, in the order of the search."""

    eui: EUI64
    rank: int
    namespace: str
    begin: int
    size: int


class PackedGateways:
    """The gateways of a bucket. Immutable; a `GatewayPacker` makes it.

    Args:
        packed: the records, one after the other.
        dictionary: the dictionary of their compression.
        alike: the shared records.
        sets: credential sets of several gateways.
        places: the places of all records, by the lowest byte of their EUIs.
    """

    def __init__(
        self,
        packed: bytes,
        dictionary: bytes,
        alike: tuple[RegisteredGateway, ...],
        sets: tuple[bytes, ...],
        places: list[list[_Place]],
    ) -> None:
        self._packed = packed
        self._dictionary = dictionary
        self._alike = alike
        self._sets = sets
        self._bins, self._euis = array("I", [0]), array("Q")
        self._begins, self._sizes = array("I"), array("I")
        # Sorted bin by bin: one large sort would block the threads that answer gateways.
        for each in places:
            each.sort()
            self._euis.extend(place.eui for place in each)
            self._begins.extend(place.begin for place in each)
            self._sizes.extend(place.size for place in each)
            self._bins.append(len(self._euis))

    def __len__(self) -> int:
        return len(self._euis)

    def __iter__(self) -> Iterator[RegisteredGateway]:
        return map(self._record, range(len(self._euis)))

    @property
    def euis(self) -> Iterator[EUI64]:
        """The EUIs of all gateways, without decoding; an EUI of several namespaces comes several times in a row."""
        return map(EUI64, self._euis)

    @property
    def size(self) -> int:
        """The bytes of the records and their index, without the shared content."""
        index = (self._bins, self._euis, self._begins, self._sizes)
        return len(self._packed) + sum(each.itemsize * len(each) for each in index)

    def with_eui(self, eui: EUI64) -> tuple[RegisteredGateway, ...]:
        """Return the gateways with `eui`, in order of their rank, then their namespace."""
        if len(self._bins) == 1:
            return ()
        low, high = self._bins[eui % _BINS], self._bins[eui % _BINS + 1]
        begin = bisect_left(self._euis, eui, low, high)
        return tuple(map(self._record, range(begin, bisect_right(self._euis, eui, begin, high))))

    def _record(self, place: int) -> RegisteredGateway:
        own = _DECODER.decode(self._unpacked(place))
        alike = self._alike[own.alike]
        return RegisteredGateway(
            eui=format_hex(EUI64(self._euis[place])),
            namespace=alike.namespace,
            name=own.name,
            uid=own.uid,
            suspended=alike.suspended,
            trusted_cas=alike.trusted_cas,
            sha256_fingerprints=own.sha256_fingerprints,
            lns_uri=alike.lns_uri,
            lns_credentials=self._set(alike.lns_credentials, own.lns),
            cups_uri=alike.cups_uri,
            cups_credentials=self._set(alike.cups_credentials, own.cups),
            token_sha256s=own.token_sha256s,
            token_sources=own.token_sources,
            rank=alike.rank,
        )

    def _unpacked(self, place: int) -> bytes:
        begin = self._begins[place]
        content = self._packed[begin + 1 : begin + self._sizes[place]]
        if self._packed[begin] == _PLAIN[0]:
            return content
        return zlib.decompressobj(-_WINDOW_BITS, self._dictionary).decompress(content)

    def _set(self, trust: bytes, rest: bytes | int) -> bytes:
        return self._sets[rest] if isinstance(rest, int) else trust + rest


class GatewayPacker:
    """Packs gateways one by one."""

    def __init__(self) -> None:
        self._packed = bytearray()
        self._dictionary = b""
        self._places: dict[int, list[_Place]] = {}
        self._alike: dict[RegisteredGateway, int] = {}
        self._sets: dict[bytes, int] = {}
        self._once: set[int] = set()

    def add(self, eui: EUI64, gateway: RegisteredGateway) -> None:
        """Add a gateway; `eui` is its EUI as a number."""
        lns_trust, lns = self._split(gateway.lns_credentials)
        cups_trust, cups = self._split(gateway.cups_credentials)
        alike = RegisteredGateway(
            eui="",
            namespace=gateway.namespace,
            name="",
            uid="",
            suspended=gateway.suspended,
            trusted_cas=gateway.trusted_cas,
            lns_uri=gateway.lns_uri,
            lns_credentials=lns_trust,
            cups_uri=gateway.cups_uri,
            cups_credentials=cups_trust,
            rank=gateway.rank,
        )
        own = _Own(
            self._alike.setdefault(alike, len(self._alike)),
            gateway.name,
            gateway.uid,
            lns,
            cups,
            gateway.sha256_fingerprints,
            gateway.token_sha256s,
            gateway.token_sources,
        )
        begin = len(self._packed)
        self._packed += self._stored(_ENCODER.encode(own))
        place = _Place(eui, gateway.rank, gateway.namespace, begin, len(self._packed) - begin)
        self._places.setdefault(eui % _BINS, []).append(place)

    def finish(self) -> PackedGateways:
        """Return the packed gateways; nothing can be added afterwards."""
        places = [self._places.get(each, []) for each in range(_BINS)] if self._places else []
        found = PackedGateways(bytes(self._packed), self._dictionary, tuple(self._alike), tuple(self._sets), places)
        self._places, self._packed = {}, bytearray()
        return found

    def _stored(self, record: bytes) -> bytes:
        if len(record) < _WORTH_IT_BYTES:
            return _PLAIN + record
        if len(self._dictionary) < _DICTIONARY_BYTES:
            # Records are compressed only after the dictionary is complete, since all need the same one.
            self._dictionary = (self._dictionary + record)[: 1 << _WINDOW_BITS]
            return _PLAIN + record
        compressor = zlib.compressobj(
            _LEVEL, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, self._dictionary
        )
        compressed = compressor.compress(record) + compressor.flush()
        return _COMPRESSED + compressed if len(compressed) < len(record) else _PLAIN + record

    def _split(self, credentials: bytes) -> tuple[bytes, bytes | int]:
        """Return the trust and the rest of a set; if the same set came before, its number instead of the rest."""
        if not credentials:
            return b"", b""
        number = self._sets.get(credentials)
        length = element_length(credentials)
        if number is None and hash(credentials) in self._once:
            number = self._sets[credentials] = len(self._sets)
        if number is not None:
            return credentials[:length], number
        self._once.add(hash(credentials))
        return credentials[:length], credentials[length:]
