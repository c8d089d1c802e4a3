"""The commands on the folder of `stationkeeper serve`: the written changes, and CUPS' answers then."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.tools.command_line import Done, stationkeeper
from tests.tools.manifest_files import EUI, LNS_URI, gateway, trusted_ca, write
from tests.tools.standalone.serving import Serving, pair

pytestmark = pytest.mark.slow
OTHER = "0123456789ABCDEE"
COMMENT = "# the gateway on the roof\n"


class Commands:
    def __init__(self, serving: Serving) -> None:
        self.serving = serving

    def __call__(self, *arguments: str) -> Done:
        where = ("--manifests", str(self.serving.manifests), "--state", str(self.serving.state))
        return stationkeeper(*arguments, *where, "--output", "json")

    def text(self, name: str) -> str:
        return (self.serving.manifests / name).read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Yield a folder with two gateways that both have visited CUPS."""
    with Serving(tmp_path_factory.mktemp("folder")) as serving:
        serving.put("vendor.yaml", trusted_ca())
        serving.put("cellar.yaml", gateway("cellar", OTHER))
        path = serving.put("roof.yaml", gateway("roof"))
        path.write_text(COMMENT + path.read_text())
        serving.start()
        for eui in (EUI, OTHER):
            serving.until_told(LNS_URI, eui=eui)
        serving.until(lambda: json.dumps(serving.status).count('"trustedCA"') >= 2, "both visits are told")
        yield serving


@pytest.fixture
def commands(running: Serving) -> Commands:
    return Commands(running)


def test_the_fleet_is_reported_in_one_screen(commands: Commands) -> None:
    done = commands("status")

    assert (done.returncode, done.json["counts"]["Fine"]) == (0, 2)
    (ca,) = done.json["trustedCAs"]
    assert (ca["name"], ca["ready"], ca["expiry"]) == ("vendor", True, None)
    assert commands("status", "--silent").returncode == 0
    shown = stationkeeper(
        "status", "--manifests", str(commands.serving.manifests), "--state", str(commands.serving.state)
    )
    assert "2 gateways: 2 fine" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_a_gateway_is_suspended_and_resumed_and_its_file_keeps_its_comments(commands: Commands) -> None:
    done = commands("suspend", EUI.lower())

    (told,) = done.json["resources"]
    assert (done.returncode, told["name"], told["changed"], told["enforced"]) == (0, "roof", True, True)
    assert "GatewaySuspended" in commands.serving.asks()
    assert commands.serving.asks(eui=OTHER) == LNS_URI
    assert commands.text("roof.yaml").startswith(COMMENT)
    assert commands("suspend", EUI).json["resources"][0]["changed"] is False

    assert commands("resume", EUI).returncode == 0
    assert commands.serving.asks() == LNS_URI


def test_a_certificate_is_revoked_next_to_what_is_and_only_undo_takes_it_back(commands: Commands) -> None:
    path = commands.serving.manifests / "vendor.yaml"
    listed = trusted_ca(revocation={"sha256Fingerprints": ["ab" * 32]})
    commands.serving.put("vendor.yaml", listed)

    done = commands("revoke", EUI)

    (told,) = done.json["resources"]
    assert (done.returncode, told["name"], told["enforced"], done.json["list"]) == (
        0,
        "vendor",
        True,
        "spec.revocation.sha256Fingerprints",
    )
    assert "CertificateRevoked" in commands.serving.asks()
    assert commands.serving.asks(eui=OTHER) == LNS_URI
    written = yaml.safe_load(path.read_text())["spec"]["revocation"]["sha256Fingerprints"]
    assert (len(written), "ab" * 32 in written) == (2, True)
    shown = commands("status", "--refused")
    commands.serving.until(lambda: commands("status", "--refused").returncode == 1, "the refusal is told")
    assert shown.json["gateways"] is not None

    assert commands("revoke", EUI, "--undo").returncode == 0
    assert commands.serving.asks() == LNS_URI
    assert yaml.safe_load(path.read_text()) == listed


def test_a_file_names_the_certificate_too(commands: Commands, tmp_path: Path) -> None:
    certificate, _ = pair(OTHER).write(tmp_path, "gateway")

    assert commands("revoke", "--cert", str(certificate)).returncode == 0
    assert "CertificateRevoked" in commands.serving.asks(eui=OTHER)
    assert commands.serving.asks() == LNS_URI
    assert commands("revoke", "--cert", str(certificate), "--undo").returncode == 0
    assert commands.serving.asks(eui=OTHER) == LNS_URI


