"""`stationkeeper register --apply` on a real API server: it can be repeated, and works beside other managers."""

import base64
import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.cluster import Cluster
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from tests.tools.command_line import Done, stationkeeper
from tests.tools.manifest_files import pem
from tests.tools.test_register import FIRST, KEY, LNS_SECRET, SECOND, states, tts_gateway


class Place:
    """A separate namespace, and the command that registers gateways in it."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.api = ApiClient(kubeconfig)
        self.namespace = f"register-{secrets.token_hex(3)}"
        self.folder = folder
        self._kubeconfig = kubeconfig
        Cluster(kubeconfig, self.namespace).install_crds()
        self.api.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    @property
    def path(self) -> str:
        return f"/apis/stationkeeper.io/v1alpha1/namespaces/{self.namespace}/gateways"

    def secret(self, name: str) -> Any:
        return self.api.find(f"/api/v1/namespaces/{self.namespace}/secrets/{name}")

    def run(self, *command: str, kubeconfig: Path | None = None) -> Done:
        where = ("-n", self.namespace, "--apply", "--kubeconfig", str(kubeconfig or self._kubeconfig))
        return stationkeeper(*command, *where, "--output", "json")

    def register(self, *lines: str, options: tuple[str, ...] = (), kubeconfig: Path | None = None) -> Done:
        path = self.folder / "list.csv"
        path.write_text("\n".join(("eui,name", *lines)))
        return self.run("register", "--csv", str(path), *options, kubeconfig=kubeconfig)

    def import_tts(self, *gateways: dict[str, Any]) -> Done:
        (self.folder / "tts.json").write_text(json.dumps(gateways))
        (self.folder / "lns.pem").write_text(pem())
        return self.run("import", "tts", str(self.folder / "tts.json"), "--lns-trust", str(self.folder / "lns.pem"))


@pytest.fixture
def place(control_plane: ControlPlane, tmp_path: Path) -> Place:
    return Place(control_plane.admin_kubeconfig, tmp_path)


def test_gateways_are_created_once(place: Place) -> None:
    first = place.register(f"{FIRST},Roof", f"{SECOND},")
    again = place.register(f"{FIRST},Another name", f"{SECOND},", "0000000000000ABC,third")

    assert states(first) == [("roof", "Created"), (f"gateway-{SECOND.lower()}", "Created")]
    assert [state for _, state in states(again)] == ["Unchanged", "Unchanged", "Created"]
    assert states(again)[0][0] == "roof"
    assert {each["spec"]["eui"] for each in place.api.items(place.path)} == {FIRST, SECOND, "0000000000000ABC"}


def test_a_dry_run_changes_nothing(place: Place) -> None:
    assert states(place.register(f"{FIRST},a", options=("--dry-run",))) == [("a", "Created")]
    assert place.api.items(place.path) == []


def test_fields_of_another_manager_stay(place: Place) -> None:
    place.register(f"{FIRST},a")
    place.api.merge(f"{place.path}/a", {"spec": {"suspended": True}})

    assert states(place.register(f"{FIRST},a")) == [("a", "Unchanged")]
    assert place.api.get(f"{place.path}/a")["spec"]["suspended"] is True


def test_the_name_of_another_gateway_is_not_taken(place: Place) -> None:
    place.register(f"{FIRST},a")

    done = place.register(f"{SECOND},a", "0000000000000ABC,b")

    assert (done.returncode, states(done)) == (4, [("a", "Refused"), ("b", "Created")])
    assert place.api.get(f"{place.path}/a")["spec"]["eui"] == FIRST


def test_an_import_brings_the_lns_and_its_key_and_follows_the_export(place: Place) -> None:
    roof = tts_gateway(FIRST, "roof", lbs_lns_secret=LNS_SECRET)
    first, again = place.import_tts(roof), place.import_tts(roof)
    moved = place.import_tts({**roof, "gateway_server_address": "nam1.cloud.thethings.network"})
    rotated = place.import_tts(
        {
            **roof,
            "gateway_server_address": "nam1.cloud.thethings.network",
            "lbs_lns_secret": {"value": base64.b64encode(b"NNSXS.OTHEROTHEROTHEROTHER").decode()},
        }
    )

    assert [states(each)[0][1] for each in (first, again, moved, rotated)] == [
        "Created",
        "Unchanged",
        "Changed",
        "Changed",
    ]
    spec = place.api.get(f"{place.path}/roof")["spec"]
    assert spec["lns"]["uri"] == "wss://nam1.cloud.thethings.network:8887"
    secret = place.secret("roof-lns")
    assert base64.b64decode(secret["data"]["token"]) == b"Bearer NNSXS.OTHEROTHEROTHEROTHER"
    assert secret["metadata"]["labels"] == {"stationkeeper.io/credentials": "true"}
    assert KEY not in first.stdout + first.stderr


def test_a_field_that_another_manages_is_not_taken(place: Place) -> None:
    other = {
        "apiVersion": "stationkeeper.io/v1alpha1",
        "kind": "Gateway",
        "metadata": {"name": "roof", "namespace": place.namespace},
        "spec": {"eui": FIRST, "lns": {"uri": "wss://other.example.org:8887", "trust": pem()}},
    }
    place.api.apply(f"{place.path}/roof", other)

    done = place.import_tts(tts_gateway(FIRST, "roof"))

    assert (done.returncode, states(done)) == (4, [("roof", "Refused")])
    assert "another tool manages" in done.json["gateways"][0]["detail"]
    assert place.api.get(f"{place.path}/roof")["spec"]["lns"]["uri"] == "wss://other.example.org:8887"


def test_a_person_without_the_right_gets_an_explanation(place: Place, control_plane: ControlPlane) -> None:
    place.api.create(f"/api/v1/namespaces/{place.namespace}/serviceaccounts", {"metadata": {"name": "reader"}})
    powerless = control_plane.service_account_kubeconfig(place.namespace, "reader", place.folder / "kubeconfig")

    done = place.register(f"{FIRST},a", kubeconfig=powerless)

    assert (done.returncode, done.json["error"]["reason"]) == (3, "ClusterRefused")
    assert "forbidden" in done.json["error"]["message"]
