from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from stationkeeper_tools.programs.binaries import (
    ETCD_VERSION,
    HELM_VERSION,
    KUBERNETES_VERSION,
    ProgramPlaces,
    find_helm,
    find_kubectl,
    obtain_control_plane,
)
from stationkeeper_tools.programs.envtest_archive import PROGRAMS, EnvtestServer
from stationkeeper_tools.programs.helm_archive import HelmServer
from stationkeeper_tools.programs.tool_platform import Platform
from stationkeeper_tools.progress import Progress
from stationkeeper_tools.tool_errors import ToolError, ToolFault
from tests.tools.archive_server import Publisher, archive, publisher, sha256, sha512
from tests.tools.fake_go import put_fake_go

ARCHIVE = archive({f"controller-tools/envtest/{name}": b"archived" for name in PROGRAMS})
HELM_ARCHIVE = archive({"linux-amd64/helm": b"archived", "linux-amd64/LICENSE": b""})


class Machine:
    """Temporary folders in place of a user's, and a publisher without archives."""

    def __init__(self, folder: Path, server: Publisher) -> None:
        self.folder = folder
        self.published = server
        self.said: list[str] = []
        self.environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}

    @property
    def places(self) -> ProgramPlaces:
        return replace(
            ProgramPlaces.of(self.environment, self.folder / "home"),
            platform=Platform("linux", "amd64"),
            envtest=EnvtestServer(f"{self.published.url}/index.yaml"),
            helm=HelmServer(self.published.url),
        )

    @property
    def progress(self) -> Progress:
        return Progress(self.said.append)

    def put(self, folder: str | Path, *programs: str) -> Path:
        where = self.folder / folder
        where.mkdir(parents=True, exist_ok=True)
        for name in programs:
            (where / name).write_text("put")
            (where / name).chmod(0o755)
        return where

    def publish_control_plane(self) -> None:
        name = f"envtest-v{KUBERNETES_VERSION}-linux-amd64.tar.gz"
        entry = {"hash": sha512(ARCHIVE), "selfLink": f"{self.published.url}/{name}"}
        index = {"releases": {f"v{KUBERNETES_VERSION}": {name: entry}}}
        self.published.files |= {f"/{name}": ARCHIVE, "/index.yaml": yaml.safe_dump(index).encode()}

    def publish_helm(self, digest: str = "") -> None:
        name = f"helm-v{HELM_VERSION}-linux-amd64.tar.gz"
        line = f"{digest or sha256(HELM_ARCHIVE)}  {name}\n"
        self.published.files |= {f"/{name}": HELM_ARCHIVE, f"/{name}.sha256sum": line.encode()}

    def obtain_from(self) -> Path:
        return obtain_control_plane(self.places, self.progress).kube_apiserver.parent


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with publisher() as server:
        yield Machine(tmp_path, server)


def test_the_folder_of_kubebuilder_assets_comes_first(machine: Machine) -> None:
    assets = machine.put("assets", "kube-apiserver", "etcd")
    machine.put(machine.places.control_plane_folder, *PROGRAMS)
    machine.environment["KUBEBUILDER_ASSETS"] = str(assets)

    assert machine.obtain_from() == assets


def test_assets_without_an_api_server_are_passed_over_and_said_so(machine: Machine) -> None:
    machine.environment["KUBEBUILDER_ASSETS"] = str(machine.put("assets", "etcd"))
    cached = machine.put(machine.places.control_plane_folder, *PROGRAMS)

    assert machine.obtain_from() == cached
    assert machine.said == [
        f"KUBEBUILDER_ASSETS={machine.folder / 'assets'} does not hold kube-apiserver and etcd; looking elsewhere"
    ]


def test_the_cache_comes_before_the_search_path(machine: Machine) -> None:
    machine.put("bin", "kube-apiserver", "etcd", "kubectl")
    cached = machine.put(machine.places.control_plane_folder, *PROGRAMS)

    assert machine.obtain_from() == cached
    assert machine.said == []


def test_the_search_path_is_used_if_it_has_both_programs(machine: Machine) -> None:
    found = machine.put("bin", "kube-apiserver", "etcd")
    machine.publish_control_plane()

    assert machine.obtain_from() == found
    assert machine.published.asked == []


@pytest.mark.parametrize("alone", ["kube-apiserver", "etcd"])
def test_one_program_in_the_search_path_is_not_enough(machine: Machine, alone: str) -> None:
    machine.put("bin", alone)
    machine.publish_control_plane()

    assert machine.obtain_from() == machine.places.control_plane_folder


def test_a_file_that_cannot_be_executed_is_not_a_program(machine: Machine) -> None:
    found = machine.put("bin", "kube-apiserver", "etcd")
    (found / "etcd").chmod(0o644)
    machine.publish_control_plane()

    assert machine.obtain_from() == machine.places.control_plane_folder


def test_the_archive_is_downloaded_once_and_cached_with_its_source(machine: Machine) -> None:
    machine.publish_control_plane()
    put_fake_go(machine.folder / "bin", version_script="exit 1")

    first = obtain_control_plane(machine.places, machine.progress)
    machine.published.files.clear()
    second = obtain_control_plane(machine.places, machine.progress)

    assert first == second
    assert first.etcd.read_bytes() == b"archived"
    assert sha512(ARCHIVE) in (first.etcd.parent / "SOURCE").read_text()
    assert {path.name for path in first.etcd.parent.iterdir()} == {*PROGRAMS, "SOURCE"}


