"""A single registry document, with candidates that the present compiler never makes."""

from hashlib import sha256

import pytest
from msgspec.structs import replace

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import REGISTRY, RegisteredGateway
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.fitting.document_space import Bound
from stationkeeper_operator.compiling.gateways.eui_claims import Grounds
from stationkeeper_operator.compiling.incremental import bucket_memory
from stationkeeper_operator.compiling.incremental.bucket_memory import BucketMemory
from stationkeeper_operator.compiling.trust.scopes import Scopes
from stationkeeper_operator.resources.records import GATEWAY, Gateway
from tests.operator.changing_world import EUIS, RELEASE, made

OWNER = (EUI64(int(EUIS[0], 16)), "a")
SMALL = RegisteredGateway(eui=EUIS[0], namespace="a", name="g0", uid="uid-a-g0-0")
LARGE = replace(SMALL, sha256_fingerprints=tuple(sha256(bytes([each])).hexdigest() for each in range(20)))


def test_a_document_without_space_follows_a_change_of_the_minimal_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_memory, "REGISTRY_BOUNDS", (Bound(300, share=0, shares=0, release_share=0),))
    bucket, (_, resource) = BucketMemory(REGISTRY[0], 0, RELEASE), made(GATEWAY, "a", "g0", {})
    assert isinstance(resource, Gateway)
    for names in (("a/c0", "a/c1"), ("a/c0",)):
        minimal = replace(SMALL, trusted_cas=names)
        bucket.claim(OWNER, Candidate(resource, None, LARGE, None, minimal=minimal))
        bucket.fit(Grounds(Scopes(None), Scopes(None)))
        assert bucket.document is not None
        assert bucket.document.gateways == (minimal,)
