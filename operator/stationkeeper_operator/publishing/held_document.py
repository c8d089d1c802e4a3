"""A document as it lies in its Secret, and what the Secret says beside it."""

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
from stationkeeper_operator.publishing.removed import ANNOTATION as REMOVED
from stationkeeper_operator.publishing.removed import Removed, decode_removed

TERM = "stationkeeper.io/term"
"""The annotation of a Secret that names the term of leadership in which it was written or marked last."""
_log = logging.getLogger("stationkeeper.operator.publisher")


@dataclass(frozen=True)
class HeldDocument:
    """A document as it lies in its Secret.

    Attributes:
        resource_version: of the Secret, None where there is none.
        generation: the lowest that the next one must exceed.
        sha256: of the payload, empty where it cannot be decoded.
        content: None where it cannot be decoded.
        term: of the leader that wrote or marked it last.
        value: as it lies there; empty where it cannot be decoded.
        floor: the highest generation of all documents that its Secret tells of.
        removed: the removals that its Secret notes, as they were not told yet.
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
        generation: of the document.
        value: as `stationkeeper_core.published.documents` encodes it.
    """

    generation: int
    value: bytes


class SecretMetadata(msgspec.Struct, rename="camel"):
    """The used metadata of a Secret."""

    resource_version: str = ""
    annotations: dict[str, str] | None = None


class PublishedSecret(msgspec.Struct):
    """A Secret, as far as it matters."""

    metadata: SecretMetadata
    data: dict[str, str] | None = None


def read_held(document: str, secret: PublishedSecret) -> HeldDocument:
    """Return what lies in a Secret; nothing where it is as the chart creates it."""
    metadata, encoded = secret.metadata, (secret.data or {}).get(document)
    if encoded is None:
        floor = highest_generation_in(b"", metadata.annotations)
        return HeldDocument(
            metadata.resource_version, term=term_of(metadata), floor=floor, removed=removed_of(metadata)
        )
    try:
        value = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    return held_document(document, metadata, value)


def held_document(
    document: str, metadata: SecretMetadata, value: bytes, content: Document | None = None
) -> HeldDocument:
    """Return what lies in a Secret; that it cannot be decoded is logged.

    Args:
        document: its name.
        metadata: of the Secret.
        value: what lies there.
        content: what this process encoded there; None where it must be decoded. So each record is in memory once, and
            a large document is not decoded for a change of one record.
    """
    version, term = metadata.resource_version, term_of(metadata)
    floor, removed = highest_generation_in(value, metadata.annotations), removed_of(metadata)
    try:
        published = decode(document, value) if content is None else Published(read_header(document, value), content)
    except StationkeeperError as error:
        fields = {"document": document, "reason": error.reason, "detail": error.detail}
        _log.warning("a published document cannot be read", extra={"fields": fields})
        return HeldDocument(version, floor, term=term, floor=floor, removed=removed)
    header = published.header
    return HeldDocument(version, header.generation, header.sha256, published.content, term, value, floor, removed)


def term_of(metadata: SecretMetadata) -> str:
    """Return the term in which a Secret was written or marked last; empty where it does not say."""
    return (metadata.annotations or {}).get(TERM, "")


def removed_of(metadata: SecretMetadata) -> tuple[Removed, ...]:
    """Return the removals that a Secret notes."""
    return decode_removed((metadata.annotations or {}).get(REMOVED, ""))


def read_secret(content: bytes) -> PublishedSecret:
    """Decode the API server's answer.

    Raises:
        ApiError: it is no Secret.
    """
    try:
        return msgspec.json.decode(content, type=PublishedSecret)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ApiError(0, "MalformedAnswer", type(error).__name__) from None
