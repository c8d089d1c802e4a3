"""CUPS' watch on the published Secrets, on a real API server, with exactly the chart's rights."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import yaml

from stationkeeper_core.published.documents import DOCUMENTS, TRUST, encode, secret_name
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.sources.kubernetes_source import ApiServer, KubernetesSource
from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from stationkeeper_tools.sample_pki import make_root, make_server
from stationkeeper_tools.shipped_manifests import load, rbac_files
from tests.cups.client import until
from tests.cups.documents import Gateway, contents

NAMESPACE, ACCOUNT = "release", "stationkeeper-cups"
SERVER_TLS = "stationkeeper-server-tls"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"


@dataclass
class Followed:
    """A state that follows the Secrets of one namespace, and an administrator who writes them."""

    state: ServingState
    admin: ApiClient

    def publish(self, generation: int, documents: tuple[str, ...] = DOCUMENTS) -> None:
        payloads = contents([], [Gateway("0102030405060708")])
        for document in documents:
            value = encode(document, generation, payloads[document])
            self.put(secret_name(document), {document: value})

    def put(self, name: str, data: dict[str, bytes]) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
        self.admin.apply(f"{SECRETS}/{name}", body)

    async def has(self, generation: int) -> None:
        async def loaded() -> bool:
            return set(self.state.generations.values()) == {generation} and not self.state.missing

        await until(loaded, f"generation {generation} is in force")


@pytest.fixture(scope="module")
def own(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """Return a control plane that a test may restart."""
    with ControlPlane(control_plane_binaries, tmp_path_factory.mktemp("restarted")) as running:
        admin = ApiClient(running.admin_kubeconfig)
        admin.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        admin.create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": ACCOUNT}})
        yield running


@pytest.fixture
async def followed(own: ControlPlane, tmp_path: Path) -> AsyncIterator[Followed]:
    admin = ApiClient(own.admin_kubeconfig)
    admin.delete(SECRETS)
    _grant(admin)
    kubeconfig = own.service_account_kubeconfig(NAMESPACE, ACCOUNT, tmp_path / "kubeconfig")
    token = tmp_path / "token"
    token.write_text(yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"])
    state = ServingState(Metrics())
    source = KubernetesSource(ApiServer(own.url, own.ca_file, token, NAMESPACE), SERVER_TLS, state)
    before = _open_files()
    running = asyncio.create_task(source.run())
    made = Followed(state, admin)
    now = datetime.now(UTC)
    server = make_server(["localhost"], [], make_root("Operator", now), now)
    made.put(SERVER_TLS, {"tls.crt": server.certificate_pem, "tls.key": server.key_pem})
    yield made
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    async def closed() -> bool:
        return _open_files() <= before

    await until(closed, "the connections are closed")


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _grant(admin: ApiClient) -> None:
    (rules,) = (load(path)[0] for path in rbac_files() if path.stem == "cups-release")
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "cups"}, "rules": rules}
    admin.apply(f"{RBAC}/roles/cups", role)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "cups"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "cups"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    admin.apply(f"{RBAC}/rolebindings/cups", binding)


async def test_secrets_are_followed_as_they_come_and_change(followed: Followed) -> None:
    followed.publish(1)
    await followed.has(1)
    followed.publish(2)
    await followed.has(2)


async def test_a_secret_that_is_deleted_or_spoilt_leaves_the_last_good_state(followed: Followed) -> None:
    followed.publish(1)
    await followed.has(1)
    followed.put(secret_name(TRUST), {TRUST: b"spoilt"})

    async def refused() -> bool:
        return TRUST in followed.state.refused

    await until(refused, "the spoilt document is refused")
    followed.admin.delete(f"{SECRETS}/{secret_name(TRUST)}")
    followed.publish(2)
    await followed.has(2)
    assert followed.state.refused == {}


async def test_it_goes_on_after_the_api_server_was_away(followed: Followed, own: ControlPlane) -> None:
    followed.publish(1)
    await followed.has(1)
    await asyncio.to_thread(own.stop_api_server)
    assert followed.state.missing == ()
    await asyncio.to_thread(own.start_api_server)
    followed.publish(2)

    await followed.has(2)


async def test_it_goes_on_once_it_may_read_again(followed: Followed) -> None:
    followed.publish(1)
    await followed.has(1)
    followed.admin.delete(f"{RBAC}/rolebindings/cups")
    _grant(followed.admin)
    followed.publish(2)

    await followed.has(2)


class _Expired(KubernetesSource):
    """A source whose first LISTs ended at a version that a restarted API server no longer knows."""

    def __init__(self, api: ApiServer, server_tls: str, state: ServingState) -> None:
        super().__init__(api, server_tls, state)
        self.lists: Counter[str] = Counter()

    async def _list(self, session: aiohttp.ClientSession, name: str) -> str:
        self.lists[name] += 1
        return "1" if self.lists[name] == 1 else await super()._list(session, name)


async def test_a_watch_that_expired_is_started_again_with_a_list(
    followed: Followed, own: ControlPlane, tmp_path: Path
) -> None:
    followed.publish(1)
    await asyncio.to_thread(own.stop_api_server)
    await asyncio.to_thread(own.start_api_server)
    late = Followed(ServingState(Metrics()), followed.admin)
    source = _Expired(ApiServer(own.url, own.ca_file, tmp_path / "token", NAMESPACE), SERVER_TLS, late.state)
    running = asyncio.create_task(source.run())
    await late.has(1)
    assert source.lists[secret_name(TRUST)] > 1
    followed.publish(2)
    await late.has(2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_one_that_starts_while_the_api_server_is_away_loads_what_is_true_once_it_is_back(
    followed: Followed, own: ControlPlane, tmp_path: Path
) -> None:
    followed.publish(1)
    await followed.has(1)
    await asyncio.to_thread(own.stop_api_server)
    late = Followed(ServingState(Metrics()), followed.admin)
    source = KubernetesSource(ApiServer(own.url, own.ca_file, tmp_path / "token", NAMESPACE), SERVER_TLS, late.state)
    running = asyncio.create_task(source.run())
    assert not late.state.complete.is_set()
    await asyncio.to_thread(own.start_api_server)
    followed.publish(2)

    await late.has(2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
