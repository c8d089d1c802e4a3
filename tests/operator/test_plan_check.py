"""The check of the incremental compile: a difference is counted, and the full result wins."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from stationkeeper_core.published.documents import REGISTRY
from stationkeeper_operator.compiling.incremental.turn_compiler import Compiled, TurnCompiler
from stationkeeper_operator.compiling.registry_counts import RegistryCounts
from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.turns.plan_check import PlanCheck
from tests.operator.resource_building import NOW, make_ca, make_defaults, make_gateway, make_pem

GATEWAY = make_gateway({"eui": "0123456789ABCDEF"})
RESOURCES = (
    GATEWAY,
    make_ca({"certificates": make_pem("root")}),
    make_defaults({"lns": {"uri": "wss://lns.example.com:8887", "trust": make_pem("lns")}}),
)


def compiled() -> Compiled:
    compiler = TurnCompiler("stationkeeper", (), 16)
    compiler.take_in(WorldChanges({each.key: ResourceChange(None, each) for each in RESOURCES}))
    return compiler.compiled(compiler.compile(RegistryCounts(), {}, NOW), {}, NOW)


class Stage:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.time = 0.0
        self.begun_anew = 0
        self.check = PlanCheck(self.metrics.compile_differences, self._replace_base, 300.0, lambda: self.time)

    def differences(self) -> dict[str, float]:
        lines = self.metrics.exposition().decode().splitlines()
        name = "stationkeeper_operator_compile_differences_total"
        found = (line.rpartition(" ") for line in lines if line.startswith(name))
        return {label.partition('"')[2].partition('"')[0]: float(value) for label, _, value in found}

    async def checked(self, one: Compiled) -> None:
        self.time += 300.0
        assert self.is_due()
        self.check.begin(one)
        self.time += 300.0
        for _ in range(12_000):
            if self.is_due():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the check does not end")

    def is_due(self) -> bool:
        return self.check.is_due

    def _replace_base(self) -> None:
        self.begun_anew += 1


@asynccontextmanager
async def running() -> AsyncIterator[Stage]:
    stage = Stage()
    task = asyncio.create_task(stage.check.run())
    try:
        yield stage
    finally:
        task.cancel()


async def test_an_equal_result_changes_nothing() -> None:
    async with running() as stage:
        await stage.checked(compiled())
        assert stage.differences() == {"Document": 0, "Verdict": 0}
        assert stage.begun_anew == 0


@pytest.mark.parametrize("what", ["Document", "Verdict", "unexpected"])
async def test_a_difference_is_counted_and_named_and_all_is_compiled_again(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = compiled()
    if what == "Document":
        wrong = replace(wrong, digests={**wrong.digests, REGISTRY[3]: "0" * 64})
    elif what == "Verdict":
        verdicts = {**wrong.verdicts, GATEWAY.key: replace(wrong.verdicts[GATEWAY.key], message="another")}
        wrong = replace(wrong, verdicts=verdicts)
    else:
        other = GATEWAY.key._replace(name="gone")
        wrong = replace(wrong, verdicts={**wrong.verdicts, other: wrong.verdicts[GATEWAY.key]})
    async with running() as stage:
        with caplog.at_level(logging.ERROR):
            await stage.checked(wrong)
        kind = "Document" if what == "Document" else "Verdict"
        assert stage.differences() == {"Document": 0, "Verdict": 0} | {kind: 1}
        assert stage.begun_anew == 1
        assert len(caplog.records) == 1


async def test_a_check_is_due_after_a_while_and_never_next_to_another_one() -> None:
    stage = Stage()
    assert not stage.is_due(), "the first turn of a leader is compiled from nothing itself"
    stage.time = 300.0
    assert stage.is_due()
    stage.check.begin(compiled())
    stage.time = 900.0
    assert not stage.is_due()
