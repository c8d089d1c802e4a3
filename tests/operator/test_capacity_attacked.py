"""No tenant can make a document that CUPS refuses or that cannot be published, because that would stop all tenants."""

import random
from collections.abc import Sequence

import pytest

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import (
    MAX_NAMESPACE_CERTIFICATES,
    REGISTRY,
    TRUST,
    RegisteredGateway,
    TrustDocument,
    TrustedAuthority,
    bucket_of,
    decode,
    encode,
    encode_payload,
)
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.fitting.capacity import Contents, fit
from stationkeeper_operator.compiling.fitting.document_space import REGISTRY_BOUNDS, TRUST_BOUNDS
from stationkeeper_operator.compiling.gateways.registry_compiler import Bucket
from tests.operator.resource_building import make_ca, make_gateway
from tests.operator.test_capacity import document_of

RELEASE = "release"


def authority(name: str, certificates: int, revoked: int, namespace: str = "x") -> TrustedAuthority:
    chance = random.Random(f"{name} {certificates} {revoked}")  # noqa: S311 - no secret
    return TrustedAuthority(
        namespace=namespace,
        name=name,
        uid=f"{namespace}/{name}",
        anchors=tuple(chance.randbytes(100) for _ in range(certificates)),
        revoked_serials=tuple(f"{chance.getrandbits(128):X}" for _ in range(revoked)),
    )


def trust_of(wanted: Sequence[TrustedAuthority], in_force: TrustDocument | None) -> TrustDocument:
    held = {each.uid: each for each in in_force.authorities} if in_force else {}
    candidates = [
        Candidate(make_ca({}, each.name, each.namespace, uid=each.uid), each, held.get(each.uid), None)
        for each in wanted
    ]
    found = fit(Contents(candidates, document_of, RELEASE, TRUST_BOUNDS), in_force).document
    assert isinstance(found, TrustDocument)
    return found


def test_records_that_become_smaller_and_have_more_certificates_stay_within_the_contract() -> None:
    mine = authority("mine", 1, 0, "a")
    few = [authority(f"ca{number}", 1, 1_400) for number in range(12)]
    many = [authority(f"ca{number}", 100, 0) for number in range(12)]
    before = trust_of([mine, *few], None)
    assert len(before.authorities) == 13
    after = trust_of([mine, *many], before)
    assert sum(len(each.anchors) for each in after.authorities if each.namespace == "x") <= MAX_NAMESPACE_CERTIFICATES
    assert mine in after.authorities
    decode(TRUST, encode(TRUST, 1, encode_payload(after)))


@pytest.mark.slow
def test_well_compressible_records_do_not_block_a_document() -> None:
    euis = [each for each in range(60_000) if bucket_of(EUI64(each)) == 0][:1_800]
    records = [
        RegisteredGateway(
            eui=format_hex(EUI64(each)),
            namespace="x",
            name=f"g{each}",
            uid=f"u{each}",
            lns_uri="wss://a:1",
            lns_credentials=bytes(16_000),
            cups_uri="https://a:1",
            cups_credentials=bytes(16_000),
        )
        for each in euis
    ]
    resources = [make_gateway({"eui": each.eui}, each.name, "x", uid=each.uid) for each in records]
    candidates = [Candidate(one, each, None, None) for one, each in zip(resources, records, strict=True)]
    bucket = Bucket(candidates)
    found = fit(
        Contents(candidates, lambda some, omission: bucket.document(0, some, omission), RELEASE, REGISTRY_BOUNDS), None
    )
    assert len(found.records) > 100
    decode(REGISTRY[0], encode(REGISTRY[0], 1, found.payload))
