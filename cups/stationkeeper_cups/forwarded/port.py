"""The parts of the port for proxies, put together."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from socket import socket

from OpenSSL import SSL

from stationkeeper_cups.accepting.listener import Listener
from stationkeeper_cups.accepting.unanswered import Refusal
from stationkeeper_cups.forwarded.handler import ForwardedHandler
from stationkeeper_cups.forwarded.headers import MAX_FIELD_BYTES
from stationkeeper_cups.forwarded.proxies import OnlyFrom, ProxyIdentity, TrustedProxies
from stationkeeper_cups.http.connection import RequestBounds
from stationkeeper_cups.http.connections import Connections
from stationkeeper_cups.http.port import GatewayPort, PortBounds
from stationkeeper_cups.tls.connection import Judge

# One request on each connection: what a client hides behind its request is never read as another client's, and no
# proxy sends one into a connection that is about to end. The parser takes a little more than the reader of the header,
# which says what is wrong.
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
        proxies: which are believed, and what they forward.
        bound: a bound TCP socket.
        context: gives the TLS context of a new connection, one that requires a certificate.
        handler: answers the requests that they forward.
        refused: told of each proxy that is not let in.
        clock: the time, aware.
        bounds: what proxies may take.

    Raises:
        StationkeeperError: `ProxyNotTrusted`, the CAs of proxies cannot be read.
    """
    identity = ProxyIdentity(proxies.authorities, proxies.names, clock)

    def begin(_peer: str) -> tuple[SSL.Context, Judge] | None:
        found = context()
        return None if found is None else (found, lambda presented, _leaf: identity.judge(presented))

    # A connection has one request, which is judged by itself: a change of trust has none to end.
    connections = Connections(handler, lambda _proxy: True, bounds.times, bounds.seconds, BOUNDS)
    # All proxies may share one certificate.
    of_proxies = replace(bounds.limits, connections_per_certificate=bounds.limits.connections)
    opener = OnlyFrom(proxies.networks)
    listener = Listener(bound, begin, connections, refused, bounds.times, of_proxies, opener)
    return GatewayPort(listener, connections)
