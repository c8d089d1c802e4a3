"""Every command on every page is valid shell, and our own programs accept their command lines."""

import argparse
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stationkeeper_cups.settings import command_line as cups_command_line
from stationkeeper_operator.settings import command_line as operator_command_line
from stationkeeper_tools.commands.program import program
from stationkeeper_tools.station.command import add_parser
from tests.pages.blocks import (
    LEFT_RUNNING,
    NOT_RUN,
    ON_A_CLUSTER,
    ON_AN_API_SERVER,
    PAGES,
    ROOT,
    RUNBOOKS,
    SAID_LATER,
    SAID_MEANWHILE,
    WITHOUT_A_CLUSTER,
    Block,
    blocks,
    scripts,
)
from tests.pages.running import unsaid

BLOCKS = [each for page in PAGES for each in blocks(page)]
COMMANDS = [each for each in BLOCKS if each.language in {"sh", "console"}]
HEREDOC = re.compile(r"<<-?\s*'?(\w+)'?(.*?)\n(?:.*?\n)?\s*\1\n", re.DOTALL)
COMMENT = re.compile(r"(?:^|[ \t])# .*$", re.MULTILINE)
VARIABLE = re.compile(r"\$\{?\w+\}?")
OPERATORS = "();<>|&"
SERVERS = {"stationkeeper-cups": cups_command_line, "stationkeeper-operator": operator_command_line}
TITLE = re.compile(rf"{LEFT_RUNNING}|{re.escape(NOT_RUN)}\S.*|Exits with [1-9]\d*")


def simple_commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each command of a script, without the shell syntax around them."""
    joined = COMMENT.sub("", HEREDOC.sub(r"\2\n", script)).replace("\\\n", " ")
    lexer = shlex.shlex(joined, posix=True, punctuation_chars=f"{OPERATORS}\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set(f"{OPERATORS}\n"):
            words.append(word)
        elif words:
            yield words
            words = []


def ours(script: str) -> Iterator[list[str]]:
    """Yield the commands of a script that run one of our programs, beginning with its name."""
    for words in simple_commands(script):
        if words[:2] == ["kubectl", "stationkeeper"]:
            yield words[1:]
        named = [each for each, word in enumerate(words) if word in {"stationkeeper", *SERVERS}]
        if named and words[: named[0]] in ([], ["uv", "run"]):
            yield words[named[0] :]


def problem(words: list[str]) -> str:
    """Return our program's objection to a command line; empty if it accepts it."""
    name, *arguments = (VARIABLE.sub("0123456789ABCDEF", each) for each in words)
    try:
        if name in SERVERS:
            SERVERS[name]({}).parse_args(arguments)
        elif arguments[:1] == ["station"]:
            parser = argparse.ArgumentParser(exit_on_error=False)
            add_parser(parser.add_subparsers())
            parser.parse_args(arguments)
        else:
            take(program, arguments)
    except click.ClickException as error:
        return error.format_message()
    except argparse.ArgumentError as error:
        return str(error)
    except SystemExit as ended:
        return "" if not ended.code else "it exits"
    return ""


def take(command: click.Command, arguments: list[str]) -> None:
    """Parse a command line as `command` does, but open no file."""
    if not arguments or arguments[0] in {"--help", "--version"}:
        return
    if isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), arguments[0])
        if inner is None:
            raise click.UsageError(f"there is no command {arguments[0]}")
        take(inner, arguments[1:])
        return
    context = click.Context(command)
    given, left, _ = command.make_parser(context).parse_args(list(arguments))
    if left:
        raise click.UsageError(f"too many arguments: {left}")
    for each in command.params:
        value = given.get(each.name or "")
        if each.required and value is None:
            raise click.MissingParameter(param=each)
        if isinstance(each.type, click.Choice) and isinstance(value, str):
            each.type.convert(value, each, context)


