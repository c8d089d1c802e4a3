"""The evidence on one gateway: the snapshot that CUPS decides by, and the resources that claim its EUI."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.in_force.gateway_registry import GatewayRegistry, RegistryBucket
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.protocol.station_preflight import preflight
from stationkeeper_core.published.documents import TRUST, Document, RegistryDocument, TrustDocument
from stationkeeper_core.published.registry_layout import BUCKETS, layout_of, place_of
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_operator.resources.records import GATEWAY, Key
from stationkeeper_tools.checking.manifests import OWN_KINDS, ManifestSet
from stationkeeper_tools.checking.resource_schema import schema_findings
from stationkeeper_tools.checking.verdicts import build_world, plan_of


@dataclass(frozen=True)
class GatewayRecord:
    """A Gateway resource with the EUI.

    Attributes:
        namespace, name: of the resource.
        is_accepted: whether the operator accepts it; None if it has not said so yet.
        reason: of that.
        message: of that.
        status: as the operator wrote it; empty for manifests.
    """

    namespace: str
    name: str
    is_accepted: bool | None
    reason: str
    message: str
    status: Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """The evidence on one gateway.

    Attributes:
        snapshot: what CUPS decides by.
        records: the resources with its EUI.
    """

    snapshot: Snapshot
    records: tuple[GatewayRecord, ...]


def snapshot_of(documents: Mapping[str, Document]) -> Snapshot:
    """Return the snapshot that CUPS builds from documents.

    Args:
        documents: by their names; the trust document, and at least the registry document with the gateway in question,
            all of one bucket count.

    Raises:
        StationkeeperError: one of them cannot be used.
    """
    trust = documents[TRUST]
    if not isinstance(trust, TrustDocument):
        raise TypeError("the trust document holds something else")
    buckets = []
    counts = (place[0] for name in documents if (place := place_of(name)) is not None)
    for number, name in enumerate(layout_of(next(counts, BUCKETS)).registry):
        content = documents.get(name, RegistryDocument(bucket=number, gateways=()))
        if not isinstance(content, RegistryDocument):
            raise TypeError(f"the document {name} holds something else")
        buckets.append(RegistryBucket.of_document(content, 1, ""))
    return Snapshot(TrustGeneration(trust, 1, ""), GatewayRegistry(tuple(buckets)))


def evidence_of_manifests(eui: EUI64, manifests: ManifestSet, release_namespace: str, now: datetime) -> Evidence:
    """Return the evidence on a gateway, as if only these manifests were applied.

    Args:
        eui: of the gateway.
        manifests: the manifests.
        release_namespace: where Stationkeeper is installed.
        now: the time, aware.
    """
    refused = {
        id(manifest): finding
        for manifest in manifests.manifests
        if manifest.kind in OWN_KINDS and (finding := next(schema_findings(manifest), None)) is not None
    }
    plan = plan_of(
        build_world([manifest for manifest in manifests.manifests if id(manifest) not in refused], release_namespace),
        now,
    )
    records = []
    for manifest in manifests.manifests:
        spec = manifest.content.value.get("spec")
        if manifest.kind != GATEWAY or not isinstance(spec, dict) or str(spec.get("eui")).upper() != format_hex(eui):
            continue
        finding = refused.get(id(manifest))
        verdict = plan.verdicts.get(Key(manifest.kind, manifest.namespace, manifest.name))
        if finding is not None:
            records.append(GatewayRecord(manifest.namespace, manifest.name, False, finding.reason, finding.message, {}))
        elif verdict is not None:
            told = (verdict.accepted, verdict.reason, verdict.message)
            records.append(GatewayRecord(manifest.namespace, manifest.name, *told, {}))
    return Evidence(snapshot_of(plan.documents), tuple(records))


def credentials_form(blob: bytes) -> str:
    """Return the kind of a credential set in words; no part of its content."""
    if not blob:
        return "no credentials"
    try:
        parts = preflight(blob)
    except StationkeeperError:
        return "credentials that a Station does not accept"
    if parts.certificate:
        return "a trust, a client certificate and its key"
    return "a trust and a token" if parts.key else "a trust"
