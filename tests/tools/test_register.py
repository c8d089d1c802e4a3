"""`stationkeeper register` and `import`: manifests in a folder, from lists and from exports of other servers."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools.command_line import Done, stationkeeper
from tests.tools.manifest_files import defaults, gateway, pem, trusted_ca, write

FIRST, SECOND = "0123456789012345", "AABBCCDDEEFF0011"
KEY = "NNSXS.EXAMPLEEXAMPLEEXAMPLE"


def listed(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("\n".join(("eui,name", *lines)))
    return path


def register(tmp_path: Path, *options: str) -> Done:
    csv, folder = str(tmp_path / "list.csv"), str(tmp_path / "out")
    return stationkeeper("register", "--csv", csv, "-n", "radio", "--to", folder, "--output", "json", *options)


def states(done: Done) -> list[tuple[str, str]]:
    return [(each["name"], each["state"]) for each in done.json["gateways"]]


def test_each_gateway_gets_a_manifest_that_check_accepts(tmp_path: Path) -> None:
    listed(tmp_path, f"{FIRST},Roof 1", f"{SECOND.lower()},")

    done = register(tmp_path)
    write(tmp_path / "out" / "rest.yaml", trusted_ca(), defaults())

    assert states(done) == [("roof-1", "Created"), ("gateway-aabbccddeeff0011", "Created")]
    assert f'eui: "{FIRST}"' in (tmp_path / "out" / "roof-1.yaml").read_text()
    checked = stationkeeper("check", str(tmp_path / "out"))
    assert (checked.returncode, checked.stdout) == (0, "4 resources: 0 errors, 0 warnings\n")


def test_the_same_command_again_changes_nothing(tmp_path: Path) -> None:
    listed(tmp_path, f"{FIRST},a", f"{SECOND},b")
    register(tmp_path)
    before = {each: each.read_bytes() for each in (tmp_path / "out").iterdir()}

    assert states(register(tmp_path)) == [("a", "Unchanged"), ("b", "Unchanged")]
    assert {each: each.read_bytes() for each in (tmp_path / "out").iterdir()} == before


def test_a_dry_run_says_what_would_change_and_writes_nothing(tmp_path: Path) -> None:
    listed(tmp_path, f"{FIRST},a")

    assert states(register(tmp_path, "--dry-run")) == [("a", "Created")]
    assert not (tmp_path / "out").exists()


def test_what_a_person_wrote_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    own = write(tmp_path / "out" / "mine.yaml", gateway("my-name", FIRST), gateway("b", "0000000000000001"))
    before = own.read_bytes()
    listed(tmp_path, f"{FIRST},a", f"{SECOND},b")

    done = register(tmp_path)

    assert done.returncode == 4
    assert states(done) == [("my-name", "Unchanged"), ("b", "Refused")]
    assert "the name belongs to" in done.json["gateways"][1]["detail"]
    assert own.read_bytes() == before


def test_two_gateways_of_one_name_are_distinguished_by_their_euis(tmp_path: Path) -> None:
    listed(tmp_path, f"{FIRST},Roof", f"{SECOND},roof!")

    assert [name for name, _ in states(register(tmp_path))] == [f"roof-{FIRST}", f"roof-{SECOND.lower()}"]


def test_a_folder_with_a_broken_manifest_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "broken.yaml").write_text("a: [")
    listed(tmp_path, f"{FIRST},a")

    assert register(tmp_path).returncode == 2


@pytest.mark.parametrize("options", [(), ("--to", "x", "--apply")])
def test_a_target_is_required(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = listed(tmp_path, f"{FIRST},a")

    done = stationkeeper("register", "--csv", str(path), "-n", "radio", *options)

    assert done.returncode == 2
    assert "give one of --to" in done.stderr


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_reported(tmp_path: Path) -> None:
    path = listed(tmp_path, f"{FIRST},a")
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    content = {"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {"token": "x"}}]}
    kubeconfig.write_text(yaml.safe_dump({**content, "current-context": "c", "apiVersion": "v1", "kind": "Config"}))
    options = ("-n", "radio", "--apply", "--output", "json", "--kubeconfig", str(kubeconfig))

    done = stationkeeper("register", "--csv", str(path), *options)
    unknown = stationkeeper("register", "--csv", str(path), *options, "--context", "other")

    assert (done.returncode, done.json["error"]["reason"]) == (3, "ClusterUnreachable")
    assert (unknown.returncode, unknown.json["error"]["reason"]) == (3, "ClusterUnreachable")


def tts_gateway(eui: str | None, name: str, **fields: Any) -> dict[str, Any]:
    """Return a gateway in the JSON form of `Gateway` in The Things Stack's gateway.proto."""
    ids = {"gateway_id": name} | ({"eui": eui} if eui else {})
    return {
        "ids": ids,
        "created_at": "2026-01-01T00:00:00Z",
        "name": f"The {name}",
        "gateway_server_address": "eu1.cloud.thethings.network",
        "frequency_plan_ids": ["EU_863_870"],
        "antennas": [{"gain": 3, "location": {"latitude": 1.5}}],
        **fields,
    }


