"""A Gateway to what is registered of it.

A `ws` LNS gets no credentials: a Basics Station cannot parse a set without a trust certificate (its `sys_credComplete`
asks for a DER sequence first) and sends a token over TLS alone, so a token for a `ws` LNS is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from stationkeeper_core.credentials import check_uri, parse_token, server_authentication, token_authentication
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex, parse_hex
from stationkeeper_core.pem import Certificate
from stationkeeper_core.published import RegisteredGateway
from stationkeeper_operator.compiling.candidate import Candidate, Problems, read_fingerprint
from stationkeeper_operator.compiling.certificate_rules import expired, read_certificates, show
from stationkeeper_operator.compiling.client_tokens import ClientTokens, read_tokens, remaining_tokens
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources import TRUSTED_CA, Gateway, Key
from stationkeeper_operator.specs import LNS

_SCHEMES = ("wss", "ws")
_Names = tuple[str, ...] | None
Endpoint = tuple[str, bytes, str]
"""The URI, the credentials, and what the author should know, else empty."""


@dataclass(frozen=True)
class _Part:
    """What could be read of a spec.

    Attributes:
        trusted_cas: names; None where it cannot be read or says nothing, and so takes nothing away.
        sha256_fingerprints: likewise.
        lns: the URI and the credentials; None where they cannot be used.
        notes: what the author should know.
        tokens: those of its client; None where the spec cannot be decoded.
    """

    trusted_cas: _Names
    sha256_fingerprints: _Names
    lns: tuple[str, bytes] | None
    notes: tuple[str, ...]
    tokens: ClientTokens | None = None


def claimed_eui(resource: Gateway, previous: RegisteredGateway | None) -> EUI64 | None:
    """The EUI that a Gateway claims, be its spec otherwise usable or not; None where it cannot be told."""
    text = resource.spec.eui if resource.spec is not None else previous.eui if previous is not None else ""
    return parse_hex(text)


def compile_gateway(
    resource: Gateway,
    world: World,
    previous: RegisteredGateway | None,
    now: datetime,
    default_lns: Callable[[Gateway], Endpoint],
) -> Candidate[RegisteredGateway]:
    """What is to be published of the Gateway that has its EUI to itself.

    Args:
        resource: the Gateway.
        world: where its references are looked up.
        previous: what is in force of the same resource, None where nothing is.
        now: to tell whether the LNS' trust has expired; aware.
        default_lns: gives the LNS of a Gateway whose spec has none; raises `LNSMissing`.
    """
    eui = claimed_eui(resource, previous)
    if eui is None:
        return Candidate(resource, None, None, _no_eui(resource))
    held = previous if previous is not None and previous.eui == format_hex(eui) else None
    problems = Problems()
    part = _read(resource, world, problems, now, default_lns)
    kept = _reduced(held, part) if held is not None and held.lns_uri else None
    refusal = problems.refusal
    wanted = None if refusal else _gateway(resource, eui, part)
    if resource.suspended:
        bare = _gateway(resource, eui, _Part(None, None, None, ()))
        return _suspended(resource, bare, wanted or kept, kept or (held and bare), refusal)
    return Candidate(resource, wanted, kept, refusal, "; ".join(part.notes))


def _no_eui(resource: Gateway) -> StationkeeperError:
    detail = resource.problem or f"eui: {resource.spec.eui[:40] if resource.spec else ''!a} is not 16 hex digits"
    return StationkeeperError(Reason.INVALID_SPEC, detail)


def _suspended(
    resource: Gateway,
    bare: RegisteredGateway,
    wanted: RegisteredGateway | None,
    kept: RegisteredGateway | None,
    refusal: StationkeeperError | None,
) -> Candidate[RegisteredGateway]:
    """Registered as suspended whatever the rest of the spec is like; a record without LNS is never fallen back on."""
    detail = "spec.suspended is true: the gateway is refused"
    if refusal is not None:
        detail = f"{detail}; besides, {refusal.detail}"
    return Candidate(
        resource,
        replace(wanted or bare, suspended=True),
        kept and replace(kept, suspended=True),
        StationkeeperError(Reason.SUSPENDED, detail),
        shrunk=kept and replace(bare, suspended=True),
    )


def _gateway(resource: Gateway, eui: EUI64, part: _Part) -> RegisteredGateway:
    uri, credentials = part.lns or ("", b"")
    tokens = part.tokens.usable if part.tokens is not None else ()
    return RegisteredGateway(
        eui=format_hex(eui),
        namespace=resource.metadata.namespace,
        name=resource.metadata.name,
        uid=resource.metadata.uid,
        trusted_cas=part.trusted_cas,
        sha256_fingerprints=part.sha256_fingerprints,
        lns_uri=uri,
        lns_credentials=credentials,
        token_sha256s=tuple(digest for _, digest in tokens),
        token_sources=tuple(source for source, _ in tokens),
    )


def _reduced(previous: RegisteredGateway, part: _Part) -> RegisteredGateway:
    tokens = remaining_tokens(previous, part.tokens)
    return replace(
        previous,
        trusted_cas=_common(previous.trusted_cas, part.trusted_cas),
        sha256_fingerprints=_common(previous.sha256_fingerprints, part.sha256_fingerprints),
        token_sha256s=tuple(digest for _, digest in tokens),
        token_sources=tuple(source for source, _ in tokens),
    )


def _common(held: _Names, listed: _Names) -> _Names:
    if held is None or listed is None:
        return listed if held is None else held
    return tuple(each for each in held if each in listed)


def _read(
    resource: Gateway, world: World, problems: Problems, now: datetime, default_lns: Callable[[Gateway], Endpoint]
) -> _Part:
    spec = resource.spec
    if spec is None:
        problems.found.append(StationkeeperError(Reason.INVALID_SPEC, resource.problem))
        return _Part(None, None, None, ())
    namespace = resource.metadata.namespace
    names = spec.client.trusted_cas if spec.client else None
    pins = spec.client.sha256_fingerprints if spec.client else None
    trusted_cas = problems.attempt(lambda: _names(names, namespace))
    fingerprints = problems.attempt(lambda: _pins(pins))
    tokens = read_tokens(spec.client, namespace, world, problems)
    lns = problems.attempt(
        lambda: default_lns(resource) if spec.lns is None else compile_lns(spec.lns, namespace, world, now)
    )
    notes = (*_unknown_authorities(trusted_cas, world), *((lns[2],) if lns and lns[2] else ()))
    return _Part(trusted_cas, fingerprints, lns and lns[:2], notes, tokens)


def _names(listed: _Names, namespace: str) -> _Names:
    if listed is None:
        return None
    _not_empty(listed, "client.trustedCAs")
    found = {text if "/" in text else f"{namespace}/{text}" for text in listed}
    for text in found:
        owner, _, name = text.partition("/")
        if not owner or not name or "/" in name:
            raise StationkeeperError(
                Reason.INVALID_SPEC, f"client.trustedCAs: {text[:128]!a} is neither name nor namespace/name"
            )
    return tuple(sorted(found))


def _pins(listed: _Names) -> _Names:
    if listed is None:
        return None
    _not_empty(listed, "client.sha256Fingerprints")
    return tuple(sorted({read_fingerprint(text, "client.sha256Fingerprints") for text in listed}))


def _not_empty(listed: tuple[str, ...], field: str) -> None:
    if not listed:
        raise StationkeeperError(Reason.INVALID_SPEC, f"{field} is empty; leave it out to allow all")


def _unknown_authorities(names: _Names, world: World) -> tuple[str, ...]:
    unknown = [name for name in names or () if Key(TRUSTED_CA, *name.split("/", 1)) not in world.resources]
    return (f"client.trustedCAs names {unknown[0]!a}, which does not exist",) if unknown else ()


def compile_lns(lns: LNS, namespace: str, world: World, now: datetime) -> Endpoint:
    """What a gateway is told of the LNS that a spec in `namespace` writes down.

    Raises:
        StationkeeperError: it cannot be used.
    """
    _check_uri(lns.uri)
    has_trust = lns.trust is not None or lns.trust_from is not None
    if lns.uri.startswith("ws://"):
        if lns.auth is not None and lns.auth.token is not None:
            raise StationkeeperError(
                Reason.URI_INVALID,
                "lns.uri is ws://, over which a Basics Station sends no token; write wss://host:port",
            )
        return lns.uri, b"", "lns.trust is of no use with ws:// and is not delivered" if has_trust else ""
    if not has_trust:
        raise StationkeeperError(Reason.TRUST_MISSING, "lns.uri is wss:// but there is neither lns.trust nor trustFrom")
    trust = _trust(lns, namespace, world)
    past = expired((trust,), now)
    note = f"the LNS' trust {show(past)} has expired: gateways will refuse that LNS" if past else ""
    return lns.uri, _credentials(lns, trust.der, namespace, world), note


def _check_uri(uri: str) -> None:
    try:
        check_uri(uri, _SCHEMES)
    except StationkeeperError as error:
        raise StationkeeperError(error.reason, f"lns.uri: {error.detail}") from None


def _trust(lns: LNS, namespace: str, world: World) -> Certificate:
    if lns.trust is not None and lns.trust_from is not None:
        raise StationkeeperError(Reason.INVALID_SPEC, "lns needs exactly one of trust and trustFrom")
    if lns.trust_from is not None:
        field, text = "lns.trustFrom", world.read_text(namespace, lns.trust_from, "lns.trustFrom")
    else:
        field, text = "lns.trust", lns.trust or ""
    found = read_certificates(text, field, Reason.MALFORMED_PEM)
    if len(found) > 1:
        raise StationkeeperError(
            Reason.TRUST_AMBIGUOUS, f"{field} holds {len(found)} certificates, a Basics Station takes exactly one"
        )
    return found[0]


def _credentials(lns: LNS, trust: bytes, namespace: str, world: World) -> bytes:
    if lns.auth is None or lns.auth.token is None:
        return server_authentication(trust)
    content = world.read(namespace, lns.auth.token, "lns.auth.token")
    try:
        return token_authentication(trust, parse_token(content))
    except StationkeeperError as error:
        raise StationkeeperError(error.reason, f"lns.auth.token: {error.detail}") from None
