"""The operator's knowledge of the cluster at one time, and the lookup of a spec's references in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published.registry_layout import BUCKETS
from stationkeeper_operator.resources.named_references import source_reference
from stationkeeper_operator.resources.records import (
    DEFAULTS_NAME,
    GATEWAY_DEFAULTS,
    SECRET,
    Gateway,
    Key,
    Reference,
    ReferencedObject,
    Resource,
)
from stationkeeper_operator.resources.specs import KeySource, TokenSource

CREDENTIALS_LABEL = "stationkeeper.io/credentials"
TRUST_LABEL = "stationkeeper.io/trust"
SECRET_LABELS = (CREDENTIALS_LABEL, TRUST_LABEL)
"""The labels, with the value `true`, of Secrets that may be read: for credentials of gateways, and for trust."""


class SecretUse(StrEnum):
    """The use of a Secret, by the label that it needs; one label does not allow the other use."""

    CREDENTIALS = CREDENTIALS_LABEL
    """Credentials that gateways get, and tokens that they may use without a certificate."""
    TRUST = TRUST_LABEL
    """Certificates and CRLs, which are not secret."""


@dataclass(frozen=True)
class World:
    """The resources and their references.

    Attributes:
        release_namespace: the release's namespace, with TrustedCAs and GatewayDefaults for other namespaces.
        resources: all TrustedCAs, Gateways and GatewayDefaults.
        referenced: the Secrets and ConfigMaps that they name; one that is missing here does not exist.
        cups_names: the names of the release's CUPS for gateways: lower-case hosts, or `host:port`.
        buckets: the number of registry documents.
    """

    release_namespace: str
    resources: Mapping[Key, Resource]
    referenced: Mapping[Reference, ReferencedObject]
    cups_names: tuple[str, ...] = ()
    buckets: int = BUCKETS

    def defaults_of(self, resource: Resource) -> Key | None:
        """Return the GatewayDefaults that must give the LNS of `resource`: of its namespace, else of the release.

        An invalid one counts too: it is not skipped for another one.

        Returns:
            None if a Gateway has an LNS of its own, if there is no GatewayDefaults for it, and for other resources.
        """
        return self.defaults_for(resource.metadata.namespace) if looks_to_defaults(resource) else None

    def defaults_for(self, namespace: str) -> Key | None:
        """Return the GatewayDefaults of a namespace, else that of the release; None if there is neither."""
        found = (Key(GATEWAY_DEFAULTS, each, DEFAULTS_NAME) for each in (namespace, self.release_namespace))
        return next((key for key in found if self._has(key)), None)

    @property
    def being_deleted(self) -> tuple[Resource, ...]:
        """The resources that are being deleted: they no longer allow anything, even if a finalizer holds them."""
        return tuple(each for each in self.resources.values() if each.metadata.being_deleted)

    def without_deleted(self) -> "World":
        """Return the same world without the resources that are being deleted."""
        gone = {each.key for each in self.being_deleted}
        if not gone:
            return self
        return replace(self, resources={key: each for key, each in self.resources.items() if key not in gone})

    def without_gateways(self) -> "World":
        """Return the same world without the Gateways: the few resources that many Gateways depend on."""
        others = {key: each for key, each in self.resources.items() if not isinstance(each, Gateway)}
        return replace(self, resources=others)

    def read(
        self, namespace: str, source: KeySource | TokenSource, field: str, use: SecretUse = SecretUse.TRUST
    ) -> bytes:
        """Return the content of the key that `source` names.

        Args:
            namespace: of the resource.
            source: the reference in the spec.
            field: the field of the spec, for the message.
            use: the label that a Secret needs.

        Raises:
            StationkeeperError: `InvalidSpec`, `ReferenceNotFound` (an object that is being deleted gives nothing new),
                `CapacityExceeded`, `ReferenceNotLabelled` or `ReferenceKeyMissing`.
        """
        found = source_reference(namespace, source)
        if found is None:
            raise StationkeeperError(
                Reason.INVALID_SPEC, f"{field} needs exactly one of configMapKeyRef and secretKeyRef"
            )
        reference, key = found
        content = self._holder(reference, field, use).data.get(key)
        if content is None:
            detail = f"{field} names the key {key[:64]!a}, which {_shown(reference)} does not have"
            raise StationkeeperError(Reason.REFERENCE_KEY_MISSING, detail)
        return content

    def read_every_key(self, secret: Reference, field: str, use: SecretUse) -> Mapping[str, bytes]:
        """Return the content of each key of a Secret; a caller with many keys asks only once.

        Args:
            secret: the Secret.
            field: the field of the spec, for the message.
            use: the label that it needs.

        Raises:
            StationkeeperError: as `read`, except `InvalidSpec` and `ReferenceKeyMissing`.
        """
        return self._holder(secret, field, use).data

    def _holder(self, reference: Reference, field: str, use: SecretUse) -> ReferencedObject:
        shown = _shown(reference)
        holder = self.referenced.get(reference)
        if holder is None:
            raise StationkeeperError(Reason.REFERENCE_NOT_FOUND, f"{field} names {shown}, which does not exist")
        if holder.metadata.being_deleted:
            raise StationkeeperError(Reason.REFERENCE_NOT_FOUND, f"{field} names {shown}, which is being deleted")
        if holder.problem:
            raise StationkeeperError(Reason.CAPACITY_EXCEEDED, f"{field} names {shown}: {holder.problem}")
        if reference.kind == SECRET and holder.metadata.labels.get(use) != "true":
            raise StationkeeperError(
                Reason.REFERENCE_NOT_LABELLED, f'{field} names {shown}, which lacks the label {use}: "true"'
            )
        return holder

    def renewed_by(self, namespace: str, source: KeySource | TokenSource | None) -> str:
        """Return the Certificate of cert-manager that renews the object of `source`; empty if none is known."""
        found = source_reference(namespace, source)
        holder = self.referenced.get(found[0]) if found is not None else None
        return holder.metadata.annotations.certificate if holder is not None else ""

    def _has(self, key: Key) -> bool:
        found = self.resources.get(key)
        return found is not None and not found.metadata.being_deleted


def looks_to_defaults(resource: Resource) -> bool:
    """Return whether a resource is a Gateway without an LNS in its spec."""
    return isinstance(resource, Gateway) and resource.spec is not None and resource.spec.lns is None


def _shown(reference: Reference) -> str:
    return f"{reference.kind} {reference.namespace}/{reference.name}"
