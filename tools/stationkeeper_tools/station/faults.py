"""Stable names for what can go wrong on a gateway's side."""

from enum import StrEnum


class StationFault(StrEnum):
    """The stable names of `StationError`."""

    NO_URI = "NoURI"
    """The credential set in use has no URI, or one of more than 127 characters, which a Station ignores."""
    BAD_URI = "BadURI"
    """A URI is not scheme://host:port with the right scheme; a Station that starts with it exits again and again."""
    URI_TOO_LONG = "URITooLong"
    """A URI has more than 127 characters: a Station stores it, but does not use it."""
    NO_TRUST = "NoTrust"
    """The URI asks for TLS, and the credential set has no trust."""
    CREDENTIALS_UNUSABLE = "CredentialsUnusable"
    """TLS cannot be set up with the trust, the certificate or the key of the set."""
    TOKEN_MALFORMED = "TokenMalformed"  # noqa: S105 - a word, no secret
    """The token is not made of lines `Name: value`."""
    CONNECT_FAILED = "ConnectFailed"
    """The server's name cannot be resolved, or the TCP connection fails."""
    TLS_FAILED = "TLSFailed"
    """The handshake fails on either side."""
    CONNECTION_CLOSED = "ConnectionClosed"
    """The connection ends before the answer does."""
    TIMED_OUT = "TimedOut"
    """Nothing arrives for the time that a Station waits."""
    HEAD_TOO_LARGE = "HeadTooLarge"
    """The answer's head does not fit into a Station's buffer of 8 KiB."""
    CONTENT_LENGTH_MISSING = "ContentLengthMissing"
    """The answer has no Content-Length; a Station then reads no body, chunked or not."""
    CONTENT_TOO_LARGE = "ContentTooLarge"
    """The answer is larger than this simulator reads."""
    CONTENT_EXCESS = "ContentExcess"
    """More bytes arrive than the Content-Length says."""
    ERROR_BODY_TOO_LARGE = "ErrorBodyTooLarge"
    """A refusal does not fit into a Station's buffer of 8 KiB: Station 2.0.6 crashes."""
    URI_SEGMENTS_CUT = "URISegmentsCut"
    """Both URIs and the byte after them are not in the first 8 KiB of the answer."""
    ANSWER_CUT = "AnswerCut"
    """The answer ends within a segment."""
    SEGMENT_TOO_LARGE = "SegmentTooLarge"
    """The length of a segment is 2 GiB or more."""
    SIGNATURE_SIZE = "SignatureSize"
    """The signature segment is not of 8 to 132 bytes."""
    BLOB_REJECTED = "BlobRejected"
    """A Station does not find three parts in the credentials and keeps its old ones; the server does not learn that."""
    BLOB_OVERRUN = "BlobOverrun"
    """A Station reads a part of the credentials as too long, and stores bytes that do not belong to them."""


class StationError(Exception):
    """A failure, as a gateway sees it.

    Attributes:
        fault: the stable name.
        detail: what is wrong, and where; never a secret.
    """

    def __init__(self, fault: StationFault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
