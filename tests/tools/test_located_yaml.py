"""Manifests are read as kubectl reads them, and no text crashes the process or keeps it busy."""

import subprocess
import sys

import pytest

from stationkeeper_tools.checking.located_yaml import MAX_DEPTH, MalformedYamlError, read_documents

DEEP = {
    "lists in brackets": "[ " * 100_000,
    "lists in brackets, on many lines": "[\n" * 100_000,
    "mappings in braces": "{a: " * 100_000,
    "lists": "- " * 100_000,
    "mappings with complex keys": "? " * 100_000,
    "lists that a comment precedes": "# a\n---\n" + "- " * 100_000,
    "aliases of aliases": "".join(f"- &a{each} [{f'*a{each - 1}' if each else 1}]\n" for each in range(5_000)),
    "merged mappings": "".join(f"- &a{each} {{{f'<<: *a{each - 1}' if each else 'a: 1'}}}\n" for each in range(5_000)),
    "an alias of itself": "&a [*a]",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP)
def test_what_is_nested_too_deeply_is_refused_and_ends_no_process(name: str) -> None:
    program = (
        "import sys\n"
        "from stationkeeper_tools.checking.located_yaml import MalformedYamlError, read_documents\n"
        "try:\n"
        "    read_documents(sys.stdin.read())\n"
        "except MalformedYamlError as error:\n"
        "    print(error.problem)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], input=DEEP[name], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, f"is nested deeper than {MAX_DEPTH} levels\n"), done.stderr


def test_what_is_nested_as_deeply_as_allowed_is_read() -> None:
    (document,) = read_documents("[" * MAX_DEPTH + "]" * MAX_DEPTH)

    assert document.value


# The texts that `kubectl annotate --local -o json` of version 1.32 gives for them.
TEXTS = ("11:22:33:44:55:11:22:33", "1:30", "1:30.5", "190:20:30", "=", "2026-01-01")


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_a_text_for_kubectl_is_one_here(text: str) -> None:
    assert read_documents(f"a: {text}")[0].value == {"a": text}


def test_a_number_with_very_many_colons_is_a_text_at_once() -> None:
    long = "1" + ":1" * 500_000

    assert read_documents(f"a: !!int {long}\nb: !!float {long}.5\n")[0].value == {"a": long, "b": f"{long}.5"}


@pytest.mark.parametrize("value", ['!!int ""', '!!float ""', "!!bool x", "!!timestamp x", "!!int x", "!!omap [1]"])
def test_a_value_that_is_none_of_its_tag_is_refused(value: str) -> None:
    with pytest.raises(MalformedYamlError):
        read_documents(f"a: {value}")
