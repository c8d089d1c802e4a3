"""A port for gateways, or for proxies: its listener and its open connections."""

from dataclasses import dataclass

from stationkeeper_cups.accepting.connection_limits import ConnectionLimits
from stationkeeper_cups.accepting.listener import Listener
from stationkeeper_cups.http.connection import RequestSeconds
from stationkeeper_cups.http.connections import Connections
from stationkeeper_cups.tls.time_limits import TimeLimits


@dataclass(frozen=True)
class PortBounds:
    """The limits on the connections of a port.

    Attributes:
        times: the time limits with the stages of all ports.
        seconds: the maximum seconds of the parts of a request.
        limits: the limits on connections.
    """

    times: TimeLimits
    seconds: RequestSeconds
    limits: ConnectionLimits


@dataclass(frozen=True)
class GatewayPort:
    """One port.

    Attributes:
        listener: accepts its connections.
        connections: the open connections.
    """

    listener: Listener
    connections: Connections
