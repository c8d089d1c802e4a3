"""Group connections by the network of their source address."""

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import Generic, TypeVar

_IPV6_NETWORK_BITS = 64

T = TypeVar("T")


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network that shares the limits of an address: one host has all addresses of an IPv6 /64 network.

    Args:
        address: an IP address in the form of `peer_address`; other text is returned unchanged.
    """
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(int(found) >> (128 - _IPV6_NETWORK_BITS))


class Groups(Generic[T]):
    """Things by their network, in the order of their arrival; the network with the most is always known.

    The time of a call does not depend on the number of things and networks.

    Attributes:
        size: the number of things; an attribute, because each connection reads it.
        most: the number of things of the network with the most.
    """

    def __init__(self) -> None:
        self._groups: dict[str, dict[T, None]] = {}
        self._by_size: dict[int, dict[str, None]] = {}
        self.size = 0
        self.most = 0

    def __iter__(self) -> Iterator[T]:
        return (each for group in self._groups.values() for each in group)

    def count(self, network: str) -> int:
        """Return the number of things of a network."""
        return len(self._groups.get(network, ()))

    def add(self, network: str, thing: T) -> None:
        """Add a new thing."""
        group = self._groups.setdefault(network, {})
        before = len(group)
        group[thing] = None
        self.size += 1
        self._resize(network, before, before + 1)

    def discard(self, network: str, thing: T) -> bool:
        """Remove a thing and return whether it was there."""
        group = self._groups.get(network)
        if group is None or thing not in group:
            return False
        del group[thing]
        self.size -= 1
        after = len(group)
        if not after:
            del self._groups[network]
        self._resize(network, after + 1, after)
        return True

    def oldest_of_the_most(self) -> T | None:
        """Return the oldest thing of a network with the most; None if there is nothing."""
        if not self.most:
            return None
        return next(iter(self._groups[next(iter(self._by_size[self.most]))]))

    def _resize(self, network: str, before: int, after: int) -> None:
        if before:
            same = self._by_size[before]
            del same[network]
            if not same:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, {})[network] = None
        if after > self.most or self.most not in self._by_size:
            self.most = after
