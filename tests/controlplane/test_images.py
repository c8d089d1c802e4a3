"""The images, packed without a container engine: their content, and that they work."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from images.build import Built, build
from images.pack import COMPONENTS
from stationkeeper_core.published.documents import DOCUMENTS
from stationkeeper_tools.ports import free_port
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.operator_release import release
from tests.controlplane.operator_resources import gateway, trusted_ca
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.own_process import running, serves
from tests.cups.pki import Pki
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MOST_BYTES = {"cups": 120_000_000, "operator": 150_000_000}
PACKAGES = {
    "cups": {"stationkeeper_core", "stationkeeper_cups"},
    "operator": {"stationkeeper_core", "stationkeeper_operator"},
}
ROOT = Path(__file__).parents[2]


def _may_mount() -> bool:
    command = ["unshare", "--mount", "mount", "--rbind", "/proc", "/proc"]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_root = pytest.mark.skipif(not _may_mount(), reason="only root may change the root file system of a process")


class Images:
    """The images; each is built at its first use, which takes most of a minute."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built: dict[str, Built] = {}

    def __getitem__(self, component: str) -> Built:
        if component not in self._built:
            self._built[component] = build(component, self._folder, "a-commit", ("--offline",))
        return self._built[component]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    folder = tmp_path_factory.mktemp("images")
    # A separate user runs the program, as in a cluster.
    for each in (folder, *folder.parents):
        if each.stat().st_uid == os.geteuid() and each.stat().st_mode & 0o011 != 0o011:
            each.chmod(0o755)
    return Images(folder)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki.make()


def inside(image: Built, component: str) -> tuple[str, ...]:
    """Return the command that runs the program of an image as a container does: as its user, and with `/proc`."""
    program = f"/opt/stationkeeper/bin/{COMPONENTS[component].program}"
    script = (
        'PATH="$PATH:/usr/sbin:/sbin"; mount --rbind /proc "$0/proc" && exec chroot --userspec=65532:65532 "$0" "$@"'
    )
    return ("unshare", "--mount", "sh", "-c", script, str(image.root), program)


def _whole(kubeconfig: Path) -> str:
    """Return a kubeconfig that names no other file."""
    content = yaml.safe_load(kubeconfig.read_text())
    user, cluster = content["users"][0]["user"], content["clusters"][0]["cluster"]
    content["users"][0]["user"] = {"token": user.get("token") or Path(user["tokenFile"]).read_text()}
    if "certificate-authority" in cluster:
        authority = Path(cluster.pop("certificate-authority")).read_bytes()
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    return str(yaml.safe_dump(content))


