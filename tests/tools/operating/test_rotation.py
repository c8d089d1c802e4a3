from typing import Any

import pytest

from stationkeeper_tools.operating.fleet import FleetResource
from stationkeeper_tools.operating.rotation import Rotation, rotation
from tests.tools.operating.test_fleet_status import ca, condition, gateway

OLD, NEW = ca("old"), ca("new")


def by(name: str, trusted_ca: str, **spec: Any) -> FleetResource:
    return gateway(name, spec=spec, certificate={"sha256": "x", "trustedCA": f"radio/{trusted_ca}"})


def plan(*gateways: FleetResource, old: FleetResource = OLD, new: FleetResource = NEW) -> Rotation:
    return rotation([old, new, *gateways], old, new)


def test_the_old_ca_may_be_deleted_when_no_gateway_uses_it() -> None:
    found = plan(by("a", "old"), by("b", "new"))
    assert ([each.key.name for each in found.gateways_of_old], found.count_of_new, found.may_delete) == (
        ["a"],
        1,
        False,
    )

    assert plan(by("a", "new"), by("b", "new"), gateway("never")).may_delete


def test_a_suspended_gateway_does_not_block_the_deletion() -> None:
    assert plan(by("a", "old", suspended=True)).may_delete


BLOCKED = {
    "the new one is not in force": {"new": ca("new", conditions=[condition("Ready", "False")])},
    "the new one is for fewer EUIs": {"new": ca("new", spec={"euiRanges": ["0100000000000000/8"]})},
    "the new one serves fewer": {"old": ca("old", spec={"serves": [{"namespace": "*"}]})},
    "an unregistered gateway comes by it": {"old": ca("old", unregistered=[{"eui": "A"}])},
}


@pytest.mark.parametrize("change", BLOCKED.values(), ids=BLOCKED)
def test_any_other_obstacle_blocks_the_deletion(change: dict[str, FleetResource]) -> None:
    found = plan(by("a", "new"), **change)

    assert not found.may_delete
    assert [each.todo for each in found.steps if not each.is_done]


def test_a_gateway_tied_to_the_old_ca_blocks_the_deletion() -> None:
    assert not plan(by("a", "new", client={"trustedCAs": ["old"]})).may_delete
    assert plan(by("a", "new", client={"trustedCAs": ["old", "new"]})).may_delete
