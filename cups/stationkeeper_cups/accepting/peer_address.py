"""The IP address of a client in one form, and sets of networks.

Budgets, limits, log lines and reasons all use this form.
"""

import ipaddress
from collections.abc import Iterable

MAX_NETWORKS = 64

_MAPPED = "::ffff:"


def peer_address(host: str) -> str:
    """Return an IP address as text, in the form for budgets and logs.

    Args:
        host: the address from `socket.accept`. On a socket for IPv6 and IPv4, an IPv4 client has a mapped address.
    """
    if ":" not in host:
        return host
    host = host.partition("%")[0]
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


class Networks:
    """A set of IP networks.

    Args:
        networks: the networks; they may overlap.
    """

    def __init__(self, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()) -> None:
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Return whether a network contains `address` (in the form of `peer_address`)."""
        if not self._networks:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found.version == each.version and found in each for each in self._networks)


def read_networks(text: str) -> Networks:
    """Return the networks in `text`: CIDR notation, separated by commas.

    Raises:
        ValueError: a network cannot be read or contains every address, or there are too many; the message says which.
    """
    given = [each.strip() for each in text.split(",") if each.strip()]
    if len(given) > MAX_NETWORKS:
        raise ValueError(f"{len(given)} networks; set at most {MAX_NETWORKS}")
    return Networks(map(_network, given))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text[:80]!a} is not a network in CIDR notation: {error}") from None
    if not network.prefixlen:
        raise ValueError(f"{text} contains every address; set only the networks of the proxies")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError(f"{text} is an IPv4 network; write it in the IPv4 form")
    return network
