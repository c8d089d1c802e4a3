"""The texts of a manifest control neither the terminal of the person who checks it nor their CI."""

import json
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.commands.output import Colour, coloured, harmless, print_json, print_json_line
from tests.tools.command_line import Done, stationkeeper
from tests.tools.manifest_files import trusted_ca, write

# Clears the screen, sets a window's title, reads from right to left, and is a command to a runner of GitHub.
HOSTILE = "\x1b[2J\x1b]0;x\x07\u202e\x9b31m\n::error::x\r"
MANIFESTS: dict[str, dict[str, Any]] = {
    "a name": {"metadata": {"name": HOSTILE, "namespace": HOSTILE}},
    "a kind": {"kind": f"{HOSTILE}List{HOSTILE}", "metadata": {"name": "roof"}},
    "a key": {"metadata": {"name": "roof", "labels": {HOSTILE: 1}}, "spec": {HOSTILE: {HOSTILE: [HOSTILE]}}},
    "values": {
        "metadata": {"name": "roof"},
        "spec": {"eui": HOSTILE, "lns": {"uri": HOSTILE}, "client": {"trustedCAs": [HOSTILE]}},
    },
}


def _lines(folder: Path, name: str, output: str) -> Done:
    given = {"apiVersion": "stationkeeper.io/v1alpha1", "kind": "Gateway", **MANIFESTS[name]}
    write(folder / f"{HOSTILE.replace('/', '')}.yaml", given, trusted_ca())
    return stationkeeper("check", str(folder), "--output", output)


@pytest.mark.parametrize("output", ["text", "github", "json", "sarif"])
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_finding_is_one_line_that_can_be_printed(tmp_path: Path, name: str, output: str) -> None:
    done = _lines(tmp_path, name, output)

    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1
    assert all(line.isprintable() for line in lines)
    commands = [line for line in lines if line.startswith("::")]
    assert all(" file=" in line for line in commands)
    assert bool(commands) == (output == "github")


def test_a_fault_of_a_command_can_be_printed(tmp_path: Path) -> None:
    done = stationkeeper("check", str(tmp_path / HOSTILE))

    assert done.returncode == 2
    assert all(line.isprintable() for line in done.stderr.splitlines())


def test_colours_and_lines_stay() -> None:
    text = f"{coloured('a', Colour.BAD, bold=True)}\n{coloured('b', Colour.NAME)}"

    assert harmless(text) == text
    assert harmless(f"{text}\x1b[2K") == f"{text}?[2K"


def test_json_keeps_every_character(capsys: pytest.CaptureFixture[str]) -> None:
    for show in (print_json, print_json_line):
        show({"a": f"ü{HOSTILE}"})
        shown = capsys.readouterr().out
        assert json.loads(shown) == {"a": f"ü{HOSTILE}"}
        assert shown.replace("\n", "").isprintable()
        assert "ü" in shown
