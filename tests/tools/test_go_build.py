import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_tools.programs.go_build import BuildCounter, GoModule, build
from stationkeeper_tools.progress import Progress
from stationkeeper_tools.tool_errors import ToolError, ToolFault
from tests.tools.fake_go import put_fake_go

MODULE = GoModule("helm", {"one": "example.org/one", "two": "example.org/two"}, {"example.org/v.version": "v1.2.3"})
SYSTEM_PATH = "/usr/bin:/bin"


def build_in(folder: Path, go_folder: Path, said: list[str] | None = None, **environment: str) -> None:
    search_path = f"{go_folder}:{SYSTEM_PATH}"
    progress = Progress((said if said is not None else []).append)
    build(MODULE, folder, search_path, {"PATH": search_path} | environment, progress)


def failure(folder: Path, go_folder: Path) -> ToolError:
    with pytest.raises(ToolError) as caught:
        build_in(folder, go_folder)
    return caught.value


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_the_programs_are_there_executable_and_nothing_else(tmp_path: Path, target: Path) -> None:
    put_fake_go(tmp_path / "go")

    build_in(target, tmp_path / "go")

    assert {path.name for path in target.iterdir()} == {"one", "two"}
    assert all(os.access(path, os.X_OK) for path in target.iterdir())


def test_the_flags_are_ours_and_the_proxy_is_the_users(tmp_path: Path, target: Path) -> None:
    log = put_fake_go(tmp_path / "go")

    build_in(target, tmp_path / "go", GOFLAGS="-mod=mod", GOPROXY="https://proxy.example.org", GOOS="plan9")

    calls = log.read_text()
    assert "-mod=mod" not in calls
    assert "build GOFLAGS=-mod=readonly -trimpath -buildvcs=false GOPROXY=https://proxy.example.org GOOS= " in calls
    assert "-X example.org/v.version=v1.2.3" in calls


def test_it_says_what_it_builds_and_that_this_takes_long(tmp_path: Path, target: Path) -> None:
    put_fake_go(tmp_path / "go")
    said: list[str] = []

    build_in(target, tmp_path / "go", said)

    assert said[0] == "Building one, two with Go; the first time takes several minutes"
    assert said[-1].startswith("Built one, two in ")


def test_without_go_the_error_says_what_to_install(tmp_path: Path, target: Path) -> None:
    with pytest.raises(ToolError, match=r"install Go 1\.26 or newer") as caught:
        build(MODULE, target, str(tmp_path), {}, Progress())
    assert caught.value.fault is ToolFault.GO_MISSING


@pytest.mark.parametrize("version", ["go1.19.8", "go1.25.11", "devel"])
def test_an_old_or_unknown_go_is_refused_with_what_to_install(tmp_path: Path, target: Path, version: str) -> None:
    put_fake_go(tmp_path / "go", version=version)

    error = failure(target, tmp_path / "go")

    assert error.fault is ToolFault.GO_TOO_OLD
    assert version in error.detail
    assert "install Go 1.26 or newer" in error.detail


def test_a_go_that_refuses_the_module_is_quoted(tmp_path: Path, target: Path) -> None:
    put_fake_go(tmp_path / "go", version_script="echo 'go: go.mod requires go >= 1.26.0' >&2; exit 1")

    error = failure(target, tmp_path / "go")

    assert error.fault is ToolFault.GO_TOO_OLD
    assert "go.mod requires go >= 1.26.0" in error.detail


def test_a_build_that_fails_shows_the_compilers_last_words(tmp_path: Path, target: Path) -> None:
    put_fake_go(tmp_path / "go", build_script="echo 'dial tcp: no route to host' >&2; exit 1")

    error = failure(target, tmp_path / "go")

    assert error.fault is ToolFault.BUILD_FAILED
    assert "no route to host" in error.detail


def test_the_counter_counts_known_packages_and_downloads_only() -> None:
    counter = BuildCounter(frozenset({"runtime", "k8s.io/api/core/v1"}))

    counter.feed(b"go: downloading k8s.io/api v0.37.2\nruntime\nk8s.io/api/co")
    counter.feed(b"re/v1\n# k8s.io/broken\nbroken.go:1:2: undefined: x\nunknown/package\n")

    assert (counter.compiled, counter.fetched, counter.listed) == (2, 1, {"unknown/package"})


@given(st.binary(max_size=200), st.integers(0, 200))
def test_the_counter_counts_the_same_however_the_output_is_cut(noise: bytes, cut: int) -> None:
    output = b"runtime\n" + noise + b"\ngo: downloading a v1\n"
    whole, pieces = (BuildCounter(frozenset({"runtime"})) for _ in range(2))

    whole.feed(output)
    pieces.feed(output[:cut])
    pieces.feed(output[cut:])

    assert (whole.compiled, whole.fetched, whole.listed) == (pieces.compiled, pieces.fetched, pieces.listed)
    assert whole.compiled >= 1
