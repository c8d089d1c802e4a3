"""Registries with different counts of documents, for tests."""

from collections.abc import Iterable, Mapping
from typing import Any

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.documents import (
    TRUST,
    Document,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    encode_payload,
)
from stationkeeper_core.published.registry_layout import bucket_of, layout_of, place_of
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.records import GATEWAY, Key
from tests.operator.resource_building import make_pem

RELEASE = "release"
SECRETS, PODS = f"/api/v1/namespaces/{RELEASE}/secrets", f"/api/v1/namespaces/{RELEASE}/pods"
LNS = {"uri": "wss://lns.example.com:8887", "trust": make_pem("lns-root")}
FEW = [f"{number:016X}" for number in range(40)]


def gateway(eui: str, namespace: str = "team", **fields: Any) -> RegisteredGateway:
    return RegisteredGateway(eui=eui, namespace=namespace, name=f"gw-{eui}".lower(), uid=f"uid-{eui}", **fields)


def documents_of(buckets: int, gateways: Iterable[RegisteredGateway]) -> dict[str, Document]:
    """Return all documents of a count with these gateways, also the trust document."""
    held: dict[int, list[RegisteredGateway]] = {}
    for each in gateways:
        held.setdefault(number_of(each.eui, buckets), []).append(each)
    found: dict[str, Document] = {TRUST: TrustDocument(release_namespace=RELEASE)}
    for number, name in enumerate(layout_of(buckets).registry):
        mine = tuple(sorted(held.get(number, ()), key=lambda each: each.eui))
        found[name] = RegistryDocument(bucket=number, gateways=mine)
    return found


def plan_of(buckets: int, gateways: Iterable[RegisteredGateway]) -> PublishPlan:
    listed = list(gateways)
    documents = documents_of(buckets, listed)
    layout = layout_of(buckets)
    verdicts = {
        Key(GATEWAY, each.namespace, each.name): Verdict(
            True, "Accepted", "fine", layout.registry[number_of(each.eui, buckets)]
        )
        for each in listed
    }
    payloads = {name: encode_payload(each) for name, each in documents.items()}
    return PublishPlan(payloads, verdicts, documents)


def records(documents: Mapping[str, Document], buckets: int) -> dict[str, RegisteredGateway]:
    """Return the records in the documents of one count, by uid; check that each is in the document of its EUI."""
    found: dict[str, RegisteredGateway] = {}
    for name, document in documents.items():
        place = place_of(name)
        if place is not None and place[0] == buckets and isinstance(document, RegistryDocument):
            assert all(number_of(each.eui, buckets) == place[1] for each in document.gateways)
            found |= {each.uid: each for each in document.gateways}
    return found


def number_of(eui: str, buckets: int) -> int:
    found = parse_hex(eui)
    assert found is not None
    return bucket_of(found, buckets)
