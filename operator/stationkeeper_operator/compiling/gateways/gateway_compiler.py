"""A Gateway to what is registered of it."""

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
_NOWHERE = Target("", b"")
_TRAFFIC = "it keeps the LNS credentials that it has: to end its traffic, take its key away at the LNS"

DefaultLNS = Callable[[Gateway], Target]


@dataclass(frozen=True)
class Surroundings:
    """What a Gateway is compiled in.

    Attributes:
        world: where its references are looked up.
        now: to tell whether a certificate of its servers has expired; aware.
        default_lns: gives the LNS of a Gateway whose spec has none; raises `LNSMissing`.
        keys: of the TrustedCAs, which no gateway is given.
        own_cups: this release's CUPS, which a gateway must not be moved to only to be refused; None for none to know.
    """

    world: World
    now: datetime
    default_lns: DefaultLNS
    keys: AuthorityKeys
    own_cups: OwnCUPS | None = None


@dataclass(frozen=True)
class _Part:
    """What could be read of a spec.

    Attributes:
        trusted_cas: names; None where it cannot be read or says nothing, and so takes nothing away.
        sha256_fingerprints: likewise.
        lns, cups: the servers that it is told of; None where there is none, or it cannot be used.
        notes: what the author should know.
        tokens: those of its client; None where the spec cannot be decoded.
    """

    trusted_cas: _Names = None
    sha256_fingerprints: _Names = None
    lns: Target | None = None
    cups: Target | None = None
    notes: tuple[str, ...] = ()
    tokens: ClientTokens | None = None


def claimed_eui(resource: Gateway, previous: RegisteredGateway | None) -> EUI64 | None:
    """The EUI that a Gateway claims, be its spec otherwise usable or not; None where it cannot be told."""
    text = resource.spec.eui if resource.spec is not None else previous.eui if previous is not None else ""
    return parse_hex(text)


def compile_gateway(
    resource: Gateway, previous: RegisteredGateway | None, around: Surroundings
) -> Candidate[RegisteredGateway]:
    """What is to be published of the Gateway that has its EUI to itself.

    Args:
        resource: the Gateway.
        previous: what is in force of the same resource, None where nothing is.
        around: what it is compiled in.
    """
    eui = claimed_eui(resource, previous)
    if eui is None:
        return Candidate(resource, None, None, _no_eui(resource))
    held = previous if previous is not None and previous.eui == format_hex(eui) else None
    if held is not None and _gives_away(held, around.keys):
        held = None
    problems = Problems()
    part = _read(resource, around, problems)
    fallback = _reduced(held, part) if held is not None and (held.lns_uri or held.cups_uri) else None
    own = around.own_cups
    if own is not None and not resource.suspended and part.cups is not None:
        problems.attempt(lambda: own.check(_gateway(resource, eui, part)))
        fallback = fallback and _without_refused_move(fallback, own)
    refusal = problems.refusal
    desired = None if refusal else _shared(_gateway(resource, eui, part), held)
    fallback = fallback and _shared(fallback, desired, held)
    if resource.suspended:
        bare = _gateway(resource, eui, _Part())
        return _suspended(resource, bare, desired or fallback, fallback or (held and bare), refusal)
    return Candidate(resource, desired, fallback, refusal, "; ".join((*_read_as_mac(eui), *part.notes)))


def _shared(record: RegisteredGateway, *others: RegisteredGateway | None) -> RegisteredGateway:
    """`record`, or the equal one among `others`: nearly always all are equal, and one takes less memory."""
    return next((each for each in others if each == record), record)


def _without_refused_move(fallback: RegisteredGateway, own: OwnCUPS) -> RegisteredGateway:
    """`fallback` without credentials that would not let the gateway in any more; those that it has, it keeps."""
    try:
        own.check(fallback)
    except StationkeeperError:
        return replace(fallback, cups_credentials=b"")
    return fallback


def _gives_away(held: RegisteredGateway, keys: AuthorityKeys) -> bool:
    """Whether what is in force has the key of a certificate authority, as since then that became a TrustedCA's."""
    found = (client_of(blob) for blob in (held.lns_credentials, held.cups_credentials) if blob)
    return any(each is not None and (each.is_authority or keys.has(each, held.namespace)) for each in found)


