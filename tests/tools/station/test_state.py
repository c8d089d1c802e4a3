import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.faults import StationFault
from stationkeeper_tools.station.files import FolderFiles, MemoryFiles
from stationkeeper_tools.station.state import Server, SetName, Staged, StationState
from tests.tools.station.blobs import ABSENT, TOKEN, answer_body, sequence

ROOT = Path(__file__).parents[3]
OLD_URI, NEW_URI = b"https://old.example.org:1", b"https://new.example.org:2"
OLD, NEW = CredentialSet(sequence(300, 1)), CredentialSet(sequence(300, 2), b"", TOKEN)


def regular(files: MemoryFiles | None = None) -> StationState:
    state = StationState(MemoryFiles() if files is None else files)
    state.stage({Server.CUPS: Staged(OLD_URI, OLD)})
    state.commit()
    return state


def test_a_seed_makes_the_boot_set_and_leaves_one_that_is_there() -> None:
    state = StationState(MemoryFiles())

    assert state.seed("https://a:1", OLD)
    assert not state.seed("https://b:1", NEW)

    assert state.uri(Server.CUPS, SetName.BOOT) == b"https://a:1"
    assert state.credentials(Server.CUPS, SetName.BOOT) == OLD
    assert state.uri(Server.CUPS, SetName.REGULAR) is None
    assert state.credentials(Server.CUPS, SetName.REGULAR).crc == 2077607535


def test_what_is_staged_counts_only_once_it_is_committed() -> None:
    state = regular()

    state.stage({Server.CUPS: Staged(NEW_URI, NEW)})
    assert state.uri(Server.CUPS, SetName.REGULAR) == OLD_URI
    state.commit()

    assert state.uri(Server.CUPS, SetName.REGULAR) == NEW_URI
    assert state.credentials(Server.CUPS, SetName.REGULAR) == NEW


def test_what_was_staged_before_and_not_committed_is_forgotten() -> None:
    state = regular()

    state.stage({Server.CUPS: Staged(NEW_URI, NEW)})
    state.stage({Server.LNS: Staged(b"wss://lns:1")})
    state.commit()

    assert state.uri(Server.CUPS, SetName.REGULAR) == OLD_URI
    assert state.uri(Server.LNS, SetName.REGULAR) == b"wss://lns:1"


def test_the_backup_is_made_once_and_never_refreshed() -> None:
    files = MemoryFiles()
    state = regular(files)

    assert state.back_up(Server.CUPS)
    state.stage({Server.CUPS: Staged(NEW_URI, NEW)})
    state.commit()
    assert not state.back_up(Server.CUPS)
    assert not StationState(files).back_up(Server.CUPS)

    assert state.uri(Server.CUPS, SetName.BACKUP) == OLD_URI
    assert state.credentials(Server.CUPS, SetName.BACKUP) == OLD


def test_files_have_the_real_clients_names_and_are_their_owners_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    state = StationState(FolderFiles(home))
    state.seed("https://a:1", OLD)
    state.stage({Server.CUPS: Staged(NEW_URI, NEW), Server.LNS: Staged(b"wss://lns:1", OLD)})
    state.commit()
    state.back_up(Server.CUPS)

    sets = {
        f"{name}.{part}" for name in ("cups", "tc", "cups-bak", "cups-boot") for part in ("uri", "trust", "crt", "key")
    }
    assert {file.name for file in home.iterdir()} == sets | {"cups-bak.done"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in home.iterdir()} == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("files", "faults"),
    [
        ({"cups.uri": b"https://a:1 \r\n"}, []),
        ({"tc-bak.uri": b"ws://a:1"}, []),
        ({}, [StationFault.NO_URI]),
        ({"cups.uri": b"https://a:1", "tc.uri": b"https://a:1"}, [StationFault.BAD_URI]),
        ({"cups.uri": b"https://a:1/", "tc.uri": b"wss://a:1"}, [StationFault.BAD_URI]),
        ({"cups.uri": b"https://a:1", "tc.uri": b"wss://" + b"a" * 122}, [StationFault.URI_TOO_LONG]),
        ({"cups.uri": b"https://" + b"a" * 120}, [StationFault.URI_TOO_LONG, StationFault.NO_URI]),
    ],
)
def test_uris_with_which_a_station_does_not_start_are_faults(
    files: dict[str, bytes], faults: list[StationFault]
) -> None:
    assert [each.fault for each in StationState(MemoryFiles(files)).uri_faults()] == faults


def test_a_uri_of_more_than_127_characters_is_as_good_as_none() -> None:
    files = MemoryFiles({"cups.uri": b"https://" + b"a" * 117 + b":1", "tc.uri": b"wss://" + b"a" * 120 + b":1"})
    state = StationState(files)

    assert state.uri(Server.CUPS, SetName.REGULAR) == files["cups.uri"]
    assert state.uri(Server.LNS, SetName.REGULAR) is None


def test_version_and_signature_keys_are_read_from_their_files() -> None:
    files = MemoryFiles({"version.txt": b"1.2 \n", "sig-0.key": b"a", "sig-1.key": b"b", "sig-3.key": b"c"})
    state = StationState(files)

    assert (state.package, state.signature_keys()) == (b"1.2", [b"a", b"b"])
    assert StationState(MemoryFiles()).package is None


@pytest.mark.slow
def test_a_station_that_is_killed_anywhere_in_an_answer_holds_a_whole_set_and_can_go_on(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(answer_body(NEW_URI, b"", NEW.trust + ABSENT + TOKEN))
    seen = set()
    for changes in range(40):
        home = tmp_path / f"home-{changes}"
        regular_state = StationState(FolderFiles(home))
        regular_state.stage({Server.CUPS: Staged(OLD_URI, OLD)})
        regular_state.commit()

        command = [sys.executable, "-m", "tests.tools.station.crashing_files", str(home), str(changes), str(body)]
        ended = subprocess.run(command, cwd=ROOT, check=False, timeout=60)
        state = StationState(FolderFiles(home))
        uri, credentials = state.uri(Server.CUPS, SetName.REGULAR), state.credentials(Server.CUPS, SetName.REGULAR)
        seen.add(uri)

        assert (uri, credentials) in {(OLD_URI, OLD), (NEW_URI, NEW)}
        assert state.back_up(Server.CUPS) is (not changes)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    else:
        raise AssertionError("the answer needs fewer changes")
    assert (uri, seen) == (NEW_URI, {OLD_URI, NEW_URI})
    assert state.uri(Server.CUPS, SetName.BACKUP) == OLD_URI
