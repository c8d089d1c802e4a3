"""The operator behind a proxy that disturbs its connection with the API server: see `tests/perturbation`."""

import random
from collections.abc import Collection, Iterator

import pytest

from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from tests.perturbation.plan import OF_LINES, OF_LISTS, OF_OPERATOR, OF_WRITES, Kind, Perturbation, Plan
from tests.perturbation.run import ACTIVE_SECONDS, Outcome, run
from tests.perturbation.stage import Stage, stage

pytestmark = pytest.mark.slow

RUNS, MOST_RUNS = 10, 40
KINDS = (OF_OPERATOR, OF_LINES, OF_WRITES)
SHORT_SECONDS = 1.0


class CutLists(Plan):
    """A plan that cuts the first LIST of Gateways and each second one after it, and does nothing else."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, SHORT_SECONDS)
        self.kills = {}
        self.awaited = {Kind.CUT: 1}

    def draw(self, traffic: str, number: int, kinds: Collection[Kind]) -> Perturbation | None:
        is_it = traffic == "LIST gateways" and number % 2 == 1
        share = random.Random(f"{self.seed}/{number}").random()  # noqa: S311 - reproducible, not secret
        return Perturbation(Kind.CUT, 0.0, share) if is_it else None


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
    outcomes, done = list[Outcome](), set[Kind]()
    # On a busy machine a run may be over before it comes to what its plan has; then others follow.
    for seed in range(MOST_RUNS):
        if seed >= RUNS and all(done & {*each} for each in KINDS):
            break
        outcomes.append(run(perturbed, Plan(seed, SHORT_SECONDS)))
        done |= {kind for kind in Kind if outcomes[-1].counts[str(kind)]}
    assert {each.seed: each.findings for each in outcomes if each.findings} == {}
    assert all(done & {*each} for each in KINDS), done
    assert all(each.asked for each in outcomes)


def test_cut_lists_harm_only_an_operator_that_takes_them_for_whole(perturbed: Stage) -> None:
    right = run(perturbed, CutLists(0))
    assert (right.findings, right.counts[str(Kind.CUT)] > 0) == ((), True)
    perturbed.use("cut-lists")
    wrong = run(perturbed, CutLists(0), until_found=True)
    assert any("refuses the bystander" in what for what in wrong.findings), wrong