@pytest.mark.parametrize("block", COMMANDS, ids=[each.place for each in COMMANDS])
def test_a_block_of_commands_is_shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=scripts(block), capture_output=True, text=True, check=False, timeout=60)

    assert done.stderr == ""
    assert scripts(block).strip()


@pytest.mark.parametrize("block", COMMANDS, ids=[each.place for each in COMMANDS])
def test_our_programs_take_what_a_block_gives_them(block: Block) -> None:
    assert {" ".join(each): problem(each) for each in ours(scripts(block)) if problem(each)} == {}


def test_commands_of_ours_are_found_in_many_blocks() -> None:
    found = {words[1] for block in COMMANDS for words in ours(scripts(block)) if len(words) > 1}
    assert {"serve", "issue", "register", "station", "explain", "suspend", "revoke", "rotate-ca"} <= found


@pytest.mark.parametrize("block", BLOCKS, ids=[each.place for each in BLOCKS])
def test_a_title_is_one_that_the_tests_understand(block: Block) -> None:
    if block.language == "sh" and block.title:
        assert TITLE.fullmatch(block.title)
    elif block.language == "text" and block.title:
        assert block.title in {SAID_MEANWHILE, SAID_LATER}
    elif block.title:
        assert block.file


def test_each_command_on_each_page_is_run_or_says_why_not() -> None:
    run = {*WITHOUT_A_CLUSTER, *ON_AN_API_SERVER, *ON_A_CLUSTER}
    transcripts = {str(page.relative_to(ROOT)) for page in RUNBOOKS}

    for block in COMMANDS:
        page = block.place.partition(":")[0]
        if block.language == "console":
            assert page in transcripts, f"{block.place}: write it as sh, so that it is run"
        else:
            assert page in run or not block.is_run, f"{block.place}: run the page, or say why not in the title"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("stationkeeper issue --cvs x", "No such option"),
        ("stationkeeper unknown", "no command unknown"),
        ("stationkeeper station --home x --eui 0123456789ABCDEF --one", "unrecognized"),
        ("kubectl stationkeeper status --silnt", "No such option"),
        ("x=$(stationkeeper check --output yaml .)", "yaml"),
        ("cat x | stationkeeper check - --strickt", "No such option"),
        ("stationkeeper status extra", "too many"),
        ("stationkeeper-cups --lisen 0.0.0.0:1", "exits"),
    ],
)
def test_a_flag_that_our_programs_do_not_take_is_found(command: str, told: str) -> None:
    (words,) = ours(command)

    assert told in problem(words) or problem(words) == "it exits"


def test_a_page_is_read_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.pages.blocks.ROOT", tmp_path)
    page = tmp_path / "a.md"
    page.write_text(
        'x\n```sh title="Exits with 1"\nfalse\n```\n\n1. y\n\n    ```console\n    $ a \\\n      b\n    said\n    ```\n'
        '```yaml title="m/a.yaml"\nx: 1\n```\n```sh title="Not run in our tests: why"\nrm x\n```\n'
        "<!-- before:\ntrue\n-->\n"
    )

    fails, transcript, file, left_out, before = blocks(page)

    assert (fails.place, fails.is_run, fails.exit_code, fails.text) == ("a.md:2", True, 1, "false\n")
    assert scripts(transcript) == "a \\\n  b\n"
    assert (file.file, file.text) == ("m/a.yaml", "x: 1\n")
    assert not left_out.is_run
    assert (before.is_run, before.text) == (True, "true\n")


@pytest.mark.parametrize(
    ("shown", "lacking"),
    [
        ("one\nthree\n", ""),
        ("o…e\nt…", ""),
        ("three\none\n", "one"),
        ("on\n", "on"),
        ("four\n", "four"),
    ],
)
def test_missing_output_is_found(shown: str, lacking: str) -> None:
    assert unsaid(shown, "\x1b[32mone\x1b[0m\ntwo\nthree\n") == lacking
