"""The credential blob in an answer, and the CRC by which a gateway reports its present set.

A set has three parts: trust (one DER certificate), client certificate, and client key or token. The blob holds them in
this order; four zero bytes stand for an absent part.
Source: the CUPS protocol, credential blob; the client computes the CRC-32 over the same bytes.
"""

import re
import zlib
from urllib.parse import urlsplit

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.update_info import MAX_CREDENTIALS_BYTES, MAX_URI_BYTES

ABSENT = bytes(4)
MAX_TOKEN_BYTES = 4096

_HEADER, _AUTHORIZATION = b"Authorization: ", b"authorization"
_HEADER_NAME = re.compile(rb"[A-Za-z0-9_-]+")
_HEADERS_OF_A_STATION = frozenset(
    (
        *(b"host", b"content-type", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"origin"),
        *(b"sec-websocket-" + each for each in (b"key", b"version", b"protocol", b"extensions", b"accept")),
    )
)
_PRINTABLE = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def crc(blob: bytes) -> int:
    """Return the CRC-32 by which a gateway reports that it has the set of `blob`."""
    return zlib.crc32(blob)


NOTHING_CONFIGURED = crc(ABSENT * 3)


def server_authentication(trust: bytes) -> bytes:
    """Return the blob for a server that needs no credentials of the gateway.

    Args:
        trust: one DER certificate.
    """
    return _bounded(trust + ABSENT + ABSENT)


def client_authentication(trust: bytes, certificate: bytes, key: bytes) -> bytes:
    """Return the blob for a server that needs a client certificate.

    Args:
        trust: one DER certificate.
        certificate: the end-entity certificate of the client, DER.
        key: its private key as `parse_private_key` returns it, DER.
    """
    return _bounded(trust + certificate + key)


def token_authentication(trust: bytes, token: bytes) -> bytes:
    """Return the blob for a server that needs an authorization header.

    Args:
        trust: one DER certificate.
        token: the header lines as `parse_token` returns them.
    """
    return _bounded(trust + ABSENT + token)


def parse_token(content: bytes) -> bytes:
    """Return the header lines, each with CR and LF, from the content of a Secret's key; the first is `Authorization`.

    Args:
        content: the value after `Authorization: `, such as `Bearer NNSXS…`; white space around it and the name of the
            header before it are dropped. Or several lines `Name: value`, as in `tc.key` in Basics Station's
            documentation; one of them is `Authorization`.

    Raises:
        StationkeeperError: `TokenInvalid`; the detail does not repeat the token.
    """
    text = content.strip()
    if len(text) > MAX_TOKEN_BYTES:
        raise _token_invalid(f"has {len(text)} bytes, at most {MAX_TOKEN_BYTES} are allowed")
    if b"PRIVATE KEY" in text:
        raise _token_invalid("holds a private key, which must not be sent as a token; name another key of the Secret")
    if b"\n" in text:
        return _header_lines([line.strip() for line in text.split(b"\n") if line.strip()])
    if text[: len(_HEADER) - 1].lower() == _HEADER.strip().lower():
        text = text[len(_HEADER) - 1 :].strip()
    return _HEADER + _header_value(text) + b"\r\n"


def _header_lines(lines: list[bytes]) -> bytes:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _HEADER_NAME.fullmatch(name):
            raise _token_invalid("has several lines, and one is not a header; write each as `Name: value`")
        if name.lower() in headers or name.lower() in _HEADERS_OF_A_STATION:
            raise _token_invalid("has a header twice, or one that a Basics Station writes itself; remove it")
        headers[name.lower()] = name + b": " + _header_value(value.strip()) + b"\r\n"
    authorization = headers.pop(_AUTHORIZATION, None)
    if authorization is None:
        raise _token_invalid("has several lines, and none of them is `Authorization: …`")
    return _HEADER + authorization[len(_HEADER) :] + b"".join(headers.values())


def _header_value(value: bytes) -> bytes:
    if not value or value.lower() == b"bearer":
        raise _token_invalid("is empty")
    if not _PRINTABLE.fullmatch(value):
        raise _token_invalid("is not one line of printable ASCII, nor several lines `Name: value`")
    return value


def _token_invalid(problem: str) -> StationkeeperError:
    return StationkeeperError(Reason.TOKEN_INVALID, f"the token {problem}")


def check_uri(uri: str, schemes: tuple[str, ...]) -> None:
    """Refuse a URI that a Basics Station cannot use.

    Args:
        uri: the URI. A valid one is `scheme://host:port`, at most 127 characters, without path or trailing slash; the
            host is a name or an IPv4 address.
        schemes: the allowed schemes.

    Raises:
        StationkeeperError: `URIInvalid`; the detail says what to write instead.
    """
    problem = _uri_problem(uri, schemes)
    if problem:
        raise StationkeeperError(Reason.URI_INVALID, f"{uri[:160]!a} {problem}; write {schemes[0]}://host:port")


def _uri_problem(uri: str, schemes: tuple[str, ...]) -> str | None:
    if len(uri) > MAX_URI_BYTES:
        return f"is longer than {MAX_URI_BYTES} characters"
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in schemes:
        return f"does not begin with {' or '.join(f'{known}://' for known in schemes)}"
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return "has no usable host and port"
    return "has something after the port" if parts.netloc != rest else _address_problem(rest, port)


def _address_problem(address: str, port: int | None) -> str | None:
    host = address.rpartition(":")[0]
    if host.startswith("["):
        # `uri_parse` in src/net.c of Basics Station 2.0.6 takes [2001:db8::1] for the host 2001:db8::
        return "has an IPv6 address; a Basics Station drops its last digit"
    if "_" in host:
        return "has an underscore in its host name; give a name of letters, digits and hyphens"
    if not port or not _HOST.fullmatch(host) or not address.endswith(f":{port}"):
        return "has no usable host and port"
    return None


def _bounded(blob: bytes) -> bytes:
    if len(blob) > MAX_CREDENTIALS_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE, f"the credentials have {len(blob)} bytes, at most {MAX_CREDENTIALS_BYTES} fit"
        )
    return blob
