"""The limits on connections, derived from the memory and descriptors of the process."""

from dataclasses import dataclass, replace
from pathlib import Path

# The memory of the process without connections: the interpreter, and trust and registry of a large installation, twice
# while a new generation is loaded.
OWN_BYTES = 192 * 1024 * 1024
# The maximum memory of a connection: TLS in its handshake (about 60 KiB), or an unread answer of 64 KiB, and the
# kernel's buffers.
CONNECTION_BYTES = 192 * 1024
# The maximum memory of a waiting connection: the client's bytes, as the kernel counts them (twice the set size), and
# the socket.
WAITING_BYTES = 40 * 1024
# The share of the memory for connections.
WAITING_SHARE = 0.25
OWN_DESCRIPTORS = 128
MOST_CONNECTIONS = 8192
MOST_WAITING = 4096
LEAST_CONNECTIONS = 64

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# Version 1 writes a number near 2^63 if there is no limit.
_UNLIMITED = 1 << 62


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits on connections, and their times.

    Attributes:
        connections: the maximum of connections that have begun their handshake. Above it, the oldest one with a
            finished handshake is closed, while there are not too many handshakes.
        handshakes: the maximum of connections in their handshake. Above it, a new handshake closes an older one: one of
        a network with more handshakes, or the oldest of all if it has lasted long enough.
        waiting: the maximum of connections before their handshake, including silent ones. Above it, the oldest one of
            the network with the most is closed.
        connections_per_certificate: the maximum of connections of one certificate. Above it, its oldest connection is
        closed: a gateway uses only its newest one.
        handshake_seconds: the time for the first byte of a client, and again from its turn to the end of the handshake.
        waiting_seconds: the maximum time until the turn of a client.
        closing_seconds: the time for a client to read the end of its connection.
        unread_bytes: the maximum of unread client bytes in the kernel.
        backlog: the connections that the kernel holds before they are accepted.
    """

    connections: int = 4096
    handshakes: int = 2048
    waiting: int = 4096
    connections_per_certificate: int = 8
    handshake_seconds: float = 30.0
    waiting_seconds: float = 10.0
    closing_seconds: float = 2.0
    unread_bytes: int = 16 * 1024
    backlog: int = 1024


def derived_limits(memory_bytes: int | None, descriptors: int | None, handshake_seconds: float) -> ConnectionLimits:
    """Return the limits for a process.

    Args:
        memory_bytes: the memory limit of the process; None for no limit.
        descriptors: the limit of open files and sockets; None for no limit.
        handshake_seconds: the configured time.
    """
    connections, waiting = MOST_CONNECTIONS, MOST_WAITING
    if memory_bytes is not None:
        free = memory_bytes - OWN_BYTES
        connections = min(connections, int(free * (1 - WAITING_SHARE)) // CONNECTION_BYTES)
        waiting = min(waiting, int(free * WAITING_SHARE) // WAITING_BYTES)
    if descriptors is not None:
        free = descriptors - OWN_DESCRIPTORS
        connections = min(connections, free // 2)
        waiting = min(waiting, free // 2)
    connections = max(LEAST_CONNECTIONS, connections)
    return ConnectionLimits(
        connections=connections,
        handshakes=connections // 2,
        waiting=max(LEAST_CONNECTIONS, waiting),
        handshake_seconds=handshake_seconds,
    )


def halved(limits: ConnectionLimits) -> ConnectionLimits:
    """Return the limits of each of two ports that share `limits`."""
    return replace(
        limits,
        connections=max(1, limits.connections // 2),
        handshakes=max(1, limits.handshakes // 2),
        waiting=max(1, limits.waiting // 2),
    )


def memory_limit(files: tuple[Path, ...] = _CGROUP_LIMITS) -> int | None:
    """Return the memory limit of the process' cgroup (version 2 or 1) in bytes; None if there is none."""
    for file in files:
        try:
            text = file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isdigit() and int(text) < _UNLIMITED:
            return int(text)
    return None
