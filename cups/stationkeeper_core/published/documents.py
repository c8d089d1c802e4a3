"""The contract of the Secrets between operator and CUPS, both directions.

There are one trust document and the registry documents of a `RegistryLayout`. Each is in a Secret of its own, under one
key; a kubelet mounts it as a file with that name. A document is one value: a line of JSON (its header) and a zlib
stream (its payload). So one read never mixes two generations. Documents are independent, so their order does not
matter. In a payload, the records of a namespace are together, see `document_segments`.

Encoding is deterministic: the same content gives the same payload, in any input order. The header's digest is over the
uncompressed payload, so that contents can be compared even if another program compressed them. Decoding is bounded: any
bytes give a document or a `StationkeeperError` with a reason of `Fault.LOAD`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, parse_hex
from stationkeeper_core.published.document_envelope import (
    CONTRACT,
    MAX_GENERATION,
    MAX_PAYLOAD_BYTES,
    MAX_SECRET_BYTES,
    READABLE_CONTRACTS,
    Header,
    digest,
    encode,
    open_document,
)
from stationkeeper_core.published.registry_layout import BUCKETS, TRUST, bucket_of, layout_of, place_of
from stationkeeper_core.published.retained_anchor import RetainedAnchor, Seconds
from stationkeeper_core.published.shared_values import share_values
from stationkeeper_core.x509.serial_numbers import unpack_serials

__all__ = [
    "ALL_NAMESPACES",
    "BUCKETS",
    "CONTRACT",
    "DOCUMENTS",
    "MAX_AUTHORITIES",
    "MAX_GENERATION",
    "MAX_NAMESPACE_CERTIFICATES",
    "MAX_PAYLOAD_BYTES",
    "MAX_SECRET_BYTES",
    "MAX_TRUSTED_CERTIFICATES",
    "READABLE_CONTRACTS",
    "REGISTRY",
    "TRUST",
    "Document",
    "Header",
    "Published",
    "RegisteredGateway",
    "RegistryDocument",
    "ReservedEUI",
    "RevocationList",
    "ServedNamespace",
    "TrustDocument",
    "TrustedAuthority",
    "bucket_check",
    "bucket_of",
    "decode",
    "decode_registry",
    "decode_trust",
    "digest",
    "encode",
    "encode_payload",
    "secret_name",
]

MAX_AUTHORITIES = 2_000
MAX_TRUSTED_CERTIFICATES = 4_000
"""The maximum for all TrustedCAs, anchors and intermediates together."""
MAX_NAMESPACE_CERTIFICATES = 1_000
"""The maximum for one namespace; a request is decided by two namespaces, the Gateway's and the release's."""

ALL_NAMESPACES = "*"
REGISTRY = layout_of(BUCKETS).registry
DOCUMENTS = layout_of(BUCKETS).documents


class RevocationList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The revocations by CRLs of one issuer.

    Attributes:
        issuer_key: SHA-256 of the issuer's SubjectPublicKeyInfo, lower-case hex.
        serials: of the revoked certificates, as `serial_numbers` packs them.
        this_update: when it was made, seconds since the epoch.
        next_update: when the next one is due, seconds since the epoch; None if the CRL does not say.
        refuse_overdue: whether all certificates of the issuer are refused from `next_update` on.
    """

    issuer_key: str
    serials: bytes = b""
    this_update: Seconds = 0
    next_update: Seconds | None = None
    refuse_overdue: bool = False


class ServedNamespace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, order=True):
    """Another namespace that a TrustedCA of the release's namespace serves: it speaks for the Gateways there.

    Attributes:
        namespace: its name, or `ALL_NAMESPACES`.
        eui_ranges: `prefix/bits`, sorted: the EUIs that it speaks for there; empty for every EUI.
    """

    namespace: str
    eui_ranges: tuple[str, ...] = ()


