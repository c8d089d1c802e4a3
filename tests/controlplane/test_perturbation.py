"""The operator behind a proxy that perturbs what it and the API server say: see `tests/perturbation`."""

from collections.abc import Iterator

import pytest

from stationkeeper_tools.binaries import ControlPlaneBinaries
from tests.perturbation.plan import OF_LINES, OF_LISTS, OF_OPERATOR, OF_WRITES, Kind, Plan
from tests.perturbation.run import ACTIVE_SECONDS, run
from tests.perturbation.stage import Stage, stage

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]

RUNS = 10
SHORT_SECONDS = 1.0
GIVEN_UP_SECONDS = 15.0
CUT_LISTS = (18, 8, 1, 21, 35, 43)
"""Seeds that cut many answers."""


@pytest.fixture(scope="module")
def perturbed(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with stage(control_plane_binaries, tmp_path_factory.mktemp("perturbed")) as made:
        yield made


def test_a_seed_means_the_same_plan_each_time() -> None:
    one, two = (Plan(7, ACTIVE_SECONDS) for _ in range(2))
    assert (one.deeds, one.kills, one.pause) == (two.deeds, two.kills, two.pause)
    drawn = [[plan.draw("LIST gateways", number, OF_LISTS) for number in range(200)] for plan in (one, two)]
    assert drawn[0] == drawn[1]


def test_the_seeds_draw_every_kind() -> None:
    kinds = {*OF_LISTS, *OF_WRITES, *OF_LINES}
    drawn = {
        found.kind
        for seed in range(50)
        for number in range(50)
        for kinds_of_it in (OF_LISTS, OF_WRITES, OF_LINES)
        if (found := Plan(seed, ACTIVE_SECONDS).draw("any", number, kinds_of_it)) is not None
    }
    assert drawn == kinds


def test_perturbations_break_no_promise(perturbed: Stage) -> None:
    outcomes = [run(perturbed, seed, SHORT_SECONDS) for seed in range(RUNS)]
    assert {each.seed: each.findings for each in outcomes if each.findings} == {}
    done = {kind for kind in Kind for each in outcomes if each.counts[str(kind)]}
    assert done & {*OF_OPERATOR}
    assert done & {*OF_LINES}
    assert done & {*OF_WRITES}
    assert all(each.asked for each in outcomes)


def test_a_deliberate_bug_is_found(perturbed: Stage) -> None:
    """A LIST that was cut counts as whole: gateways that nobody changed are refused."""
    perturbed.use("cut-lists")
    found = (what for seed in CUT_LISTS for what in run(perturbed, seed, settle_seconds=GIVEN_UP_SECONDS).findings)
    assert any("refuses the bystander" in what for what in found)
