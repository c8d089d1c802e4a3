import base64
import json
import secrets
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config

from stationkeeper_tools.api_client import ApiClient, RequestError
from stationkeeper_tools.local_cluster import control_plane as module
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.ports import free_ports, is_free
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from stationkeeper_tools.tool_errors import ToolError, ToolFault
from tests.waiting import wait_for

ACCOUNT = "reader"


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    name = f"test-{secrets.token_hex(4)}"
    admin = ApiClient(control_plane.admin_kubeconfig)
    admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
    create_account(admin, name)
    return name


@pytest.fixture
def account_kubeconfig(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    return control_plane.service_account_kubeconfig(namespace, ACCOUNT, tmp_path / "account.kubeconfig")


def create_account(admin: ApiClient, namespace: str) -> None:
    admin.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": ACCOUNT}})


def port_of(control_plane: ControlPlane) -> int:
    return int(control_plane.url.rpartition(":")[2])


def test_it_is_ready_and_has_its_namespaces(control_plane: ControlPlane) -> None:
    listed = ApiClient(control_plane.admin_kubeconfig).items("/api/v1/namespaces")

    assert "default" in {each["metadata"]["name"] for each in listed}


def test_kubectl_of_the_same_set_understands_its_kubeconfig(control_plane: ControlPlane, kubectl: Path) -> None:
    command = [str(kubectl), "--kubeconfig", str(control_plane.admin_kubeconfig), "version", "--output", "json"]

    answer = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)

    assert answer["serverVersion"]["gitVersion"].startswith("v1.")


def test_the_kubernetes_library_understands_its_kubeconfig(control_plane: ControlPlane) -> None:
    configuration = client.Configuration()
    kubeconfig = str(control_plane.admin_kubeconfig)
    config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]  # no types

    assert configuration.host == control_plane.url


def test_a_service_account_may_do_nothing_until_a_role_allows_it(
    control_plane: ControlPlane, namespace: str, account_kubeconfig: Path
) -> None:
    account = ApiClient(account_kubeconfig)
    here, roles = f"/api/v1/namespaces/{namespace}", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    with pytest.raises(RequestError, match="403"):
        account.get(f"{here}/configmaps")

    admin = ApiClient(control_plane.admin_kubeconfig)
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    admin.create(f"{roles}/roles", {"metadata": {"name": "read"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "read"}
    subjects = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]
    binding = {"metadata": {"name": "read"}, "roleRef": reference, "subjects": subjects}
    admin.create(f"{roles}/rolebindings", binding)

    wait_for(lambda: may_list(account, f"{here}/configmaps"), "the Role is in force")
    with pytest.raises(RequestError, match="403"):
        account.get(f"{here}/secrets")


def test_the_token_of_a_service_account_names_it_and_its_namespace(namespace: str, account_kubeconfig: Path) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = ApiClient(account_kubeconfig).create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    document = yaml.safe_load(account_kubeconfig.read_text())

    assert answer["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:{ACCOUNT}"
    assert document["contexts"][0]["context"]["namespace"] == namespace


def test_the_token_of_a_service_account_is_valid_for_a_day(account_kubeconfig: Path) -> None:
    token = yaml.safe_load(account_kubeconfig.read_text())["users"][0]["user"]["token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))

    assert claims["exp"] - claims["iat"] == 24 * 3600


def test_a_token_for_an_unknown_service_account_is_refused_by_name(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    with pytest.raises(ToolError, match=f"no token for ServiceAccount {namespace}/nobody: .*not found") as caught:
        control_plane.service_account_kubeconfig(namespace, "nobody", tmp_path / "kubeconfig")
    assert caught.value.fault is ToolFault.API_REFUSED
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_on_the_machine_can_read_its_keys(control_plane: ControlPlane, account_kubeconfig: Path) -> None:
    folder = control_plane.admin_kubeconfig.parent

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(control_plane.admin_kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(account_kubeconfig.stat().st_mode) == 0o600
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder / "pki").iterdir()} == {0o600}


def test_the_administrators_token_is_in_no_log_and_no_command_line(control_plane: ControlPlane) -> None:
    folder = control_plane.admin_kubeconfig.parent
    token = yaml.safe_load(control_plane.admin_kubeconfig.read_text())["users"][0]["user"]["token"]

    assert all(token not in path.read_text() for path in folder.glob("*.log"))
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert token.encode() not in path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue


class TestOneOfItsOwn:
    @pytest.fixture
    def own(self, control_plane_binaries: ControlPlaneBinaries, tmp_path: Path) -> Iterator[ControlPlane]:
        with ControlPlane(control_plane_binaries, tmp_path / "own") as running:
            yield running

    def test_objects_and_tokens_survive_a_restart_of_the_api_server(self, own: ControlPlane, tmp_path: Path) -> None:
        admin, maps = ApiClient(own.admin_kubeconfig), "/api/v1/namespaces/default/configmaps"
        create_account(admin, "default")
        admin.create(maps, {"metadata": {"name": "kept"}, "data": {"a": "b"}})
        account = ApiClient(own.service_account_kubeconfig("default", ACCOUNT, tmp_path / "account"))
        url = own.url

        own.stop_api_server()
        assert is_free(port_of(own))
        own.start_api_server()

        assert own.url == url
        assert admin.get(f"{maps}/kept")["data"] == {"a": "b"}
        with pytest.raises(RequestError, match="403"):
            account.get(maps)

    def test_a_port_that_was_taken_meanwhile_is_a_named_error(self, own: ControlPlane) -> None:
        own.stop_api_server()
        with socket.create_server(("127.0.0.1", port_of(own))), pytest.raises(ToolError) as caught:
            own.start_api_server()
        assert caught.value.fault is ToolFault.PORT_TAKEN

    def test_after_stop_nobody_listens_any_more(self, own: ControlPlane) -> None:
        own.stop()

        assert is_free(port_of(own))
        with pytest.raises(ToolError):
            own.start_api_server()

    def test_etcd_gives_nothing_to_one_without_its_certificate(self, own: ControlPlane) -> None:
        assert own._ports is not None
        with socket.create_connection(("127.0.0.1", own._ports.etcd), timeout=5) as plain:
            plain.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")

            assert b"etcdserver" not in plain.recv(4096)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_port_that_somebody_takes_in_between_is_replaced_by_another(
    which: int, control_plane_binaries: ControlPlaneBinaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [*free_ports(3)]
        ports[which] = taken.getsockname()[1]
        drawn = [ports]
        monkeypatch.setattr(module, "free_ports", lambda count: drawn.pop() if drawn else free_ports(count))

        with ControlPlane(control_plane_binaries, tmp_path / "own") as running:
            assert ApiClient(running.admin_kubeconfig).items("/api/v1/namespaces")


def test_a_control_plane_that_cannot_start_says_why_and_leaves_nothing_running(
    control_plane_binaries: ControlPlaneBinaries, tmp_path: Path
) -> None:
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho the flag is unknown >&2\nexit 1\n")
    broken.chmod(0o755)
    binaries = ControlPlaneBinaries(broken, control_plane_binaries.etcd, None)
    control_plane = ControlPlane(binaries, tmp_path / "own")

    with pytest.raises(ToolError, match="the flag is unknown") as caught, control_plane:
        pass

    assert caught.value.fault is ToolFault.PROCESS_ENDED
    assert str(tmp_path / "own") not in command_lines()


def may_list(api: ApiClient, path: str) -> bool:
    try:
        return api.get(path)["items"] is not None
    except RequestError:
        return False


def command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return "\n".join(found)
