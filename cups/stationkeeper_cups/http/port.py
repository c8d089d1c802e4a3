"""A port where gateways, or proxies for them, connect: what accepts connections, and what is open."""

from dataclasses import dataclass

from stationkeeper_cups.accepting.connection_limits import ConnectionLimits
from stationkeeper_cups.accepting.listener import Listener
from stationkeeper_cups.http.connection import RequestSeconds
from stationkeeper_cups.http.connections import Connections
from stationkeeper_cups.tls.time_limits import TimeLimits


@dataclass(frozen=True)
class PortBounds:
    """What bounds the connections of a port.

    Attributes:
        times: where the stages of all ports are kept.
        seconds: how long the parts of a request may take.
        limits: how many connections there may be.
    """

    times: TimeLimits
    seconds: RequestSeconds
    limits: ConnectionLimits


@dataclass(frozen=True)
class GatewayPort:
    """One port.

    Attributes:
        listener: accepts its connections.
        connections: what is open.
    """

    listener: Listener
    connections: Connections
