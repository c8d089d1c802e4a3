"""The contract of the Secrets between operator and CUPS, both directions.

One trust document and the registry documents of a `RegistryLayout`, each in a Secret of its own under the one key that
is also the name of the file where a kubelet lays it. A document is a line of JSON, its header, and a zlib stream, its
payload, in one value: a single read cannot mix two generations. Each stands alone, so no order among them matters. In a
payload the records of a namespace stand together, see `document_segments`.

Encoding is deterministic: the same content gives the same payload whatever the order it came in, and the header's
digest is over the uncompressed payload, so that contents compare without regard to who compressed them. Decoding is
total and bounded: any bytes give a document or a `StationkeeperError` with a load's reason.
"""

import hashlib
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from stationkeeper_core import registry_layout
from stationkeeper_core.document_segments import compress
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, parse_hex
from stationkeeper_core.registry_layout import layout_of, place_of
from stationkeeper_core.retained_anchor import RetainedAnchor, Seconds
from stationkeeper_core.serial_numbers import unpack_serials

CONTRACT = 2
READABLE_CONTRACTS = (1, CONTRACT)
"""An operator that takes over from an older one still reads what that one published, so that it stays in force."""
MAX_SECRET_BYTES = 1_000_000
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
MAX_AUTHORITIES = 2_000
MAX_TRUSTED_CERTIFICATES = 4_000
"""Of all TrustedCAs, anchors and intermediates together."""
MAX_NAMESPACE_CERTIFICATES = 1_000
"""Of the TrustedCAs of one namespace: a request is decided by those of two, the Gateway's and the release's."""
MAX_GENERATION = 2**63 - 1

TRUST = registry_layout.TRUST
BUCKETS = registry_layout.BUCKETS
bucket_of = registry_layout.bucket_of
ALL_NAMESPACES = "*"
REGISTRY = layout_of(BUCKETS).registry
DOCUMENTS = layout_of(BUCKETS).documents

_MAX_HEADER_BYTES = 1024


class RevocationList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the CRLs of one issuer revoke.

    Attributes:
        issuer_key: SHA-256 of the issuer's SubjectPublicKeyInfo, lower-case hex.
        serials: of the revoked certificates, as `serial_numbers` packs them.
        this_update: when it was made, seconds since the epoch.
        next_update: when the next one is due, seconds since the epoch; None where it does not say.
        refuse_overdue: whether all that the issuer signed is refused from `next_update` on.
    """

    issuer_key: str
    serials: bytes = b""
    this_update: Seconds = 0
    next_update: Seconds | None = None
    refuse_overdue: bool = False


class ServedNamespace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, order=True):
    """A namespace whose Gateways a TrustedCA of the release's namespace speaks for, beside its own.

    Attributes:
        namespace: its name, or `ALL_NAMESPACES`.
        eui_ranges: `prefix/bits`, sorted, of the EUIs that it speaks for in there; none means every EUI.
    """

    namespace: str
    eui_ranges: tuple[str, ...] = ()


class TrustedAuthority(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One TrustedCA as it is in force.

    Attributes:
        namespace, name, uid: of the resource.
        anchors: DER of the trust anchors, sorted.
        intermediates: DER of certificates that help to build chains, sorted; never anchors.
        eui_ranges: `prefix/bits`, sorted; none means every EUI.
        revoked_serials: serial numbers, upper-case hex without leading zeros, sorted.
        revoked_sha256: fingerprints, lower-case hex, sorted.
        revocation_lists: what CRLs revoke, one for each issuer's key, sorted by it.
        weak_signatures: whether chains with SHA-1 signatures or RSA keys of 1024 to 2047 bits are taken.
        presented_intermediates: whether CA certificates that a client presents help to build chains, or only those that
            are listed here.
        serves: the namespaces that a TrustedCA of the release's namespace speaks for beside its own, sorted; none
            means its own alone. Without effect for a TrustedCA of another namespace.
        anchors_source: which object's key the anchors were read from, empty where they stand in the spec.
        retained: those of the anchors that this source no longer holds, sorted.
    """

    namespace: str
    name: str
    uid: str
    anchors: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()
    eui_ranges: tuple[str, ...] = ()
    revoked_serials: tuple[str, ...] = ()
    revoked_sha256: tuple[str, ...] = ()
    revocation_lists: tuple[RevocationList, ...] = ()
    weak_signatures: bool = False
    presented_intermediates: bool = True
    serves: tuple[ServedNamespace, ...] = ()
    anchors_source: str = ""
    retained: tuple[RetainedAnchor, ...] = ()


