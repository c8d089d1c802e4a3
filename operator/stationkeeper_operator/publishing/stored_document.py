"""The document in a Secret, and the annotations of the Secret."""

import base64
import binascii
import logging
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.document_envelope import read_header
from stationkeeper_core.published.documents import Document, Published, decode
from stationkeeper_operator.api.kubernetes_api import ApiError
from stationkeeper_operator.publishing.generation_floor import highest_generation_in
from stationkeeper_operator.publishing.removal_annotation import ANNOTATION as REMOVED
from stationkeeper_operator.publishing.removal_annotation import Removed, decode_removed

TERM = "stationkeeper.io/term"
"""The annotation of a Secret that names the term of leadership in which it was written or marked last."""
_log = logging.getLogger("stationkeeper.operator.publisher")


@dataclass(frozen=True)
class StoredDocument:
    """The document in a Secret.

    Attributes:
        resource_version: the version of the Secret; None if there is no Secret.
        generation: the generation of the document; the next one must exceed it.
        sha256: the digest of the payload; empty if the document cannot be decoded.
        content: the decoded document; None if it cannot be decoded.
        term: the term of the leader that wrote or marked the Secret last.
        value: the bytes in the Secret; empty if they cannot be decoded.
        floor: the highest generation of any document that the Secret records.
        removed: the removals without an event yet, as the Secret notes them.
    """

    resource_version: str | None = None
    generation: int = 0
    sha256: str = ""
    content: Document | None = None
    term: str = ""
    value: bytes = b""
    floor: int = 0
    removed: tuple[Removed, ...] = ()


class PublishedValue(NamedTuple):
    """The content of a Secret.

    Attributes:
        generation: the generation of the document.
        value: the document, as `stationkeeper_core.published.documents` encodes it.
    """

    generation: int
    value: bytes


class SecretMetadata(msgspec.Struct, rename="camel"):
    """The used metadata of a Secret."""

    resource_version: str = ""
    annotations: dict[str, str] | None = None


class PublishedSecret(msgspec.Struct):
    """The used fields of a Secret."""

    metadata: SecretMetadata
    data: dict[str, str] | None = None


def read_stored(document: str, secret: PublishedSecret) -> StoredDocument:
    """Return the document in a Secret; without content if the Secret is still as the chart created it."""
    metadata, encoded = secret.metadata, (secret.data or {}).get(document)
    if encoded is None:
        floor = highest_generation_in(b"", metadata.annotations)
        return StoredDocument(
            metadata.resource_version, term=term_of(metadata), floor=floor, removed=removed_of(metadata)
        )
    try:
        value = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    return stored_document(document, metadata, value)


def stored_document(
    document: str, metadata: SecretMetadata, value: bytes, content: Document | None = None
) -> StoredDocument:
    """Return the document in a Secret; log it if it cannot be decoded.

    Args:
        document: the name of the document.
        metadata: the metadata of the Secret.
        value: the bytes in the Secret.
        content: the document, if this process encoded it; None to decode it. So each record is in memory once, and a
            large document is not decoded for a change of one record.
    """
    version, term = metadata.resource_version, term_of(metadata)
    floor, removed = highest_generation_in(value, metadata.annotations), removed_of(metadata)
    try:
        published = decode(document, value) if content is None else Published(read_header(document, value), content)
    except StationkeeperError as error:
        fields = {"document": document, "reason": error.reason, "detail": error.detail}
        _log.warning("a published document cannot be read", extra={"fields": fields})
        return StoredDocument(version, floor, term=term, floor=floor, removed=removed)
    header = published.header
    return StoredDocument(version, header.generation, header.sha256, published.content, term, value, floor, removed)


def term_of(metadata: SecretMetadata) -> str:
    """Return the term in which a Secret was written or marked last; empty if it has none."""
    return (metadata.annotations or {}).get(TERM, "")


def removed_of(metadata: SecretMetadata) -> tuple[Removed, ...]:
    """Return the removals that a Secret notes."""
    return decode_removed((metadata.annotations or {}).get(REMOVED, ""))


def read_secret(content: bytes) -> PublishedSecret:
    """Decode the API server's answer to a request for a Secret.

    Raises:
        ApiError: the answer is not a Secret.
    """
    try:
        return msgspec.json.decode(content, type=PublishedSecret)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ApiError(0, "MalformedAnswer", type(error).__name__) from None
