"""The incremental compile follows documents in force that it did not write: restored, or written in part."""

from typing import Any

from msgspec.structs import replace

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import REGISTRY, RegisteredGateway, RegistryDocument, bucket_of
from stationkeeper_operator.resources.records import GATEWAY, Key
from tests.operator.changing_world import EUIS, ChangingWorld, made

GATEWAY_A = Key(GATEWAY, "a", "g0")
NUMBERS = [bucket_of(EUI64(int(each, 16))) for each in EUIS]


def spec_of(eui: str, uri: str = "ws://lns:1") -> dict[str, Any]:
    return {"eui": eui, "lns": {"uri": uri}}


def document_in(world: ChangingWorld, number: int = NUMBERS[0]) -> RegistryDocument:
    document = world.in_force[REGISTRY[number]]
    assert isinstance(document, RegistryDocument)
    return document


def put_back(world: ChangingWorld, *gateways: RegisteredGateway) -> None:
    """Replace the first document by a version with only these Gateways, as a restored backup does."""
    world.in_force[REGISTRY[NUMBERS[0]]] = replace(document_in(world), gateways=gateways, reserved=())


def test_a_record_that_is_no_longer_in_force_is_no_fallback() -> None:
    world = ChangingWorld()
    world.happens(made(*GATEWAY_A, spec_of(EUIS[0])))
    world.happens(made(*GATEWAY_A, spec_of(EUIS[0], "nonsense")))
    world.happens()
    assert document_in(world).gateways
    put_back(world)
    world.happens()
    assert not document_in(world).gateways
    assert world.told[GATEWAY_A].reason == Reason.URI_INVALID


def test_a_deleted_gateway_that_is_no_longer_in_force_reserves_nothing() -> None:
    world = ChangingWorld()
    world.happens(made(*GATEWAY_A, spec_of(EUIS[0])))
    world.happens((GATEWAY_A, None), published=0)
    put_back(world)
    world.happens()
    assert not document_in(world).reserved


def test_a_gateway_in_two_documents_is_compiled_with_the_record_of_the_last_one() -> None:
    world = ChangingWorld()
    first, last = NUMBERS[2], NUMBERS[0]
    assert first < last
    world.happens(made(*GATEWAY_A, spec_of(EUIS[2])))
    world.happens(made(*GATEWAY_A, spec_of(EUIS[0])), published=1 << last)
    assert [each.uid for each in document_in(world, first).gateways] == ["uid-a-g0-0"]
    world.happens(made(*GATEWAY_A, spec_of(EUIS[0], "nonsense")), published=0)
    assert world.told[GATEWAY_A].document == REGISTRY[last]
