"""All that the operator knows of the cluster at one time, and how a spec's references are looked up in it."""

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
"""The labels, with the value `true`, of Secrets that are read: what gateways may be given, and whom to trust."""


class SecretUse(StrEnum):
    """What a Secret is used for, by the label that it then has to have; neither opens the other use."""

    CREDENTIALS = CREDENTIALS_LABEL
    """What gateways are given, and what lets them in without a certificate."""
    TRUST = TRUST_LABEL
    """Certificates and CRLs, of which nothing is secret."""


@dataclass(frozen=True)
class World:
    """The resources and what they refer to.

    Attributes:
        release_namespace: the namespace whose TrustedCAs and GatewayDefaults are for the Gateways of all namespaces.
        resources: all TrustedCAs, Gateways and GatewayDefaults.
        referenced: the Secrets and ConfigMaps that they name; one that is missing here does not exist.
        cups_names: by which gateways reach the release's CUPS: lower-case hosts, or `host:port`.
        buckets: into how many documents the Gateways are split.
    """

    release_namespace: str
    resources: Mapping[Key, Resource]
    referenced: Mapping[Reference, ReferencedObject]
    cups_names: tuple[str, ...] = ()
    buckets: int = BUCKETS

    def defaults_of(self, resource: Resource) -> Key | None:
        """The GatewayDefaults that has to give the LNS of `resource`: its namespace's, else the release's.

        Whether it can be used does not matter: one that is broken is not passed over for another.

        Returns:
            None where a Gateway's own spec says it, or there is no GatewayDefaults for it, and for what is no Gateway.
        """
        return self.defaults_for(resource.metadata.namespace) if looks_to_defaults(resource) else None

    def defaults_for(self, namespace: str) -> Key | None:
        """Return the GatewayDefaults of a namespace, else the release's; None where there is neither."""
        found = (Key(GATEWAY_DEFAULTS, each, DEFAULTS_NAME) for each in (namespace, self.release_namespace))
        return next((key for key in found if self._has(key)), None)

    @property
    def being_deleted(self) -> tuple[Resource, ...]:
        """The resources whose deletion was asked for: gone for all that they let in, though a finalizer holds them."""
        return tuple(each for each in self.resources.values() if each.metadata.being_deleted)

    def without_deleted(self) -> "World":
        """The same without the resources that are being deleted."""
        gone = {each.key for each in self.being_deleted}
        if not gone:
            return self
        return replace(self, resources={key: each for key, each in self.resources.items() if key not in gone})

    def without_gateways(self) -> "World":
        """Return the same without the Gateways: the few resources that many Gateways depend on."""
        few = {key: each for key, each in self.resources.items() if not isinstance(each, Gateway)}
        return replace(self, resources=few)

    def read(
        self, namespace: str, source: KeySource | TokenSource, field: str, use: SecretUse = SecretUse.TRUST
    ) -> bytes:
        """The content of the key that `source` names.

        Args:
            namespace: of the resource.
            source: what the spec says.
            field: where the spec says it, for the message.
            use: what a Secret has to be labelled for.

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
        """The content of each key of a Secret; a caller that looks up many keys asks once.

        Args:
            secret: which one.
            field: where the spec names it, for the message.
            use: what it has to be labelled for.

        Raises:
            StationkeeperError: as `read`, but for `InvalidSpec` and `ReferenceKeyMissing`.
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
        """The Certificate of cert-manager that renews what `source` names; empty where none is known to."""
        found = source_reference(namespace, source)
        holder = self.referenced.get(found[0]) if found is not None else None
        return holder.metadata.annotations.certificate if holder is not None else ""

    def _has(self, key: Key) -> bool:
        found = self.resources.get(key)
        return found is not None and not found.metadata.being_deleted


def looks_to_defaults(resource: Resource) -> bool:
    """Return whether a resource is a Gateway whose own spec gives no LNS."""
    return isinstance(resource, Gateway) and resource.spec is not None and resource.spec.lns is None


def _shown(reference: Reference) -> str:
    return f"{reference.kind} {reference.namespace}/{reference.name}"
