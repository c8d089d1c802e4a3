"""An unreadable or half-written volume: the last good state stays, and a repaired one is loaded."""

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stationkeeper_core.published.documents import TRUST, encode
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups, ready
from tests.cups.documents import Gateway, Trusted, contents
from tests.cups.pki import Pki

VOLUME_BYTES = 256 * 1024
COMPLAINT = "cannot read, the last good state stays in force"


def _in_a_circle(path: Path) -> None:
    path.symlink_to(path.name)


FAULTS: dict[str, Callable[[Path], None]] = {
    "a folder in its place": Path.mkdir,
    "a pipe in its place, which would keep a reader waiting": os.mkfifo,
    "a link in a circle": _in_a_circle,
    "an error of the disk": lambda path: path.symlink_to("/proc/self/mem"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_unreadable_document_changes_nothing_until_it_is_repaired(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    async def complained() -> bool:
        return COMPLAINT in caplog.messages

    document, broken = cups.documents / TRUST, cups.documents / "broken"
    FAULTS[fault](broken)
    target = document.readlink()
    document.unlink()
    broken.rename(document) if fault != "a link in a circle" else document.symlink_to(document.name)
    client = cups.client(pki.a_gateway)
    await until(complained, "that it cannot be read is logged")
    assert (await client.ask()).status == 200
    assert (await get_internal(cups.internal_port, "/readyz")).status == 200

    document.rmdir() if document.is_dir() else document.unlink()
    document.symlink_to(target)
    cups.publish([Trusted("b", pki.b)], [Gateway(pki.eui)])
    await cups.loaded()
    assert await client.alert() == "TLSV1_ALERT_UNKNOWN_CA"


async def test_a_missing_volume_changes_nothing_until_it_is_repaired(cups: Cups, pki: Pki) -> None:
    data = cups.documents / "..data"
    target = data.readlink()
    data.unlink()
    data.symlink_to("..nowhere")
    client = cups.client(pki.a_gateway)
    assert (await client.ask()).status == 200
    data.unlink()
    data.symlink_to(target)
    cups.publish([Trusted("b", pki.b)], [Gateway(pki.eui)])
    await cups.loaded()
    assert await client.alert() == "TLSV1_ALERT_UNKNOWN_CA"


@contextmanager
def _small_volume(folder: Path) -> Iterator[None]:
    """Yield a small file system of `VOLUME_BYTES` at `folder`, if this user may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_BYTES}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """Fill `folder`; if it is no separate file system, limit the size of files to nothing."""
    if os.path.ismount(folder):
        filler = folder / "filler"
        with pytest.raises(OSError) as full, filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert full.value.errno == errno.ENOSPC
        yield
        filler.unlink()
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_on_a_full_disk_the_last_good_state_stays_and_with_room_again_what_is_new_is_loaded(
    tmp_path: Path, pki: Pki
) -> None:
    cups = Cups(tmp_path, pki)
    without_b = [Trusted("a", pki.a)], [Gateway(pki.eui)]

    async def refused() -> bool:
        return TRUST in (await get_internal(cups.internal_port, "/generation")).json()["refused"]

    with _small_volume(cups.documents):
        cups.start()
        try:
            cups.lay_server_tls(pki.server)
            cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
            await until(lambda: ready(cups), "the server is ready")
            kept, removed = cups.client(pki.a_gateway), cups.client(pki.b_gateway)
            # Like a writer that empties a file before it writes it again, and then has no space.
            with (cups.documents / "..data" / TRUST).open("wb", buffering=0) as file, _full(cups.documents):
                with pytest.raises(OSError, match=r"No space|too large"):
                    file.write(encode(TRUST, 9, contents(*without_b)[TRUST]))
                await until(refused, "what was written by halves is refused")
                assert (await kept.ask()).status == 200
                with pytest.raises(OSError, match=r"No space|too large"):
                    cups.publish(*without_b)
                assert (await kept.ask()).status == 200
            cups.publish(*without_b)
            await cups.loaded()
            assert (await kept.ask()).status == 200
            assert await removed.alert() == "TLSV1_ALERT_UNKNOWN_CA"
        finally:
            await cups.stop()
