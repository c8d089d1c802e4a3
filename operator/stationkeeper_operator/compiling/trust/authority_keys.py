"""The keys of certificate authorities, which no gateway may get as its own key."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.station_preflight import preflight
from stationkeeper_core.published.documents import Document, RegisteredGateway, TrustDocument
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_operator.compiling.candidate import Problems
from stationkeeper_operator.compiling.certificate_rules import certificate_of, read_certificates, read_content
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import TrustedCA
from stationkeeper_operator.resources.specs import TrustedCASpec


@dataclass(frozen=True)
class AuthorityKeys:
    """Digests of public keys, in the form of `Certificate.key_sha256`.

    Attributes:
        everywhere: the keys for all namespaces.
        by_namespace: the keys for one namespace.
    """

    everywhere: frozenset[str] = frozenset()
    by_namespace: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def has(self, certificate: Certificate, namespace: str) -> bool:
        """Return whether no gateway of `namespace` may get the key of `certificate`."""
        key = certificate.key_sha256
        return key in self.everywhere or key in self.by_namespace.get(namespace, ())


OwnersOfKeys = Mapping[str, Iterable[str]]
"""The namespaces with gateways that have each key, by the key's digest."""


def authority_keys(world: World, documents: Iterable[Document | None], owners: OwnersOfKeys) -> AuthorityKeys:
    """Return the keys of all TrustedCAs: in force, and in their specs, accepted or not.

    The keys of a namespace count in that namespace, those of the release's namespace in all. In other namespaces, only
    the key of a self-signed certificate counts, since its issuer has proved to have the private key. Otherwise a tenant
    could get a certificate for another tenant's key, and block the credentials of that tenant's gateways. A tenant may
    also know a key, such as that of the release's GatewayDefaults, and make a root with it. So a key counts only in
    that tenant's namespace if gateways of other namespaces had it before.

    Args:
        world: all resources, with those that are suspended or being deleted.
        documents: the trust documents: in force, and to be published.
        owners: the owners of the keys of gateways in force.
    """
    by_namespace: dict[str, set[str]] = {}
    everywhere: set[str] = set()
    for namespace, certificate in _all_certificates(world, documents):
        key = certificate.key_sha256
        if key is None:
            continue
        by_namespace.setdefault(namespace, set()).add(key)
        is_others = any(each != namespace for each in owners.get(key, ()))
        if namespace == world.release_namespace or (certificate.signs_itself and not is_others):
            everywhere.add(key)
    return AuthorityKeys(
        frozenset(everywhere), {namespace: frozenset(keys) for namespace, keys in by_namespace.items()}
    )


@lru_cache(maxsize=8192)
def client_of(blob: bytes) -> Certificate | None:
    """Return the client certificate in credentials; None if there is none."""
    try:
        return certificate_of(preflight(blob).certificate)
    except StationkeeperError:
        return None


def owners_of_keys(delivered: Iterable[RegisteredGateway]) -> OwnersOfKeys:
    """Return the namespaces with gateways that have each key.

    Args:
        delivered: the Gateways in force.
    """
    found: dict[str, set[str]] = {}
    for gateway in delivered:
        for key in client_keys(gateway):
            found.setdefault(key, set()).add(gateway.namespace)
    return found


def client_keys(gateway: RegisteredGateway) -> Iterable[str]:
    """Return the digests of the keys of a Gateway in force."""
    found = (client_of(blob) for blob in (gateway.lns_credentials, gateway.cups_credentials) if blob)
    return {each.key_sha256 for each in found if each is not None and each.key_sha256 is not None}


def _all_certificates(world: World, documents: Iterable[Document | None]) -> Iterable[tuple[str, Certificate]]:
    for document in documents:
        for authority in document.authorities if isinstance(document, TrustDocument) else ():
            for der in (*authority.anchors, *authority.intermediates):
                certificate = certificate_of(der)
                if certificate is not None:
                    yield authority.namespace, certificate
    for resource in world.resources.values():
        if isinstance(resource, TrustedCA) and resource.spec is not None:
            namespace = resource.metadata.namespace
            yield from ((namespace, each) for each in _spec_certificates(resource.spec, namespace, world))


def _spec_certificates(spec: TrustedCASpec, namespace: str, world: World) -> Iterable[Certificate]:
    for text in filter(None, (spec.certificates, spec.intermediates)):
        yield from Problems().attempt(partial(read_certificates, text, "", Reason.MALFORMED_PEM)) or ()
    source = spec.certificates_from
    if source is not None:
        yield from Problems().attempt(lambda: read_content(world.read(namespace, source, ""), "")) or ()
