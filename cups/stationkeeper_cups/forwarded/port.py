"""Assemble the port for proxies."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from socket import socket

from OpenSSL import SSL

from stationkeeper_cups.accepting.listener import Listener
from stationkeeper_cups.accepting.unaccepted_connections import Refusal
from stationkeeper_cups.forwarded.handler import ForwardedHandler
from stationkeeper_cups.forwarded.headers import MAX_FIELD_BYTES
from stationkeeper_cups.forwarded.proxies import OnlyFrom, ProxyIdentity, TrustedProxies
from stationkeeper_cups.http.connection import RequestBounds
from stationkeeper_cups.http.connections import Connections
from stationkeeper_cups.http.port import GatewayPort, PortBounds
from stationkeeper_cups.tls.connection import Judge

# One request on each connection: bytes that a client hides behind its request are never read as another client's, and
# no proxy sends a request into a closing connection. The parser accepts a little more than the reader of the header,
# because the reader has the better error messages.
BOUNDS = RequestBounds(requests=1, headers=64, header_bytes=MAX_FIELD_BYTES + 1024)


def forwarded_port(  # noqa: PLR0913, PLR0917 - what a port is made of
    proxies: TrustedProxies,
    bound: socket,
    context: Callable[[], SSL.Context | None],
    handler: ForwardedHandler,
    refused: Callable[[Refusal], None],
    clock: Callable[[], datetime],
    bounds: PortBounds,
) -> GatewayPort:
    """Return the port.

    Args:
        proxies: the trusted proxies, and their header form.
        bound: a bound TCP socket.
        context: returns the TLS context of a new connection; it requires a certificate.
        handler: answers forwarded requests.
        refused: called with each refused proxy.
        clock: returns the time, aware.
        bounds: the limits on proxies.

    Raises:
        StationkeeperError: `ProxyNotTrusted`, the CAs of proxies cannot be read.
    """
    identity = ProxyIdentity(proxies.authorities, proxies.names, clock)

    def begin(_peer: str) -> tuple[SSL.Context, Judge] | None:
        found = context()
        return None if found is None else (found, lambda presented, _leaf: identity.judge(presented))

    # A connection has one request, which is judged by itself: a change of trust closes no connection.
    connections = Connections(handler, lambda _proxy: True, bounds.times, bounds.seconds, BOUNDS)
    # All proxies may share one certificate.
    of_proxies = replace(bounds.limits, connections_per_certificate=bounds.limits.connections)
    opener = OnlyFrom(proxies.networks)
    listener = Listener(bound, begin, connections, refused, bounds.times, of_proxies, opener)
    return GatewayPort(listener, connections)