def test_a_ca_is_rotated_and_not_deleted_before(commands: Commands) -> None:
    serving = commands.serving
    serving.put("next.yaml", trusted_ca("next"))
    serving.until(lambda: serving.condition("TrustedCA", "next", "Ready").get("status") == "True", "it is in force")
    done = commands("rotate-ca", "vendor", "next", "--delete")
    assert (done.returncode, done.json["mayDelete"], done.json["deleted"]) == (1, False, False)
    assert {each["eui"] for each in done.json["byOld"]} == {EUI, OTHER}
    assert (serving.manifests / "vendor.yaml").exists()

    for eui in (EUI, OTHER):
        assert serving.asks(eui=eui, ca="next") == LNS_URI
    serving.until(lambda: commands("rotate-ca", "vendor", "next").returncode == 0, "both came by the new one")
    done = commands("rotate-ca", "radio/vendor", "next", "--delete")

    assert (done.returncode, done.json["deleted"], done.json["byNew"]) == (0, True, 2)
    assert not (serving.manifests / "vendor.yaml").exists()
    serving.until_told("UNKNOWN_CA")
    assert serving.asks(ca="next") == LNS_URI


@pytest.mark.parametrize(
    ("arguments", "reason", "problem"),
    [
        (("suspend", "FFFFFFFFFFFFFFFF"), "NotFound", "no Gateway has the EUI"),
        (("suspend",), "BadInput", "give one of"),
        (("suspend", "x"), "BadInput", "EUI"),
        (("revoke",), "BadInput", "give one of"),
        (("revoke", "--serial", "01"), "BadInput", "--serial needs --ca"),
        (("revoke", EUI), "NotFound", "has never used a certificate"),
        (("revoke", "--serial", "01", "--ca", "none"), "NotFound", "no TrustedCA none"),
        (("rotate-ca", "vendor", "vendor"), "BadInput", "the same"),
        (("rotate-ca", "vendor", "none"), "NotFound", "no TrustedCA none"),
    ],
)
def test_what_cannot_be_done_is_reported_and_changes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], reason: str, problem: str
) -> None:
    path = write(tmp_path / "all.yaml", trusted_ca(), gateway("roof"))
    before = path.read_text()

    done = stationkeeper(*arguments, "--manifests", str(tmp_path), "--state", str(tmp_path / "no"), "--output", "json")

    assert (done.returncode, done.json["error"]["reason"]) == (2, reason)
    assert problem in done.json["error"]["message"]
    assert path.read_text() == before


def test_without_a_server_the_folder_is_written_and_the_result_is_not_enforced(tmp_path: Path) -> None:
    write(tmp_path / "all.yaml", trusted_ca(), gateway("roof"))
    where = ("--manifests", str(tmp_path), "--state", str(tmp_path / "no"), "--timeout", "0")

    done = stationkeeper("suspend", EUI, *where, "--output", "json")

    assert (done.returncode, done.json["resources"][0]["enforced"]) == (4, False)
    assert "check that the operator" in done.json["resources"][0]["message"]
    _, written = yaml.safe_load_all((tmp_path / "all.yaml").read_text())
    assert written["spec"]["suspended"] is True


def test_a_serial_number_is_revoked_at_every_trusted_ca_of_that_ca(tmp_path: Path) -> None:
    shown = {"vendor": "aa", "other": "aa", "renewed": "bb"}
    for name in (*shown, "stranger"):
        write(tmp_path / f"{name}.yaml", {**trusted_ca(), "metadata": {"name": name, "namespace": name}})
    state = tmp_path / ".state"
    state.mkdir()
    listed = [
        {
            "kind": "TrustedCA",
            "namespace": name,
            "name": name,
            "generation": 1,
            "status": {"certificates": [{"sha256": sha256, "subject": "CN=vendor"}]},
        }
        for name, sha256 in shown.items()
    ]
    (state / "status.json").write_text(json.dumps({"resources": listed}))
    where = ("--manifests", str(tmp_path), "--state", str(state), "--timeout", "0", "--output", "json")

    done = stationkeeper("revoke", "--serial", "1A", "--ca", "vendor", *where)

    assert {each["name"] for each in done.json["resources"]} == {"vendor", "other"}
    assert done.json["stillTrustedBy"] == ["renewed/renewed"]
    for name in ("stranger", "renewed"):
        assert "revocation" not in yaml.safe_load((tmp_path / f"{name}.yaml").read_text())["spec"]
    assert yaml.safe_load((tmp_path / "other.yaml").read_text())["spec"]["revocation"] == {"serials": ["1A"]}
