"""`stationkeeper serve` as a process: a gateway's answers while the folder changes, and after crashes."""

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.tools.command_line import PROGRAM
from tests.tools.manifest_files import EUI, LNS_URI, gateway, resource, token_secret, trusted_ca
from tests.tools.standalone.serving import UNREACHED, Serving, pair

pytestmark = pytest.mark.slow

OTHER = "0123456789ABCDEE"
UNKNOWN_CA = "UNKNOWN_CA"


def test_the_example_needs_no_cluster_and_holds() -> None:
    done = subprocess.run(
        [*PROGRAM, "serve", "--example"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": "/nonexistent"},
        timeout=120,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert LNS_URI in done.stdout
    assert "Refused after" in done.stdout


def test_manifests_of_the_folder_are_in_force_and_reported(serving: Serving) -> None:
    serving.put("vendor.yaml", trusted_ca())
    serving.put("gateways/roof.yaml", gateway("roof"), gateway("cellar", OTHER))
    serving.start()
    serving.until_told(LNS_URI)
    serving.until(
        lambda: serving.condition("TrustedCA", "vendor", "Enforced").get("status") == "True", "it is enforced"
    )
    serving.until(lambda: any(each["name"] == "roof" and each["ready"] for each in serving.of("status")), "it is told")
    serving.until(lambda: any(each["name"] == "cellar" for each in serving.of("status")), "so is the other")
    (told,) = {(each["file"], each["line"]) for each in serving.of("status") if each["name"] == "cellar"}
    assert told[0] == "gateways/roof.yaml"
    assert told[1] > 1

    serving.put("gateways/roof.yaml", gateway("roof", suspended=True), gateway("cellar", OTHER))
    serving.until_told("GatewaySuspended")
    assert serving.asks(eui=OTHER) == LNS_URI

    (serving.manifests / "gateways/roof.yaml").unlink()
    serving.until_told("GatewayNotRegistered")

    serving.put("vendor.yaml", trusted_ca("elsewhere"))
    serving.until_told(UNKNOWN_CA)
    serving.until(lambda: any(each["reason"] == "Enforced" for each in serving.of("event")), "the removal is proven")
    assert serving.end() == 0
    assert serving.told[-1]["told"] == "stopped"


def test_a_station_lives_by_it(serving: Serving, tmp_path: Path) -> None:
    serving.put("all.yaml", trusted_ca(), gateway("roof"))
    serving.start()
    serving.until_told(LNS_URI)
    certificate, key = pair().write(tmp_path, "boot")
    where = ("--home", str(tmp_path / "home"), "--eui", EUI, "--cups", f"https://localhost:{serving.cups}")
    files = ("--trust", str(serving.state / "server-ca.crt"), "--cert", str(certificate), "--key", str(key))
    done = subprocess.run(
        [*PROGRAM, "station", *where, *files, "--once"], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "home" / "tc.uri").read_text() == LNS_URI
    serving.until(lambda: "lastSeen" in json.dumps(serving.status), "the visit is told")
    serving.end()
    serving.start()
    serving.until_told(LNS_URI)
    assert "lastSeen" in json.dumps(serving.status), "what was seen before the restart is still told"


@pytest.mark.parametrize(
    "bad",
    [
        "kind: [",
        "apiVersion: stationkeeper.io/v1alpha1\nkind: Gateway\nmetadata: {name: roof, namespace: radio}\nspec: {}\n",
        "",
        "\x00",
    ],
    ids=["not YAML", "refused by the schema", "empty", "binary"],
)
def test_a_bad_file_removes_nothing_and_is_reported(serving: Serving, bad: str) -> None:
    serving.put("vendor.yaml", trusted_ca())
    path = serving.put("roof.yaml", gateway("roof"))
    serving.start()
    serving.until_told(LNS_URI)

    path.write_text(bad)
    serving.put("cellar.yaml", gateway("cellar", OTHER))
    serving.until_told(LNS_URI, eui=OTHER)
    assert serving.asks() == LNS_URI
    serving.until(lambda: serving.of("finding"), "it is told")
    found = serving.of("finding")[-1]
    assert found["file"] == str(path)
    assert found["line"] >= 1

    serving.kill()
    serving.start()
    serving.until_told(LNS_URI)
    serving.until(lambda: serving.of("finding"), "it is told again")
    assert serving.asks() == LNS_URI
    kept = next(each for each in serving.status["resources"] if each["name"] == "roof")
    assert kept["keptInForce"]

    serving.put("roof.yaml", gateway("roof", suspended=True))
    serving.until_told("GatewaySuspended")
    serving.until(lambda: serving.of("cleared"), "it is told that all is well")


def test_a_right_object_next_to_a_wrong_one_counts(serving: Serving) -> None:
    serving.put("all.yaml", trusted_ca(), gateway("roof"), gateway("cellar", OTHER))
    serving.start()
    serving.until_told(LNS_URI)

    serving.put("all.yaml", trusted_ca(), gateway("roof", suspended=True), gateway("cellar", "no EUI"))

    serving.until_told("GatewaySuspended")
    assert serving.asks(eui=OTHER) == LNS_URI


def test_a_file_being_written_removes_nothing(serving: Serving) -> None:
    serving.put("vendor.yaml", trusted_ca())
    first, second = (yaml.safe_dump(each) for each in (gateway("roof"), gateway("cellar", OTHER)))
    path = serving.put("gateways.yaml", gateway("roof"), gateway("cellar", OTHER))
    serving.start()
    serving.until_told(LNS_URI, eui=OTHER)
    outcomes = set()

    with path.open("w") as file:
        for part in (first.rstrip("\n"), f"\n---\n{second[:20]}", second[20:]):
            file.write(part)
            file.flush()
            # A file without a change for two seconds counts as written completely.
            until = time.monotonic() + 1
            for _ in range(10):
                outcomes.add(serving.asks(eui=OTHER))
                if time.monotonic() > until:
                    break

    assert outcomes == {LNS_URI}


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_folder_that_is_not_mounted_revokes_nothing(serving: Serving, how: str) -> None:
    serving.put("all.yaml", trusted_ca(), gateway("roof"))
    serving.start()
    serving.until_told(LNS_URI)

    shutil.move(serving.manifests, serving.folder / "elsewhere")
    if how == "empty":
        serving.manifests.mkdir()
    serving.until(lambda: serving.finding("NotReadable"), "it is told")
    assert serving.asks() == LNS_URI

    serving.kill()
    serving.start()
    serving.until_told(LNS_URI)
    serving.until(lambda: serving.finding("NotReadable"), "it is told again")
    serving.until(lambda: serving.condition("Gateway", "roof", "Ready").get("status") == "True", "it is judged")
    assert serving.asks() == LNS_URI

    shutil.rmtree(serving.manifests, ignore_errors=True)
    shutil.move(serving.folder / "elsewhere", serving.manifests)
    serving.put("all.yaml", trusted_ca(), gateway("roof", suspended=True))
    serving.until_told("GatewaySuspended")

    serving.put("none.yaml")
    (serving.manifests / "none.yaml").write_text("# nothing is in force\n")
    (serving.manifests / "all.yaml").unlink()
    serving.until_told(UNKNOWN_CA)


def test_removals_stay_after_a_crash_and_a_bad_file(serving: Serving) -> None:
    serial = f"{pair().x509.serial_number:X}"
    serving.put("all.yaml", trusted_ca(), gateway("roof"))
    serving.start()
    serving.until_told(LNS_URI)
    path = serving.put("all.yaml", trusted_ca(revocation={"serials": [f"0{serial}"]}), gateway("roof"))
    serving.until_told("CertificateRevoked")

    serving.kill()
    path.write_text("kind: [")
    serving.start()
    serving.until(lambda: serving.asks() != UNREACHED, "it serves")
    serving.until(lambda: serving.condition("Gateway", "roof", "Ready").get("status") == "True", "all is judged")
    assert "CertificateRevoked" in serving.asks()


def test_an_eui_stays_with_its_namespace_after_a_restart(serving: Serving) -> None:
    shared = resource("TrustedCA", "vendor", {**trusted_ca()["spec"], "serves": [{"namespace": "*"}]}, "stationkeeper")
    serving.put("vendor.yaml", shared)
    serving.put("radio.yaml", gateway("roof"))
    serving.start()
    serving.until_told(LNS_URI)
    (serving.manifests / "radio.yaml").unlink()
    serving.until_told("GatewayNotRegistered")

    serving.kill()
    stranger = {**gateway("stranger"), "metadata": {"name": "stranger", "namespace": "other"}}
    serving.put("other.yaml", stranger)
    serving.start()
    serving.until(
        lambda: serving.condition("Gateway", "stranger", "Accepted").get("reason") == "EUIConflict", "refused"
    )
    assert "GatewayNotRegistered" in serving.asks()


def test_secrets_come_from_the_folder_and_follow_it(serving: Serving) -> None:
    auth = {"token": {"secretKeyRef": {"name": "lns", "key": "token"}}}
    lns = {**gateway()["spec"]["lns"], "auth": auth}
    serving.put("all.yaml", trusted_ca(), resource("Gateway", "roof", {"eui": EUI, "lns": lns}))
    serving.start()
    missing = "ReferenceNotFound"
    serving.until(lambda: serving.condition("Gateway", "roof", "Accepted").get("reason") == missing, "it is told")

    serving.put("token.yaml", token_secret("lns"))
    serving.until_told(LNS_URI)

    serving.put("token.yaml", token_secret("lns", "Bearer ä"))
    invalid = "TokenInvalid"
    serving.until(lambda: serving.condition("Gateway", "roof", "Accepted").get("reason") == invalid, "it is told")
    assert serving.asks() == LNS_URI
    assert "NNSXS" not in serving.log + json.dumps(serving.told) + json.dumps(serving.status)


def test_a_mounted_config_map_is_followed(serving: Serving) -> None:
    """Its files are links through `..data`, which is replaced."""
    for name, suspended in (("..2026_1", False), ("..2026_2", True)):
        (serving.manifests / name).mkdir(parents=True)
        documents = [trusted_ca(), gateway("roof", suspended=suspended)]
        (serving.manifests / name / "all.yaml").write_text(yaml.safe_dump_all(documents))
    (serving.manifests / "..data").symlink_to("..2026_1")
    (serving.manifests / "all.yaml").symlink_to("..data/all.yaml")
    serving.start()
    serving.until_told(LNS_URI)

    (serving.manifests / "..data_tmp").symlink_to("..2026_2")
    (serving.manifests / "..data_tmp").rename(serving.manifests / "..data")

    serving.until_told("GatewaySuspended")


def test_one_state_folder_has_one_process(serving: Serving) -> None:
    serving.put("all.yaml", trusted_ca(), gateway("roof"))
    serving.start()
    serving.until_told(LNS_URI)
    assert serving.process is not None
    where = ("--manifests", str(serving.manifests), "--state", str(serving.state))

    done = subprocess.run([*PROGRAM, "serve", *where], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 2
    assert f"in use by the process {serving.process.pid}" in done.stderr
    assert serving.asks() == LNS_URI


def test_the_internal_port_reports_that_it_is_ready(serving: Serving) -> None:
    serving.put("all.yaml", trusted_ca(), gateway("roof"))
    serving.start()
    serving.until_told(LNS_URI)
    context = ssl.create_default_context(cafile=str(serving.state / "server-ca.crt"))

    with urllib.request.urlopen(f"https://localhost:{serving.internal}/readyz", context=context) as answer:
        assert json.loads(answer.read())["ready"] is True


def test_a_first_manifest_is_waited_for(serving: Serving) -> None:
    serving.manifests.mkdir()
    serving.start()
    serving.until(lambda: serving.of("waiting"), "it says that it waits")

    serving.put("all.yaml", trusted_ca(), gateway("roof"))

    serving.until_told(LNS_URI)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((), "give the folder of the manifests"),
        (("--manifests", "{tmp}/missing", "--state", "{tmp}/state"), "is not a folder"),
        (("--manifests", "{tmp}", "--state", "{tmp}/state"), "is inside the folder of manifests"),
        (("--manifests", "{tmp}", "--server-cert", "x"), "go together"),
        (("--manifests", "{tmp}", "--state", "{tmp}-state", "--listen", "x"), "--listen is 'x'"),
    ],
)
def test_a_wrong_use_is_reported(tmp_path: Path, options: tuple[str, ...], problem: str) -> None:
    given = [each.format(tmp=tmp_path) for each in options]
    done = subprocess.run([*PROGRAM, "serve", *given], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 2
    assert problem in done.stderr
