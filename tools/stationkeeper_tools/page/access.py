"""The access to the page: decided by the source of a request and its headers. Pure.

Three ways. Nobody is asked where the page listens on the machine itself alone; a token; or a proxy that has asked
already, and names the user in a header. A proxy is believed where it comes from a network that is named and proves a
secret: the networks of a cluster's proxies are those of its other pods.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stationkeeper_core.published.observation import clean
from stationkeeper_cups.accepting.peer_address import Networks, peer_address

MIN_SECRET = 16
"""Bytes of a token or of a proxy's secret."""
MAX_SECRET = 4096
ANYBODY = "anybody on this machine"
BY_TOKEN = "the token"  # noqa: S105 - words, not a token

_MAX_USER = 128
_MAX_AUTHORIZATION = 2 * MAX_SECRET

Values = Callable[[str], Sequence[str]]
"""Gives the values of a header, which may be there several times."""


@dataclass(frozen=True)
class TrustedProxy:
    """A proxy that authenticates people.

    Attributes:
        networks: it comes from.
        user_header: the header in which it names the user.
        secret_header: the header by which it proves to be the proxy.
        secret: reads what stands there; empty where that cannot be read.
    """

    networks: Networks
    user_header: str
    secret_header: str
    secret: Callable[[], bytes]


@dataclass(frozen=True)
class Access:
    """The requirements for access to the page.

    Attributes:
        token: reads it; empty where that cannot be read. None where nobody comes in by a token.
        proxy: None where nobody comes by a proxy.
    """

    token: Callable[[], bytes] | None = None
    proxy: TrustedProxy | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked: then only the machine itself may connect."""
        return self.token is None and self.proxy is None


@dataclass(frozen=True)
class Refused:
    """Somebody may not see the page.

    Attributes:
        why: for the log.
        wants_token: whether a token would do.
    """

    why: str
    wants_token: bool


def who_asks(access: Access, peer: str, values: Values) -> str | Refused:
    """Return who sends a request, or why it is refused.

    Args:
        access: what is asked for.
        peer: the address that it comes from, as the socket has it.
        values: of its headers.
    """
    if access.is_open:
        return _on_this_machine(peer, values)
    if access.proxy is not None:
        user = _named_by_proxy(access.proxy, peer_address(peer), values)
        if user:
            return user
    if access.token is not None:
        given, token = _given_token(values("Authorization")), access.token()
        if given and _equal(given, token):
            return BY_TOKEN
        return Refused("a wrong token" if given else "no token", wants_token=True)
    return Refused("it does not come by the proxy that authenticates people", wants_token=False)


def is_loopback(host: str) -> bool:
    """Return whether only the machine itself can connect to an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(peer_address(host)).is_loopback
    except ValueError:
        return False


def _on_this_machine(peer: str, values: Values) -> str | Refused:
    if not is_loopback(peer):
        return Refused("it comes from another machine, and the page asks nobody to log in", wants_token=False)
    # A website can have its own name lead to this machine, and then read what the browser gets from here.
    hosts = values("Host")
    if len(hosts) != 1 or not is_loopback(_without_port(hosts[0])):
        return Refused("its Host is none of this machine", wants_token=False)
    return ANYBODY


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _named_by_proxy(proxy: TrustedProxy, peer: str, values: Values) -> str:
    """Return the user; empty where the request is none of the proxy's, or names none or several."""
    if peer not in proxy.networks:
        return ""
    secrets, users = values(proxy.secret_header), values(proxy.user_header)
    if len(secrets) != 1 or len(users) != 1 or not _equal(secrets[0].encode(errors="replace"), proxy.secret()):
        return ""
    return clean(users[0].strip(), _MAX_USER)


def _given_token(authorizations: Sequence[str]) -> bytes:
    """Return the token in the header: of Bearer, or the password of Basic, which browsers ask people for."""
    if len(authorizations) != 1 or len(authorizations[0]) > _MAX_AUTHORIZATION:
        return b""
    scheme, _, given = authorizations[0].partition(" ")
    if scheme.lower() == "bearer":
        return given.strip().encode(errors="replace")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(given.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _equal(given: bytes, secret: bytes) -> bool:
    """Compare in a time that tells nothing of the secret, not even its length; a short secret equals nothing."""
    same = hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(secret).digest())
    return same and len(secret) >= MIN_SECRET
