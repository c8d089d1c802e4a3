import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stationkeeper_tools.processes import LOG_TAIL_BYTES, ManagedProcess
from stationkeeper_tools.tool_errors import ToolError, ToolFault
from tests.waiting import EVENTUALLY

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
WITH_CHILD = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print('child', child.pid, flush=True); time.sleep(600)"
)


class Started:
    """Starts Python programs, and ends all of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[ManagedProcess] = []

    def __call__(self, code: str) -> ManagedProcess:
        process = ManagedProcess("sample", [sys.executable, "-c", code], self._folder / "sample.log")
        self._all.append(process)
        process.start()
        return process

    def end(self) -> None:
        for process in self._all:
            process.kill()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    starter = Started(tmp_path)
    yield starter
    starter.end()


def wait_for_output(process: ManagedProcess, text: str) -> str:
    process.wait_until(lambda: text in process.log.read_text(), EVENTUALLY, f"it has said {text!r}")
    return process.log.read_text()


def exists(pid: int) -> bool:
    stat_file = Path(f"/proc/{pid}/stat")
    try:
        return stat_file.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_stop_lets_a_process_end_by_itself(started: Started) -> None:
    process = started("print('up', flush=True); import time; time.sleep(600)")
    wait_for_output(process, "up")

    process.stop(EVENTUALLY)

    assert process.exit_status == -signal.SIGTERM
    assert not process.is_running


def test_stop_kills_a_process_that_does_not_end_in_its_grace_time(started: Started) -> None:
    process = started(STUBBORN)
    wait_for_output(process, "up")

    begin = time.monotonic()
    process.stop(0.1)

    assert process.exit_status == -signal.SIGKILL
    assert time.monotonic() - begin < EVENTUALLY


def test_kill_leaves_nothing_of_the_process_group(started: Started) -> None:
    process = started(WITH_CHILD)
    child = int(wait_for_output(process, "\n").split()[1])

    process.kill()

    deadline = time.monotonic() + EVENTUALLY
    while exists(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_stop_ends_the_children_of_a_process_that_has_died_before(started: Started) -> None:
    process = started(WITH_CHILD)
    child = int(wait_for_output(process, "\n").split()[1])
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)

    process.stop()

    deadline = time.monotonic() + EVENTUALLY
    while exists(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_that_ends_while_it_is_waited_for_shows_its_last_words(started: Started) -> None:
    process = started("print('the disk is full'); raise SystemExit(3)")

    with pytest.raises(
        ToolError, match=r"sample ended with status 3 before: it is ready(.|\n)*the disk is full"
    ) as caught:
        process.wait_until(lambda: False, EVENTUALLY, "it is ready")
    assert caught.value.fault is ToolFault.PROCESS_ENDED


def test_a_process_that_does_not_get_ready_shows_its_last_words(started: Started) -> None:
    process = started("print('thinking', flush=True); import time; time.sleep(600)")
    wait_for_output(process, "thinking")

    with pytest.raises(ToolError, match=r"not within 0.05 s: it is ready(.|\n)*thinking") as caught:
        process.wait_until(lambda: False, 0.05, "it is ready")
    assert caught.value.fault is ToolFault.DEADLINE_EXCEEDED
    assert process.is_running


def test_the_shown_end_of_a_long_log_is_bounded_and_starts_with_a_whole_line(started: Started) -> None:
    process = started("for number in range(10000): print('line', number)")
    assert process.wait(EVENTUALLY)

    first, *_, last = process.log_tail().splitlines()[1:]

    assert first.startswith("line ")
    assert last == "line 9999"
    assert len(process.log_tail()) < LOG_TAIL_BYTES + 200


def test_the_log_is_readable_by_its_owner_only(started: Started) -> None:
    process = started("pass")

    assert stat.S_IMODE(process.log.stat().st_mode) == 0o600


def test_an_ended_process_can_be_started_again_and_adds_to_its_log(started: Started) -> None:
    process = started("print('once')")
    assert process.wait(EVENTUALLY)

    process.start()

    assert process.wait(EVENTUALLY)
    assert process.log.read_text() == "once\nonce\n"


def test_a_program_that_does_not_exist_is_a_named_error(tmp_path: Path) -> None:
    process = ManagedProcess("sample", [tmp_path / "nothing"], tmp_path / "log")

    with pytest.raises(ToolError) as caught:
        process.start()
    assert caught.value.fault is ToolFault.PROGRAM_NOT_FOUND


def test_stop_before_start_does_nothing(tmp_path: Path) -> None:
    process = ManagedProcess("sample", [sys.executable], tmp_path / "log")

    process.stop()

    assert process.pid is None
