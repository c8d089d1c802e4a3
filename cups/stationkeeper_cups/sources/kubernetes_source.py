"""Read documents and server credentials by watches on their Secrets, each by its name.

For each Secret there is a LIST, and then watches from its version, each with a limited time. Any error leads back to
the LIST after a pause. Until then, and after the deletion of a Secret, the last good state stays in force.
"""

import asyncio
import base64
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from stationkeeper_core.published.documents import secret_name
from stationkeeper_cups.in_force.server_certificate import OFFER_SECONDS, server_credentials
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.in_force.waiting_notice import WaitingNotice
from stationkeeper_cups.tls.server_credentials import ServerCredentials

WATCH_SECONDS = 240
SILENCE_SECONDS = WATCH_SECONDS + 30
MAX_LINE_BYTES = 4 * 1024 * 1024

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 10.0
_LIVED_SECONDS = 5.0
_GONE = 410

_log = logging.getLogger("stationkeeper.cups.kubernetes_source")


@dataclass(frozen=True)
class ApiServer:
    """The access to the API server.

    Attributes:
        url: `https://host:port`.
        ca_file: the PEM file of the CA of its certificate.
        token_file: the file of the token; read for every request, because kubelets renew it.
        namespace: the namespace of the Secrets.
    """

    url: str
    ca_file: Path
    token_file: Path
    namespace: str


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Secret(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    data: dict[str, str] | None = None


_Load = Callable[[Mapping[str, bytes]], Awaitable[None]]


class _SecretList(msgspec.Struct):
    metadata: _Metadata
    items: list[_Secret]


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _RelistError(Exception):
    """The watch cannot continue from its version."""


class KubernetesSource:
    """Hands over the content of the Secrets, and each change.

    Args:
        api: the access to the API server.
        server_tls: the name of the TLS Secret.
        state: the state that receives the content.
    """

    def __init__(self, api: ApiServer, server_tls: str, state: ServingState) -> None:
        self._api = api
        self._state = state
        where = f"Secrets of namespace {api.namespace}"
        self._notice = WaitingNotice(lambda: state.missing, where, time.monotonic, lambda: state.secrets_missing)
        self._credentials: ServerCredentials | None = None
        self._loaders: dict[str, _Load] = {server_tls: self._load_credentials}
        for document in state.documents:
            self._loaders[secret_name(document)] = self._loader(document)

    async def run(self) -> None:
        """Follow the Secrets until cancelled."""
        context = ssl.create_default_context(cafile=str(self._api.ca_file))
        # The CAs of many clusters do not pass the strict checks of newer Python versions.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_SECONDS)
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=MAX_LINE_BYTES) as session,
            asyncio.TaskGroup() as group,
        ):
            for name in self._loaders:
                group.create_task(self._follow(session, name))
            group.create_task(self._check_again())

    async def _check_again(self) -> None:
        """Offer the server's pair again, because a refused one may be accepted later; log missing content."""
        offered = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            self._notice.check()
            if self._credentials is not None and time.monotonic() - offered >= OFFER_SECONDS:
                offered = time.monotonic()
                self._state.load_server_credentials(self._credentials)

    async def _follow(self, session: aiohttp.ClientSession, name: str) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                version = await self._list(session, name)
                while True:
                    begun = time.monotonic()
                    version = await self._watch(session, name, version)
                    lived = time.monotonic() - begun >= _LIVED_SECONDS
                    pause = _FIRST_PAUSE_SECONDS if lived else await _pause(pause)
            except _RelistError:
                pause = await _pause(pause)
            except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError, ValueError) as error:
                fields = {"secret": name, "detail": f"{type(error).__name__}: {error}"}
                _log.warning("cannot follow the Secret, trying again", extra={"fields": fields})
                pause = await _pause(pause)

    async def _list(self, session: aiohttp.ClientSession, name: str) -> str:
        async with self._get(session, name, {}) as response:
            found = msgspec.json.decode(await response.read(), type=_SecretList)
        for secret in found.items:
            await self._load(name, secret)
        return found.metadata.resource_version

    async def _watch(self, session: aiohttp.ClientSession, name: str, version: str) -> str:
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        async with self._get(session, name, query) as response:
            async for line in response.content:
                event = msgspec.json.decode(line, type=_Event)
                if event.type == "ERROR":
                    raise _RelistError
                secret = msgspec.json.decode(event.object, type=_Secret)
                version = secret.metadata.resource_version
                if event.type == "DELETED":
                    fields = {"secret": name}
                    _log.warning("the Secret was deleted, the last good state stays in force", extra={"fields": fields})
                else:
                    await self._load(name, secret)
        return version

    def _get(
        self, session: aiohttp.ClientSession, name: str, query: dict[str, str]
    ) -> "aiohttp.client._RequestContextManager":
        token = self._api.token_file.read_text().strip()
        return session.get(
            f"{self._api.url}/api/v1/namespaces/{self._api.namespace}/secrets",
            params={"fieldSelector": f"metadata.name={name}", **query},
            headers={"Authorization": f"Bearer {token}"},
            raise_for_status=_raise_for_status,
        )

    async def _load(self, name: str, secret: _Secret) -> None:
        data = {key: base64.b64decode(value) for key, value in (secret.data or {}).items()}
        await self._loaders[name](data)

    def _loader(self, document: str) -> _Load:
        async def load(data: Mapping[str, bytes]) -> None:
            if document in data:
                await self._state.load_document(document, data[document])
            else:  # The chart creates an empty Secret, and the operator fills it.
                _log.info("the Secret holds no document yet", extra={"fields": {"document": document}})

        return load

    async def _load_credentials(self, data: Mapping[str, bytes]) -> None:
        self._credentials = server_credentials(data.get("tls.crt", b""), data.get("tls.key", b""))
        self._state.load_server_credentials(self._credentials)


async def _pause(seconds: float) -> float:
    """Wait about `seconds`; return the next pause."""
    await asyncio.sleep(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, keeps no secret
    return min(seconds * 2, _LONGEST_PAUSE_SECONDS)


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status == _GONE:
        raise _RelistError
    response.raise_for_status()
