"""msgspec crashes if threads are the first to use a type; prepared types avoid that."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
import msgspec
from stationkeeper_core.record_types import prepare_record_types

FIELDS = 12
TEXT = msgspec.json.encode({f"field{number}": [{"text": "a", "numbers": {"one": [1, 2]}}] for number in range(FIELDS)})


def decode_at_once(number, prepared):
    inner = msgspec.defstruct(f"Inner{number}", [("text", str), ("numbers", dict[str, tuple[int, ...]])])
    outer = msgspec.defstruct(f"Outer{number}", [(f"field{each}", tuple[inner, ...]) for each in range(FIELDS)])
    if prepared:
        prepare_record_types()
    begin = threading.Barrier(4)

    def decode():
        begin.wait()
        msgspec.json.decode(TEXT, type=outer)

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


sys.setswitchinterval(1e-6)
for number in range(int(sys.argv[1])):
    decode_at_once(number, sys.argv[2] == "prepared")
"""


def run(rounds: int, how: str) -> int:
    command = [sys.executable, "-c", PROGRAM, str(rounds), how]
    return subprocess.run(command, capture_output=True, check=False, timeout=120).returncode


@pytest.mark.slow
def test_prepared_types_are_decoded_by_many_threads_at_once() -> None:
    assert run(150, "prepared") == 0


@pytest.mark.slow
def test_msgspec_still_needs_types_to_be_prepared() -> None:
    """If this fails, msgspec is corrected: delete `stationkeeper_core.record_types`."""
    assert run(5_000, "unprepared") == -signal.SIGSEGV
