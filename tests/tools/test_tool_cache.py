import multiprocessing
import signal
import stat
import time
from pathlib import Path

import pytest

from stationkeeper_tools.programs.tool_cache import holds, install
from stationkeeper_tools.progress import Progress
from tests.waiting import EVENTUALLY

SPAWN = multiprocessing.get_context("spawn")
PROGRAMS = ("one", "two")


def write(folder: Path, names: tuple[str, ...] = PROGRAMS, content: str = "x") -> None:
    for name in names:
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)


def fill_and_count(folder: Path) -> None:
    with (folder.parent / "count").open("a") as count:
        count.write("filled\n")
    time.sleep(0.2)
    write(folder)


def fill_half_and_hang(folder: Path) -> None:
    write(folder, PROGRAMS[:1])
    (folder.parent / "half").touch()
    time.sleep(600)


def fill_when_allowed(folder: Path) -> None:
    (folder.parent / "locked").touch()
    wait_for_file(folder.parent / "allowed")
    write(folder)


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + EVENTUALLY
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def install_counted(target: Path) -> None:
    install(target, PROGRAMS, fill_and_count, Progress())


def install_hanging(target: Path) -> None:
    install(target, PROGRAMS, fill_half_and_hang, Progress())


def install_when_allowed(target: Path) -> None:
    install(target, PROGRAMS, fill_when_allowed, Progress())


def test_a_filled_folder_appears_whole_and_readable_for_others(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "set"

    install(target, PROGRAMS, write, Progress())

    assert {path.name for path in target.iterdir()} == set(PROGRAMS)
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert {path.name for path in target.parent.iterdir()} == {"set", ".set.lock"}


def test_a_whole_folder_is_not_filled_again(tmp_path: Path) -> None:
    target = tmp_path / "set"
    install(target, PROGRAMS, write, Progress())

    install(target, PROGRAMS, lambda _: pytest.fail("filled again"), Progress())


def test_a_folder_that_lacks_a_program_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "set"
    install(target, PROGRAMS, write, Progress())
    (target / "one").unlink()
    (target / "two").write_text("changed")

    install(target, PROGRAMS, write, Progress())

    assert (target / "two").read_text() == "x"
    assert {path.name for path in target.iterdir()} == set(PROGRAMS)


def test_a_failed_fill_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder, PROGRAMS[:1])
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        install(tmp_path / "set", PROGRAMS, fail, Progress())

    assert [path.name for path in tmp_path.iterdir()] == [".set.lock"]


@pytest.mark.slow
def test_two_processes_fill_it_once_and_both_find_it(tmp_path: Path) -> None:
    target = tmp_path / "set"
    processes = [SPAWN.Process(target=install_counted, args=(target,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)

    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "count").read_text() == "filled\n"
    assert holds(target, PROGRAMS)


@pytest.mark.slow
def test_a_process_killed_half_way_leaves_no_half_folder_and_its_rest_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "set"
    killed = SPAWN.Process(target=install_hanging, args=(target,))
    killed.start()
    wait_for_file(tmp_path / "half")
    killed.kill()
    killed.join(30)
    assert killed.exitcode == -signal.SIGKILL
    assert not target.exists()

    install(target, PROGRAMS, write, Progress())

    assert holds(target, PROGRAMS)
    assert {path.name for path in tmp_path.iterdir()} == {"set", ".set.lock", "half"}


@pytest.mark.slow
def test_a_process_that_waits_for_another_reports_it(tmp_path: Path) -> None:
    target = tmp_path / "set"
    other = SPAWN.Process(target=install_when_allowed, args=(target,))
    other.start()
    wait_for_file(tmp_path / "locked")
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        (tmp_path / "allowed").touch()

    install(target, PROGRAMS, lambda _: pytest.fail("filled again"), Progress(say))

    other.join(30)
    assert said == ["Another process is obtaining set; waiting for it"]
