"""The validity periods of the certificates in a spec, accepted or not; unreadable ones are left out.

The certificates in force of a TrustedCA count too, since a refused spec leaves them in force.
"""

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_operator.compiling.candidate import Problems
from stationkeeper_operator.compiling.certificate_rules import (
    certificate_of,
    read_certificates,
    read_content,
)
from stationkeeper_operator.compiling.trust.trusted_ca_compiler import configured_anchors, read_configured_intermediates
from stationkeeper_operator.compiling.verdict import Use, Validity, validity
from stationkeeper_operator.compiling.world import SecretUse, World
from stationkeeper_operator.resources.records import Gateway, GatewayDefaults, Resource, TrustedCA
from stationkeeper_operator.resources.specs import Endpoint, GatewaySpec, KeySource, TokenSource


def validities_of(resource: Resource, world: World, in_force: TrustedAuthority | None = None) -> tuple[Validity, ...]:
    """Return the validity periods of the certificates of `resource`; the first to expire comes first.

    A suspended resource has none, since nothing depends on them. The certificates of a GatewayDefaults count only
    there, not for its Gateways.

    Args:
        resource: the resource.
        world: holds its references.
        in_force: for a TrustedCA, its record in force.
    """
    if isinstance(resource, TrustedCA):
        found = () if resource.suspended else _authority(resource, world, in_force)
    elif isinstance(resource, Gateway | GatewayDefaults):
        is_used = resource.spec is not None and not (isinstance(resource, Gateway) and resource.suspended)
        found = _endpoints(resource, world) if is_used else ()
    return tuple(sorted(set(found), key=lambda each: (each.not_after, each.use, each.name)))


def _authority(resource: TrustedCA, world: World, in_force: TrustedAuthority | None) -> tuple[Validity, ...]:
    anchors = (*configured_anchors(resource, world), *(in_force.anchors if in_force else ()))
    namespace, spec = resource.metadata.namespace, resource.spec
    read = Problems().attempt(lambda: read_configured_intermediates(resource, spec, world)) if spec else None
    listed = read.certificates if read else ()
    published = _readable(in_force.intermediates if in_force else ())
    sources = (spec.certificates_from, spec.intermediates_from) if spec else (None, None)
    renewals = [world.renewed_by(namespace, each) for each in sources]
    roots = (validity(Use.TRUST_ANCHOR, each, renewals[0]) for each in _readable(anchors))
    return (*roots, *(validity(Use.INTERMEDIATE, each, renewals[1]) for each in (*listed, *published)))


def _endpoints(resource: Gateway | GatewayDefaults, world: World) -> tuple[Validity, ...]:
    spec, namespace = resource.spec, resource.metadata.namespace
    lns = spec.lns if spec is not None else None
    cups = spec.cups if isinstance(spec, GatewaySpec) else None
    return (
        *_endpoint((Use.LNS_TRUST, Use.LNS_CLIENT), lns, namespace, world),
        *_endpoint((Use.CUPS_TRUST, Use.CUPS_CLIENT), cups, namespace, world),
    )


def _endpoint(uses: tuple[Use, Use], endpoint: Endpoint | None, namespace: str, world: World) -> tuple[Validity, ...]:
    if endpoint is None or endpoint.uri.startswith("ws://"):
        return ()
    client = endpoint.auth.client_certificate if endpoint.auth else None
    trusted = _read(endpoint.trust or "", "trust", Reason.MALFORMED_PEM) + _named(endpoint.trust_from, namespace, world)
    # Only the first certificate of a chain is delivered.
    source = client.certificate if client else None
    shown = _named(source, namespace, world, SecretUse.CREDENTIALS)[:1]
    renewed_by = tuple(world.renewed_by(namespace, each) for each in (endpoint.trust_from, source))
    return (
        *(validity(uses[0], each, renewed_by[0]) for each in trusted),
        *(validity(uses[1], each, renewed_by[1]) for each in shown),
    )


def _named(
    source: KeySource | TokenSource | None, namespace: str, world: World, use: SecretUse = SecretUse.TRUST
) -> tuple[Certificate, ...]:
    if source is None:
        return ()
    return Problems().attempt(lambda: read_content(world.read(namespace, source, "", use), "")) or ()


def _read(text: str, field: str, private_key_reason: Reason) -> tuple[Certificate, ...]:
    return Problems().attempt(lambda: read_certificates(text, field, private_key_reason)) or ()


def _readable(ders: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    return tuple(each for each in map(certificate_of, ders) if each is not None)
