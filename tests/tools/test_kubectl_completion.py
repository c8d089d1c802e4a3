"""kubectl completes the commands of `kubectl stationkeeper`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stationkeeper_tools.commands.kubectl_completion import completion
from stationkeeper_tools.commands.program import COMMANDS


def candidates(*words: str) -> dict[str, str]:
    """Return the candidates with their descriptions; the directive is under the empty word."""
    *lines, last = completion(words).splitlines()
    return {"": last, **dict(line.partition("\t")[::2] for line in lines)}


@pytest.mark.parametrize("words", [(), ("",)])
def test_without_a_word_every_command_is_a_candidate_with_its_description(words: tuple[str, ...]) -> None:
    found = candidates(*words)

    assert found.pop("") == ":4"
    assert found.keys() == COMMANDS.keys()
    assert all(found.values())


def test_a_word_that_has_begun_leaves_what_begins_so() -> None:
    assert candidates("re").keys() == {"", "register", "resume", "revoke", "reasons"}


def test_options_of_a_command_are_candidates() -> None:
    assert "--silent" in candidates("status", "--s")


def test_the_choices_of_an_option_are_candidates() -> None:
    assert {"text", "json"} <= candidates("status", "--output", "").keys()


@pytest.mark.parametrize(("words", "directive"), [(("issue", "--csv", ""), ":0"), (("check", "exam"), ":0")])
def test_where_a_file_is_asked_for_the_shell_completes_files(words: tuple[str, ...], directive: str) -> None:
    assert candidates(*words) == {"": directive}


def test_unknown_words_have_no_candidates() -> None:
    assert candidates("status", "no-such-word") == {"": ":4"}


@pytest.mark.slow
def test_kubectl_itself_asks_the_installed_program(kubectl: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-stationkeeper"
    plugin.write_text("#!/bin/sh\nexit 1\n")
    completer = Path(sys.executable).parent / "kubectl_complete-stationkeeper"
    (tmp_path / completer.name).symlink_to(completer)
    plugin.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    ask = [str(kubectl), "__complete", "stationkeeper", "rotate"]

    done = subprocess.run(ask, env=env, capture_output=True, text=True, timeout=60, check=True)

    assert "rotate-ca\t" in done.stdout
    assert done.stdout.splitlines()[-1] == ":4"
