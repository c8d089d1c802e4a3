"""How many connections a server may hold at a time, from what the machine gives it."""

from dataclasses import dataclass, replace
from pathlib import Path

# What the process takes by itself: the interpreter, and trust and registry of a large installation, twice while a new
# generation is taken over.
OWN_BYTES = 192 * 1024 * 1024
# The most that a connection costs: TLS in its handshake (about 60 KiB), or an answer of 64 KiB that is not read, and
# what the kernel holds of it.
CONNECTION_BYTES = 192 * 1024
# The most that one costs that waits: what the client has sent, as the kernel counts it (twice what is set), and the
# socket.
WAITING_BYTES = 40 * 1024
# Of the memory that is left for connections.
WAITING_SHARE = 0.25
OWN_DESCRIPTORS = 128
MOST_CONNECTIONS = 8192
MOST_WAITING = 4096
LEAST_CONNECTIONS = 64

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# Version 1 writes a number near 2^63 where there is no limit.
_UNLIMITED = 1 << 62


@dataclass(frozen=True)
class ConnectionLimits:
    """What clients may take, and for how long.

    Attributes:
        connections: at a time that have begun their handshake. Over that the oldest one is ended whose handshake is
            done, as long as there are not too many handshakes.
        handshakes: of these that may be in their handshake. Over that one is given up for a network that has fewer, or
            the oldest once it is old.
        waiting: that have not begun their handshake, silent ones among them. Over that the oldest of the network that
            has the most is ended.
        connections_per_certificate: at a time; over that the oldest of the certificate is ended, since a gateway has
            one and the newest is the one that it uses.
        handshake_seconds: for a client to say something, and again from its turn to the end of its handshake.
        waiting_seconds: for the turn of a client to come.
        farewell_seconds: for a client to read how its connection ends.
        unread_bytes: that the kernel holds of what a client has sent.
        backlog: connections that the kernel holds before they are accepted.
    """

    connections: int = 4096
    handshakes: int = 2048
    waiting: int = 4096
    connections_per_certificate: int = 8
    handshake_seconds: float = 30.0
    waiting_seconds: float = 10.0
    farewell_seconds: float = 2.0
    unread_bytes: int = 16 * 1024
    backlog: int = 1024


def derived_limits(memory_bytes: int | None, descriptors: int | None, handshake_seconds: float) -> ConnectionLimits:
    """Return the limits for a process.

    Args:
        memory_bytes: that it may use; None for no limit.
        descriptors: files and sockets that it may have open; None for no limit.
        handshake_seconds: as configured.
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
    """Return the limits of each of two ports that share what `limits` were derived from."""
    return replace(
        limits,
        connections=max(1, limits.connections // 2),
        handshakes=max(1, limits.handshakes // 2),
        waiting=max(1, limits.waiting // 2),
    )


def memory_limit(files: tuple[Path, ...] = _CGROUP_LIMITS) -> int | None:
    """Return the memory limit of the process' cgroup, version 2 or 1, in bytes; None where there is none."""
    for file in files:
        try:
            text = file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isdigit() and int(text) < _UNLIMITED:
            return int(text)
    return None
