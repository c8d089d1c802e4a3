"""Free TCP ports of 127.0.0.1 for servers that need a fixed port.

They lie below the range from which the kernel takes ports for outgoing connections, so that a port that is free for a
moment, while its server restarts, is not given to another program.

Many processes take ports at the same time, for example when tests run in parallel. So a process keeps a mark on each of
its latest ports: a Unix socket with an abstract name, which ends with the process.
"""

import atexit
import secrets
import socket
import sys
from collections import deque

from stationkeeper_tools.tool_errors import ToolError, ToolFault

_FIRST, _COUNT = 20000, 10000
_ATTEMPTS = 100
_MARKS: deque[socket.socket] = deque()
_MAX_MARKS = 64


def free_port() -> int:
    """Return a port that was free just now; a program that does not use this module may take it before the caller does.

    Raises:
        ToolError: `PortTaken`: none was found.
    """
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> tuple[int, ...]:
    """Return as many different ports that were free just now; see `free_port`.

    Raises:
        ToolError: `PortTaken`: one was not found.
    """
    ports: dict[int, None] = {}
    for _ in range(_ATTEMPTS * count):
        port = _FIRST + secrets.randbelow(_COUNT)
        if _mark(port) and is_free(port):
            ports[port] = None
        if len(ports) == count:
            return tuple(ports)
    tried = f"{_ATTEMPTS * count} ports tried from {_FIRST} to {_FIRST + _COUNT}"
    raise ToolError(
        ToolFault.PORT_TAKEN, f"{tried}: {len(ports)} free, and {count} needed; end other programs that listen there"
    )


def is_free(port: int) -> bool:
    """Return whether a server can listen on that port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def _mark(port: int) -> bool:
    """Mark a port as taken by this process; return false if any process has marked it. Only Linux has such marks."""
    if sys.platform != "linux":
        return True
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0stationkeeper-port-{port}")
    except OSError:
        mark.close()
        return False
    _MARKS.append(mark)
    if len(_MARKS) > _MAX_MARKS:
        _MARKS.popleft().close()
    return True


@atexit.register
def _remove_marks() -> None:
    while _MARKS:
        _MARKS.pop().close()
