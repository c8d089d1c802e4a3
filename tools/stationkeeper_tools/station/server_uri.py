"""Parse the URI of a server as a Station does."""

import re
from dataclasses import dataclass

from stationkeeper_tools.station.faults import StationError, StationFault

MAX_URI_CHARACTERS = 127

_MAX_HOST_CHARACTERS = 127
_MAX_PORT_CHARACTERS = 15
_ADDRESS = re.compile(r"://((?:\[([^\]]+)\]|([^:/\[][^:/]*)):([^/]+))")


@dataclass(frozen=True)
class ServerAddress:
    """The address in a URI.

    Attributes:
        tls: whether the scheme ends in `s`.
        authority: host and port as in the URI; the value of the Host header.
        host: a name or an address.
        port: a number or a service's name.
    """

    tls: bool
    authority: str
    host: str
    port: str


def parse_server_uri(uri: str, scheme: str) -> ServerAddress:
    """Return the address in `uri`.

    Args:
        uri: `scheme://host:port` without a path or a trailing slash; a Station drops the last character of
            `[2001:db8::1]`.
        scheme: `http` or `ws`; a URI with an `s` after it asks for TLS.

    Raises:
        StationError: `BadURI`.
    """
    begin = uri[: len(scheme)].lower() == scheme
    rest = uri[len(scheme) :].removeprefix("s") if begin else ""
    found = _ADDRESS.fullmatch(rest)
    if not found:
        raise StationError(StationFault.BAD_URI, f"{uri[:160]!a} is not {scheme}(s)://host:port without a path")
    authority, bracketed, name, port = found.groups()
    host = name or bracketed[:-1]
    if not host or len(host) > _MAX_HOST_CHARACTERS or len(port) > _MAX_PORT_CHARACTERS:
        raise StationError(StationFault.BAD_URI, f"{uri[:160]!a} has an empty or overlong host or port")
    return ServerAddress(rest != uri[len(scheme) :], authority, host, port)
