import stat
from pathlib import Path

from stationkeeper_tools.private_files import private_folder, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_its_owners_only(tmp_path: Path) -> None:
    assert mode(write_private(tmp_path / "key", b"secret")) == 0o600


def test_writing_over_a_file_that_others_may_read_narrows_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old")
    file.chmod(0o644)

    write_private(file, b"new")

    assert (mode(file), file.read_bytes()) == (0o600, b"new")
    assert list(tmp_path.iterdir()) == [file]


def test_a_private_folder_is_its_owners_only_even_if_it_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)

    assert mode(private_folder(folder)) == 0o700
    assert mode(private_folder(folder / "deep")) == 0o700
