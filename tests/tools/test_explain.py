"""`stationkeeper explain --manifests`: the decision of CUPS, step by step, and the remedy."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from stationkeeper_core.policy.authorization import STEPS
from stationkeeper_tools.sample_pki import make_gateway
from tests.tools.command_line import Done, stationkeeper
from tests.tools.manifest_files import EUI, gateway, resource, root, token_secret, trusted_ca, with_lns, write

NOW = datetime.now(UTC)
CERTIFICATE = make_gateway(EUI, root("vendor"), NOW)
OTHER = make_gateway("00000000000000AB", root("vendor"), NOW)
EXPIRED = make_gateway(EUI, root("vendor"), NOW - timedelta(days=30), days=10)
FOREIGN = make_gateway(EUI, root("nobody"), NOW)


@pytest.fixture
def explain(tmp_path: Path) -> Callable[..., Done]:
    def run(*objects: Any, certificate: bytes | None = CERTIFICATE.certificate_pem, eui: str = EUI) -> Done:
        path = write(tmp_path / "all.yaml", *objects)
        options = ["--manifests", str(path), "--output", "json"]
        if certificate is not None:
            (tmp_path / "gateway.crt").write_bytes(certificate)
            options += ["--cert", str(tmp_path / "gateway.crt")]
        return stationkeeper("explain", eui, *options)

    return run


Explain = Callable[..., Done]


def test_a_registered_gateway_with_a_certificate_is_accepted(explain: Explain) -> None:
    lns = {"uri": "wss://lns.example.org:8887", "trust": gateway()["spec"]["lns"]["trust"]}
    auth = {"token": {"secretKeyRef": {"name": "lns", "key": "token"}}}
    registered = resource("Gateway", "gateway-1", {"eui": EUI, "lns": {**lns, "auth": auth}})

    done = explain(trusted_ca(), registered, token_secret("lns"))

    assert (done.returncode, done.json["letIn"]) == (0, True), done.stdout
    assert {each["state"] for each in done.json["steps"]} == {"Passed"}
    assert len(done.json["steps"]) == 1 + len(STEPS)
    assert done.json["delivers"]["lnsURI"] == "wss://lns.example.org:8887"
    assert done.json["delivers"]["lnsCredentials"] == "a trust and a token"
    assert "NNSXS" not in done.stdout


def test_the_eui_may_be_spelt_as_it_stands_on_the_gateway(explain: Explain) -> None:
    assert explain(trusted_ca(), gateway(), eui="01:23:45:67:89:ab:cd:ef").returncode == 0


def test_a_certificate_in_der_is_read(explain: Explain) -> None:
    assert explain(trusted_ca(), gateway(), certificate=CERTIFICATE.x509.public_bytes(Encoding.DER)).returncode == 0


def elsewhere(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": "elsewhere"}}


SERIAL = f"{CERTIFICATE.x509.serial_number:X}"


@pytest.mark.parametrize(
    ("objects", "certificate", "reason"),
    [
        ([gateway()], CERTIFICATE, "UnknownCA"),
        ([trusted_ca(), gateway()], FOREIGN, "UnknownCA"),
        ([trusted_ca(), gateway()], EXPIRED, "CertificateExpired"),
        ([trusted_ca(), gateway()], OTHER, "CommonNameMismatch"),
        ([trusted_ca()], CERTIFICATE, "GatewayNotRegistered"),
        ([trusted_ca(), gateway(suspended=True)], CERTIFICATE, "GatewaySuspended"),
        ([elsewhere(trusted_ca()), gateway()], CERTIFICATE, "TrustedCAOfAnotherNamespace"),
        ([trusted_ca(revocation={"serials": [SERIAL]}), gateway()], CERTIFICATE, "CertificateRevoked"),
        ([trusted_ca(), gateway(client={"trustedCAs": ["other"]})], CERTIFICATE, "TrustedCANotAllowed"),
        ([trusted_ca(euiRanges=["FF00000000000000/8"]), gateway()], CERTIFICATE, "EUIOutOfRange"),
        ([trusted_ca(), gateway(client={"sha256Fingerprints": ["ab" * 32]})], CERTIFICATE, "CertificateNotPinned"),
    ],
)
def test_the_step_that_refuses_is_reported_with_what_to_do(
    explain: Explain, objects: list[Any], certificate: Any, reason: str
) -> None:
    done = explain(*objects, certificate=certificate.certificate_pem)

    assert (done.returncode, done.json["letIn"], done.json["reason"]) == (1, False, reason)
    assert done.json["next"]
    states = [each["state"] for each in done.json["steps"]]
    failed = states.index("Failed")
    assert states == ["Passed"] * failed + ["Failed"] + ["NotReached"] * (len(states) - failed - 1)
    assert done.json["delivers"] is None


def test_why_a_resource_is_not_accepted_is_reported(explain: Explain) -> None:
    done = explain(trusted_ca(), with_lns(uri="wss://lns.example.org:8887"))

    assert done.json["reason"] == "GatewayNotRegistered"
    assert "radio/gateway-1 is not accepted (TrustMissing)" in done.json["next"]


def test_what_the_schema_refuses_is_not_registered(explain: Explain) -> None:
    done = explain(trusted_ca(), gateway(eui=EUI.lower()))

    assert done.json["reason"] == "GatewayNotRegistered"
    assert "InvalidField" in done.json["next"]


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ([trusted_ca(), gateway()], None),
        ([gateway()], "NoTrustedCA"),
        ([trusted_ca(euiRanges=["FF00000000000000/8"]), gateway()], "NoTrustedCA"),
        ([trusted_ca(), gateway(suspended=True)], "GatewaySuspended"),
        ([trusted_ca()], "GatewayNotRegistered"),
    ],
)
def test_without_a_certificate_it_ends_at_the_cas_in_scope(
    explain: Explain, objects: list[Any], reason: str | None
) -> None:
    done = explain(*objects, certificate=None)

    assert (done.returncode, done.json["reason"]) == (0 if reason is None else 1, reason)
    assert done.json["byCertificate"] is False
    assert done.json["trustedCAs"] == (["radio/vendor"] if reason in {None, "GatewaySuspended"} else [])


def test_a_person_reads_the_steps(tmp_path: Path) -> None:
    path = write(tmp_path / "all.yaml", trusted_ca(), gateway(suspended=True))

    shown = stationkeeper("explain", EUI, "--manifests", str(path)).stdout

    assert "yes  gateway is registered (Gateway radio/gateway-1)" in shown
    assert "NO  gateway is not suspended" in shown
    assert "CUPS refuses it: GatewaySuspended" in shown
    assert "Next: " in shown


@pytest.mark.parametrize(("eui", "certificate"), [("xyz", None), (EUI, b"junk"), (EUI, b"-----BEGIN CERTIFICATE-----")])
def test_a_wrong_use_is_reported(explain: Explain, eui: str, certificate: bytes | None) -> None:
    assert explain(trusted_ca(), gateway(), eui=eui, certificate=certificate).returncode == 2


TOKEN = "Bearer 0123456789abcdef0123456789abcdef"
WITH_TOKEN = {"tokens": [{"secretKeyRef": {"name": "mine", "key": "token"}}]}


def explained_by_token(tmp_path: Path, token: str, *objects: Any) -> Done:
    path = write(tmp_path / "all.yaml", *objects)
    (tmp_path / "cups.key").write_text(token)
    where = ("--manifests", str(path), "--token", str(tmp_path / "cups.key"), "--output", "json")
    return stationkeeper("explain", EUI, *where)


@pytest.mark.parametrize(
    ("token", "client", "reason"),
    [
        (f"Authorization: {TOKEN}\r\n", WITH_TOKEN, None),
        (TOKEN, WITH_TOKEN, None),
        (TOKEN.replace("f", "e"), WITH_TOKEN, "TokenRefused"),
        (TOKEN, {"trustedCAs": ["vendor"]}, "TokenRefused"),
        ("", WITH_TOKEN, "TokenInvalid"),
    ],
    ids=["a header line", "its value", "another one", "a gateway without one", "empty"],
)
def test_a_gateway_without_a_certificate_is_judged_by_its_token(
    tmp_path: Path, token: str, client: dict[str, Any], reason: str | None
) -> None:
    done = explained_by_token(tmp_path, token, trusted_ca(), gateway(client=client), token_secret("mine", TOKEN))

    found = done.json.get("reason") or done.json.get("error", {}).get("reason")
    assert (found, done.returncode) == (reason, {None: 0, "TokenRefused": 1, "TokenInvalid": 2}[reason])
    assert "0123456789abcde" not in done.stdout + done.stderr


def test_a_certificate_and_a_token_together_are_a_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "gateway.crt").write_bytes(CERTIFICATE.certificate_pem)
    (tmp_path / "cups.key").write_text(TOKEN)

    done = stationkeeper("explain", EUI, "--cert", str(tmp_path / "gateway.crt"), "--token", str(tmp_path / "cups.key"))

    assert done.returncode == 2
    assert "CUPS ignores the token" in done.stderr
