"""The common parts of the commands: help, version, exit codes, completion, colour, progress, errors as JSON."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from stationkeeper_tools.commands.commands_command import commands_page
from stationkeeper_tools.commands.exit_codes import MEANINGS, ExitCode
from stationkeeper_tools.commands.output import counted
from stationkeeper_tools.commands.program import COMMANDS, program
from tests.tools.command_line import PROGRAM, process, stationkeeper

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def all_commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(program, info_name="stationkeeper")
    for name in program.list_commands(context):
        found = program.get_command(context, name)
        assert found is not None
        yield name, found
        if isinstance(found, click.Group):
            yield from ((f"{name} {each}", found.commands[each]) for each in found.commands)


def test_the_page_of_the_commands_is_the_one_that_they_give() -> None:
    assert PAGE.read_text() == commands_page(program), "run `make docs`"


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize(("name", "command"), list(all_commands()))
def test_every_command_and_option_is_explained(name: str, command: click.Command) -> None:
    assert command.help, name
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


def test_without_a_command_the_help_is_shown_and_the_use_is_wrong() -> None:
    shown = stationkeeper()

    assert shown.returncode == ExitCode.USAGE
    assert all(name in shown.stderr for name in COMMANDS)


@pytest.mark.slow
def test_it_reports_its_version() -> None:
    assert process("--version").stdout.startswith("stationkeeper, version ")


def test_a_command_that_there_is_not_is_a_wrong_use() -> None:
    shown = stationkeeper("unknown")

    assert shown.returncode == ExitCode.USAGE
    assert "No such command" in shown.stderr


@pytest.mark.slow
def test_the_simulator_reads_its_own_flags() -> None:
    shown = process("station", "--help")

    assert shown.returncode == 0
    assert "--lns-connected" in shown.stdout


def test_bash_completes_commands_by_the_printed_script(tmp_path: Path) -> None:
    script = tmp_path / "stationkeeper.bash"
    script.write_text(stationkeeper("completion", "bash").stdout)
    program = tmp_path / "stationkeeper"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{PROGRAM[2]}" "$@"\n')
    program.chmod(0o755)
    lines = f"PATH={tmp_path}:$PATH; . {script}; COMP_WORDS=(stationkeeper rea); COMP_CWORD=1;"
    run = [
        "bash",
        "-c",
        f"{lines} _stationkeeper_completion stationkeeper; echo ${{COMPREPLY[0]}}",
    ]

    assert subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout.strip() == "reasons"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_a_script(shell: str) -> None:
    assert "_STATIONKEEPER_COMPLETE" in stationkeeper("completion", shell).stdout


def on_a_terminal(**environment: str) -> str:
    """Return the standard error of an unknown command if it is a terminal."""
    controller, terminal = pty.openpty()
    env = {**os.environ, **environment}
    subprocess.run([*PROGRAM, "unknown"], stderr=terminal, timeout=60, env=env, check=False)
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    return shown


@pytest.mark.slow
def test_errors_are_coloured_on_a_terminal_alone() -> None:
    assert "\x1b[" in on_a_terminal()
    assert "\x1b[" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b[" not in stationkeeper("unknown").stderr


def test_what_takes_longer_than_a_second_has_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        assert list(counted(range(3), 3, "quick", iter((0.0, 0.1, 0.2, 0.3)).__next__)) == [0, 1, 2]
        assert list(counted(range(3), 3, "Working", iter((0.0, 0.5, 2.0, 3.0)).__next__)) == [0, 1, 2]
    shown = ""
    with suppress(OSError):  # the end, once the terminal is closed
        while True:
            shown += os.read(controller, 65536).decode()
    os.close(controller)
    assert "Working" in shown
    assert "100%" in shown
    assert "quick" not in shown


@pytest.mark.slow
def test_a_reader_that_has_enough_is_not_an_error() -> None:
    with subprocess.Popen([*PROGRAM, "reasons"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
