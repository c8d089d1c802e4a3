"""Parse serial numbers and fingerprints in the forms that common tools print.

A serial number of only decimal digits is refused: `1715004` names one certificate in hexadecimal and another one in
decimal, and a wrong guess silently revokes nothing. So the author must say which it is.
"""

import re

from stationkeeper_core.errors import Reason, StationkeeperError

MAX_SERIAL_DIGITS = 128
"""Hexadecimal digits for 64 bytes; a certificate may have 20 bytes (RFC 5280, section 4.1.2.2)."""

_HEX = re.compile(r"[0-9A-Fa-f]+")
_DECIMAL = re.compile(r"[0-9]+")
_SERIAL_LABEL = re.compile(r"serial(?:\s*number)?\s*[=:]\s*", re.IGNORECASE)
_FINGERPRINT_LABEL = re.compile(r"sha-?256(?:\s*fingerprint)?\s*[=:]\s*", re.IGNORECASE)
_PRINTED_TWICE = re.compile(r"(-?[0-9]+)\s+\((-?0x[0-9A-Fa-f]+)\)")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_SHOWN = 100
_MAX_TEXT = 512


def parse_serial(text: str, field: str) -> int:
    """Return the serial number that `text` names.

    Args:
        text: hexadecimal as `openssl x509 -serial` prints it (`serial=1A2B`, `1A:2B`, `-1A2B`), hexadecimal with `0x`,
            decimal with `dec:`, or both as `openssl x509 -text` prints it (`1715004 (0x1a2b3c)`).
        field: its field, for the message.

    Raises:
        StationkeeperError: `InvalidSpec`; the detail says how to write it.
    """
    if len(text) > _MAX_TEXT:
        raise StationkeeperError(Reason.INVALID_SPEC, f"{field}: {_shown(text)} is too long for a serial number")
    stripped = text.strip()
    bare = _SERIAL_LABEL.sub("", stripped, count=1)
    is_labelled = bare != stripped
    twice = _PRINTED_TWICE.fullmatch(bare)
    if twice is not None:
        return _agreed(int(twice[1]), int(twice[2].replace("0x", ""), 16), text, field)
    sign, digits = (-1, bare[1:]) if bare.startswith("-") else (1, bare)
    lower = digits.lower()
    if lower.startswith("dec:"):
        return sign * _number(digits[4:].strip(), 10, text, field)
    if lower.startswith("0x"):
        return sign * _number(digits[2:].replace(":", ""), 16, text, field)
    packed = digits.replace(":", "").replace(" ", "")
    # A single digit is the same number in both.
    if _DECIMAL.fullmatch(digits) and not is_labelled and len(digits.lstrip("0")) > 1:
        shown = digits[:_SHOWN]
        raise StationkeeperError(
            Reason.INVALID_SPEC,
            f"{field}: {_shown(text)} may be hexadecimal or decimal; write 0x{shown} or dec:{shown}",
        )
    return sign * _number(packed, 16, text, field)


def parse_fingerprint(text: str, field: str) -> str:
    """Return the SHA-256 fingerprint that `text` names, 64 lower-case hex digits.

    Args:
        text: with or without colons, in any case, with or without openssl's label (`sha256 Fingerprint=`).
        field: its field, for the message.

    Raises:
        StationkeeperError: `InvalidSpec`.
    """
    digits = _FINGERPRINT_LABEL.sub("", text.strip(), count=1).replace(":", "").replace(" ", "")
    if not _SHA256.fullmatch(digits):
        raise StationkeeperError(
            Reason.INVALID_SPEC,
            f"{field}: {_shown(text)} is not a SHA-256 fingerprint of 64 hex digits;"
            " `openssl x509 -noout -fingerprint -sha256 -in FILE` prints it",
        )
    return digits.lower()


def _agreed(decimal: int, hexadecimal: int, text: str, field: str) -> int:
    if decimal != hexadecimal:
        raise StationkeeperError(
            Reason.INVALID_SPEC, f"{field}: {_shown(text)} names two different serial numbers; write one of them"
        )
    return decimal


def _number(digits: str, base: int, text: str, field: str) -> int:
    pattern = _DECIMAL if base == 10 else _HEX  # noqa: PLR2004 - the two bases
    if len(digits) > MAX_SERIAL_DIGITS or not pattern.fullmatch(digits):
        raise StationkeeperError(
            Reason.INVALID_SPEC,
            f"{field}: {_shown(text)} is not a serial number; write it in hexadecimal (1A2B3C, 0x1715004)"
            " or with dec: in decimal (dec:1715004)",
        )
    return int(digits, base)


def _shown(text: str) -> str:
    return f"{text[:_SHOWN]!a}"
