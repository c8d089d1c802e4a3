import base64
import ipaddress
from collections.abc import Mapping, Sequence

import pytest

from stationkeeper_cups.accepting.peer_address import Networks
from stationkeeper_tools.page.access import ANYBODY, BY_TOKEN, Access, Refused, TrustedProxy, authenticate, is_loopback

TOKEN = b"0123456789abcdef0123456789abcdef"
SECRET = b"proxy-secret-proxy-secret"
PROXY = TrustedProxy(
    Networks([ipaddress.ip_network("10.0.3.0/24")]), "X-Forwarded-User", "X-Proxy-Secret", lambda: SECRET
)
OPEN, BY_A_TOKEN = Access(), Access(lambda: TOKEN)
BY_A_PROXY, BOTH = Access(proxy=PROXY), Access(lambda: TOKEN, PROXY)

Headers = Mapping[str, Sequence[str]]


def basic(password: bytes, user: bytes = b"anybody") -> str:
    return "Basic " + base64.b64encode(user + b":" + password).decode()


def bearer(token: bytes) -> Headers:
    return {"Authorization": [f"Bearer {token.decode()}"]}


def by_proxy(user: str = "ada", secret: bytes = SECRET) -> Headers:
    return {"X-Forwarded-User": [user], "X-Proxy-Secret": [secret.decode()]}


LET_IN: dict[str, tuple[Access, str, Headers, str]] = {
    "this machine": (OPEN, "127.0.0.1", {"Host": ["localhost:8090"]}, ANYBODY),
    "this machine by its address": (OPEN, "127.0.0.1", {"Host": ["127.0.0.1"]}, ANYBODY),
    "this machine over IPv6": (OPEN, "::1", {"Host": ["[::1]:8090"]}, ANYBODY),
    "a forwarded port": (OPEN, "::ffff:127.0.0.1", {"Host": ["LOCALHOST:1"]}, ANYBODY),
    "a token": (BY_A_TOKEN, "10.9.9.9", bearer(TOKEN), BY_TOKEN),
    "a token as a password": (BY_A_TOKEN, "10.9.9.9", {"Authorization": [basic(TOKEN)]}, BY_TOKEN),
    "a scheme in other letters": (BY_A_TOKEN, "10.9.9.9", {"Authorization": [f"bEARER {TOKEN.decode()}"]}, BY_TOKEN),
    "a proxy": (BY_A_PROXY, "10.0.3.7", by_proxy(), "ada"),
    "a proxy's IPv4 on a socket for IPv6": (BY_A_PROXY, "::ffff:10.0.3.7", by_proxy(), "ada"),
    "a proxy beside a token": (BOTH, "10.0.3.7", by_proxy(), "ada"),
    "a token beside a proxy": (BOTH, "10.9.9.9", bearer(TOKEN), BY_TOKEN),
    "a token by the proxy": (BOTH, "10.0.3.7", bearer(TOKEN), BY_TOKEN),
}
REFUSED: dict[str, tuple[Access, str, Headers, bool]] = {
    "another machine if nobody is asked": (OPEN, "10.9.9.9", {"Host": ["localhost"]}, False),
    "a website whose name leads here": (OPEN, "127.0.0.1", {"Host": ["evil.example.com:8090"]}, False),
    "a website whose name begins so": (OPEN, "127.0.0.1", {"Host": ["localhost.example.com"]}, False),
    "no Host": (OPEN, "127.0.0.1", {}, False),
    "two Hosts": (OPEN, "127.0.0.1", {"Host": ["localhost", "evil.example.com"]}, False),
    "no token": (BY_A_TOKEN, "10.9.9.9", {}, True),
    "no token on this machine": (BY_A_TOKEN, "127.0.0.1", {"Host": ["localhost"]}, True),
    "a wrong token": (BY_A_TOKEN, "10.9.9.9", bearer(TOKEN[:-1] + b"0"), True),
    "a part of the token": (BY_A_TOKEN, "10.9.9.9", bearer(TOKEN[:-1]), True),
    "an empty token": (BY_A_TOKEN, "10.9.9.9", {"Authorization": ["Bearer "]}, True),
    "two tokens": (BY_A_TOKEN, "10.9.9.9", {"Authorization": [f"Bearer {TOKEN.decode()}"] * 2}, True),
    "the token as a user": (BY_A_TOKEN, "10.9.9.9", {"Authorization": [basic(b"", TOKEN)]}, True),
    "what is no base64": (BY_A_TOKEN, "10.9.9.9", {"Authorization": ["Basic \udcff\xff"]}, True),
    "a scheme that nobody knows": (BY_A_TOKEN, "10.9.9.9", {"Authorization": [f"Digest {TOKEN.decode()}"]}, True),
    "a token file that cannot be read": (Access(lambda: b""), "10.9.9.9", {"Authorization": ["Bearer "]}, True),
    "a token that is too short": (Access(lambda: b"short"), "10.9.9.9", bearer(b"short"), True),
    "headers of a proxy if none is trusted": (BY_A_TOKEN, "10.0.3.7", by_proxy(), True),
    "headers of a proxy from elsewhere": (BY_A_PROXY, "10.9.9.9", by_proxy(), False),
    "headers of a proxy from this machine": (BY_A_PROXY, "127.0.0.1", by_proxy(), False),
    "a neighbour of the proxy without its secret": (BY_A_PROXY, "10.0.3.7", by_proxy(secret=b"x" * 24), False),
    "no secret": (BY_A_PROXY, "10.0.3.7", {"X-Forwarded-User": ["ada"]}, False),
    "no user": (BY_A_PROXY, "10.0.3.7", {"X-Proxy-Secret": [SECRET.decode()]}, False),
    "an empty user": (BY_A_PROXY, "10.0.3.7", by_proxy(user=" "), False),
    "two users": (BY_A_PROXY, "10.0.3.7", {**by_proxy(), "X-Forwarded-User": ["ada", "eve"]}, False),
    "two secrets": (BY_A_PROXY, "10.0.3.7", {**by_proxy(), "X-Proxy-Secret": [SECRET.decode()] * 2}, False),
    "a proxy's secret that cannot be read": (
        Access(proxy=TrustedProxy(PROXY.networks, PROXY.user_header, PROXY.secret_header, lambda: b"")),
        "10.0.3.7",
        by_proxy(secret=b""),
        False,
    ),
}


def asked(access: Access, peer: str, headers: Headers) -> str | Refused:
    known = {name.lower(): each for name, each in headers.items()}
    return authenticate(access, peer, lambda name: known.get(name.lower(), ()))


@pytest.mark.parametrize(("access", "peer", "headers", "who"), LET_IN.values(), ids=LET_IN)
def test_accepted_requests(access: Access, peer: str, headers: Headers, who: str) -> None:
    assert asked(access, peer, headers) == who


@pytest.mark.parametrize(("access", "peer", "headers", "wants_token"), REFUSED.values(), ids=REFUSED)
def test_refused_requests(access: Access, peer: str, headers: Headers, wants_token: bool) -> None:
    found = asked(access, peer, headers)
    assert isinstance(found, Refused)
    assert found.wants_token is wants_token
    assert TOKEN.decode() not in found.why
    assert SECRET.decode() not in found.why


def test_a_user_s_name_is_bounded_and_printable() -> None:
    assert asked(BY_A_PROXY, "10.0.3.7", by_proxy(user="a\x1b" * 1000)) == "a?" * 64


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.9.9.9", "localhost"])
def test_only_the_machine_itself_connects_to_a_loopback_address(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "", "localhost.example.com"])
def test_others_connect_to_any_other_address(host: str) -> None:
    assert not is_loopback(host)
