"""Authorize a client without a certificate by a token to speak for the gateway that its request names.

As with certificates, the steps are functions in one table, and the first step that fails decides. `token_is_compared`
refuses nobody, and comes before all steps that depend on the registry. It takes the same time with and without such a
gateway, and for each of its tokens. A refusal reveals nothing either: `TokenRefused` is the answer in all these cases,
and only its detail, in the log, says which case it was.

Several namespaces may each have a Gateway with the EUI. The request means the one with this token, the first in order
of rank and namespace. A reservation has no token, so it never accepts a client.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.protocol.credentials import parse_token
from stationkeeper_core.published.documents import RegisteredGateway

MAX_TOKENS = 4
MAX_COMPARED = 8
"""The maximum number of Gateways with one EUI for which a comparison takes the same time."""
MIN_SECRET_BYTES = 16

_NO_DIGEST = "-" * 64


@dataclass(frozen=True)
class TokenClaim:
    """A client's claim to be a gateway, and the results of the steps so far.

    Attributes:
        headers: the values of the `Authorization` headers of the request; there should be one.
        router: the EUI that the request names.
        gateway: after the comparison, the Gateway with this token, else the first with that EUI.
        match: after the comparison, the number of the matching token of that Gateway, None if none matches.
    """

    headers: tuple[bytes, ...]
    router: EUI64
    gateway: RegisteredGateway | None = None
    match: int | None = None

    def __repr__(self) -> str:
        return f"TokenClaim(router={format_hex(self.router)})"

    @property
    def registered(self) -> RegisteredGateway:
        """The Gateway; only steps after `gateway_is_registered` may use it."""
        if self.gateway is None:
            raise LookupError("a step that needs the gateway ran before it was looked up")
        return self.gateway


@dataclass(frozen=True)
class TokenGrant:
    """The result of a successful authorization by token.

    Attributes:
        gateway: the Gateway that the client may speak for.
        source: `name/key` of the Secret with the token; empty if that is not published.
    """

    gateway: RegisteredGateway
    source: str


Step = Callable[[TokenClaim, Snapshot], TokenClaim]


def token_sha256(content: bytes) -> str:
    """Return the digest by which a token is registered, in lower-case hex, from the content of a Secret's key.

    It is the digest of the value after `Authorization: `, with the scheme's word. Other header lines do not count.

    Args:
        content: in the form that `parse_token` takes.

    Raises:
        StationkeeperError: `TokenInvalid` or `TokenTooShort`; the detail does not repeat the token.
    """
    value = parse_token(content).partition(b": ")[2].partition(b"\r\n")[0]
    scheme, space, secret = value.partition(b" ")
    length = len(secret.strip() if space else scheme)
    if length < MIN_SECRET_BYTES:
        raise StationkeeperError(
            Reason.TOKEN_TOO_SHORT,
            f"the token has {length} bytes, besides a word such as Bearer; make one of at least {MIN_SECRET_BYTES}"
            " at random, such as by `openssl rand -hex 32`",
        )
    return _digest(value)


def authorize_by_token(claim: TokenClaim, snapshot: Snapshot) -> TokenGrant:
    """Return the Gateway that a client without a certificate may speak for, and the source of its token.

    Args:
        claim: the token and the EUI of the request.
        snapshot: the snapshot that decides.

    Raises:
        StationkeeperError: `TokenMissing` or `TokenRefused`.
    """
    for step in STEPS:
        claim = step(claim, snapshot)
    return TokenGrant(claim.registered, _source(claim))


def one_token_is_presented(claim: TokenClaim, _snapshot: Snapshot) -> TokenClaim:
    """Refuse a request without a token, or with several."""
    if not claim.headers:
        raise StationkeeperError(Reason.TOKEN_MISSING, "the client sent neither a certificate nor a token")
    if len(claim.headers) > 1:
        raise _refused(claim, f"the request has {len(claim.headers)} Authorization headers")
    return claim


def token_is_compared(claim: TokenClaim, snapshot: Snapshot) -> TokenClaim:
    """Find the Gateway with this token; refuse nobody."""
    holders = snapshot.registry.holders(claim.router)
    gateways = [each for each in holders if isinstance(each, RegisteredGateway)]
    presented = _digest(claim.headers[0]).encode()
    places = [_match(presented, each.token_sha256s) for each in gateways]
    for _ in range(MAX_COMPARED - len(gateways)):
        _match(presented, ())
    fitting = ((each, place) for each, place in zip(gateways, places, strict=True) if place is not None)
    gateway, match = next(fitting, (gateways[0] if gateways else None, None))
    return replace(claim, gateway=gateway, match=match)


def gateway_is_registered(claim: TokenClaim, _snapshot: Snapshot) -> TokenClaim:
    """Refuse an EUI without a Gateway."""
    if claim.gateway is None:
        raise _refused(claim, "there is no accepted Gateway with that EUI")
    return claim


def gateway_is_not_suspended(claim: TokenClaim, _snapshot: Snapshot) -> TokenClaim:
    """Refuse a suspended Gateway."""
    if claim.registered.suspended:
        raise _refused(claim, f"Gateway {_name(claim)} is suspended")
    return claim


def gateway_has_tokens(claim: TokenClaim, _snapshot: Snapshot) -> TokenClaim:
    """Refuse a Gateway without tokens."""
    if not claim.registered.token_sha256s:
        raise _refused(claim, f"Gateway {_name(claim)} has no token")
    return claim


def a_token_matches(claim: TokenClaim, _snapshot: Snapshot) -> TokenClaim:
    """Refuse a token that no Gateway with that EUI has."""
    if claim.match is None:
        raise _refused(claim, f"it is not a token of Gateway {_name(claim)}")
    return claim


STEPS: tuple[Step, ...] = (
    one_token_is_presented,
    token_is_compared,
    gateway_is_registered,
    gateway_is_not_suspended,
    gateway_has_tokens,
    a_token_matches,
)


def _match(presented: bytes, known: tuple[str, ...]) -> int | None:
    padding = (_NO_DIGEST,) * (MAX_TOKENS - len(known))
    found = [hmac.compare_digest(presented, each.encode()) for each in (*known, *padding)]
    return found.index(True) if any(found) else None


def _refused(claim: TokenClaim, found: str) -> StationkeeperError:
    return StationkeeperError(Reason.TOKEN_REFUSED, f"for {format_hex(claim.router)}: {found}")


def _source(claim: TokenClaim) -> str:
    sources = dict(enumerate(claim.registered.token_sources))
    return sources.get(claim.match, "") if claim.match is not None else ""


def _name(claim: TokenClaim) -> str:
    return f"{claim.registered.namespace}/{claim.registered.name}"


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