class RegisteredGateway(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One Gateway as it is in force.

    Attributes:
        eui: 16 upper-case hex digits.
        namespace, name, uid: of the resource.
        suspended: refused whatever it presents.
        trusted_cas: `namespace/name` of those TrustedCAs that may vouch for it; None means all that are in scope.
        sha256_fingerprints: of those certificates that may speak for it, lower-case hex; None means all.
        lns_uri: the URI of its LNS.
        lns_credentials: the blob of its LNS credentials; empty where there are none.
        cups_uri: the URI of the CUPS server that it is to use; empty leaves what it has.
        cups_credentials: the blob of its CUPS credentials; empty leaves what it has.
        token_sha256s: SHA-256, lower-case hex, of each token that lets it in without a certificate: of what follows
            `Authorization: `.
        token_sources: for each of these, `name/key` of the Secret in the Gateway's namespace that held it: so that a
            token which is taken out of the spec is told apart from one that cannot be read for a while.
        rank: among the Gateways and reservations of several namespaces with this EUI, the lower one is meant where one
            CA or token serves several of them; 0 for the first, and for nearly all.
    """

    eui: str
    namespace: str
    name: str
    uid: str
    suspended: bool = False
    trusted_cas: tuple[str, ...] | None = None
    sha256_fingerprints: tuple[str, ...] | None = None
    lns_uri: str = ""
    lns_credentials: bytes = b""
    cups_uri: str = ""
    cups_credentials: bytes = b""
    token_sha256s: tuple[str, ...] = ()
    token_sources: tuple[str, ...] = ()
    rank: int = 0


class ReservedEUI(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An EUI whose Gateway was in force and is gone.

    A chain that a TrustedCA of its namespace's scope vouches for is refused as not registered, so that no Gateway of
    another namespace with this EUI and a higher rank inherits it without a person's word.

    Attributes:
        eui: 16 upper-case hex digits.
        namespace, uid: of the Gateway that was in force.
        rank: that Gateway's.
        waits: whether it is kept only to remember that the namespace has a Gateway that waits for another one's EUI,
            and was never in force with it; the uid is that Gateway's. For the answer to a request that is the same.
    """

    eui: str
    namespace: str
    uid: str
    rank: int = 0
    waits: bool = False


class TrustDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Who may vouch for gateways.

    Attributes:
        release_namespace: the namespace whose TrustedCAs may speak for the Gateways of other namespaces too.
        authorities: sorted by namespace and name.
    """

    release_namespace: str
    authorities: tuple[TrustedAuthority, ...] = ()


class RegistryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The gateways of one bucket.

    Attributes:
        bucket: its number.
        gateways: sorted by EUI, rank and namespace; an EUI at most once in each namespace.
        reserved: sorted likewise; an EUI and namespace that has a Gateway is not among them.
    """

    bucket: int
    gateways: tuple[RegisteredGateway, ...] = ()
    reserved: tuple[ReservedEUI, ...] = ()


Document = TrustDocument | RegistryDocument
_D = TypeVar("_D", TrustDocument, RegistryDocument)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a document.

    Attributes:
        contract: the version of the contract, for all that follows.
        document: its name.
        generation: rises with every change of this document; from 0 to `MAX_GENERATION`.
        sha256: of the uncompressed payload, lower-case hex.
        buckets: into how many the registry is split, as the name of a registry document tells too; of the trust
            document, which is one for all counts, always `BUCKETS`.
    """

    contract: int
    document: str
    generation: int
    sha256: str
    buckets: int = BUCKETS


@dataclass(frozen=True)
class Published:
    """A decoded document with its header."""

    header: Header
    content: Document


def secret_name(document: str) -> str:
    """The name of the Secret that holds `document`."""
    return f"stationkeeper-{document}"


def encode_payload(content: Document) -> bytes:
    """The uncompressed payload of `content`, deterministic."""
    return msgspec.json.encode(_by_namespace(content), order="deterministic")


def digest(payload: bytes) -> str:
    """The digest by which payloads are compared."""
    return hashlib.sha256(payload).hexdigest()


def encode(document: str, generation: int, payload: bytes) -> bytes:
    """The value of the Secret's key for a payload that `encode_payload` gave.

    Raises:
        StationkeeperError: `CapacityExceeded` where it would not fit into a Secret.
    """
    header = Header(
        contract=CONTRACT,
        document=document,
        generation=generation,
        sha256=digest(payload),
        buckets=_count(document),
    )
    value = msgspec.json.encode(header) + b"\n" + compress(payload)
    if len(value) > MAX_SECRET_BYTES or len(payload) > MAX_PAYLOAD_BYTES:
        raise StationkeeperError(
            Reason.CAPACITY_EXCEEDED,
            f"{document} has {len(value)} bytes, at most {MAX_SECRET_BYTES} fit into a Secret",
        )
    return value


def decode(document: str, value: bytes) -> Published:
    """The document that `value` holds.

    Args:
        document: which one it has to be.
        value: what the Secret or the file holds.

    Raises:
        StationkeeperError: `MalformedDocument`, `UnknownContract`, `WrongDocument` or `DigestMismatch`.
    """
    if len(value) > MAX_SECRET_BYTES:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} has {len(value)} bytes")
    line, newline, stream = value.partition(b"\n")
    if not newline or len(line) > _MAX_HEADER_BYTES:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} has no header")
    header = _header(document, line)
    payload = _inflate(document, stream)
    if digest(payload) != header.sha256:
        raise StationkeeperError(Reason.DIGEST_MISMATCH, f"{document} is not what its header says")
    if document == TRUST:
        trust = _content(document, payload, TrustDocument)
        _check_serials(document, trust)
        if header.contract >= CONTRACT:
            _check_certificates(document, trust)
        return Published(header, trust)
    registry = _content(document, payload, RegistryDocument)
    _check_bucket(document, registry)
    return Published(header, _sorted(registry))


def _count(document: str) -> int:
    place = place_of(document)
    return place[0] if place is not None else BUCKETS


def _sorted(content: Document) -> Document:
    if isinstance(content, TrustDocument):
        authorities = sorted(content.authorities, key=lambda each: (each.namespace, each.name))
        return msgspec.structs.replace(content, authorities=tuple(authorities))
    return msgspec.structs.replace(
        content,
        gateways=tuple(sorted(content.gateways, key=_order)),
        reserved=tuple(sorted(content.reserved, key=_order)),
    )


def _by_namespace(content: Document) -> Document:
    if isinstance(content, TrustDocument):
        return _sorted(content)
    return msgspec.structs.replace(
        content,
        gateways=tuple(sorted(content.gateways, key=lambda each: (each.namespace, each.eui))),
        reserved=tuple(sorted(content.reserved, key=lambda each: (each.namespace, each.eui))),
    )


def _order(each: RegisteredGateway | ReservedEUI) -> tuple[str, int, str]:
    return (each.eui, each.rank, each.namespace)


def _header(document: str, line: bytes) -> Header:
    try:
        contract = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).get("contract")
        if contract is not None and msgspec.json.decode(contract) not in READABLE_CONTRACTS:
            raise StationkeeperError(
                Reason.UNKNOWN_CONTRACT,
                f"{document} has contract {bytes(contract)[:20]!r}, this is {CONTRACT}",
            )
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"the header of {document}: {error}") from None
    if (header.document, header.buckets) != (document, _count(document)):
        raise StationkeeperError(
            Reason.WRONG_DOCUMENT,
            f"{header.document[:40]!a} of {header.buckets} buckets lies where {document} of {_count(document)} belongs",
        )
    if not 0 <= header.generation <= MAX_GENERATION:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} has no generation that could be counted on")
    return header


def _inflate(document: str, stream: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(stream, MAX_PAYLOAD_BYTES)
    except zlib.error as error:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"the payload of {document}: {error}") from None
    if not inflater.eof or inflater.unused_data:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"the payload of {document} is cut short or too long")
    return payload


def _content(document: str, payload: bytes, kind: type[_D]) -> _D:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"the payload of {document}: {error}") from None


def _check_serials(document: str, trust: TrustDocument) -> None:
    try:
        for authority in trust.authorities:
            for each in authority.revocation_lists:
                unpack_serials(each.serials)
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document}: {error}") from None


def _check_certificates(document: str, trust: TrustDocument) -> None:
    counts: Counter[str] = Counter()
    for each in trust.authorities:
        counts[each.namespace] += len(each.anchors) + len(each.intermediates)
    largest = max(counts.values(), default=0)
    if len(trust.authorities) > MAX_AUTHORITIES or counts.total() > MAX_TRUSTED_CERTIFICATES:
        detail = f"{len(trust.authorities)} TrustedCAs with {counts.total()} certificates"
    elif largest > MAX_NAMESPACE_CERTIFICATES:
        detail = f"{largest} certificates of one namespace"
    else:
        return
    raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} holds {detail}, more than the contract allows")


def _check_bucket(document: str, registry: RegistryDocument) -> None:
    place = place_of(document)
    if place is None or place[1] != registry.bucket:
        raise StationkeeperError(Reason.WRONG_DOCUMENT, f"{document} holds bucket {registry.bucket}")
    seen: set[tuple[EUI64, str]] = set()
    held: tuple[RegisteredGateway | ReservedEUI, ...] = (*registry.gateways, *registry.reserved)
    for each in held:
        eui = parse_hex(each.eui)
        if eui is None or (eui, each.namespace) in seen or bucket_of(eui, place[0]) != registry.bucket:
            raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} holds {each.eui[:20]!a}")
        seen.add((eui, each.namespace))
