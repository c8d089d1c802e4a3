"""Full garbage collections do not grow with the number of objects that stay."""

import gc
import json
import subprocess
import sys
from typing import Any

import pytest

from stationkeeper_operator.process.short_collections import LONG_SECONDS, short_collections

PROGRAM = """
import contextlib, gc, json, sys
from stationkeeper_operator.process.short_collections import short_collections

looked_at = []

def note(phase, info):
    if phase == "start" and info["generation"] == 2:
        looked_at.append(len(gc.get_objects()))

gc.callbacks.append(note)
with short_collections() if sys.argv[1] == "with" else contextlib.nullcontext():
    kept = [[number] for number in range(600_000)]
    set_aside = gc.get_freeze_count()
    del kept
    left = gc.get_freeze_count()
print(json.dumps({"most": max(looked_at), "set_aside": set_aside, "left": left, "after": gc.get_freeze_count()}))
"""


def _run(how: str) -> dict[str, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_full_collection_looks_at_no_object_that_has_stayed_long() -> None:
    usual, short = _run("without"), _run("with")
    assert short["most"] < usual["most"] / 2
    assert short["set_aside"] > 300_000
    assert short["left"] < short["set_aside"] / 2, "without a reference, an object set aside is freed"
    assert short["after"] == 0


@pytest.mark.parametrize(("took", "is_set_aside"), [(LONG_SECONDS / 2, False), (LONG_SECONDS * 2, True)])
def test_only_the_survivors_of_a_long_full_collection_are_set_aside(
    took: float, is_set_aside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    times, frozen = iter((0.0, took)), list[str]()
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append("freeze"))
    monkeypatch.setattr(gc, "unfreeze", lambda: frozen.append("unfreeze"))
    with short_collections(lambda: next(times)):
        frozen.clear()
        gc.collect(1)
        gc.collect()
    assert frozen == ["freeze", "unfreeze"][not is_set_aside :]


def test_nothing_of_it_is_left_after_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "unfreeze", lambda: None)
    before: tuple[Any, ...] = gc.get_threshold(), list(gc.callbacks)
    with short_collections():
        assert gc.get_threshold()[:2] == before[0][:2]
        assert gc.get_threshold()[2] < 10
    assert (gc.get_threshold(), list(gc.callbacks)) == before
