"""The program of `helm test`, with a real CUPS."""

import asyncio
import base64
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stationkeeper_cups.accepting.peer_address import read_networks
from stationkeeper_tools.ports import free_port
from stationkeeper_tools.sample_pki import KeyPair, make_server
from tests.contract.chart import CASES, NAMESPACE, render, the
from tests.cups.client import until
from tests.cups.conftest import Cups, ready, serving
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).parents[2] / "helm/stationkeeper/files/ask_update_info.py"


def lay(folder: Path, **files: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


class HelmTest:
    """The pod of `helm test`, with a CUPS."""

    def __init__(self, folder: Path, cups: Cups, pki: Pki) -> None:
        self._folder = folder
        server = lay(folder / "server", tls_crt=pki.server.certificate_pem, ca_crt=pki.server_ca.certificate_pem)
        self.environment = {
            "HOST": "127.0.0.1",
            "PORT": str(cups.port),
            "SERVER_SECRET": "stationkeeper-server-tls",
            "SERVER_FOLDER": str(server),
            "NAME": "localhost",
            "GATEWAY_FOLDER": "",
            "EUI": pki.eui,
            "TOKENS": "false",
            "PROXY_PROTOCOL_FROM": "",
        }

    def has_gateway(self, pair: KeyPair) -> None:
        folder = lay(self._folder / "gateway", tls_crt=pair.certificate_pem, tls_key=pair.key_pem)
        self.environment["GATEWAY_FOLDER"] = str(folder)

    def has_server(self, **files: bytes) -> None:
        self.environment["SERVER_FOLDER"] = str(lay(self._folder / "other-server", **files))

    async def run(self) -> tuple[int, str]:
        def wait() -> tuple[int, str]:
            environment = {**os.environ, **self.environment}
            command = [sys.executable, str(PROGRAM)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
            return done.returncode, done.stdout + done.stderr

        return await asyncio.to_thread(wait)


@pytest.fixture
def helm_test(tmp_path: Path, cups: Cups, pki: Pki) -> HelmTest:
    return HelmTest(tmp_path, cups, pki)


async def test_a_gateway_is_answered_and_an_unknown_client_refused(helm_test: HelmTest, pki: Pki) -> None:
    helm_test.has_gateway(pki.a_gateway)
    code, told = await helm_test.run()
    assert (code, "WRONG" in told) == (0, False)
    assert "ok: the gateway is answered with" in told
    assert "its network server is wss://lns.example.org:8887" in told
    assert "ok: a client without a certificate is refused in the handshake" in told


async def test_without_a_gateway_it_says_what_was_not_checked(helm_test: HelmTest) -> None:
    code, told = await helm_test.run()
    assert code == 0
    assert "not checked: the answer to a gateway" in told


async def test_it_sends_the_header_where_its_own_network_must(tmp_path: Path, pki: Pki) -> None:
    async with serving(tmp_path, pki, proxy_protocol_from=read_networks("127.0.0.1/32")) as cups:
        helm_test = HelmTest(tmp_path, cups, pki)
        helm_test.has_gateway(pki.a_gateway)
        assert (await helm_test.run())[0] == 1
        for networks, code in (("10.0.0.0/8,2001:db8::/32", 1), ("10.0.0.0/8,127.0.0.1/32", 0)):
            helm_test.environment["PROXY_PROTOCOL_FROM"] = networks
            assert (await helm_test.run())[0] == code


async def test_no_key_is_printed(helm_test: HelmTest, pki: Pki) -> None:
    helm_test.has_gateway(pki.a_gateway)
    _, told = await helm_test.run()
    assert "PRIVATE" not in told
    assert "Bearer" not in told


async def test_a_gateway_of_an_unknown_ca_is_reported(helm_test: HelmTest, pki: Pki) -> None:
    helm_test.has_gateway(pki.b_gateway)
    code, told = await helm_test.run()
    assert code == 1
    assert "WRONG: the gateway's certificate is refused in the handshake" in told


async def test_a_gateway_that_is_suspended_is_reported_with_the_servers_reason(
    helm_test: HelmTest, cups: Cups, pki: Pki
) -> None:
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"suspended": True})])
    await cups.loaded()
    helm_test.has_gateway(pki.a_gateway)
    code, told = await helm_test.run()
    assert code == 1
    assert "WRONG: the gateway is refused: HTTP 403 GatewaySuspended" in told


