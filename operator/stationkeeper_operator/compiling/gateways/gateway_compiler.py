"""Compile a Gateway into its registered record."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, eui_asked_by_station, format_hex, parse_hex
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.x509.revoked_names import parse_fingerprint
from stationkeeper_operator.compiling.candidate import Candidate, Problems
from stationkeeper_operator.compiling.gateways.client_tokens import ClientTokens, read_tokens, remaining_tokens
from stationkeeper_operator.compiling.gateways.endpoint_compiler import Target, compile_cups, compile_lns
from stationkeeper_operator.compiling.gateways.own_cups import OwnCUPS
from stationkeeper_operator.compiling.trust.authority_keys import AuthorityKeys, client_of
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import TRUSTED_CA, Gateway, Key
from stationkeeper_operator.resources.specs import GatewaySpec

_Names = tuple[str, ...] | None
_NO_TARGET = Target("", b"")
_TRAFFIC = "it keeps the LNS credentials that it has: to end its traffic, revoke its key at the LNS"

DefaultLNS = Callable[[Gateway], Target]


@dataclass(frozen=True)
class CompileContext:
    """The input that all Gateways of one compile share.

    Attributes:
        world: holds its references.
        now: the time, aware; for the expiry of its servers' certificates.
        default_lns: returns the LNS of a Gateway without one in its spec; raises `LNSMissing`.
        keys: the keys of the TrustedCAs, which no gateway may get.
        own_cups: this release's CUPS; a gateway must not be moved there if CUPS would refuse it. None if not known.
    """

    world: World
    now: datetime
    default_lns: DefaultLNS
    keys: AuthorityKeys
    own_cups: OwnCUPS | None = None


@dataclass(frozen=True)
class _Part:
    """The readable parts of a spec.

    Attributes:
        trusted_cas: names; None if the field is unreadable or missing, which takes nothing away.
        sha256_fingerprints: fingerprints; None in the same cases.
        lns, cups: its servers; None if there is none, or if it cannot be used.
        notes: notes for the author.
        tokens: the tokens of `spec.client`; None if the spec cannot be decoded.
    """

    trusted_cas: _Names = None
    sha256_fingerprints: _Names = None
    lns: Target | None = None
    cups: Target | None = None
    notes: tuple[str, ...] = ()
    tokens: ClientTokens | None = None


def claimed_eui(resource: Gateway, previous: RegisteredGateway | None) -> EUI64 | None:
    """Return the EUI that a Gateway claims, even with an invalid spec; None if it is not known."""
    text = resource.spec.eui if resource.spec is not None else previous.eui if previous is not None else ""
    return parse_hex(text)


def compile_gateway(
    resource: Gateway, previous: RegisteredGateway | None, context: CompileContext
) -> Candidate[RegisteredGateway]:
    """Compile the Gateway that has its EUI in its namespace.

    Args:
        resource: the Gateway.
        previous: the record in force of the same resource; None if there is none.
        context: the input that all Gateways of one compile share.
    """
    eui = claimed_eui(resource, previous)
    if eui is None:
        return Candidate(resource, None, None, _no_eui(resource))
    in_force = previous if previous is not None and previous.eui == format_hex(eui) else None
    if in_force is not None and _gives_away(in_force, context.keys):
        in_force = None
    problems = Problems()
    part = _read(resource, context, problems)
    fallback = _reduced(in_force, part) if in_force is not None and (in_force.lns_uri or in_force.cups_uri) else None
    own = context.own_cups
    if own is not None and not resource.suspended and part.cups is not None:
        problems.attempt(lambda: own.check(_gateway(resource, eui, part)))
        fallback = fallback and _without_refused_move(fallback, own)
    refusal = problems.refusal
    desired = None if refusal else _shared(_gateway(resource, eui, part), in_force)
    fallback = fallback and _shared(fallback, desired, in_force)
    if resource.suspended:
        bare = _gateway(resource, eui, _Part())
        return _suspended(resource, bare, desired or fallback, fallback or (in_force and bare), refusal)
    return Candidate(resource, desired, fallback, refusal, "; ".join((*_read_as_mac(eui), *part.notes)))


def _shared(record: RegisteredGateway, *others: RegisteredGateway | None) -> RegisteredGateway:
    """Return an equal record of `others`, so that it is in memory once; else `record`."""
    return next((each for each in others if each == record), record)


def _without_refused_move(fallback: RegisteredGateway, own: OwnCUPS) -> RegisteredGateway:
    """Return `fallback` without CUPS credentials that CUPS would now refuse; the gateway keeps those that it has."""
    try:
        own.check(fallback)
    except StationkeeperError:
        return replace(fallback, cups_credentials=b"")
    return fallback


def _gives_away(record: RegisteredGateway, keys: AuthorityKeys) -> bool:
    """Return whether the record in force has a key that by now is the key of a CA."""
    clients = (client_of(blob) for blob in (record.lns_credentials, record.cups_credentials) if blob)
    return any(each is not None and (each.is_authority or keys.has(each, record.namespace)) for each in clients)


def _no_eui(resource: Gateway) -> StationkeeperError:
    detail = resource.problem or f"eui: {resource.spec.eui[:40] if resource.spec else ''!a} is not 16 hex digits"
    return StationkeeperError(Reason.INVALID_SPEC, detail)


def _read_as_mac(eui: EUI64) -> tuple[str, ...]:
    asked = eui_asked_by_station(eui)
    if asked == eui:
        return ()
    return (
        f"eui begins with 0000, so a Basics Station reads it as a MAC: with this EUI, it asks as "
        f"{format_hex(asked)}; register that EUI",
    )


def _suspended(
    resource: Gateway,
    bare: RegisteredGateway,
    desired: RegisteredGateway | None,
    fallback: RegisteredGateway | None,
    refusal: StationkeeperError | None,
) -> Candidate[RegisteredGateway]:
    """Return a suspended candidate for any spec; a record without a server is never used as the fallback."""
    detail = f"spec.suspended is true: the gateway is refused; {_TRAFFIC}"
    if refusal is not None:
        detail = f"{detail}; besides, {refusal.detail}"
    return Candidate(
        resource,
        replace(desired or bare, suspended=True),
        fallback and replace(fallback, suspended=True),
        StationkeeperError(Reason.SUSPENDED, detail),
        minimal=fallback and replace(bare, suspended=True),
    )


def _gateway(resource: Gateway, eui: EUI64, part: _Part) -> RegisteredGateway:
    lns, cups = part.lns or _NO_TARGET, part.cups or _NO_TARGET
    tokens = part.tokens.usable if part.tokens is not None else ()
    spelled, text = format_hex(eui), resource.spec.eui if resource.spec is not None else ""
    return RegisteredGateway(
        # Use the text of the spec if it is equal: it is in memory already.
        eui=text if text == spelled else spelled,
        namespace=resource.metadata.namespace,
        name=resource.metadata.name,
        uid=resource.metadata.uid,
        trusted_cas=part.trusted_cas,
        sha256_fingerprints=part.sha256_fingerprints,
        lns_uri=lns.uri,
        lns_credentials=lns.credentials,
        cups_uri=cups.uri,
        cups_credentials=cups.credentials,
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


def _common(in_force: _Names, listed: _Names) -> _Names:
    if in_force is None or listed is None:
        return listed if in_force is None else in_force
    return tuple(each for each in in_force if each in listed)


def _read(resource: Gateway, context: CompileContext, problems: Problems) -> _Part:
    spec, world = resource.spec, context.world
    if spec is None:
        problems.errors.append(StationkeeperError(Reason.INVALID_SPEC, resource.problem))
        return _Part()
    namespace = resource.metadata.namespace
    names = spec.client.trusted_cas if spec.client else None
    pins = spec.client.sha256_fingerprints if spec.client else None
    trusted_cas = problems.attempt(lambda: _names(names, namespace))
    fingerprints = problems.attempt(lambda: _pins(pins))
    tokens = read_tokens(spec.client, namespace, world, problems)
    lns = problems.attempt(lambda: _lns(resource, spec, context))
    cups = problems.attempt(lambda: _cups(spec, namespace, context))
    servers = (*(lns or _NO_TARGET).notes, *(cups or _NO_TARGET).notes)
    notes = (*_unknown_authorities(trusted_cas, namespace, world), *tokens.notes, *servers)
    return _Part(trusted_cas, fingerprints, lns, cups, notes, tokens)


def _names(listed: _Names, namespace: str) -> _Names:
    if listed is None:
        return None
    _not_empty(listed, "client.trustedCAs")
    names = {text if "/" in text else f"{namespace}/{text}" for text in listed}
    for text in names:
        owner, _, name = text.partition("/")
        if not owner or not name or "/" in name:
            raise StationkeeperError(
                Reason.INVALID_SPEC, f"client.trustedCAs: {text[:128]!a} is neither name nor namespace/name"
            )
    return tuple(sorted(names))


def _pins(listed: _Names) -> _Names:
    if listed is None:
        return None
    _not_empty(listed, "client.sha256Fingerprints")
    return tuple(sorted({parse_fingerprint(text, "client.sha256Fingerprints") for text in listed}))


def _not_empty(listed: tuple[str, ...], field: str) -> None:
    if not listed:
        raise StationkeeperError(Reason.INVALID_SPEC, f"{field} is empty; leave it out to allow all")


def _unknown_authorities(names: _Names, namespace: str, world: World) -> tuple[str, ...]:
    """Return a note on a name without effect; it does not reveal whether another tenant has such a TrustedCA."""
    for name in names or ():
        key = Key(TRUSTED_CA, *name.split("/", 1))
        if key.namespace not in {namespace, world.release_namespace}:
            return (f"client.trustedCAs names {name!a}, of a namespace that never speaks for this one",)
        if key not in world.resources:
            return (f"client.trustedCAs names {name!a}, which does not exist",)
    return ()


def _cups(spec: GatewaySpec, namespace: str, context: CompileContext) -> Target | None:
    return None if spec.cups is None else compile_cups(spec.cups, namespace, context.world, context.now, context.keys)


def _lns(resource: Gateway, spec: GatewaySpec, context: CompileContext) -> Target | None:
    """Return the LNS of the gateway; None if it is only moved to another CUPS server."""
    if spec.lns is not None:
        return compile_lns(spec.lns, resource.metadata.namespace, context.world, context.now, context.keys)
    if spec.cups is not None and context.world.defaults_of(resource) is None:
        return None
    return context.default_lns(resource)
