"""The access to the page: decided by the source of a request and its headers. Pure.

There are three ways. If the page listens only on its own machine, nobody logs in. Otherwise a token is needed, or a
proxy that has authenticated the user and names them in a header. A proxy is trusted only if it comes from a configured
network and proves that it knows a secret: in a cluster, other pods are in the same networks.
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
        networks: its source networks.
        user_header: the header in which it names the user.
        secret_header: the header with which it proves its identity.
        secret: returns the value of that header; empty if it cannot be read.
    """

    networks: Networks
    user_header: str
    secret_header: str
    secret: Callable[[], bytes]


@dataclass(frozen=True)
class Access:
    """The requirements for access to the page.

    Attributes:
        token: returns the token; empty if it cannot be read. None if no token opens the page.
        proxy: the trusted proxy; None if there is none.
    """

    token: Callable[[], bytes] | None = None
    proxy: TrustedProxy | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody must log in; then only the machine itself may connect."""
        return self.token is None and self.proxy is None


@dataclass(frozen=True)
class Refused:
    """Somebody may not see the page.

    Attributes:
        why: for the log.
        wants_token: whether a token would give access.
    """

    why: str
    wants_token: bool


def authenticate(access: Access, peer: str, values: Values) -> str | Refused:
    """Return who sends a request, or why it is refused.

    Args:
        access: the requirements.
        peer: the source address of the socket.
        values: returns the values of a header.
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
    return Refused("it does not come through the proxy that authenticates people", wants_token=False)


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
    # A website can point its own name at this machine, and then read the answers that the browser gets.
    hosts = values("Host")
    if len(hosts) != 1 or not is_loopback(_without_port(hosts[0])):
        return Refused("its Host header does not name this machine", wants_token=False)
    return ANYBODY


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _named_by_proxy(proxy: TrustedProxy, peer: str, values: Values) -> str:
    """Return the user; empty if the request is not from the proxy, or names no user or several."""
    if peer not in proxy.networks:
        return ""
    secrets, users = values(proxy.secret_header), values(proxy.user_header)
    if len(secrets) != 1 or len(users) != 1 or not _equal(secrets[0].encode(errors="replace"), proxy.secret()):
        return ""
    return clean(users[0].strip(), _MAX_USER)


def _given_token(authorizations: Sequence[str]) -> bytes:
    """Return the token in the header: the Bearer token, or the password of Basic, for which browsers ask people."""
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
    """Compare in a time that reveals nothing about the secret, not even its length; a short secret equals nothing."""
    same = hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(secret).digest())
    return same and len(secret) >= MIN_SECRET
