"""The how-to pages for a cluster: each command runs on a real API server, with operator and CUPS, as the page says."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from stationkeeper_tools.sample_pki import KeyPair, make_root
from tests.controlplane.demo_process import Demo
from tests.pages.blocks import ON_AN_API_SERVER, ROOT, RUNBOOKS, Block, blocks, scripts
from tests.pages.running import Reader

OURS = "trustedcas", "gateways", "gatewaydefaults"
COLLECTIONS = (
    *(
        f"/apis/stationkeeper.io/v1alpha1/namespaces/{where}/{each}"
        for where in ("radio", "stationkeeper")
        for each in OURS
    ),
    *(f"/api/v1/namespaces/radio/{each}" for each in ("secrets", "configmaps")),
)
GATEWAY = """apiVersion: stationkeeper.io/v1alpha1
kind: Gateway
metadata: {name: roof, namespace: radio}
spec: {eui: "0123456789ABCDEF", lns: {uri: "ws://lns.example.org:8887"}}
"""


def empty(demo: Demo) -> None:
    """Delete the objects that pages make, each kind by one request: kubectl deletes at most five objects a second."""
    for path in COLLECTIONS:
        demo.kubectl("delete", "--raw", path)


@pytest.fixture(scope="module")
def demo(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Return a release that serves every namespace, without resources."""
    with Demo(kubectl, tmp_path_factory.mktemp("pages")) as running:
        empty(running)
        yield running


@pytest.fixture
def reader(demo: Demo, kubectl: Path, tmp_path: Path) -> Iterator[Reader]:
    """Return a reader with a kubeconfig, two CAs for gateways, and the roots of CUPS and an LNS; `radio` is empty."""
    for name in ("ca", "next-ca", "lns-root"):
        pair = make_root(f"Example {name}", datetime.now(UTC))
        pair.write(tmp_path, name)
        if name == "ca":
            (tmp_path / "ca.crl").write_bytes(crl_of(pair))
    shutil.copy(demo.ready["serverCa"], tmp_path / "server-ca.crt")
    programs = tmp_path / "kubernetes"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl)
    environment = {"KUBECONFIG": demo.ready["kubeconfig"]}
    replaced = {"cups.example.org:8987": f"localhost:{demo.cups_port}"}
    with Reader(tmp_path, [programs], environment, replaced) as made:
        yield made
    empty(demo)


def crl_of(authority: KeyPair) -> bytes:
    """Return an empty CRL of a CA, as PEM."""
    now = datetime.now(UTC)
    key = load_pem_private_key(authority.key_pem, password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.x509.subject)
    made = builder.last_update(now).next_update(now + timedelta(days=1)).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("name", ON_AN_API_SERVER)
def test_the_commands_of_a_page_give_its_results(name: str, reader: Reader) -> None:
    for block in blocks(ROOT / name):
        reader.do(block)
        if block.is_manifest:
            reader.do(Block(block.place, "sh", "", f"kubectl apply -f - <<'EOF'\n{block.text}EOF\n"))


def asked(script: str) -> list[str]:
    """Return the commands of a transcript that only ask the API server, each up to its first pipe."""
    commands = [line.partition(" | ")[0] for line in script.splitlines()]
    return [each for each in commands if re.search(r" (get|describe) ", each) and " certificate " not in each]


def test_each_query_of_a_runbook_works_on_an_api_server(reader: Reader) -> None:
    begin = "kubectl create namespace radio --dry-run=client -o yaml | kubectl apply -f -\n"
    reader.do(Block("a gateway", "sh", "", f"{begin}kubectl apply -f - <<'EOF'\n{GATEWAY}EOF\n"))
    for block in (each for page in RUNBOOKS for each in blocks(page)):
        commands = [each.replace("NAMESPACE", "radio").replace(" NAME", " roof") for each in asked(scripts(block))]
        reader.do(Block(block.place, "sh", "", "".join(f"{each}\n" for each in ["true", *commands])))


def test_most_runbooks_ask_the_api_server_something() -> None:
    assert len([each for page in RUNBOOKS for block in blocks(page) for each in asked(scripts(block))]) > len(RUNBOOKS)