def _no_eui(resource: Gateway) -> StationkeeperError:
    detail = resource.problem or f"eui: {resource.spec.eui[:40] if resource.spec else ''!a} is not 16 hex digits"
    return StationkeeperError(Reason.INVALID_SPEC, detail)


def _read_as_mac(eui: EUI64) -> tuple[str, ...]:
    asked = eui_asked_by_station(eui)
    if asked == eui:
        return ()
    return (
        f"eui begins with 0000, which a Basics Station takes for a MAC: given this EUI, it asks as "
        f"{format_hex(asked)}, and that is the one to register",
    )


def _suspended(
    resource: Gateway,
    bare: RegisteredGateway,
    desired: RegisteredGateway | None,
    fallback: RegisteredGateway | None,
    refusal: StationkeeperError | None,
) -> Candidate[RegisteredGateway]:
    """Registered as suspended whatever else the spec says; a record without a server is never fallen back on."""
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
    lns, cups = part.lns or _NOWHERE, part.cups or _NOWHERE
    tokens = part.tokens.usable if part.tokens is not None else ()
    spelled, text = format_hex(eui), resource.spec.eui if resource.spec is not None else ""
    return RegisteredGateway(
        # The very text of the spec where it is the same: it is in memory already.
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


def _common(held: _Names, listed: _Names) -> _Names:
    if held is None or listed is None:
        return listed if held is None else held
    return tuple(each for each in held if each in listed)


def _read(resource: Gateway, around: Surroundings, problems: Problems) -> _Part:
    spec, world = resource.spec, around.world
    if spec is None:
        problems.found.append(StationkeeperError(Reason.INVALID_SPEC, resource.problem))
        return _Part()
    namespace = resource.metadata.namespace
    names = spec.client.trusted_cas if spec.client else None
    pins = spec.client.sha256_fingerprints if spec.client else None
    trusted_cas = problems.attempt(lambda: _names(names, namespace))
    fingerprints = problems.attempt(lambda: _pins(pins))
    tokens = read_tokens(spec.client, namespace, world, problems)
    lns = problems.attempt(lambda: _lns(resource, spec, around))
    cups = problems.attempt(lambda: _cups(spec, namespace, around))
    servers = (*(lns or _NOWHERE).notes, *(cups or _NOWHERE).notes)
    notes = (*_unknown_authorities(trusted_cas, namespace, world), *tokens.notes, *servers)
    return _Part(trusted_cas, fingerprints, lns, cups, notes, tokens)


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
    return tuple(sorted({parse_fingerprint(text, "client.sha256Fingerprints") for text in listed}))


def _not_empty(listed: tuple[str, ...], field: str) -> None:
    if not listed:
        raise StationkeeperError(Reason.INVALID_SPEC, f"{field} is empty; leave it out to allow all")


def _unknown_authorities(names: _Names, namespace: str, world: World) -> tuple[str, ...]:
    """What to know about names that are of no use; whether another tenant has such a TrustedCA is not told."""
    for name in names or ():
        key = Key(TRUSTED_CA, *name.split("/", 1))
        if key.namespace not in {namespace, world.release_namespace}:
            return (f"client.trustedCAs names {name!a}, of a namespace that never speaks for this one",)
        if key not in world.resources:
            return (f"client.trustedCAs names {name!a}, which does not exist",)
    return ()


def _cups(spec: GatewaySpec, namespace: str, around: Surroundings) -> Target | None:
    return None if spec.cups is None else compile_cups(spec.cups, namespace, around.world, around.now, around.keys)


def _lns(resource: Gateway, spec: GatewaySpec, around: Surroundings) -> Target | None:
    """The LNS that the gateway is sent to; None where it is only moved to another CUPS server."""
    if spec.lns is not None:
        return compile_lns(spec.lns, resource.metadata.namespace, around.world, around.now, around.keys)
    if spec.cups is not None and around.world.defaults_of(resource) is None:
        return None
    return around.default_lns(resource)
