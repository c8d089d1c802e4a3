import os
from pathlib import Path

import pytest

from stationkeeper_tools.standalone import folder_scan
from stationkeeper_tools.standalone.folder_scan import read_regular, scan


def names(root: Path) -> list[str]:
    return sorted(scan(root).files)


def test_manifests_are_found_below_and_hidden_names_and_others_are_not(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", "c.json", "d.txt", ".e.yaml", "f/g.yaml", ".h/i.yaml", "j.yaml~"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")

    assert names(tmp_path) == ["a.yaml", "b.yml", "c.json", "f/g.yaml"]


def test_links_to_files_and_folders_are_followed_and_a_circle_is_not(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.yaml").write_text("")
    root = tmp_path / "root"
    root.mkdir()
    (root / "folder").symlink_to("../elsewhere")
    (root / "b.yaml").symlink_to("../elsewhere/a.yaml")
    (root / "circle").symlink_to(".")

    assert names(root) == ["b.yaml", "folder/a.yaml"]


def test_a_broken_link_does_not_count_as_a_removed_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("gone.yaml")
    (tmp_path / "folder").symlink_to("gone")

    assert scan(tmp_path).unreadable.keys() == {"a.yaml", "folder"}


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")

    assert scan(tmp_path).unreadable == {"a.yaml": "is not a regular file"}
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "a.yaml", 10)


def test_a_folder_that_is_missing_or_a_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert scan(tmp_path / "missing").unreadable.keys() == {""}
    assert scan(tmp_path / "file").unreadable.keys() == {""}


def test_any_change_is_seen_even_with_the_old_time_and_size(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("one")
    before, times = scan(tmp_path), path.stat()
    path.write_text("two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert scan(tmp_path) != before


@pytest.mark.parametrize("bound", ["MAX_FILES", "MAX_ENTRIES", "MAX_TOTAL_BYTES"])
def test_too_much_is_not_read_in_part(tmp_path: Path, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_scan, bound, 2)
    for number in range(3):
        (tmp_path / f"{number}.yaml").write_text("x")

    found = scan(tmp_path)

    assert found.files == {}
    assert "has more than" in found.unreadable[""]


def test_what_lies_too_deep_is_reported(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 18)
    deep.mkdir(parents=True)
    (deep / "a.yaml").write_text("")

    found = scan(tmp_path)

    assert found.files == {}
    assert list(found.unreadable.values()) == ["lies deeper than 16 folders"]
