"""The installed version of kopf has the used parts that are not public."""

import ast
import asyncio
import logging
from importlib.metadata import requires, version
from pathlib import Path

import kopf
import pytest
from packaging.requirements import Requirement

from stationkeeper_operator.watching import kopf_internals
from tests.waiting import EVENTUALLY

OPERATOR = Path(__file__).parents[2] / "operator"


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
    return found


def test_the_installed_version_was_tried() -> None:
    assert version("kopf") in kopf_internals.TRIED


def test_no_version_after_the_next_minor_one_is_taken() -> None:
    allowed = next(each for each in map(Requirement, requires("stationkeeper") or ()) if each.name == "kopf")
    major, minor, _ = version("kopf").split(".")
    assert allowed.specifier.contains(f"{major}.{minor}.999")
    assert not allowed.specifier.contains(f"{major}.{int(minor) + 1}.0")


def test_only_one_module_uses_private_modules_of_kopf() -> None:
    users = {path.stem for path in OPERATOR.rglob("*.py") if any("kopf._" in each for each in imported(path))}
    assert users == {"kopf_internals"}


async def test_kopf_keeps_nothing_of_a_reported_object() -> None:
    memories = kopf_internals.NoMemories()
    body = kopf.RawBody(metadata={"uid": "1", "name": "roof", "namespace": "radio"})
    for _ in range(2):
        memory = await memories.recall(body, noticed_by_listing=True, memobase=object())
        assert memory.noticed_by_listing
    await memories.recall_memo(body)
    assert list(memories.iter_all_memories()) == []
    await memories.forget(body)


@pytest.mark.slow
async def test_it_is_known_whether_kopf_watches_and_kopf_logs_nothing_about_signals(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def login(**_: object) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server="http://127.0.0.1:9")

    def run_in_a_thread() -> bool:
        async def run() -> bool:
            registry = kopf.OperatorRegistry()
            kopf.on.login(registry=registry, id="login")(login)
            kopf_internals.silence_signals_warning()
            stop = asyncio.Event()
            before = kopf_internals.is_watching()
            operator = asyncio.create_task(
                kopf.operator(
                    registry=registry,
                    identity=kopf_internals.IDENTITY,
                    standalone=True,
                    clusterwide=True,
                    stop_flag=stop,
                )
            )
            while not kopf_internals.is_watching():  # noqa: ASYNC110 - kopf has no event for it
                await asyncio.sleep(0.01)
            stop.set()
            await asyncio.wait_for(operator, EVENTUALLY)
            return before

        return asyncio.run(run())

    with caplog.at_level(logging.INFO):
        assert not await asyncio.to_thread(run_in_a_thread)
    assert [each.getMessage() for each in caplog.records if "ignal" in each.getMessage()] == []
