"""How many connections a server may hold at a time, from what the machine gives it."""

from dataclasses import dataclass, replace
from pathlib import Path

# What the process takes by itself: the interpreter, and trust and registry of a large installation, twice while a new
# generation is taken over.
OWN_BYTES = 192 * 1024 * 1024
# The most that a connection costs: TLS in its handshake (about 60 KiB), or an answer of 64 KiB that is not read, and
# what the kernel holds of it.
CONNECTION_BYTES = 192 * 1024
OWN_DESCRIPTORS = 128
MOST_CONNECTIONS = 8192
LEAST_CONNECTIONS = 64

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# Version 1 writes a number near 2^63 where there is no limit.
_UNLIMITED = 1 << 62


@dataclass(frozen=True)
class ConnectionLimits:
    """What clients may take, and for how long.

    Attributes:
        connections: at a time, those in their handshake among them. Over that the oldest one is ended whose handshake
            is done, as long as there are not too many handshakes.
        handshakes: of these that may be in their handshake, silent ones among them. Over that the oldest silent one is
            given up, else the oldest.
        handshakes_per_address: of these from one address, once there are too many in all. Many gateways behind one
            address are normal, so that it binds under pressure only.
        connections_per_certificate: at a time; over that the oldest of the certificate is ended, since a gateway has
            one and the newest is the one that it uses.
        handshake_seconds: from the accepted connection to the end of its handshake.
        farewell_seconds: for a client to read how its connection ends.
        backlog: connections that the kernel holds before they are accepted.
    """

    connections: int = 4096
    handshakes: int = 2048
    handshakes_per_address: int = 512
    connections_per_certificate: int = 8
    handshake_seconds: float = 30.0
    farewell_seconds: float = 2.0
    backlog: int = 4096


def derived_limits(memory_bytes: int | None, descriptors: int | None, handshake_seconds: float) -> ConnectionLimits:
    """Return the limits for a process.

    Args:
        memory_bytes: that it may use; None for no limit.
        descriptors: files and sockets that it may have open; None for no limit.
        handshake_seconds: as configured.
    """
    connections = MOST_CONNECTIONS
    if memory_bytes is not None:
        connections = min(connections, (memory_bytes - OWN_BYTES) // CONNECTION_BYTES)
    if descriptors is not None:
        connections = min(connections, descriptors - OWN_DESCRIPTORS)
    connections = max(LEAST_CONNECTIONS, connections)
    return ConnectionLimits(
        connections=connections,
        handshakes=connections // 2,
        handshakes_per_address=max(1, connections // 8),
        handshake_seconds=handshake_seconds,
    )


def halved(limits: ConnectionLimits) -> ConnectionLimits:
    """Return the limits of each of two ports that share what `limits` were derived from."""
    return replace(
        limits,
        connections=max(1, limits.connections // 2),
        handshakes=max(1, limits.handshakes // 2),
        handshakes_per_address=max(1, limits.handshakes_per_address // 2),
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
