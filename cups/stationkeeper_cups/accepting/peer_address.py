"""Who is at the other end of a connection: an IP address in one form, and the networks that are believed.

Budgets, bounds, log lines and reasons all name a client by this form.
"""

import ipaddress
from collections.abc import Iterable

MAX_NETWORKS = 64

_MAPPED = "::ffff:"


def peer_address(host: str) -> str:
    """Return an IP address as text, in the form by which a client is counted and logged.

    Args:
        host: as `socket.accept` gives it. On a socket for IPv6 and IPv4 a client of IPv4 has a mapped address.
    """
    if ":" not in host:
        return host
    host = host.partition("%")[0]
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


class Networks:
    """IP networks, to ask whether an address is in one of them.

    Args:
        networks: may overlap.
    """

    def __init__(self, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()) -> None:
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Whether a network has `address`, which is in the form of `peer_address`."""
        if not self._networks:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found.version == each.version and found in each for each in self._networks)


def read_networks(text: str) -> Networks:
    """Return the networks that `text` lists, as CIDR, with commas between.

    Raises:
        ValueError: one cannot be read or holds every address, or there are too many; the message says which.
    """
    given = [each.strip() for each in text.split(",") if each.strip()]
    if len(given) > MAX_NETWORKS:
        raise ValueError(f"{len(given)} networks; at most {MAX_NETWORKS} can be set")
    return Networks(map(_network, given))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text[:80]!a} is no network in CIDR notation: {error}") from None
    if not found.prefixlen:
        raise ValueError(f"{text} is every address there is; set the networks of the proxies alone")
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise ValueError(f"{text} is a network of IPv4; write it as such")
    return found
