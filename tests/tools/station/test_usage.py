"""Wrong command lines of `stationkeeper station`, and their messages; no server is asked."""

from pathlib import Path

import pytest

from tests.tools.command_line import stationkeeper

EUI = ("--eui", "0123456789ABCDEF")
CUPS = ("--cups", "https://localhost:1")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "file"
    path.write_text("no token\nat all\n")
    return str(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--token", "FILE", "--cert", "FILE"), "--token is for gateways without --cert and --key"),
        (("--cert", "FILE"), "--cert and --key go together"),
        ((), "--trust is needed"),
        (("--trust", "FILE", "--token", "FILE"), "FILE: "),
        (("--trust", "FILE.not"), "FILE.not: No such file or directory"),
        (("--count", "0"), "is not a number of at least 1"),
        (("--timeout", "-1"), "is not a number of seconds"),
        (("--timeout", "nan"), "is not a number of seconds"),
        (("--timeout", "soon"), "is not a number of seconds"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    tmp_path: Path, file: str, options: tuple[str, ...], said: str
) -> None:
    given = [each.replace("FILE", file) for each in options]
    done = stationkeeper("station", *EUI, *CUPS, "--home", str(tmp_path / "home"), *given, "--once")
    assert done.returncode == 2
    assert said.replace("FILE", file) in done.stderr


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("wss://localhost:1", "'wss://localhost:1'"),
        ("https://" + "a" * 300 + ":1", "overlong host"),
        ("https://caf\N{LATIN SMALL LETTER E WITH ACUTE}:1", "ASCII"),
    ],
)
def test_a_server_that_no_station_can_be_given_is_refused(tmp_path: Path, uri: str, said: str) -> None:
    done = stationkeeper("station", *EUI, "--cups", uri, "--home", str(tmp_path / "home"), "--once")
    assert done.returncode == 2
    assert said in done.stderr


def test_an_eui_that_is_none_is_refused() -> None:
    done = stationkeeper("station", "--eui", "0123", *CUPS, "--once")
    assert done.returncode == 2
    assert "--eui" in done.stderr


def test_a_home_that_is_a_file_is_said(file: str) -> None:
    done = stationkeeper("station", *EUI, "--cups", "http://localhost:1", "--home", file, "--once")
    assert done.returncode == 1
    assert file in done.stderr
