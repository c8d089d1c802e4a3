"""No test fails because a machine is slow: tests have the same long time limits everywhere."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

FILES = sorted(Path("tests").glob("**/*.py"))
MARK = re.compile(r"mark\.timeout\((\d+)\)")


def own_limits(source: str) -> list[int]:
    """Return the lines where `wait_for` is given a number of seconds."""
    calls = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call)]
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "wait_for"
        for value in [*call.args[2:], *(each.value for each in call.keywords)]
        if isinstance(value, ast.Constant)
    ]


def test_no_test_has_less_time_than_the_others() -> None:
    settings = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    less = {
        str(path): found
        for path in FILES
        if (found := [each for each in MARK.findall(path.read_text()) if int(each) < settings["timeout"]])
    }
    assert less == {}


def test_no_wait_has_a_number_of_seconds_of_its_own() -> None:
    assert {str(path): found for path in FILES if (found := own_limits(path.read_text()))} == {}


@pytest.mark.parametrize("call", ["wait_for(probe, 'it comes', 10.0)", "wait_for(probe, 'it comes', seconds=10)"])
def test_a_number_of_seconds_is_found(call: str) -> None:
    assert own_limits(call) == [1]
    assert own_limits("wait_for(probe, 'it comes')") == []
