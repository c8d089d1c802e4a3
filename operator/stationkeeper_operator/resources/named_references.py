"""Find the Secrets and ConfigMaps, with their keys, that a resource's spec names."""

from collections.abc import Iterable

from stationkeeper_operator.resources.records import (
    CONFIG_MAP,
    SECRET,
    Gateway,
    GatewayDefaults,
    Reference,
    Resource,
    TrustedCA,
)
from stationkeeper_operator.resources.specs import (
    Auth,
    Client,
    Endpoint,
    EndpointOfMany,
    GatewaySpec,
    KeyRef,
    KeySource,
    Revocation,
    TokenSource,
)

_ISSUER_CERTIFICATE, OWN_CERTIFICATE = "ca.crt", "tls.crt"
_NOTHING: frozenset[tuple[Reference, str]] = frozenset()


def source_reference(namespace: str, source: KeySource | TokenSource | None) -> tuple[Reference, str] | None:
    """Return the object that `source` names, and the key in it; None unless it names exactly one."""
    config_map = source.config_map_key_ref if isinstance(source, KeySource) else None
    secret = source.secret_key_ref if source is not None else None
    if config_map is not None and secret is None:
        return Reference(CONFIG_MAP, namespace, config_map.name), config_map.key
    if secret is not None and config_map is None:
        return Reference(SECRET, namespace, secret.name), secret.key
    return None


def own_certificate(source: KeySource | None) -> KeySource | None:
    """Return the source of a CA's own certificate; None unless `source` names the key `ca.crt` of a Secret."""
    named = source.secret_key_ref if source is not None else None
    if named is None or named.key != _ISSUER_CERTIFICATE:
        return None
    return KeySource(secret_key_ref=KeyRef(named.name, OWN_CERTIFICATE))


def reference_keys(resource: Resource) -> frozenset[tuple[Reference, str]]:
    """Return the Secrets and ConfigMaps that the resource's spec names, each with a key, or with `EVERY_KEY`."""
    if _uses_only_defaults(resource):
        return _NOTHING
    sources: tuple[KeySource | TokenSource | None, ...] = ()
    if isinstance(resource, Gateway) and resource.spec is not None:
        sources = (*_sources(resource.spec.lns), *_sources(resource.spec.cups))
    elif isinstance(resource, GatewayDefaults) and resource.spec is not None:
        sources = _sources(resource.spec.lns)
    return _named(resource, (*sources, *_admitting_sources(resource)))


def references(resource: Resource) -> frozenset[Reference]:
    """Return the Secrets and ConfigMaps that the resource's spec names."""
    return frozenset(reference for reference, _ in reference_keys(resource))


def admitting_references(resource: Resource) -> frozenset[Reference]:
    """Return the references that decide which clients are accepted: to certificates, CRLs or clients' tokens."""
    return frozenset(reference for reference, _ in _named(resource, _admitting_sources(resource)))


def _uses_only_defaults(resource: Resource) -> bool:
    """Return whether a resource is a Gateway with only an EUI, like most of very many: it names no object."""
    if not isinstance(resource, Gateway):
        return False
    spec = resource.spec
    return spec is None or spec == GatewaySpec(eui=spec.eui, suspended=spec.suspended)


def _admitting_sources(resource: Resource) -> tuple[KeySource | TokenSource | None, ...]:
    if isinstance(resource, TrustedCA) and resource.spec is not None:
        revocation = resource.spec.revocation or Revocation()
        named = (resource.spec.certificates_from, resource.spec.intermediates_from)
        return (*named, revocation.crl_from, *(own_certificate(each) for each in named))
    if isinstance(resource, Gateway) and resource.spec is not None:
        return _client_sources(resource.spec.client)
    return ()


def _named(resource: Resource, sources: Iterable[KeySource | TokenSource | None]) -> frozenset[tuple[Reference, str]]:
    found = (source_reference(resource.metadata.namespace, source) for source in sources)
    return frozenset(each for each in found if each is not None)


def _sources(endpoint: Endpoint | None) -> tuple[KeySource | TokenSource | None, ...]:
    if endpoint is None:
        return ()
    auth = endpoint.auth or Auth()
    client = auth.client_certificate
    pair = (client.certificate, client.key) if client is not None else ()
    tokens = endpoint.tokens if isinstance(endpoint, EndpointOfMany) else None
    by_eui = (tokens.keys,) if tokens is not None else ()
    return (endpoint.trust_from, auth.token, *pair, *by_eui)


def _client_sources(client: Client | None) -> tuple[TokenSource, ...]:
    return (client.tokens if client is not None else None) or ()
