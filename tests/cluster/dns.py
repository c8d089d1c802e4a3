"""Serve the cluster's DNS on our own node: only A records of Services, from the API server.

Run as `python dns.py ADDRESS KUBECTL`, with `KUBECONFIG` set.
"""

import json
import socket
import struct
import subprocess
import sys
import time

ZONE = ".svc.cluster.local"
KEPT_SECONDS = 1.0
_A, _FOUND, _NO_SUCH_NAME = 1, 0x8580, 0x8583


class Services:
    """The addresses of Services: one second old, or of the time before the API server went away."""

    def __init__(self, kubectl: str) -> None:
        self._kubectl = kubectl
        self._read_at = float("-inf")
        self._addresses: dict[str, str] = {}

    def address(self, name: str) -> str | None:
        """Return the address of `name.namespace.svc.cluster.local`; None if there is no such Service."""
        if time.monotonic() - self._read_at > KEPT_SECONDS:
            self._read_at = time.monotonic()
            command = [self._kubectl, "get", "services", "--all-namespaces", "--output=json", "--request-timeout=2s"]
            listed = subprocess.run(command, capture_output=True, check=False).stdout
            if listed:
                items = json.loads(listed)["items"]
                self._addresses = {
                    f"{each['metadata']['name']}.{each['metadata']['namespace']}{ZONE}": each["spec"]["clusterIP"]
                    for each in items
                }
        return self._addresses.get(name.lower())


def answer(query: bytes, services: Services) -> bytes:
    """Return the answer to a query with one question."""
    labels, position = list[str](), 12
    while query[position]:
        length = query[position]
        labels.append(query[position + 1 : position + 1 + length].decode("ascii"))
        position += 1 + length
    question, (kind,) = query[12 : position + 5], struct.unpack("!H", query[position + 1 : position + 3])
    address = services.address(".".join(labels))
    records = b""
    if address and kind == _A:
        records = struct.pack("!HHHIH", 0xC00C, _A, 1, 1, 4) + socket.inet_aton(address)
    flags = _FOUND if address else _NO_SUCH_NAME
    return query[:2] + struct.pack("!HHHHH", flags, 1, bool(records), 0, 0) + question + records


def main() -> None:
    """Answer until the process is stopped."""
    services = Services(sys.argv[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((sys.argv[1], 53))
        while True:
            query, peer = bound.recvfrom(512)
            try:
                bound.sendto(answer(query, services), peer)
            except (IndexError, UnicodeDecodeError, struct.error):
                continue


if __name__ == "__main__":
    main()
