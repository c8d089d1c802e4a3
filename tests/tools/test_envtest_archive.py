import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_tools.programs.download import Bounds
from stationkeeper_tools.programs.envtest_archive import PROGRAMS, EnvtestServer, choose_release, fetch_control_plane
from stationkeeper_tools.programs.tool_platform import Platform
from stationkeeper_tools.progress import Progress
from stationkeeper_tools.tool_errors import ToolError, ToolFault
from tests.tools.archive_server import Publisher, archive, mute_server, publisher, sha512

LINUX = Platform("linux", "amd64")
MEMBERS = {f"controller-tools/envtest/{name}": f"I am {name}".encode() for name in PROGRAMS}


@pytest.fixture
def published() -> Iterator[Publisher]:
    with publisher() as server:
        yield server


def publish(server: Publisher, content: bytes, digest: str = "", version: str = "1.37.2") -> EnvtestServer:
    name = f"envtest-v{version}-linux-amd64.tar.gz"
    entry = {"hash": digest or sha512(content), "selfLink": f"{server.url}/{name}"}
    server.files = {f"/{name}": content, "/index.yaml": index({f"v{version}": {name: entry}}).encode()}
    return EnvtestServer(f"{server.url}/index.yaml")


def index(releases: object) -> str:
    return yaml.safe_dump({"releases": releases})


def index_of(*versions: str, platform: Platform = LINUX) -> str:
    return index(
        {
            f"v{version}": {
                f"envtest-v{version}-{platform}.tar.gz": {"hash": "a" * 128, "selfLink": f"https://host/{version}"}
            }
            for version in versions
        }
    )


def fault_of_fetching(server: EnvtestServer, folder: Path) -> ToolFault:
    with pytest.raises(ToolError) as caught:
        fetch_control_plane(server, "1.37.2", LINUX, folder, Progress())
    assert not list(folder.glob("kube*"))
    return caught.value.fault


def test_a_good_archive_gives_the_three_programs_and_nothing_else(published: Publisher, tmp_path: Path) -> None:
    extra = {"controller-tools/envtest/README": b"read me"}
    server = publish(published, archive(MEMBERS | extra))

    release = fetch_control_plane(server, "1.37.2", LINUX, tmp_path, Progress())

    assert release.version == "1.37.2"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        name: f"I am {name}".encode() for name in PROGRAMS
    }
    assert all(os.access(path, os.X_OK) for path in tmp_path.iterdir())


def test_an_archive_with_another_hash_is_refused_before_it_is_unpacked(published: Publisher, tmp_path: Path) -> None:
    server = publish(published, archive(MEMBERS), digest="0" * 128)

    assert fault_of_fetching(server, tmp_path) is ToolFault.DIGEST_MISMATCH
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_breaks_off_is_refused(published: Publisher, tmp_path: Path) -> None:
    content = archive({name: os.urandom(50_000) for name in MEMBERS})
    server = publish(published, content)
    published.cut_after = 10_000

    assert fault_of_fetching(server, tmp_path) is ToolFault.DOWNLOAD_FAILED
    assert list(tmp_path.iterdir()) == []


def test_an_archive_larger_than_the_bound_is_refused(published: Publisher, tmp_path: Path) -> None:
    server = publish(published, archive({name: os.urandom(50_000) for name in MEMBERS}))
    small = replace(server, archive_bounds=replace(server.archive_bounds, size=100_000))

    assert fault_of_fetching(small, tmp_path) is ToolFault.DOWNLOAD_TOO_LARGE
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_an_archive_is_refused_although_its_hash_is_right(published: Publisher, tmp_path: Path) -> None:
    assert fault_of_fetching(publish(published, b"not an archive"), tmp_path) is ToolFault.MALFORMED_ARCHIVE


def test_an_archive_without_one_of_the_programs_is_refused(published: Publisher, tmp_path: Path) -> None:
    some = dict(list(MEMBERS.items())[1:])

    assert fault_of_fetching(publish(published, archive(some)), tmp_path) is ToolFault.MALFORMED_ARCHIVE


