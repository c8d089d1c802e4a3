"""The parts of the port for proxies, put together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from socket import socket

from OpenSSL import SSL

from stationkeeper_cups.accepting.connection_limits import ConnectionLimits
from stationkeeper_cups.accepting.listener import Listener
from stationkeeper_cups.admission.admission import Admission
from stationkeeper_cups.forwarded.handler import ForwardedHandler
from stationkeeper_cups.forwarded.headers import MAX_FIELD_BYTES
from stationkeeper_cups.forwarded.proxies import OnlyFrom, ProxyIdentity, TrustedProxies
from stationkeeper_cups.http.connection import RequestBounds, RequestSeconds
from stationkeeper_cups.http.connections import Connections
from stationkeeper_cups.http.handler import UpdateInfoHandler
from stationkeeper_cups.http.refusals import Refusals
from stationkeeper_cups.tls.connection import Judge
from stationkeeper_cups.tls.time_limits import TimeLimits

# One request on each connection: what a client hides behind its request is never read as another client's, and no
# proxy sends one into a connection that is about to end. The parser takes a little more than the reader of the header,
# which says what is wrong.
BOUNDS = RequestBounds(requests=1, headers=64, header_bytes=MAX_FIELD_BYTES + 1024)


@dataclass(frozen=True)
class ForwardedPort:
    """The port for proxies.

    Attributes:
        listener: accepts their connections.
        connections: what is open.
    """

    listener: Listener
    connections: Connections


def forwarded_port(  # noqa: PLR0913, PLR0917 - what a port is made of
    proxies: TrustedProxies,
    bound: socket,
    context: Callable[[], SSL.Context | None],
    inner: UpdateInfoHandler,
    admission: Admission,
    refusals: Refusals,
    clock: Callable[[], datetime],
    times: TimeLimits,
    seconds: RequestSeconds,
    limits: ConnectionLimits,
    *,
    token_authentication: bool,
) -> ForwardedPort:
    """Return the port.

    Args:
        proxies: which are believed, and what they forward.
        bound: a bound TCP socket.
        context: gives the TLS context of a new connection, one that requires a certificate.
        inner: decides on requests.
        admission: judges gateways' certificates.
        refusals: takes note of what is refused.
        clock: the time, aware.
        times: where the stages are kept.
        seconds: how long the parts of a request may take.
        limits: what proxies may take.
        token_authentication: whether a gateway without a certificate may come in by a token.

    Raises:
        StationkeeperError: `ProxyNotTrusted`, the CAs of proxies cannot be read.
    """
    identity = ProxyIdentity(proxies.authorities, proxies.names, clock)

    def begin(_peer: str) -> tuple[SSL.Context, Judge] | None:
        found = context()
        return None if found is None else (found, lambda presented, _leaf: identity.judge(presented))

    handler = ForwardedHandler(inner, admission, refusals, proxies.form, token_authentication=token_authentication)
    # A connection has one request, which is judged by itself: a change of trust has none to end.
    connections = Connections(handler, lambda _proxy: True, times, seconds, BOUNDS)
    # All proxies may share one certificate.
    of_proxies = replace(limits, connections_per_certificate=limits.connections)
    opener = OnlyFrom(proxies.networks)
    listener = Listener(bound, begin, connections, refusals.handshake, times, of_proxies, opener)
    return ForwardedPort(listener, connections)
