"""A process returns free memory to the kernel, which counts the pages."""

import os
import platform
import subprocess
import sys

import pytest

TAKEN = (128 << 20) // os.sysconf("SC_PAGESIZE")

# A large block that is freed makes glibc raise its threshold. From then on, it takes smaller blocks from a pool, and
# the one that is held at the end keeps all of them with the process.
PROGRAM = """
import sys
from stationkeeper_operator.process.free_memory import keep_little_free_memory
if sys.argv[1] == "with":
    keep_little_free_memory()

def pages():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

large = bytearray(24 << 20)
del large
before = pages()
blocks = [bytearray(b"x" * (2 << 20)) for _ in range(64)]
held = bytearray(b"x" * (1 << 20))
most = pages()
del blocks
print(most - before, pages() - before)
"""


def _pages(how: str) -> tuple[int, int]:
    """Return the pages that 128 MiB took, and those that the process kept after it freed them."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    took, kept = done.stdout.split()
    return int(took), int(kept)


@pytest.mark.slow
@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="mallopt is a function of glibc: others keep no such pool"
)
def test_large_blocks_go_back_to_the_kernel_at_once() -> None:
    took, kept = _pages("with")
    assert took > TAKEN // 2
    assert kept < TAKEN // 10
    took, kept = _pages("without")
    assert took > TAKEN // 2
    assert kept > TAKEN // 2, "glibc keeps free blocks of a size that was freed once"
