"""Snapshots from short descriptions."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.in_force.gateway_registry import Holder
from stationkeeper_core.in_force.snapshot import Holdings, Snapshot
from stationkeeper_core.published.documents import (
    ALL_NAMESPACES,
    BUCKETS,
    REGISTRY,
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    ReservedEUI,
    ServedNamespace,
    TrustDocument,
    TrustedAuthority,
    bucket_of,
    encode,
    encode_payload,
)
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.x509.client_certificate import ClientCertificate, read_client_certificate
from tests.core.certificates import EUI, NOW, Signer

RELEASE = "stationkeeper"


def authority(anchor: Signer, name: str = "ca", namespace: str = "radio", **options: object) -> TrustedAuthority:
    return TrustedAuthority(namespace=namespace, name=name, uid=name, anchors=(anchor.der,), **options)  # type: ignore[arg-type]


def release_ca(anchor: Signer, name: str = "ca", serves: str = ALL_NAMESPACES, **options: object) -> TrustedAuthority:
    """Return a TrustedCA of the release's namespace that serves another one, or all."""
    return authority(anchor, name, RELEASE, serves=(ServedNamespace(namespace=serves),), **options)


def gateway(eui: str = EUI, **options: object) -> RegisteredGateway:
    fields: dict[str, object] = {"namespace": "radio", "name": f"gw-{eui}", "uid": eui}
    return RegisteredGateway(eui=eui, **fields | options)  # type: ignore[arg-type]


def trust_document(*authorities: TrustedAuthority) -> TrustDocument:
    return TrustDocument(release_namespace=RELEASE, authorities=authorities)


def registry_document(document: str, holders: Iterable[Holder]) -> RegistryDocument:
    bucket = REGISTRY.index(document)
    mine = [each for each in holders if _bucket(each) == bucket]
    return RegistryDocument(
        bucket=bucket,
        gateways=tuple(each for each in mine if isinstance(each, RegisteredGateway)),
        reserved=tuple(each for each in mine if isinstance(each, ReservedEUI)),
    )


def values(
    authorities: Iterable[TrustedAuthority], gateways: Iterable[Holder], generation: int = 1
) -> dict[str, bytes]:
    """Return every document, encoded."""
    kept = list(gateways)
    found = {TRUST: encode(TRUST, generation, encode_payload(trust_document(*authorities)))}
    for document in REGISTRY:
        found[document] = encode(document, generation, encode_payload(registry_document(document, kept)))
    assert len(found) == BUCKETS + 1
    return found


def snapshot(authorities: Iterable[TrustedAuthority], gateways: Iterable[Holder]) -> Snapshot:
    kept = list(gateways)
    used = {REGISTRY[_bucket(each)] for each in kept}
    holdings = _with_empty(tuple(document for document in REGISTRY if document not in used))
    holdings = holdings.accept(TRUST, encode(TRUST, 1, encode_payload(trust_document(*authorities))))
    for document in sorted(used):
        holdings = holdings.accept(document, encode(document, 1, encode_payload(registry_document(document, kept))))
    assert holdings.snapshot is not None
    return holdings.snapshot


def presented(end_entity: Signer, *others: Signer) -> ClientCertificate:
    return read_client_certificate((end_entity.der, *(each.der for each in others)))


def judged(certificate: ClientCertificate, state: Snapshot, now: datetime = NOW) -> Judgement:
    """Return the judgement of the state's trust on the certificate, in the scope of its registry."""
    return judge(certificate, state.trust, state.registry.scope(certificate.eui_or_none), now)


@cache
def _with_empty(documents: tuple[str, ...]) -> Holdings:
    """Return holdings of these registry documents without Gateways, as in most tests."""
    holdings = Holdings()
    for document in documents:
        holdings = holdings.accept(document, encode(document, 1, encode_payload(registry_document(document, ()))))
    return holdings


def _bucket(record: Holder) -> int:
    eui = parse_hex(record.eui)
    assert eui is not None
    return bucket_of(eui)
