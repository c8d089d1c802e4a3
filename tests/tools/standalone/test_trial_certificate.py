from pathlib import Path

import pytest

from stationkeeper_cups.in_force.server_certificate import check_for_stations, server_credentials
from stationkeeper_tools.standalone.state_folder import StateFolder
from stationkeeper_tools.standalone.trial_certificate import ServerFiles, trial_certificate


def made(folder: Path, *names: str) -> tuple[ServerFiles, list[bytes]]:
    with StateFolder(folder) as state:
        files = trial_certificate(state, names)
    assert files.root is not None
    return files, [each.read_bytes() for each in (files.certificate, files.key, files.root)]


@pytest.mark.parametrize("names", [("cups.example.org",), ("192.0.2.1", "::1"), ("0:0::1", "localhost")])
def test_a_station_takes_it_and_it_is_kept(tmp_path: Path, names: tuple[str, ...]) -> None:
    files, first = made(tmp_path / "state", *names)
    _, again = made(tmp_path / "state", *names)

    check_for_stations(server_credentials(*first[:2]))
    assert again == first
    assert files.key.stat().st_mode & 0o077 == 0


def test_for_other_names_there_is_another_one_of_the_same_root(tmp_path: Path) -> None:
    _, first = made(tmp_path / "state", "one.example.org")
    _, second = made(tmp_path / "state", "two.example.org")

    assert second[0] != first[0]
    assert second[2] == first[2]


def test_a_key_that_is_lost_is_made_again(tmp_path: Path) -> None:
    files, first = made(tmp_path / "state", "one.example.org")
    files.key.unlink()
    _, second = made(tmp_path / "state", "one.example.org")

    check_for_stations(server_credentials(*second[:2]))
    assert second[2] == first[2]


def test_a_root_that_somebody_spoilt_is_reported_and_not_replaced(tmp_path: Path) -> None:
    made(tmp_path / "state", "one.example.org")
    (tmp_path / "state/server-ca.pem").write_text("x")

    with pytest.raises(ValueError, match="PEM"):
        made(tmp_path / "state", "one.example.org")
