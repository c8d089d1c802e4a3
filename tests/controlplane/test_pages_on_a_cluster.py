"""The how-tos for a cluster: each command runs on a real API server, with the operator and CUPS, as the page says."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stationkeeper_tools.sample_pki import make_root
from tests.controlplane.demo_process import Demo
from tests.pages.blocks import ROOT, blocks
from tests.pages.running import Reader

pytestmark = pytest.mark.timeout(600)

RUN = [
    "aws-iot-core.md",
    "cert-manager.md",
    "gitops.md",
    "many-gateways.md",
    "move-the-lns.md",
    "rotate-a-ca.md",
    "silent-gateways.md",
    "stolen-gateway.md",
]
OURS = "trustedcas.stationkeeper.io,gateways.stationkeeper.io,gatewaydefaults.stationkeeper.io"


@pytest.fixture(scope="module")
def demo(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A release that serves every namespace, without a resource."""
    with Demo(kubectl, tmp_path_factory.mktemp("pages")) as running:
        running.delete(OURS, "--all")
        yield running


@pytest.fixture
def reader(demo: Demo, kubectl: Path, tmp_path: Path) -> Iterator[Reader]:
    """Somebody with a kubeconfig, two CAs for gateways, and the roots of CUPS and an LNS; `radio` is empty."""
    for name in ("ca", "next-ca", "lns-root"):
        make_root(f"Example {name}", datetime.now(UTC)).write(tmp_path, name)
    shutil.copy(demo.ready["serverCa"], tmp_path / "server-ca.crt")
    programs = tmp_path / "kubernetes"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl)
    environment = {"KUBECONFIG": demo.ready["kubeconfig"]}
    replaced = {"cups.example.org:8987": f"localhost:{demo.cups_port}"}
    with Reader(tmp_path, [programs], environment, replaced) as made:
        yield made
    clean = [str(kubectl), "-n", "radio", "delete", "--ignore-not-found", "--all", f"{OURS},secrets,configmaps"]
    subprocess.run(clean, env={**os.environ, **environment}, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("name", RUN)
def test_who_does_what_a_page_says_gets_what_it_says(name: str, reader: Reader) -> None:
    for block in blocks(ROOT / "docs" / name):
        reader.do(block)