LNS_SECRET = {"key_id": "is", "value": base64.b64encode(KEY.encode()).decode()}


@pytest.mark.parametrize("form", ["array", "answer", "stream"])
def test_an_export_of_the_things_stack_is_registered(tmp_path: Path, form: str) -> None:
    gateways = [tts_gateway(FIRST, "roof-1"), tts_gateway(None, "udp-only"), tts_gateway(SECOND, "roof-2")]
    texts = {
        "array": json.dumps(gateways),
        "answer": json.dumps({"gateways": gateways}),
        "stream": "\n".join(json.dumps(each, indent=2) for each in gateways),
    }
    (tmp_path / "tts.json").write_text(texts[form])

    done = stationkeeper(
        "import", "tts", str(tmp_path / "tts.json"), "-n", "radio", "--to", str(tmp_path / "out"), "--output", "json"
    )

    assert states(done) == [("roof-1", "Created"), ("roof-2", "Created")]
    assert ["udp-only" in each for each in done.json["notes"]] == [True]
    assert "lns" not in (tmp_path / "out" / "roof-1.yaml").read_text()


def test_the_lns_and_its_key_are_taken_over_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "lns.pem").write_text(pem())
    gateways = [tts_gateway(FIRST, "roof-1", lbs_lns_secret=LNS_SECRET), tts_gateway(SECOND, "roof-2")]
    (tmp_path / "tts.json").write_text(json.dumps(gateways))
    out = tmp_path / "out"
    command = ["import", "tts", str(tmp_path / "tts.json"), "-n", "radio", "--to", str(out), "--output", "json"]

    done = stationkeeper(*command, "--lns-trust", str(tmp_path / "lns.pem"))
    again = stationkeeper(*command, "--lns-trust", str(tmp_path / "lns.pem"))
    write(out / "rest.yaml", trusted_ca())

    assert KEY not in done.stdout + done.stderr
    assert "wss://eu1.cloud.thethings.network:8887" in (out / "roof-1.yaml").read_text()
    assert stat.S_IMODE((out / "roof-1-lns.yaml").stat().st_mode) == 0o600
    assert f"Bearer {KEY}" in (out / "roof-1-lns.yaml").read_text()
    assert ["no LNS key" in each for each in done.json["notes"]] == [True]
    assert states(again) == [("roof-1", "Unchanged"), ("roof-2", "Unchanged")]
    checked = stationkeeper("check", str(out))
    assert (checked.returncode, checked.stdout) == (0, "3 resources: 0 errors, 0 warnings\n")


def chirpstack_answer(*gateways: tuple[str, str], total: int | None = None) -> dict[str, Any]:
    """Return an answer in the JSON form of `ListGatewaysResponse` in ChirpStack's gateway.proto."""
    items = [
        {
            "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
            "gatewayId": eui,
            "name": name,
            "description": "",
            "location": {"latitude": 1.5, "longitude": 2.5, "altitude": 0, "source": "UNKNOWN", "accuracy": 0},
            "properties": {},
            "createdAt": "2026-01-01T00:00:00Z",
            "lastSeenAt": None,
            "state": "NEVER_SEEN",
        }
        for eui, name in gateways
    ]
    return {"totalCount": len(items) if total is None else total, "result": items}


def import_chirpstack(tmp_path: Path, content: Any) -> Done:
    (tmp_path / "chirpstack.json").write_text(json.dumps(content))
    paths = (str(tmp_path / "chirpstack.json"), "--to", str(tmp_path / "out"))
    return stationkeeper("import", "chirpstack", *paths, "-n", "radio", "--output", "json")


def test_an_export_of_chirpstack_is_registered(tmp_path: Path) -> None:
    done = import_chirpstack(tmp_path, chirpstack_answer((FIRST, "Roof 1"), (SECOND.lower(), "Roof 2")))

    assert states(done) == [("roof-1", "Created"), ("roof-2", "Created")]
    assert done.json["notes"] == []


def test_the_snake_case_of_its_grpc_api_is_read_too(tmp_path: Path) -> None:
    done = import_chirpstack(tmp_path, {"total_count": 1, "result": [{"gateway_id": SECOND.lower(), "name": "a"}]})

    assert states(done) == [("a", "Created")]


def test_a_page_of_a_longer_list_is_reported(tmp_path: Path) -> None:
    done = import_chirpstack(tmp_path, chirpstack_answer((FIRST, "a"), total=300))

    assert ["1 of 300" in each for each in done.json["notes"]] == [True]


@pytest.mark.parametrize("content", [{}, [], {"result": ["text"]}, {"result": [{"gatewayId": "xyz"}]}, "text", 1])
def test_what_is_not_an_export_is_refused(tmp_path: Path, content: Any) -> None:
    assert import_chirpstack(tmp_path, content).returncode == 2
    assert not (tmp_path / "out").exists()


def test_broken_json_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "tts.json"
    path.write_text('{"gateways": [\n{"ids": \n]}')

    done = stationkeeper("import", "tts", str(path), "-n", "radio", "--to", str(tmp_path / "out"))

    assert done.returncode == 2
    assert f"{path}:3: is not JSON" in done.stderr
