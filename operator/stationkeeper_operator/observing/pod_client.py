"""Requests to the internal port of a CUPS pod. The pod proves its identity first; sizes and times are limited.

The token is sent only to a peer with the identity that is derived from the token, see
`stationkeeper_core.published.internal_identity`. A changed token file is read again.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TypeVar

import aiohttp
import msgspec

from stationkeeper_core.published.internal_identity import SERVER_NAME, InternalIdentity, derive_identity
from stationkeeper_core.published.observation import MAX_PAGE, ObservationPage, clean
from stationkeeper_core.published.operator_proof import HEADER
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.rollout.generation_report import Loaded, bounded

REQUEST_SECONDS = 5.0
CONNECT_SECONDS = 2.0
MAX_LOADED_BYTES = 128 * 1024
MAX_PAGE_BYTES = 3 * 1024 * 1024
"""The size of `MAX_PAGE` observations with texts of the maximum length."""
MAX_INSTANCE = 64
MAX_CURSOR = 10**18

MAX_REFUSAL_BYTES = 4096

_OK = {200, 204}
_REFUSED = {403, 409}
_MAX_DETAIL = 200
_CHUNK = 64 * 1024
_S = TypeVar("_S", bound=msgspec.Struct)


class PodError(Exception):
    """A request to a pod failed; the message says why, without secrets."""


class PodRefusalError(PodError):
    """A pod answered that it does not accept the document or message."""


class PodClient:
    """A client for CUPS pods. Use it as an asynchronous context manager.

    Args:
        token_file: the file with the token that operator and pods share.
    """

    def __init__(self, token_file: Path) -> None:
        self._token_file = token_file
        self._token = b""
        self._pin: aiohttp.Fingerprint | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "PodClient":
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(limit=32, limit_per_host=2)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def loaded(self, pod: CupsPod) -> Loaded:
        """Return the loaded generations of the pod.

        Raises:
            PodError: the request failed; the same for every method here.
        """
        return bounded(await self._ask(pod, "/generation", Loaded, MAX_LOADED_BYTES))

    async def observations(self, pod: CupsPod, since: int) -> ObservationPage:
        """Return the pod's observations since the cursor `since`."""
        page = await self._ask(pod, f"/observations?since={since}", ObservationPage, MAX_PAGE_BYTES)
        fits = len(page.instance) <= MAX_INSTANCE and len(page.observations) <= MAX_PAGE
        if not fits or not 0 <= page.cursor < MAX_CURSOR:
            raise PodError("its answer to /observations exceeds the limits of the contract")
        return page

    async def hand_over(self, pod: CupsPod, document: str, value: bytes, signature: str) -> None:
        """Hand `value` to the pod as `document`, signed by the operator.

        Raises:
            PodRefusalError: the pod does not accept it.
        """
        await self._put(pod, f"/documents/{document}", value, signature)

    async def send_latest(self, pod: CupsPod, body: bytes, signature: str) -> None:
        """Send the pod the latest generations, signed by the operator.

        Raises:
            PodRefusalError: the pod has older generations, or the signature is wrong.
        """
        await self._put(pod, "/latest", body, signature)

    async def _put(self, pod: CupsPod, path: str, body: bytes, signature: str) -> None:
        await self._request(pod, "PUT", path, MAX_REFUSAL_BYTES, {HEADER: signature}, body)

    async def _ask(self, pod: CupsPod, path: str, kind: type[_S], most: int) -> _S:
        try:
            return msgspec.json.decode(await self._request(pod, "GET", path, most), type=kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise PodError(f"its answer to {path.partition('?')[0]} does not follow the contract") from None

    async def _request(  # noqa: PLR0913, PLR0917 - what an HTTP request consists of
        self,
        pod: CupsPod,
        method: str,
        path: str,
        most: int,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
    ) -> bytes:
        if self._session is None:
            raise PodError("there is no session")
        if not pod.host:
            raise PodError("it has no address")
        pin, token = self._credentials()
        host = f"[{pod.host}]" if ":" in pod.host else pod.host
        try:
            async with self._session.request(
                method,
                f"https://{host}:{pod.port}{path}",
                headers={"Authorization": f"Bearer {token}", **headers},
                data=body,
                ssl=pin,
                server_hostname=SERVER_NAME,
                allow_redirects=False,
            ) as response:
                if response.status in _REFUSED:
                    raise PodRefusalError(_why(path, response.status, await _read(response, most)))
                if response.status not in _OK:
                    raise PodError(f"it answers {path.partition('?')[0]} with {response.status}")
                return await _read(response, most)
        except aiohttp.ServerFingerprintMismatch:
            raise PodError("it does not prove that it knows the internal token") from None
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or type(error.os_error).__name__
            raise PodError(f"no connection to {host}:{pod.port}: {why[:_MAX_DETAIL]}") from None
        except TimeoutError:
            raise PodError("it does not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PodError(f"its answer broke off: {type(error).__name__}") from None

    def _credentials(self) -> tuple[aiohttp.Fingerprint, str]:
        try:
            token = self._token_file.read_bytes().strip()
            if self._pin is None or token != self._token:
                self._pin, self._token = _pin(derive_identity(token)), token
            text = token.decode("ascii")
        except OSError as error:
            raise PodError(f"the internal token cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise PodError("the internal token is not ASCII") from None
        except ValueError as error:
            raise PodError(str(error)) from None
        if not text.isprintable():
            raise PodError("the internal token does not fit into a header")
        return self._pin, text


def _pin(identity: InternalIdentity) -> aiohttp.Fingerprint:
    return aiohttp.Fingerprint(identity.sha256)


class _Refusal(msgspec.Struct):
    reason: str = ""
    detail: str = ""


def _why(path: str, status: int, body: bytes) -> str:
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        refusal = _Refusal()
    why = clean(f"{refusal.reason}: {refusal.detail}", _MAX_DETAIL) if refusal.reason else str(status)
    return f"it refuses {path.partition('?')[0]}: {why}"


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > most:
            raise PodError(f"its answer has more than {most} bytes")
    return bytes(body)
