import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from stationkeeper_core.published.documents import DOCUMENTS, REGISTRY, TRUST, encode
from stationkeeper_cups.in_force.kept_generations import KeptGenerations
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.metrics import Metrics
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups, ready
from tests.cups.documents import Gateway, Trusted, contents
from tests.cups.pki import Pki


def values(pki: Pki, generation: int, trusted: list[Trusted]) -> Mapping[str, bytes]:
    return {name: encode(name, generation, each) for name, each in contents(trusted, [Gateway(pki.eui)]).items()}


async def test_a_restart_does_not_go_back_to_an_older_document(tmp_path: Path, pki: Pki) -> None:
    kept = KeptGenerations(tmp_path / "generations")
    old, new = (values(pki, generation, []) for generation in (4, 5))
    before = ServingState(Metrics(), kept=kept)
    for document, value in new.items():
        await before.load_document(document, value)

    after = ServingState(Metrics(), kept=kept)
    for document, value in old.items():
        await after.load_document(document, value)
    assert after.snapshot is None
    assert set(after.missing) >= set(DOCUMENTS)
    await after.load_document(TRUST, new[TRUST])
    assert after.generations == {TRUST: 5}


async def test_a_server_that_starts_on_an_old_volume_serves_once_it_has_the_newer_one(tmp_path: Path, pki: Pki) -> None:
    cups = Cups(tmp_path, pki, kept_generations=tmp_path / "kept")
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
    old = {name: cups.documents.joinpath(name).read_bytes() for name in DOCUMENTS}
    cups.start()
    await until(partial(ready, cups), "it serves")
    cups.publish([Trusted("b", pki.b)], [Gateway(pki.eui)])
    new = {name: cups.documents.joinpath(name).read_bytes() for name in DOCUMENTS}
    await cups.loaded()
    await cups.stop()

    cups.lay_documents(old)
    again = Cups(tmp_path, pki, kept_generations=tmp_path / "kept")
    again.generation = cups.generation
    again.start()
    try:

        async def is_waiting() -> bool:
            return await _missing(again) == set(DOCUMENTS)

        await until(is_waiting, "all documents are older than what was in force")
        answer = (await get_internal(again.internal_port, "/generation")).json()
        assert answer["kept"] == dict.fromkeys(DOCUMENTS, cups.generation), "the operator must publish a later one"
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await again.client(pki.a_gateway).ask()
        cups.lay_documents(new)
        await until(partial(ready, again), "it serves")
        assert (await again.client(pki.b_gateway).ask()).status == 200
        assert "kept" not in (await get_internal(again.internal_port, "/generation")).json()
    finally:
        await again.stop()


async def _missing(cups: Cups) -> set[str]:
    try:
        return set((await get_internal(cups.internal_port, "/readyz")).json()["missing"])
    except (OSError, ValueError):  # it does not answer yet
        return set()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"trust": "5"}', b'{"trust": -1}', b"\xff" * 300_000])
def test_a_file_that_cannot_be_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "generations"
    file.write_bytes(content)
    assert KeptGenerations(file).read() == {}


async def test_where_nothing_can_be_kept_documents_are_loaded_all_the_same(tmp_path: Path, pki: Pki) -> None:
    state = ServingState(Metrics(), kept=KeptGenerations(tmp_path / "no-folder" / "generations"))
    await state.load_document(REGISTRY[0], values(pki, 7, [])[REGISTRY[0]])
    assert state.generations == {REGISTRY[0]: 7}


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "generations"
    script = (
        "from pathlib import Path; from stationkeeper_cups.in_force.kept_generations import KeptGenerations\n"
        "import sys\n"
        "kept = KeptGenerations(Path(sys.argv[1])); number = 0\n"
        "while True:\n"
        "    number += 1; kept.write(dict.fromkeys(map(str, range(1000)), number))\n"
        "    if number == 50: print('writing', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    found = KeptGenerations(file).read()
    assert len(found) == 1000
    assert len(set(found.values())) == 1
