"""One command of the pages creates and renews the ConfigMap of a CRL."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.control_plane import ControlPlane

PAGES = [Path("docs/operation.md"), Path("docs/resources.md")]
COMMAND = re.compile(r"^(?:\$ )?(kubectl -n radio create configmap vendor-a-crl .*\\\n.*)$", re.MULTILINE)
PATH = "/api/v1/namespaces/radio/configmaps/vendor-a-crl"
PEM, DER = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", b"\x30\x82\x01\x00\xff\xfe"


def commands() -> set[str]:
    return {found for page in PAGES for found in COMMAND.findall(page.read_text())}


def test_both_pages_give_the_same_command() -> None:
    assert len(commands()) == 1
    named = {name for page in PAGES for name in re.findall(r"configmap (\S*crl\S*)", page.read_text())}
    assert named == {"vendor-a-crl"}


@pytest.mark.parametrize("large", [False, True])
def test_it_makes_and_renews_it_from_pem_and_der(
    large: bool, control_plane: ControlPlane, kubectl: Path, tmp_path: Path
) -> None:
    api = ApiClient(control_plane.admin_kubeconfig)
    if api.find("/api/v1/namespaces/radio") is None:
        api.create("/api/v1/namespaces", {"metadata": {"name": "radio"}})
    if api.find(PATH) is not None:
        api.delete(PATH)
    (command,) = commands()
    environment = os.environ | {
        "KUBECONFIG": str(control_plane.admin_kubeconfig),
        "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
    }
    for content, field in (
        (PEM, "data"),
        (PEM * 2, "data"),
        (DER, "binaryData"),
        (DER * 2, "binaryData"),
        (PEM, "data"),
    ):
        (tmp_path / "ca.crl").write_bytes(content * (7_000 if large else 1))
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        found = api.get(PATH)
        assert {each for each in ("data", "binaryData") if "ca.crl" in found.get(each, {})} == {field}
