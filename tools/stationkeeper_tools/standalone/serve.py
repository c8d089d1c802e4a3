"""The operator and CUPS in one process, on a folder of manifests."""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from stationkeeper_core.record_types import prepare_record_types
from stationkeeper_core.setting_values import Address
from stationkeeper_cups.main import serve as serve_cups
from stationkeeper_cups.settings import Files
from stationkeeper_cups.settings import Settings as CupsSettings
from stationkeeper_operator.api.leadership import Leadership
from stationkeeper_operator.runtime import Operator
from stationkeeper_operator.settings import Settings as OperatorSettings
from stationkeeper_tools.page.object_page import OfferedPage, run_object_page
from stationkeeper_tools.standalone.folder_api import FolderApi, Object
from stationkeeper_tools.standalone.folder_watch import FolderWatch
from stationkeeper_tools.standalone.state_folder import STATUS, StateFolder
from stationkeeper_tools.standalone.status_board import StatusBoard, Tell, statuses_of
from stationkeeper_tools.standalone.trial_certificate import ServerFiles

PRIME_SECONDS = 1.0

_POD = "stationkeeper-cups"
_TOKEN = "internal.token"  # noqa: S105 - a file's name
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_log = logging.getLogger("stationkeeper.standalone")


@dataclass(frozen=True)
class ServeSettings:
    """The settings of `serve`.

    Attributes:
        manifests: the folder.
        namespace: for objects that name none.
        release_namespace: the namespace with TrustedCAs that may speak for the Gateways of other namespaces.
        listen: the address for gateways.
        internal: the address for health and metrics.
        server: the server's certificate.
        server_names: host names and IP addresses by which gateways reach the server.
        token_authentication: whether gateways without a certificate may authenticate by a token.
        log_level: a name that `logging` knows.
        page: the address and users of the page of the fleet; None for no page.
    """

    manifests: Path
    namespace: str
    release_namespace: str
    listen: Address
    internal: Address
    server: ServerFiles
    server_names: tuple[str, ...]
    token_authentication: bool
    log_level: str
    page: OfferedPage | None = None


def _now() -> datetime:
    return datetime.now(UTC)


async def serve(
    settings: ServeSettings,
    state: StateFolder,
    tell: Tell,
    stop: asyncio.Event,
    now: Callable[[], datetime] = _now,
) -> None:
    """Serve gateways until `stop` is set.

    Args:
        settings: the folder and the addresses.
        state: locked by this process.
        tell: called for each announcement.
        stop: set it to end.
        now: the time for judging manifests, aware; it may be as wrong as the machine's clock.

    Raises:
        SettingsError: an address cannot be bound.
        OSError: the state folder cannot be read or written, or the page's address cannot be bound.
        RuntimeError: a part ended that must never end.
    """
    prepare_record_types()
    if state.read(_TOKEN) is None:
        state.write(_TOKEN, secrets.token_urlsafe(36).encode())
    documents = await asyncio.to_thread(state.read_documents)
    statuses = await asyncio.to_thread(lambda: statuses_of(state.read(STATUS)))

    async def write_document(name: str, content: bytes) -> None:
        await asyncio.to_thread(state.write_document, name, content)

    api = FolderApi(settings.release_namespace, documents, write_document, statuses)
    api.cups = _pod(settings.internal, is_ready=False)
    watch = FolderWatch(settings.manifests, settings.namespace, state, api, now)
    # The name of a folder may be no UTF-8.
    folder = os.fsencode(settings.manifests).decode(errors="replace")
    about = {"manifests": folder, "listen": f"{settings.listen.host}:{settings.listen.port}"}
    board = StatusBoard(state, api, watch, tell, now, about)
    ended = asyncio.Event()

    def serving() -> None:
        # Announce it only now: a resource is in force when gateways can connect, not when CUPS has loaded it.
        api.cups = _pod(settings.internal, is_ready=True)
        tell("serving", about)

    parts = [
        serve_cups(_cups_settings(settings, state), ended, on_serving=serving),
        _operate(settings, state, api, watch, tell, ended, now),
    ]
    if settings.page is not None:
        parts.append(
            run_object_page(
                settings.page, lambda: api.resources() if api.is_known else None, "the manifests", now, ended
            )
        )
    telling = asyncio.create_task(board.run())
    try:
        await _run(parts, telling, stop, ended)
    finally:
        telling.cancel()
        await asyncio.wait([telling])
        await board.write()


async def _run(
    parts: Sequence[Coroutine[Any, Any, None]],
    telling: asyncio.Task[NoReturn],
    stop: asyncio.Event,
    ended: asyncio.Event,
) -> None:
    """Run all parts until `stop` is set or one of them ends; then set `ended`, and wait until all have ended."""
    tasks = [asyncio.create_task(part) for part in parts]
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*tasks, telling, stopped], return_when=asyncio.FIRST_COMPLETED)
    ended.set()
    stopped.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [each for each in outcomes if isinstance(each, BaseException)]
    if telling in done:
        telling.result()
    if failures:
        raise failures[0]
    if stopped not in done:
        raise RuntimeError("a part ended by itself")


async def _operate(  # noqa: PLR0913, PLR0917 - its collaborators
    settings: ServeSettings,
    state: StateFolder,
    api: FolderApi,
    watch: FolderWatch,
    tell: Tell,
    stop: asyncio.Event,
    now: Callable[[], datetime],
) -> None:
    if not await watch.prime():
        tell("waiting", {"folder": str(settings.manifests)})
        while not await watch.prime():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PRIME_SECONDS):
                    await stop.wait()
                    return
    configured = _operator_settings(settings, state)

    def lead(changed: Callable[[], None]) -> Leadership:
        return Leadership(api, configured.namespace, configured.identity, changed=changed)

    operator = Operator(configured, api, watch.reporting_to, lead, now)
    await operator.run(stop)


def _cups_settings(settings: ServeSettings, state: StateFolder) -> CupsSettings:
    return CupsSettings(
        cups=settings.listen,
        internal=settings.internal,
        source=Files(state.documents, settings.server.certificate, settings.server.key),
        internal_token=state.path / _TOKEN,
        log_level=settings.log_level,
        token_authentication=settings.token_authentication,
    )


def _operator_settings(settings: ServeSettings, state: StateFolder) -> OperatorSettings:
    return OperatorSettings(
        namespace=settings.release_namespace,
        watch_namespaces=(),
        identity="stationkeeper-serve",
        health=Address("", 0),
        kubeconfig=None,
        internal_token=state.path / _TOKEN,
        log_level=settings.log_level,
        cups_names=tuple(sorted({f"{name.lower()}:{settings.listen.port}" for name in settings.server_names})),
    )


def _pod(internal: Address, *, is_ready: bool) -> Object:
    """Return the Pod by which the operator finds this process' CUPS."""
    return {
        "metadata": {"name": _POD, "uid": _POD},
        "spec": {"containers": [{"ports": [{"name": "internal", "containerPort": internal.port}]}]},
        "status": {
            "podIP": _ANY.get(internal.host, internal.host),
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(is_ready)}],
        },
    }
