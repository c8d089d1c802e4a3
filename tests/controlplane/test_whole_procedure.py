"""The document's procedure as a user does it, with openssl, kubectl and curl, and all processes with their rights."""

import itertools
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.eui64 import EUI64, format_hex, format_id6
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_tools.sample_pki import make_root
from tests.controlplane.demo_process import Demo, gateway, token_secret, trusted_ca
from tests.controlplane.openssl_pki import OpensslPki
from tests.station_answer import read_answer, split_credentials
from tests.waiting import wait_for

LNS = "wss://lns.example.org:8887"
_numbers = itertools.count(0xA840_4100_0000_0001)


@pytest.fixture(scope="module")
def demo(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(kubectl, tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> OpensslPki:
    made = OpensslPki(tmp_path_factory.mktemp("pki") / "pki")
    made.root("root-ca")
    made.root("other-ca")
    made.intermediate("issuing-ca", "root-ca")
    return made


@pytest.fixture
def eui() -> EUI64:
    return EUI64(next(_numbers))


def _body(eui: EUI64) -> str:
    return f'{{"router":"{format_id6(eui)}"}}'


def _lns(pki: OpensslPki, uri: str = LNS, secret_name: str = "lns-token") -> dict[str, Any]:
    return {
        "uri": uri,
        "trust": pki.text("other-ca"),
        "auth": {"token": {"secretKeyRef": {"name": secret_name, "key": "token"}}},
    }


def _expired_root() -> str:
    return make_root("Expired", datetime.now(UTC) - timedelta(days=30), days=10).certificate_pem.decode()


class Registered:
    """A registered gateway with a certificate of `issuer`, whose CA is trusted."""

    def __init__(self, demo: Demo, pki: OpensslPki, eui: EUI64, issuer: str, **ca: str) -> None:
        self.demo, self.pki, self.eui = demo, pki, eui
        self.name = f"gw-{format_hex(eui).lower()}"
        self.ca = f"ca-{format_hex(eui).lower()}"
        self.files = pki.gateway(self.name, format_hex(eui), issuer)
        demo.apply(
            token_secret("lns-token", "Bearer NNSXS.SECRET"),
            trusted_ca(self.ca, **(ca or {"certificates": pki.text(issuer)})),
            gateway(self.name, format_hex(eui), _lns(pki)),
        )

    def outcome(self) -> str:
        return self.demo.curl(*self.files, _body(self.eui)).outcome

    def soon(self, outcome: str) -> None:
        wait_for(lambda: outcome in self.outcome(), f"{outcome} instead of {self.outcome()}")

    def remove(self) -> None:
        self.demo.delete("trustedca", self.ca)
        self.demo.delete("gateway", self.name)


@pytest.fixture
def registered(demo: Demo, pki: OpensslPki, eui: EUI64) -> Iterator[Registered]:
    made = Registered(demo, pki, eui, "root-ca")
    made.soon("200")
    yield made
    made.remove()


def test_the_demo_reports_each_step_and_where_everything_is(demo: Demo) -> None:
    assert all(step["ok"] and step["seconds"] >= 0 for step in demo.steps)
    assert [step["step"] for step in demo.steps][:2] == ["control-plane", "install"]
    assert demo.ready["cupsUrl"].startswith("https://")
    assert demo.ready["internalUrl"].startswith("https://")
    assert Path(demo.ready["kubeconfig"]).is_file()


def test_the_documents_commands_get_the_lns_and_its_credentials(registered: Registered) -> None:
    answer = registered.demo.curl(*registered.files, _body(registered.eui))

    response = read_answer(answer.body)
    assert response.tc_uri == LNS
    credentials = split_credentials(response.tc_credentials)
    assert parse_certificate(credentials.trust).subject == "CN=other-ca"
    assert credentials.certificate == b""
    assert credentials.key == b"Authorization: Bearer NNSXS.SECRET\r\n"
    assert (response.cups_uri, response.cups_credentials, response.update) == ("", b"", b"")


@pytest.mark.parametrize("configured", ["intermediate", "root and intermediates"])
def test_a_gateway_of_an_intermediate_is_accepted(demo: Demo, pki: OpensslPki, eui: EUI64, configured: str) -> None:
    root, issuing = pki.text("root-ca"), pki.text("issuing-ca")
    ca = {"certificates": issuing} if configured == "intermediate" else {"certificates": root, "intermediates": issuing}

    made = Registered(demo, pki, eui, "issuing-ca", **ca)

    made.soon("200")
    made.remove()


def test_a_ca_is_refused_soon_after_it_is_deleted_and_trusted_again_soon_after_it_is_applied(
    registered: Registered,
) -> None:
    demo, ca = registered.demo, registered.ca
    demo.delete("trustedca", ca)
    registered.soon("unknown ca")
    demo.apply(trusted_ca(ca, certificates=registered.pki.text("root-ca")))
    registered.soon("200")


def test_a_gateway_is_followed_soon_in_all_that_happens_to_it(registered: Registered, pki: OpensslPki) -> None:
    demo, name, eui = registered.demo, registered.name, format_hex(registered.eui)

    demo.apply(gateway(name, eui, _lns(pki, "wss://moved.example.org:443")))
    wait_for(
        lambda: b"wss://moved.example.org:443" in demo.curl(*registered.files, _body(registered.eui)).body, "moved"
    )
    demo.apply(gateway(name, eui, _lns(pki), suspended=True))
    registered.soon("GatewaySuspended")
    demo.apply(gateway(name, eui, _lns(pki), suspended=False))
    registered.soon("200")
    demo.delete("gateway", name)
    registered.soon("GatewayNotRegistered")
    demo.apply(gateway(name, eui, _lns(pki)))
    registered.soon("200")


def test_bystanders_lose_no_request_while_trust_comes_and_goes(
    registered: Registered, demo: Demo, pki: OpensslPki
) -> None:
    done, outcomes = threading.Event(), Counter[str]()

    def ask() -> None:
        while not done.is_set():
            outcomes[registered.outcome()] += 1

    bystander = threading.Thread(target=ask)
    bystander.start()
    for _ in range(5):
        demo.apply(trusted_ca("passing", certificates=pki.text("other-ca")))
        wait_for(lambda: demo.condition("trustedca", "passing", "Ready")[0] == "True", "passing is ready")
        demo.delete("trustedca", "passing")
    done.set()
    bystander.join()

    assert set(outcomes) == {"200"}
    assert outcomes["200"] > 10


def test_clients_are_refused_with_the_right_word(registered: Registered, pki: OpensslPki, eui: EUI64) -> None:
    demo = registered.demo
    right = _body(registered.eui)
    another = EUI64(next(_numbers))
    stranger = pki.gateway("stranger", format_hex(registered.eui), "other-ca")
    unregistered = pki.gateway("unregistered", format_hex(another), "root-ca")
    expired = pki.gateway("expired", format_hex(registered.eui), "root-ca", "-days -1")

    assert "unknown ca" in demo.curl(*stranger, right).error
    assert "certificate expired" in demo.curl(*expired, right).error
    assert demo.curl(*registered.files, _body(another)).outcome == "CommonNameMismatch"
    assert demo.curl(*unregistered, _body(another)).outcome == "GatewayNotRegistered"
    assert demo.curl(*registered.files, "{").outcome == "MalformedRequest"
    assert demo.curl(*registered.files, "{}").outcome == "RouterMissing"
    assert demo.curl(*registered.files, '{"router":"nonsense"}').outcome == "RouterUnparsable"
    assert demo.curl(*registered.files, "x" * 20000).outcome == "RequestTooLarge"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda pki: pki.gateway("not-a-ca", "0" * 16, "root-ca")[0].read_text(), "NotACertificateAuthority"),
        (lambda pki: pki.text("root-ca") + (pki.folder / "root-ca.key").read_text(), "PrivateKeyInTrustedCA"),
        (lambda _pki: _expired_root(), "AnchorExpired"),
        (lambda pki: pki.text("root-ca")[:-30], "MalformedPEM"),
        (lambda _pki: "no certificate", "NoCertificate"),
    ],
)
def test_a_ca_that_cannot_be_trusted_says_why_in_its_condition_and_in_an_event(
    demo: Demo, pki: OpensslPki, content: Any, reason: str
) -> None:
    name = f"bad-{reason.lower()}"
    demo.apply(trusted_ca(name, certificates=content(pki)))

    wait_for(lambda: demo.condition("trustedca", name, "Accepted")[:2] == ("False", reason), reason)
    assert "PRIVATE KEY-----" not in demo.condition("trustedca", name, "Accepted")[2]
    assert demo.condition("trustedca", name, "Ready")[0] == "False"
    wait_for(lambda: reason in demo.kubectl("get", "events", "-o", "json").stdout, "the event")
    demo.delete("trustedca", name)


