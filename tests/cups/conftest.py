"""A separate CUPS server for each test, on loopback, with files in the layout of a kubelet."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import DOCUMENTS, encode
from stationkeeper_core.setting_values import Address
from stationkeeper_cups.http.connection import REQUEST_SECONDS, RequestSeconds
from stationkeeper_cups.main import serve
from stationkeeper_cups.settings import Files, Settings
from stationkeeper_cups.sources import file_source
from stationkeeper_tools.ports import free_ports
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.client import Client, get_internal, until
from tests.cups.documents import TOKEN_GATEWAYS, Gateway, Trusted, contents
from tests.cups.pki import Pki


@pytest.fixture(scope="session")
def pki() -> Pki:
    return Pki.make()


@pytest.fixture(scope="session", autouse=True)
def _changes_are_found_soon() -> Iterator[None]:
    """Make servers check their files more often, because nearly each test waits for a change of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_source, "INTERVAL_SECONDS", 0.02)
        yield


TOKEN = "a-token-that-nobody-guesses"
"""The token of the internal port of `guarded`."""


class Cups:
    """A running server and its folders."""

    def __init__(
        self,
        folder: Path,
        pki: Pki,
        token: str | None = None,
        *,
        token_authentication: bool = False,
        seconds: RequestSeconds = REQUEST_SECONDS,
        operator_certificate: bytes | None = None,
        latest_seconds: float = 0.0,
        **settings: Any,
    ) -> None:
        self.documents = folder / "documents"
        self.server_tls = folder / "server-tls"
        self.port, self.internal_port = free_ports(2)
        self.generation = 1
        self._pki = pki
        self._volumes = 0
        self._stop = asyncio.Event()
        self._seconds = seconds
        self._settings = settings
        self._token_authentication = token_authentication
        self._task: asyncio.Task[None] | None = None
        self._latest_seconds = latest_seconds
        self.operator_certificate = folder / "operator.pem" if operator_certificate else None
        if self.operator_certificate:
            self.operator_certificate.write_bytes(operator_certificate or b"")
        self._token_file = folder / "token" if token else None
        if self._token_file:
            self._token_file.write_text(f"{token}\n")

    def start(self) -> None:
        settings = Settings(
            cups=Address("127.0.0.1", self.port),
            internal=Address("127.0.0.1", self.internal_port),
            source=Files(self.documents, self.server_tls / "tls.crt", self.server_tls / "tls.key"),
            internal_token=self._token_file,
            log_level="INFO",
            token_authentication=self._token_authentication,
            **self._settings,
            operator_certificate=self.operator_certificate,
            latest_seconds=self._latest_seconds,
        )
        self._task = asyncio.create_task(serve(settings, self._stop, self._seconds))

    def check_running(self) -> None:
        """Raise the error that ended the server, if one did, as when another program took the port."""
        if self._task and self._task.done():
            self._task.result()

    async def stop(self) -> None:
        self._stop.set()
        if self._task:
            await self._task

    def lay_server_tls(self, pair: KeyPair) -> None:
        self._lay(self.server_tls, {"tls.crt": pair.certificate_pem, "tls.key": pair.key_pem})

    def publish(self, trusted: list[Trusted], gateways: list[Gateway]) -> None:
        """Write a generation of all documents, in one change of the volume."""
        self.generation += 1
        payloads = contents(trusted, gateways)
        self.lay_documents({name: encode(name, self.generation, payloads[name]) for name in DOCUMENTS})

    def lay_documents(self, values: dict[str, bytes]) -> None:
        self._lay(self.documents, values)

    def _lay(self, folder: Path, values: dict[str, bytes]) -> None:
        """Replace the volume's content as a kubelet does: with a new folder, and a link renamed over `..data`."""
        folder.mkdir(exist_ok=True)
        self._volumes += 1
        fresh = folder / f"..volume-{self._volumes}"
        fresh.mkdir()
        for name, value in values.items():
            (fresh / name).write_bytes(value)
        data = folder / "..data"
        old = data.resolve() if data.exists() else None
        (folder / "..data_tmp").symlink_to(fresh.name)
        (folder / "..data_tmp").rename(data)
        for name in values:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(Path("..data") / name)
        if old:
            shutil.rmtree(old)

    async def loaded(self) -> None:
        """Wait until everything published last is in force."""
        await until(self._has_loaded, "the published generation is in force")

    async def _has_loaded(self) -> bool:
        answer = await get_internal(self.internal_port, "/generation")
        return answer.status == 200 and answer.json()["generations"] == dict.fromkeys(DOCUMENTS, self.generation)

    def client(self, pair: KeyPair | None, **options: object) -> Client:
        return Client(self.port, self._pki.server_ca, pair, **options)  # type: ignore[arg-type]


@pytest.fixture
async def idle_cups(tmp_path: Path, pki: Pki) -> AsyncIterator[Cups]:
    """Yield a server without documents and certificates."""
    cups = Cups(tmp_path, pki)
    cups.start()
    yield cups
    await cups.stop()


@pytest.fixture
async def cups(tmp_path: Path, pki: Pki) -> AsyncIterator[Cups]:
    """Yield a server that trusts CA `a`, with the Gateway of its end-entity certificate."""
    async with serving(tmp_path, pki) as running:
        yield running


@pytest.fixture
async def guarded(tmp_path: Path, pki: Pki) -> AsyncIterator[Cups]:
    """Yield a server whose internal port has a token."""
    async with serving(tmp_path, pki, token=TOKEN) as running:
        yield running


@pytest.fixture
async def token_cups(tmp_path: Path, pki: Pki) -> AsyncIterator[Cups]:
    """Yield a server with token authentication that trusts CA `a`; its Gateway and a bystander have tokens too."""
    async with serving(tmp_path, pki, *TOKEN_GATEWAYS, token_authentication=True) as running:
        yield running


@asynccontextmanager
async def serving(folder: Path, pki: Pki, *gateways: Gateway, **options: object) -> AsyncIterator[Cups]:
    """Yield a server that trusts CA `a`, made with `options`."""
    cups = Cups(folder, pki, **options)  # type: ignore[arg-type]
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a)], list(gateways or (Gateway(pki.eui),)))
    cups.start()
    await until(lambda: ready(cups), "the server is ready")
    yield cups
    await cups.stop()


async def ready(cups: Cups) -> bool:
    """Return whether it reports that it serves gateways; raise the error of a server that ended."""
    cups.check_running()
    return (await get_internal(cups.internal_port, "/readyz")).status == 200