def test_a_program_that_is_a_link_is_refused(published: Publisher, tmp_path: Path) -> None:
    first, *others = MEMBERS
    content = archive(dict.fromkeys(others, b"x"), links={first: "/etc/passwd"})

    assert fault_of_fetching(publish(published, content), tmp_path) is ToolFault.MALFORMED_ARCHIVE


def test_a_member_that_leads_out_of_the_folder_is_never_written(published: Publisher, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    escaping = {"../../escaped": b"x", "controller-tools/envtest/../../../escaped": b"x"}

    fetch_control_plane(publish(published, archive(escaping | MEMBERS)), "1.37.2", LINUX, folder, Progress())

    assert list(tmp_path.rglob("*escaped*")) == []
    assert {path.name for path in folder.iterdir()} == set(PROGRAMS)


def test_a_server_that_has_no_index_is_named_with_its_status(published: Publisher, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=f"{published.url}/index.yaml answered with status 404") as caught:
        fetch_control_plane(EnvtestServer(f"{published.url}/index.yaml"), "1.37.2", LINUX, tmp_path, Progress())
    assert caught.value.fault is ToolFault.DOWNLOAD_FAILED


def test_a_server_that_refuses_connections_is_a_failed_download(tmp_path: Path) -> None:
    with mute_server() as url:
        pass
    assert fault_of_fetching(EnvtestServer(url), tmp_path) is ToolFault.DOWNLOAD_FAILED


def test_a_silent_server_times_out_after_the_idle_time(tmp_path: Path) -> None:
    bounds = Bounds(size=1000, idle_seconds=0.05, total_seconds=1.0)
    with mute_server() as url:
        assert fault_of_fetching(EnvtestServer(url, index_bounds=bounds), tmp_path) is ToolFault.DOWNLOAD_FAILED


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/index"])
def test_only_http_is_spoken(url: str, tmp_path: Path) -> None:
    assert fault_of_fetching(EnvtestServer(url), tmp_path) is ToolFault.DOWNLOAD_FAILED


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        (["1.36.0", "1.37.2", "1.37.9"], "1.37.2"),
        (["1.36.0", "1.37.1", "1.37.0"], "1.37.1"),
        (["1.9.9", "1.36.10", "1.36.9"], "1.36.10"),
        (["1.38.0", "2.0.0", "1.35.0"], "1.35.0"),
    ],
)
def test_the_release_is_the_wanted_one_else_the_newest_not_above_its_minor(versions: list[str], chosen: str) -> None:
    assert choose_release(index_of(*versions), "1.37.2", LINUX).version == chosen


@pytest.mark.parametrize(
    "text",
    [
        index_of("1.38.0"),
        index_of("1.37.2", platform=Platform("darwin", "arm64")),
        index({}),
        index({"v1.37.2-rc.1": {}, "latest": {}, 3: {}, "v1.36.0": None}),
    ],
)
def test_an_index_without_our_version_or_platform_has_no_release(text: str) -> None:
    with pytest.raises(ToolError) as caught:
        choose_release(text, "1.37.2", LINUX)
    assert caught.value.fault is ToolFault.NO_RELEASE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "releases: 1",
        "{",
        "a: !!python/object:os.system {}",
        index({"v1.37.2": {"envtest-v1.37.2-linux-amd64.tar.gz": "https://host/archive"}}),
        index({"v1.37.2": {"envtest-v1.37.2-linux-amd64.tar.gz": {"hash": "abc", "selfLink": "https://host/a"}}}),
        index({"v1.37.2": {"envtest-v1.37.2-linux-amd64.tar.gz": {"hash": "a" * 128}}}),
    ],
)
def test_an_index_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ToolError) as caught:
        choose_release(text, "1.37.2", LINUX)
    assert caught.value.fault is ToolFault.MALFORMED_INDEX


@given(st.text(max_size=200))
def test_any_text_is_an_index_or_refused_by_name(text: str) -> None:
    with pytest.raises(ToolError):
        choose_release(text, "1.37.2", LINUX)
