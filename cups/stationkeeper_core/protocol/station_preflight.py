"""Split a credential blob as a Basics Station does, before it is sent to any gateway.

This code follows the protocol and the client (`sys_credComplete` in src/sys.c of Basics Station 2.0.6). It does not use
the encoder's code on purpose, so that it finds the encoder's mistakes. The client takes a whole blob or drops it
silently, and it splits a blob wrongly if it misreads a length. So a blob that it would drop or misread is refused.

- The trust must be a DER sequence. The next part is always read as the client certificate: two trust certificates never
  work. If it begins with a zero byte, the four bytes there stand for an absent certificate.
- The length of a sequence is its second byte. If the highest bit of that byte is set, the length is the third and
  fourth byte. So `30 81 xx` and `30 83 xx xx xx` are misread.
- The key is a DER sequence, or absent; else the rest of the blob is a token of header lines. Nothing follows a key.
- PEM is never read.
"""

from dataclasses import dataclass, field

from stationkeeper_core.errors import Reason, StationkeeperError

_LARGEST = 0xFFFF
_NONE = b"\0\0\0\0"
_KEY_BEGINS = (b"\x02\x01\0\x02", b"\x02\x01\x01\x04")  # PKCS#1: version, modulus; SEC1: version, the octets
_ALGORITHMS = (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01")
_TOKEN_BEGIN, _TOKEN_END = b"Authorization: ", b"\r\n"
_NAME_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"  # as the client's file parser


@dataclass(frozen=True)
class StationSet:
    """The parts that a Basics Station would store; an absent part is empty."""

    trust: bytes
    certificate: bytes
    key: bytes = field(repr=False)


def preflight(blob: bytes) -> StationSet:
    """Return the parts that a Basics Station reads from `blob`.

    Raises:
        StationkeeperError: `CredentialsUnusable`: a Station would drop or misread the parts, or could not connect with
            them.
    """
    if len(blob) > _LARGEST:
        raise _unusable(f"have {len(blob)} bytes, at most {_LARGEST} can be sent")
    if blob[:1] == b"-":
        raise _unusable("are PEM, but a Basics Station reads only DER")
    trust = _certificate(blob, 0, "trust")
    if blob[len(trust) :][:1] == b"\0":
        return StationSet(trust, b"", _token(_after_absent(blob[len(trust) :], "client certificate")))
    certificate = _certificate(blob, len(trust), "client certificate")
    return StationSet(trust, certificate, _key(blob, len(trust) + len(certificate)))


def _unusable(problem: str) -> StationkeeperError:
    return StationkeeperError(Reason.CREDENTIALS_UNUSABLE, f"the credentials {problem}")


def _after_absent(rest: bytes, part: str) -> bytes:
    if rest[:4] != _NONE:
        raise _unusable(f"have no four zero bytes in the place of the {part}")
    return rest[4:]


def _token(rest: bytes) -> bytes:
    if rest[:1] == b"\0":
        if _after_absent(rest, "key"):
            raise _unusable("have more bytes after the absent key")
        return b""
    if rest[:1] == b"\x30":
        raise _unusable("have a key without a client certificate")
    if not rest.startswith(_TOKEN_BEGIN) or not rest.endswith(_TOKEN_END):
        raise _unusable("have a token that is not a line `Authorization: …` with CR and LF, or have no key")
    for line in rest.removesuffix(_TOKEN_END).split(_TOKEN_END):
        name, colon, value = line.partition(b": ")
        if not colon or not value or not name or not all(byte in _NAME_BYTES for byte in name):
            raise _unusable("have a token with a line that is not `Name: value`")
        if not all(0x20 <= byte <= 0x7E for byte in value):  # noqa: PLR2004 - printable ASCII
            raise _unusable("have a token with characters that cannot stand in a header")
    return rest


def _certificate(blob: bytes, begin: int, part: str) -> bytes:
    found = _sequence(blob, begin, part)
    if _content(found)[:1] != b"\x30":
        raise _unusable(f"have something other than a certificate in the place of the {part}")
    return found


def _key(blob: bytes, begin: int) -> bytes:
    found = _sequence(blob, begin, "key")
    if begin + len(found) != len(blob):
        raise _unusable("have more bytes after the key")
    content = _content(found)
    if not any(content.startswith(begin) for begin in _KEY_BEGINS) and not _is_pkcs8(content):
        raise _unusable("have something other than a PKCS#1, PKCS#8 or SEC1 key in the place of the key")
    return found


def _sequence(blob: bytes, begin: int, part: str) -> bytes:
    head = blob[begin : begin + 4]
    if head[:1] != b"\x30":
        raise _unusable(f"have no DER sequence in the place of the {part}")
    if len(head) < 4:  # noqa: PLR2004 - the client reads four bytes
        raise _unusable(f"end within the {part}")
    length = (head[2] * 256 + head[3]) + 4 if head[1] >= 0x80 else head[1] + 2  # noqa: PLR2004 - the highest bit
    if length != _true_length(head):
        raise _unusable(f"have a {part} whose length a Basics Station misreads (an element of 128 to 255 bytes)")
    if begin + length > len(blob):
        raise _unusable(f"end within the {part}")
    return blob[begin : begin + length]


def _true_length(head: bytes) -> int | None:
    """Return the length by X.690; None for a form that DER forbids or that the client always misreads."""
    match head[1]:
        case short if short < 0x80:  # noqa: PLR2004 - the highest bit
            return 2 + short
        case 0x82 if head[2]:
            return 4 + int.from_bytes(head[2:4], "big")
    return None


def _content(sequence: bytes) -> bytes:
    return sequence[2:] if sequence[1] < 0x80 else sequence[4:]  # noqa: PLR2004 - the highest bit


def _is_pkcs8(content: bytes) -> bool:
    """Return whether a key has version 0 and an algorithm that the client knows, unlike encrypted and Ed25519 keys."""
    return content[:4] == b"\x02\x01\0\x30" and content[5:].startswith(_ALGORITHMS)
