"""What goes wrong on a gateway's side, in stable words."""

from enum import StrEnum


class StationFault(StrEnum):
    """The stable words of `StationError`."""

    NO_URI = "NoURI"
    """The credential set in use has no URI, or one of more than 127 characters, which counts as none."""
    BAD_URI = "BadURI"
    """A URI is not scheme://host:port with the scheme that is due; a Station that starts with it exits, and loops."""
    URI_TOO_LONG = "URITooLong"
    """A URI has more than 127 characters: a Station stores it, and reads it as none."""
    NO_TRUST = "NoTrust"
    """The URI asks for TLS, and the credential set has no trust."""
    CREDENTIALS_UNUSABLE = "CredentialsUnusable"
    """TLS cannot be set up with the trust, the certificate or the key of the set."""
    TOKEN_MALFORMED = "TokenMalformed"  # noqa: S105 - a word, no secret
    """The token is not made of lines `Name: value`."""
    CONNECT_FAILED = "ConnectFailed"
    """The server's name cannot be resolved, or no TCP connection comes about."""
    TLS_FAILED = "TLSFailed"
    """The handshake fails on either side."""
    CONNECTION_CLOSED = "ConnectionClosed"
    """The connection ends before the answer does."""
    TIMED_OUT = "TimedOut"
    """Nothing arrives for the time that a Station waits."""
    HEAD_TOO_LARGE = "HeadTooLarge"
    """The answer's head does not fit into a Station's buffer of 8 KiB."""
    CONTENT_LENGTH_MISSING = "ContentLengthMissing"
    """The answer has no Content-Length; a Station then takes it for one without a body, chunked or not."""
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
    """A Station does not find three parts in the credentials, and keeps what it has; the server is not told."""
    BLOB_OVERRUN = "BlobOverrun"
    """A Station takes a part of the credentials for longer than they are, and stores bytes that are not theirs."""


class StationError(Exception):
    """Something went wrong as a gateway sees it.

    Attributes:
        fault: the stable word.
        detail: what was wrong, and where; never a secret.
    """

    def __init__(self, fault: StationFault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
