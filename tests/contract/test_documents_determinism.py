"""The bytes that operator and CUPS agree on do not change, so that no release rewrites all Secrets for nothing."""

import hashlib

import pytest

from stationkeeper_core.in_force.snapshot import Holdings
from stationkeeper_core.published.documents import (
    DOCUMENTS,
    REGISTRY,
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
    encode,
    encode_payload,
)
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, layout_of
from stationkeeper_operator.compiling.compile import World, compile_plan
from stationkeeper_operator.compiling.registry_counts import RegistryCounts, for_all_counts
from stationkeeper_operator.resources.records import Resource
from tests.operator.resource_building import NOW, make_ca, make_gateway, make_pem, plan_of
from tests.operator.test_gateway_compiler import WSS

TRUST_DOCUMENT = TrustDocument(
    release_namespace="stationkeeper",
    authorities=(
        TrustedAuthority(namespace="b", name="a", uid="2", anchors=(b"two",), eui_ranges=("0100000000000000/8",)),
        TrustedAuthority(namespace="a", name="b", uid="1", anchors=(b"one",), revoked_serials=("A1",)),
    ),
)
REGISTRY_DOCUMENT = RegistryDocument(
    bucket=3,
    gateways=(
        RegisteredGateway(eui="2" * 16, namespace="n", name="two", uid="2", trusted_cas=(), suspended=True),
        RegisteredGateway(eui="1" * 16, namespace="n", name="one", uid="1", lns_uri="wss://a:1", lns_credentials=b"x"),
    ),
)


def test_the_payload_of_a_document_is_these_bytes() -> None:
    assert encode_payload(TRUST_DOCUMENT) == (
        b'{"release_namespace":"stationkeeper","authorities":['
        b'{"namespace":"a","name":"b","uid":"1","anchors":["b25l"],"revoked_serials":["A1"]},'
        b'{"namespace":"b","name":"a","uid":"2","anchors":["dHdv"],"eui_ranges":["0100000000000000/8"]}]}'
    )
    assert encode_payload(REGISTRY_DOCUMENT) == (
        b'{"bucket":3,"gateways":['
        b'{"eui":"1111111111111111","namespace":"n","name":"one","uid":"1","lns_uri":"wss://a:1",'
        b'"lns_credentials":"eA=="},'
        b'{"eui":"2222222222222222","namespace":"n","name":"two","uid":"2","suspended":true,"trusted_cas":[]}],"reserved":[]}'
    )


def test_cups_loads_what_the_operator_plans() -> None:
    gateways = [make_gateway({"eui": f"{number:016X}", "lns": WSS}, f"gateway-{number}") for number in range(40)]
    plan = plan_of(make_ca({"certificates": make_pem("root")}), *gateways)
    holdings = Holdings()
    for name in DOCUMENTS:
        holdings = holdings.accept(name, encode(name, 1, plan.payloads[name]))
    assert holdings.missing == ()
    assert holdings.snapshot is not None
    assert len(holdings.snapshot.registry) == 40
    assert len(holdings.snapshot.trust.trusted_cas) == 1


def test_an_empty_world_gives_the_same_documents_ever_after() -> None:
    payloads = plan_of().payloads
    assert payloads[TRUST] == b'{"release_namespace":"stationkeeper","authorities":[]}'
    assert [payloads[name] for name in REGISTRY] == [
        f'{{"bucket":{number},"gateways":[],"reserved":[]}}'.encode() for number in range(16)
    ]
    assert len({hashlib.sha256(each).hexdigest() for each in payloads.values()}) == len(DOCUMENTS)


def test_a_document_has_its_count_in_its_name_and_header() -> None:
    payload = encode_payload(RegistryDocument(bucket=3))
    for name, buckets in (("registry-03", 16), ("registry-64-03", 64), ("registry-1024-0003", 1024)):
        expected = (
            f'{{"contract":2,"document":"{name}","generation":7,"sha256":"{hashlib.sha256(payload).hexdigest()}",'
            f'"buckets":{buckets}}}\n'
        )
        assert encode(name, 7, payload).startswith(expected.encode())


@pytest.mark.parametrize("buckets", BUCKET_COUNTS[:4])
@pytest.mark.parametrize("former", BUCKET_COUNTS[:4])
def test_pods_of_both_counts_load_what_the_operator_plans(buckets: int, former: int) -> None:
    gateways = [make_gateway({"eui": f"{number:016X}", "lns": WSS}, f"gateway-{number}") for number in range(40)]
    listed: list[Resource] = [make_ca({"certificates": make_pem("root")}), *gateways]
    resources = {each.key: each for each in listed}
    world = World("stationkeeper", resources, {}, buckets=former)
    plan = compile_plan(world, {}, NOW)
    counts = RegistryCounts(buckets, frozenset({former}))
    payloads = for_all_counts(plan, counts, former, plan.documents, "stationkeeper").plan.payloads
    assert payloads.keys() == {*layout_of(buckets).documents, *layout_of(former).documents}
    for count in (buckets, former):
        holdings = Holdings(layout=layout_of(count))
        for name in layout_of(count).documents:
            holdings = holdings.accept(name, encode(name, 1, payloads[name]))
        assert holdings.snapshot is not None
        assert len(holdings.snapshot.registry) == 40