@pytest.fixture
def shared(images: Images, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a folder that a program in the image sees as `/run/test`."""
    folder = images[request.param].root / "run/test"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("component", PACKAGES)
def test_an_image_is_small_and_has_its_own_package_alone(images: Images, component: str) -> None:
    image = images[component]
    assert image.archive.stat().st_size <= MOST_BYTES[component]
    (packages,) = (image.root / "opt/stationkeeper/lib").glob("python3.*/site-packages")
    found = {each.name for each in packages.glob("stationkeeper*") if not each.name.endswith(".dist-info")}
    assert found == PACKAGES[component]
    programs = {each.name for each in (image.root / "opt/stationkeeper/bin").iterdir()}
    assert programs == {"python", "python3", COMPONENTS[component].program}
    assert not [each for each in image.root.rglob("*") if each.name in {"sh", "bash", "pip", "uv", "apt-get"}]


def test_an_image_is_the_same_byte_for_byte_each_time(images: Images, tmp_path: Path) -> None:
    again = build("cups", tmp_path, "a-commit", ("--offline",))
    assert again.digest == images["cups"].digest
    assert again.materials.read_bytes() == images["cups"].materials.read_bytes()
    assert again.licences.read_bytes() == images["cups"].licences.read_bytes()


@pytest.mark.parametrize("component", PACKAGES)
def test_an_archive_is_an_oci_layout_with_what_the_containerfile_says(images: Images, component: str) -> None:
    with tarfile.open(images[component].archive) as archive:

        def blob(digest: str) -> bytes:
            file = archive.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert file is not None
            content = file.read()
            assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
            return content

        index_file, layout = archive.extractfile("index.json"), archive.extractfile("oci-layout")
        assert index_file is not None
        assert layout is not None
        assert json.load(layout) == {"imageLayoutVersion": "1.0.0"}
        (entry,) = json.load(index_file)["manifests"]
        assert entry["digest"] == images[component].digest
        manifest = json.loads(blob(entry["digest"]))
        (layer,) = manifest["layers"]
        config = json.loads(blob(manifest["config"]["digest"]))
        assert config["rootfs"]["diff_ids"] == [layer["digest"]]
        assert len(blob(layer["digest"])) == layer["size"]
    said = config["config"]
    text = (ROOT / "Containerfile").read_text()
    stage = text[text.index(f"AS {component}\n") :].partition("\nFROM ")[0]
    assert said["User"] == re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1]
    assert f"ENTRYPOINT {json.dumps(said['Entrypoint'])}" in stage
    assert not said["Cmd"] or f"CMD {json.dumps(said['Cmd'])}" in stage
    assert {f"{port}/tcp" for port in re.findall(r"\d+", re.findall(r"^EXPOSE (.*)$", stage, re.MULTILINE)[0])} == set(
        said["ExposedPorts"]
    )
    assert said["Labels"]["org.opencontainers.image.revision"] == "a-commit"
    labels = set(re.findall(r"org\.opencontainers\.image\.[a-z.]+", text[text.index("AS runtime") :]))
    assert set(said["Labels"]) == {each for each in labels if ".base." not in each}


@pytest.mark.parametrize("component", PACKAGES)
def test_materials_and_licences_name_what_is_installed(images: Images, component: str) -> None:
    image = images[component]
    (packages,) = (image.root / "opt/stationkeeper/lib").glob("python3.*/site-packages")
    installed = {
        (file.parent.name.split("-")[0].lower().replace("_", "-"), file.parent.name.split("-")[1][: -len(".dist")])
        for file in packages.glob("*.dist-info/METADATA")
    }
    materials = json.loads(image.materials.read_text())
    assert materials["bomFormat"] == "CycloneDX"
    named = {(each["name"].lower(), each["version"]) for each in materials["components"]}
    assert installed - named <= {
        ("stationkeeper", json.loads(json.dumps(materials["metadata"]))["component"]["version"])
    }
    lines = image.licences.read_text().splitlines()
    assert {line.split()[0].lower().replace("_", "-") for line in lines} == {name for name, _ in installed}
    assert not [line for line in lines if line.endswith(": unknown")]


@needs_root
@pytest.mark.parametrize("component", PACKAGES)
def test_the_program_of_an_image_runs_as_its_user(images: Images, component: str) -> None:
    command = [*inside(images[component], component), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[-1] in (ROOT / "pyproject.toml").read_text()


@needs_root
@pytest.mark.parametrize("shared", ["cups"], indirect=True)
async def test_the_image_of_cups_answers_a_gateway(images: Images, shared: Path, pki: Pki, tmp_path: Path) -> None:
    cups = Cups(shared, pki)
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    command = [
        *inside(images["cups"], "cups"),
        *(f"--listen=127.0.0.1:{cups.port}", f"--internal-listen=127.0.0.1:{cups.internal_port}"),
        *("--directory=/run/test/documents", "--tls-cert=/run/test/server-tls/tls.crt"),
        "--tls-key=/run/test/server-tls/tls.key",
    ]
    with running(command, tmp_path / "log"):
        await serves(cups)
        assert (await cups.client(pki.a_gateway).ask()).status == 200
        assert await cups.client(pki.b_gateway).alert() == "TLSV1_ALERT_UNKNOWN_CA"


@needs_root
@pytest.mark.parametrize("shared", ["operator"], indirect=True)
def test_the_image_of_the_operator_publishes_and_reports(
    images: Images, shared: Path, control_plane: Any, tmp_path: Path
) -> None:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path) as made:
        environment = made.environment("from-an-image")
        (shared / "kubeconfig").write_text(_whole(Path(environment["KUBECONFIG"])))
        seen = {name: value for name, value in environment.items() if name.startswith("STATIONKEEPER_")}
        health = {"STATIONKEEPER_HEALTH_ADDRESS": f"127.0.0.1:{free_port()}", "KUBECONFIG": "/run/test/kubeconfig"}
        path = {"PATH": os.environ["PATH"]}
        process = OperatorProcess({**seen, **health, **path}, tmp_path / "log", inside(images["operator"], "operator"))
        try:
            wait_for(lambda: all(made.published(each) for each in DOCUMENTS), "all documents are published")
            made.apply("TrustedCA", "first", trusted_ca("first"))
            made.apply("Gateway", "first", gateway("0000000000000001"))
            made.wait_ready("TrustedCA/first", "Gateway/first")
            assert f"{made.team}/first" in made.trusted()
        finally:
            process.kill()


@needs_root
@pytest.mark.parametrize("shared", ["serve"], indirect=True)
def test_the_image_of_serve_shows_the_page_of_a_cluster(
    images: Images, shared: Path, control_plane: Any, tmp_path: Path
) -> None:
    install_crds(control_plane.admin_kubeconfig)
    (shared / "kubeconfig").write_text(_whole(control_plane.admin_kubeconfig))
    (shared / "token").write_text("0123456789abcdef")
    port = free_port()
    command = [
        *inside(images["serve"], "serve"),
        *("page", f"--listen=127.0.0.1:{port}", "--kubeconfig=/run/test/kubeconfig", "--token-file=/run/test/token"),
    ]

    def shown() -> bool:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/", headers={"Authorization": "Bearer 0123456789abcdef"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - its own URL
                return b"<h1>The fleet</h1>" in answer.read()
        except OSError:
            return False

    with running(command, tmp_path / "log"):
        wait_for(shown, "the page is shown")
