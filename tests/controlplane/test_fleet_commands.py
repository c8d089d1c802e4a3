"""`status`, `suspend`, `revoke`, `rotate-ca` on a running release: the written changes, and CUPS' answers then."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stationkeeper_core.eui64 import EUI64, format_id6
from stationkeeper_tools.sample_pki import make_gateway
from tests.controlplane.demo_process import Demo
from tests.tools.command_line import Done, stationkeeper
from tests.tools.manifest_files import gateway, root, trusted_ca
from tests.tools.test_explain import NOW
from tests.waiting import EVENTUALLY, wait_for

EUI, OTHER = "A840410000000071", "A840410000000072"
ROTATED, LATER = "A840410000000073", "A840410000000074"
UNKNOWN_CA = "alert"


class Fleet:
    """Two gateways with certificates of one CA, in a running release."""

    def __init__(self, demo: Demo, folder: Path) -> None:
        self.demo = demo
        self.files = {
            (eui, ca): make_gateway(eui, root(ca), NOW).write(folder, f"{eui}-{ca}")
            for euis, cas in (((EUI, OTHER), ("vendor",)), ((ROTATED, LATER), ("old", "next")))
            for eui in euis
            for ca in cas
        }

    def apply(self, *objects: dict[str, Any]) -> None:
        namespace = self.demo.ready["namespace"]
        self.demo.apply(*({**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in objects))

    def run(self, *arguments: str) -> Done:
        where = ("--kubeconfig", self.demo.ready["kubeconfig"], "-n", self.demo.ready["namespace"])
        return stationkeeper(*arguments, *where, "--output", "json")

    def asks(self, eui: str = EUI, ca: str = "vendor") -> str:
        router = format_id6(EUI64(int(eui, 16)))
        return self.demo.curl(*self.files[eui, ca], f'{{"router":"{router}"}}').outcome

    def until(self, outcome: str, eui: str = EUI, ca: str = "vendor") -> None:
        wait_for(lambda: self.asks(eui, ca).startswith(outcome), f"{eui} is told {outcome}")

    def has_seen(self, *names: str) -> bool:
        return all("certificate" in self.object("gateway", each)["status"] for each in names)

    def states(self) -> dict[str, str]:
        """Return the state of each gateway in `status --all`."""
        return {each["name"]: each["state"] for each in self.run("status", "--all").json["gateways"]}

    def object(self, kind: str, name: str) -> dict[str, Any]:
        return self.demo.resources(kind)[name]


@pytest.fixture(scope="module")
def fleet(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with Demo(kubectl, folder) as demo:
        made = Fleet(demo, folder)
        made.apply(trusted_ca(), gateway("roof", EUI), gateway("cellar", OTHER))
        made.until("200")
        made.until("200", OTHER)
        wait_for(lambda: made.has_seen("roof", "cellar"), "both visits are told")
        yield made


def test_the_fleet_is_listed(fleet: Fleet) -> None:
    fleet.until("200")
    fleet.until("200", OTHER)
    wait_for(lambda: {fleet.states()[each] for each in ("roof", "cellar")} == {"Fine"}, "all is well")
    done = fleet.run("status", "--all")
    assert any(each["name"] == "vendor" and each["notAfter"] for each in done.json["trustedCAs"])


def test_a_gateway_is_suspended_and_resumed(fleet: Fleet) -> None:
    done = fleet.run("suspend", EUI)

    (told,) = done.json["resources"]
    assert (done.returncode, told["changed"], told["enforced"]) == (0, True, True)
    assert fleet.asks() == "GatewaySuspended"
    assert fleet.asks(OTHER) == "200"

    assert fleet.run("resume", EUI).returncode == 0
    assert fleet.asks() == "200"


def test_a_certificate_is_revoked_next_to_what_another_has_listed(fleet: Fleet) -> None:
    fleet.apply(trusted_ca(revocation={"sha256Fingerprints": ["ab" * 32]}))

    done = fleet.run("revoke", EUI)

    assert (done.returncode, done.json["resources"][0]["enforced"]) == (0, True)
    assert fleet.asks() == "CertificateRevoked"
    assert fleet.asks(OTHER) == "200"
    listed = fleet.object("trustedca", "vendor")["spec"]["revocation"]["sha256Fingerprints"]
    assert (len(listed), "ab" * 32 in listed) == (2, True)

    assert fleet.run("revoke", EUI, "--undo").returncode == 0
    assert fleet.asks() == "200"
    assert fleet.object("trustedca", "vendor")["spec"]["revocation"]["sha256Fingerprints"] == ["ab" * 32]


def test_a_ca_is_rotated_and_not_deleted_before(fleet: Fleet) -> None:
    fleet.apply(trusted_ca("old"), gateway("rotated", ROTATED), gateway("later", LATER))
    fleet.until("200", ROTATED, "old")
    fleet.until("200", LATER, "old")
    wait_for(lambda: fleet.has_seen("rotated", "later"), "both visits are told")
    fleet.apply(trusted_ca("next"))
    fleet.until("200", ROTATED, "next")
    wait_for(lambda: fleet.run("rotate-ca", "old", "next").json["byNew"] == 1, "one came by the new one")
    done = fleet.run("rotate-ca", "old", "next", "--delete")
    assert (done.returncode, done.json["deleted"]) == (1, False)
    assert [each["eui"] for each in done.json["byOld"]] == [LATER]
    assert fleet.object("trustedca", "old")["spec"]

    fleet.until("200", LATER, "next")
    wait_for(lambda: fleet.run("rotate-ca", "old", "next").returncode == 0, "both came by the new one")
    done = fleet.run("rotate-ca", "old", "next", "--delete")

    assert (done.returncode, done.json["deleted"]) == (0, True)
    fleet.until(UNKNOWN_CA, ROTATED, "old")
    assert fleet.asks(ROTATED, "next") == "200"


def test_it_is_a_plugin_of_kubectl(fleet: Fleet, kubectl: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-stationkeeper"
    plugin.write_text(f"#!{sys.executable}\nfrom stationkeeper_tools.cli import main\nmain()\n")
    plugin.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": fleet.demo.ready["kubeconfig"],
    }

    done = subprocess.run(
        [kubectl, "stationkeeper", "status", "--all", "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=EVENTUALLY,
    )

    assert {"roof", "cellar"} <= {each["name"] for each in json.loads(done.stdout)["gateways"]}


def test_a_person_without_the_right_gets_an_explanation(fleet: Fleet, tmp_path: Path) -> None:
    content = yaml.safe_load(Path(fleet.demo.ready["kubeconfig"]).read_text())
    content["users"][0]["user"] = {"token": "of nobody"}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))

    done = stationkeeper("status", "--kubeconfig", str(tmp_path / "kubeconfig"), "--output", "json")

    assert (done.returncode, done.json["error"]["reason"]) == (3, "Refused")