async def test_a_server_that_gateways_would_not_trust_is_reported(helm_test: HelmTest, pki: Pki) -> None:
    helm_test.has_server(tls_crt=pki.server.certificate_pem, ca_crt=pki.b.certificate_pem)
    code, told = await helm_test.run()
    assert code == 1
    assert "WRONG: a gateway would not trust the server" in told


async def test_a_name_that_the_certificate_lacks_is_reported(helm_test: HelmTest) -> None:
    helm_test.environment["NAME"] = "cups.example.com"
    code, told = await helm_test.run()
    assert code == 1
    assert "WRONG: a gateway would not trust the server: Hostname mismatch" in told


async def test_a_certificate_that_ended_is_reported(helm_test: HelmTest, pki: Pki) -> None:
    old = make_server(["localhost"], [], pki.server_ca, datetime.now(UTC) - timedelta(days=30), days=10)
    helm_test.has_server(tls_crt=old.certificate_pem, ca_crt=pki.server_ca.certificate_pem)
    code, told = await helm_test.run()
    assert code == 1
    assert "WRONG: the server's certificate ended at" in told


async def test_a_missing_secret_is_reported_by_its_name(helm_test: HelmTest) -> None:
    helm_test.has_server()
    code, told = await helm_test.run()
    assert code == 1
    assert "WRONG: the Secret stationkeeper-server-tls has no tls.crt" in told


async def test_a_name_that_cannot_be_resolved_is_reported(helm_test: HelmTest) -> None:
    helm_test.environment["HOST"] = "stationkeeper-cups.invalid"
    code, told = await helm_test.run()
    assert code == 1
    assert "WRONG: the name stationkeeper-cups.invalid cannot be resolved" in told


async def test_a_server_that_does_not_listen_is_reported(helm_test: HelmTest) -> None:
    helm_test.environment["PORT"] = str(free_port())
    code, told = await helm_test.run()
    assert code == 1
    assert "no CUPS pod is ready" in told


async def test_with_tokens_an_unknown_client_is_refused_in_the_request(
    tmp_path: Path, token_cups: Cups, pki: Pki
) -> None:
    helm_test = HelmTest(tmp_path, token_cups, pki)
    helm_test.environment["TOKENS"] = "true"
    code, told = await helm_test.run()
    assert code == 0
    assert "ok: a client without a certificate is refused (403, TokenMissing" in told


async def test_an_unknown_client_that_is_answered_although_tokens_are_off_is_reported(
    tmp_path: Path, token_cups: Cups, pki: Pki
) -> None:
    code, told = await HelmTest(tmp_path, token_cups, pki).run()
    assert code == 1
    assert "WRONG: a client without a certificate got HTTP 403" in told


@pytest.mark.usefixtures("helm")
async def test_a_trials_certificate_is_served_and_would_be_trusted(tmp_path: Path, idle_cups: Cups, pki: Pki) -> None:
    data = the(render(CASES["trial"]), "Secret", "stationkeeper-trial-tls", NAMESPACE)["data"]
    trial = {name.replace(".", "_"): base64.b64decode(value) for name, value in data.items()}
    idle_cups.lay_server_tls(KeyPair(trial["tls_key"], trial["tls_crt"]))
    idle_cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    await until(lambda: ready(idle_cups), "the server is ready")
    helm_test = HelmTest(tmp_path, idle_cups, pki)
    helm_test.has_server(tls_crt=trial["tls_crt"], ca_crt=trial["ca_crt"])
    helm_test.has_gateway(pki.a_gateway)
    code, told = await helm_test.run()
    assert code == 0
    assert "ok: the server's certificate is for stationkeeper-cups, " in told
    assert "ok: the gateway is answered with" in told