class TrustedAuthority(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One TrustedCA in force.

    Attributes:
        namespace, name, uid: of the resource.
        anchors: DER of the trust anchors, sorted.
        intermediates: DER of certificates that help to build chains, sorted; never anchors.
        eui_ranges: `prefix/bits`, sorted; empty for every EUI.
        revoked_serials: serial numbers, upper-case hex without leading zeros, sorted.
        revoked_sha256: fingerprints, lower-case hex, sorted.
        revocation_lists: the revocations by CRLs, one entry for each issuer's key, sorted by it.
        weak_signatures: whether chains with SHA-1 signatures or RSA keys of 1024 to 2047 bits are accepted.
        presented_intermediates: whether CA certificates that a client presents help to build chains; if not, only
            `intermediates` do.
        serves: for a TrustedCA of the release's namespace, the other namespaces that it speaks for, sorted; empty for
            only its own. Without effect in another namespace.
        anchors_source: the object and key that the anchors come from; empty if they are in the spec.
        retained: the anchors that this source no longer holds, sorted.
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


class RegisteredGateway(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One Gateway in force.

    Attributes:
        eui: 16 upper-case hex digits.
        namespace, name, uid: of the resource.
        suspended: whether it is refused with any certificate or token.
        trusted_cas: `namespace/name` of the TrustedCAs that may vouch for it; None for all in scope.
        sha256_fingerprints: of the certificates that may speak for it, lower-case hex; None for all.
        lns_uri: the URI of its LNS.
        lns_credentials: the blob of its LNS credentials; empty if there are none.
        cups_uri: the URI of the CUPS server that it should use; empty changes nothing.
        cups_credentials: the blob of its CUPS credentials; empty changes nothing.
        token_sha256s: SHA-256, lower-case hex, of each token that it may use without a certificate: of the value after
            `Authorization: `.
        token_sources: for each of these, `name/key` of its Secret in the Gateway's namespace. So a token that was
            removed from the spec can be distinguished from one that cannot be read for a while.
        rank: orders the Gateways and reservations of several namespaces with this EUI. If one CA or token fits several
            of them, the request means the one with the lowest rank. 0 for the first, and for nearly all.
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


class ReservedEUI(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An EUI whose Gateway was in force and was deleted.

    If a TrustedCA in the scope of its namespace vouches for a client's chain, the client is refused as not registered.
    So a Gateway of another namespace with this EUI and a higher rank gets the EUI only when a person hands it over.

    Attributes:
        eui: 16 upper-case hex digits.
        namespace, uid: of the Gateway that was in force.
        rank: of that Gateway.
        waits: whether the Gateway `uid` only waits for the EUI of another namespace, and was never in force with it. It
            changes no answer to a request.
    """

    eui: str
    namespace: str
    uid: str
    rank: int = 0
    waits: bool = False


class TrustDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The TrustedCAs in force.

    Attributes:
        release_namespace: the namespace with TrustedCAs that may speak for the Gateways of other namespaces.
        authorities: sorted by namespace and name.
    """

    release_namespace: str
    authorities: tuple[TrustedAuthority, ...] = ()


class RegistryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The gateways of one bucket.

    Attributes:
        bucket: the bucket's number.
        gateways: sorted by EUI, rank and namespace; at most one for each EUI and namespace.
        reserved: sorted in the same way; never an EUI and namespace that has a Gateway.
    """

    bucket: int
    gateways: tuple[RegisteredGateway, ...] = ()
    reserved: tuple[ReservedEUI, ...] = ()


Document = TrustDocument | RegistryDocument
_D = TypeVar("_D", TrustDocument, RegistryDocument)


@dataclass(frozen=True)
class Published:
    """A decoded document with its header."""

    header: Header
    content: Document


def secret_name(document: str) -> str:
    """Return the name of the Secret of `document`."""
    return f"stationkeeper-{document}"


def encode_payload(content: Document) -> bytes:
    """Return the uncompressed payload of `content`; deterministic."""
    return msgspec.json.encode(_by_namespace(content), order="deterministic")


def decode(document: str, value: bytes) -> Published:
    """Decode a document.

    Args:
        document: the name that it must have.
        value: the content of the Secret's key or of the file.

    Raises:
        StationkeeperError: `MalformedDocument`, `UnknownContract`, `WrongDocument` or `DigestMismatch`.
    """
    header, payload = open_document(document, value)
    if document != TRUST:
        registry = decode_registry(document, payload)
        share_values(registry.gateways)
        return Published(header, _sorted(registry))
    return Published(header, decode_trust(header, payload))


def decode_trust(header: Header, payload: bytes) -> TrustDocument:
    """Decode the payload of the trust document.

    Raises:
        StationkeeperError: `MalformedDocument`.
    """
    trust = _content(TRUST, payload, TrustDocument)
    _check_serials(TRUST, trust)
    if header.contract >= CONTRACT:
        _check_certificates(TRUST, trust)
    return trust


def decode_registry(document: str, payload: bytes) -> RegistryDocument:
    """Decode the payload of a registry document; keep the order of its records.

    Raises:
        StationkeeperError: `MalformedDocument` or `WrongDocument`.
    """
    content = _content(document, payload, RegistryDocument)
    check = bucket_check(document, content)
    records: tuple[RegisteredGateway | ReservedEUI, ...] = (*content.gateways, *content.reserved)
    for each in records:
        check(each)
    return content


def bucket_check(document: str, content: RegistryDocument) -> Callable[[RegisteredGateway | ReservedEUI], EUI64]:
    """Return a function that checks a record of a registry document and returns its EUI.

    It raises `MalformedDocument` if an EUI cannot be read, belongs to another bucket, or comes twice in one namespace.

    Args:
        document: the document's name.
        content: the document; only its bucket number is used.

    Raises:
        StationkeeperError: `WrongDocument`.
    """
    place = place_of(document)
    if place is None or place[1] != content.bucket:
        raise StationkeeperError(Reason.WRONG_DOCUMENT, f"{document} holds bucket {content.bucket}")
    buckets, number = place
    seen: set[tuple[EUI64, str]] = set()

    def check(each: RegisteredGateway | ReservedEUI) -> EUI64:
        eui = parse_hex(each.eui)
        if eui is None or (eui, each.namespace) in seen or bucket_of(eui, buckets) != number:
            raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} holds {each.eui[:20]!a}")
        seen.add((eui, each.namespace))
        return eui

    return check


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