def test_without_the_archive_it_is_built_with_go_and_the_reason_is_reported_in_one_line(machine: Machine) -> None:
    put_fake_go(machine.folder / "bin")

    found = obtain_control_plane(machine.places, machine.progress)

    assert found.kube_apiserver.parent == machine.places.control_plane_folder
    assert found.kubectl is not None
    assert machine.said[0].startswith("Not from the envtest archive: DownloadFailed: ")
    assert "\n" not in machine.said[0]


def test_an_archive_with_a_wrong_hash_is_never_used(machine: Machine) -> None:
    machine.publish_control_plane()
    name = f"/envtest-v{KUBERNETES_VERSION}-linux-amd64.tar.gz"
    machine.published.files[name] = archive({f"controller-tools/envtest/{each}": b"evil" for each in PROGRAMS})
    put_fake_go(machine.folder / "bin")

    found = obtain_control_plane(machine.places, machine.progress)

    assert "DigestMismatch" in machine.said[1]
    assert found.etcd.read_bytes() != b"evil"


def test_where_nothing_yields_the_programs_the_error_has_every_reason(machine: Machine) -> None:
    put_fake_go(machine.folder / "bin", version="go1.20")

    with pytest.raises(ToolError, match=r"envtest archive: DownloadFailed(.|\n)*Go: GoTooOld") as caught:
        obtain_control_plane(machine.places, machine.progress)
    assert caught.value.fault is ToolFault.PROGRAM_NOT_FOUND
    assert not machine.places.control_plane_folder.exists()


def test_a_cache_that_cannot_be_written_is_named_with_the_variable_that_moves_it(machine: Machine) -> None:
    machine.publish_control_plane()
    (machine.folder / "home").write_text("a file, not a folder")

    with pytest.raises(ToolError, match="XDG_CACHE_HOME") as caught:
        machine.obtain_from()
    assert caught.value.fault is ToolFault.CACHE_NOT_WRITABLE


def test_kubectl_is_that_of_the_control_plane_before_that_of_the_search_path(machine: Machine) -> None:
    machine.put("bin", "kubectl")
    cached = machine.put(machine.places.control_plane_folder, *PROGRAMS)

    assert find_kubectl(machine.places, machine.progress) == cached / "kubectl"


def test_kubectl_of_the_search_path_serves_a_control_plane_that_has_none(machine: Machine) -> None:
    machine.environment["KUBEBUILDER_ASSETS"] = str(machine.put("assets", "kube-apiserver", "etcd"))
    found = machine.put("bin", "kubectl")

    assert find_kubectl(machine.places, machine.progress) == found / "kubectl"


def test_helm_comes_from_the_cache_before_the_search_path(machine: Machine) -> None:
    machine.put("bin", "helm")
    cached = machine.put(machine.places.helm_folder(HELM_VERSION), "helm")

    assert find_helm(machine.places, machine.progress) == cached / "helm"


def test_helm_comes_from_the_search_path_before_its_archive(machine: Machine) -> None:
    found = machine.put("bin", "helm")
    machine.publish_helm()

    assert find_helm(machine.places, machine.progress) == found / "helm"


def test_helm_comes_from_its_archive_and_is_cached(machine: Machine) -> None:
    machine.publish_helm()

    found = find_helm(machine.places, machine.progress)

    assert found == machine.places.helm_folder(HELM_VERSION) / "helm"
    assert found.read_bytes() == b"archived"


def test_helm_is_built_with_go_where_its_archive_is_not_what_its_digest_says(machine: Machine) -> None:
    machine.publish_helm(digest="0" * 64)
    put_fake_go(machine.folder / "bin")

    found = find_helm(machine.places, machine.progress)

    assert found.read_bytes() != b"archived"
    assert any("DigestMismatch" in each for each in machine.said)


@pytest.mark.parametrize(
    ("environment", "cache"),
    [
        ({"XDG_CACHE_HOME": "/var/cache/me"}, "/var/cache/me/stationkeeper"),
        ({"XDG_CACHE_HOME": ""}, "/home/me/.cache/stationkeeper"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/stationkeeper"),
        ({}, "/home/me/.cache/stationkeeper"),
    ],
)
def test_the_cache_lies_where_xdg_says(environment: dict[str, str], cache: str) -> None:
    assert ProgramPlaces.of(environment, Path("/home/me")).cache == Path(cache)


def test_the_folder_of_the_cache_names_version_and_platform(machine: Machine) -> None:
    assert machine.places.control_plane_folder.name == f"control-plane-{KUBERNETES_VERSION}-linux-amd64"


def test_the_go_modules_pin_the_versions_that_the_cache_names() -> None:
    go = files("stationkeeper_tools.programs") / "go"
    control_plane = (go / "control_plane" / "go.mod").read_text()
    helm = (go / "helm" / "go.mod").read_text()

    assert f"k8s.io/kubernetes v{KUBERNETES_VERSION} " in control_plane
    assert f"go.etcd.io/etcd/server/v3 v{ETCD_VERSION}" in control_plane
    assert f"helm.sh/helm/v4 v{HELM_VERSION} " in helm
    for name in ("control_plane", "helm"):
        assert (go / name / "go.sum").read_text().count(" h1:") > 100