def test_a_mistake_leaves_the_last_good_state_in_force(registered: Registered, pki: OpensslPki) -> None:
    demo, name = registered.demo, registered.name
    demo.apply(trusted_ca(registered.ca, certificates="-----BEGIN CERTIFICATE-----\nslip"))
    demo.apply(gateway(name, format_hex(registered.eui), {**_lns(pki), "trust": "slip"}))

    wait_for(lambda: demo.condition("trustedca", registered.ca, "Accepted")[1] == "MalformedPEM", "the CA is refused")
    wait_for(lambda: demo.condition("gateway", name, "Accepted")[1] == "NoCertificate", "the trust is refused")
    assert registered.outcome() == "200"


def test_a_secret_without_the_label_is_not_used(registered: Registered, pki: OpensslPki) -> None:
    demo = registered.demo
    unlabelled = token_secret("unlabelled", "Bearer NNSXS.OTHER")
    del unlabelled["metadata"]["labels"]
    demo.apply(unlabelled, gateway(registered.name, format_hex(registered.eui), _lns(pki, secret_name="unlabelled")))

    wait_for(lambda: demo.condition("gateway", registered.name, "Accepted")[1] == "ReferenceNotLabelled", "refused")
    assert b"NNSXS.OTHER" not in demo.curl(*registered.files, _body(registered.eui)).body


def test_a_signal_ends_all_that_the_demo_started(kubectl: Path, tmp_path: Path) -> None:
    with Demo(kubectl, tmp_path) as own:
        folder = Path(own.ready["kubeconfig"]).parents[1]
        port = own.cups_port

        assert own.stop() == 0

    assert not folder.exists()
    assert _processes_naming(str(folder)) == []
    assert _refuses(port)


def _processes_naming(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            found.append(command)
    return found


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False
