"""A credential set of a Station: its three files, their CRC, the blob that brings them, and their use.

Pure: any bytes give a value or a `StationError`.
Source: the CUPS protocol, credential blob; the client's parser, which reads only lengths.
"""

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum

from stationkeeper_tools.station.faults import StationError, StationFault

ABSENT = bytes(4)

_SEQUENCE = 0x30
_LONG_LENGTH = 0x80
_TOKEN_LINE = re.compile(rb"[A-Za-z0-9_-]+: [^\n]*\n?")


class Authentication(StrEnum):
    """The use of a credential set."""

    NONE = "none"
    SERVER = "server"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    MUTUAL = "mutual"


@dataclass(frozen=True)
class CredentialSet:
    """The contents of the three files, empty if absent.

    Attributes:
        trust: the certificate that verifies the server, DER or PEM.
        certificate: of the gateway, DER or PEM.
        key: the gateway's private key, DER or PEM; or the token's header lines.
    """

    trust: bytes = b""
    certificate: bytes = b""
    key: bytes = b""

    def __repr__(self) -> str:
        """Return sizes only: the key and the token are secret."""
        return f"CredentialSet(trust={len(self.trust)}, certificate={len(self.certificate)}, key={len(self.key)} bytes)"

    @property
    def crc(self) -> int:
        """The CRC-32 that a request reports."""
        value = 0
        for part in (self.trust, self.certificate, self.key):
            value = zlib.crc32(part or ABSENT, value)
        return value

    @property
    def authentication(self) -> Authentication:
        """The use of the set; none without trust."""
        if not self.trust:
            return Authentication.NONE
        if self.key and not self.certificate:
            return Authentication.TOKEN
        return Authentication.MUTUAL if self.certificate and self.key else Authentication.SERVER

    @property
    def header_lines(self) -> bytes:
        """The lines that a set with a token adds to a request's head, each with CR and LF; empty for other sets.

        Raises:
            StationError: `TokenMalformed`.
        """
        if self.authentication is not Authentication.TOKEN:
            return b""
        text = self.key.split(b"\0", 1)[0]
        while text.endswith(b"\n"):
            text = text.removesuffix(b"\n").removesuffix(b"\r")
        lines = _TOKEN_LINE.findall(text)
        if b"".join(lines) != text:
            raise StationError(StationFault.TOKEN_MALFORMED, "the token is not made of lines `Name: value`")
        return b"".join(line.rstrip(b"\r\n") + b"\r\n" for line in lines)


def split_blob(blob: bytes) -> CredentialSet:
    """Return the set that a Station reads from a blob.

    The client reads the first byte of a part and the length after it. It misreads a DER length with one byte after the
    first (`30 81 xx`), or with three. It never looks for PEM. It ignores bytes after the third part, and sees a zero
    byte behind the blob's end.

    Args:
        blob: of at least one byte.

    Raises:
        StationError: `BlobRejected`: the client ignores it; `BlobOverrun`: the client reads bytes behind its end.
    """
    trust_size = _sequence_size(blob, 0)
    if trust_size is None:
        raise StationError(StationFault.BLOB_REJECTED, "the trust is not a DER sequence")
    certificate_size, key_start = _certificate(blob, trust_size)
    if key_start > len(blob):
        detail = f"the key would begin at byte {key_start} of {len(blob)}"
        raise StationError(StationFault.BLOB_REJECTED, detail)
    key_size = _key_size(blob, key_start)
    if trust_size + certificate_size + key_size > len(blob):
        raise StationError(
            StationFault.BLOB_REJECTED, f"the parts are longer than the {len(blob)} bytes that hold them"
        )
    if key_start + key_size > len(blob):
        detail = f"a Station reads {key_size} bytes as the key, but only {len(blob) - key_start} are left"
        raise StationError(StationFault.BLOB_OVERRUN, detail)
    return CredentialSet(
        blob[:trust_size],
        blob[trust_size : trust_size + certificate_size],
        blob[key_start : key_start + key_size],
    )


def _certificate(blob: bytes, start: int) -> tuple[int, int]:
    """Return the size of the certificate at `start`, and where the key begins."""
    if _byte(blob, start) == 0:
        return 0, start + len(ABSENT)
    size = _sequence_size(blob, start)
    if size is None:
        raise StationError(StationFault.BLOB_REJECTED, "the client certificate is neither a DER sequence nor absent")
    return size, start + size


def _key_size(blob: bytes, start: int) -> int:
    size = _sequence_size(blob, start)
    if size is not None:
        return size
    return 0 if _byte(blob, start) == 0 else len(blob) - start


def _sequence_size(blob: bytes, start: int) -> int | None:
    if _byte(blob, start) != _SEQUENCE:
        return None
    length = _byte(blob, start + 1)
    if length & _LONG_LENGTH:
        return (_byte(blob, start + 2) << 8 | _byte(blob, start + 3)) + 4
    return length + 2


def _byte(blob: bytes, position: int) -> int:
    return blob[position] if position < len(blob) else 0
