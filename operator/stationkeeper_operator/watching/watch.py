"""Run kopf in its own thread and event loop, only to watch.

It watches only the operator's own kinds, because it holds whole objects; Secrets and ConfigMaps may be many and large.
It writes nothing: no finalizers, annotations, events or peering. While the API server is away, it tries again. After
other failures, such as an incomplete discovery or a watch that is answered 404, kopf ends. Then it is started again in
the same process: if the process ended instead, Kubernetes would soon delay each restart by minutes.

The operator's own LIST reads the existing objects; kopf reports changes. So kopf's LISTs request no object: their
answer has only the version from which kopf watches. kopf needs minutes to deliver 100,000 objects. Meanwhile pages of
its LIST expire, which ends the LIST, or the API server drops the history where its watch would begin, so that kopf
would list again, without end.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

import aiohttp
import kopf

from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.resource_paths import NO_OBJECT, RESOURCES, resource_path
from stationkeeper_operator.watching import kopf_internals
from stationkeeper_operator.watching.handlers import registry_of_handlers
from stationkeeper_operator.watching.reports import BegunReport, RelistReport, Report, WatchEndedError

BEAT_SECONDS = 0.1
_COLLECTIONS = frozenset(RESOURCES.values())
STUCK_SECONDS = 60.0

_LOGIN_PAUSE_SECONDS = 2.0
_STOP_SECONDS = 2.0
_CANCELS = 20
_log = logging.getLogger("stationkeeper.operator.watch")


@dataclass(frozen=True)
class Backoffs:
    """An endless sequence of pauses between attempts, in seconds."""

    growing: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0)
    then: float = 3.0

    def __iter__(self) -> Iterator[float]:
        """Yield the pauses."""
        yield from self.growing
        while True:
            yield self.then


class Watch:
    """The watching thread.

    Args:
        kubeconfig: the argument of `Credentials`.
        namespaces: the namespaces to watch; empty means all.
        report: receives the reports; called in the watching thread.
    """

    def __init__(
        self,
        kubeconfig: Path | None,
        namespaces: Collection[str],
        report: Callable[[Report], None],
    ) -> None:
        self._kubeconfig = kubeconfig
        self._namespaces = tuple(namespaces)
        self._report = report
        self._beat_at: float | None = None
        self._logged_in_at = float("-inf")
        self._to_begin = {resource_path(kind, each) for kind in RESOURCES for each in self._namespaces or (None,)}

    @property
    def shows_statuses(self) -> bool:
        """Whether it reports each written status: always true."""
        return True

    @property
    def is_healthy(self) -> bool:
        """Whether the thread's event loop runs, or was not started yet."""
        return self._beat_at is None or time.monotonic() - self._beat_at < STUCK_SECONDS

    async def run(self) -> NoReturn:
        """Watch until cancelled.

        Raises:
            WatchEndedError: kopf ended by itself, or watches nothing any more; this may be called again.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()
        stop = threading.Event()

        def end(detail: str) -> None:
            self._beat_at = None
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, ended, detail)

        def thread() -> None:
            try:
                asyncio.run(self._watch(stop, end))
            except Exception as error:
                _log.exception("kopf failed")
                end(type(error).__name__)

        threading.Thread(target=thread, name="kopf", daemon=True).start()
        try:
            detail = await asyncio.shield(ended)
        except asyncio.CancelledError:
            stop.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await asyncio.shield(ended)
            raise
        raise WatchEndedError(detail)

    async def _watch(self, stop: threading.Event, end: Callable[[str], None]) -> None:
        """Run kopf until it ends or watches nothing any more, and report why."""
        stopped = asyncio.Event()
        kopf_internals.silence_signals_warning()
        running = asyncio.create_task(
            kopf.operator(
                registry=registry_of_handlers(self._login, self._report),
                settings=watch_settings(),
                identity=kopf_internals.IDENTITY,
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=stopped,
                memories=kopf_internals.NoMemories(),
                memo=_Memo(),
            )
        )
        watch_end = asyncio.create_task(self._until_watch_ends(stop))
        await asyncio.wait({running, watch_end}, return_when=asyncio.FIRST_COMPLETED)
        stopped.set()
        # If one of its watches failed, kopf may wait for ever for the others to end.
        await asyncio.wait({running}, timeout=_STOP_SECONDS)
        is_stuck = not running.done()
        await _cancel_all()
        if not is_stuck:
            running.result()
        # Call it now: the loop of this thread closes only after all its tasks have ended.
        end("it watched nothing any more" if is_stuck else "it ended by itself")

    async def _until_watch_ends(self, stop: threading.Event) -> None:
        """Return when kopf watches nothing any more, or when it must stop."""
        watched = False
        while not stop.is_set():
            self._beat_at = time.monotonic()
            watches = kopf_internals.is_watching()
            if watched and not watches:
                # The definitions were deleted, or a watch failed: kopf runs on without any watch.
                return
            watched = watches
            await asyncio.sleep(BEAT_SECONDS)

    async def _login(self) -> kopf.AiohttpSession:
        since = time.monotonic() - self._logged_in_at
        if since < _LOGIN_PAUSE_SECONDS:
            await asyncio.sleep(_LOGIN_PAUSE_SECONDS - since)
        credentials = Credentials(self._kubeconfig)
        session = await credentials.session(self._narrow_list)
        self._logged_in_at = time.monotonic()
        return kopf.AiohttpSession(server=credentials.server, aiohttp_session=session)

    async def _narrow_list(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.name not in _COLLECTIONS or "watch" in request.url.query:
            return await handler(request)
        path = request.url.path
        request.url = request.url.update_query(fieldSelector=NO_OBJECT)
        response = await handler(request)
        # kopf does not report changes before this version.
        self._report(RelistReport())
        if self._to_begin:
            self._to_begin.discard(path)
            if not self._to_begin:
                self._report(BegunReport())
        return response


def _settle(ended: asyncio.Future[str], detail: str) -> None:
    if not ended.done():
        ended.set_result(detail)


async def _cancel_all() -> None:
    """Cancel all other tasks, repeatedly: some tasks of kopf continue after a first cancellation."""
    for _ in range(_CANCELS):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        if not others:
            return
        await asyncio.wait(others, timeout=BEAT_SECONDS)


class _Memo:
    """The memo of kopf's handlers for each object: one shared object, because the handlers remember nothing."""

    def __copy__(self) -> Self:
        return self


class _NoDifferences(kopf.DiffBaseStorage):
    """Store no last state of objects: kopf would make one of each object, and `on.event` needs none."""

    def build(
        self,
        *,
        body: kopf.Body,
        extra_fields: Iterable[kopf.FieldSpec] | None = None,
    ) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""


def watch_settings() -> kopf.OperatorSettings:
    """Return settings with which kopf only watches."""
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = None
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 60.0
    settings.networking.connect_timeout = 5.0
    settings.queueing.exit_timeout = 0.5
    # The seconds that the task of an object waits for its next event.
    settings.queueing.idle_timeout = 0.1
    settings.persistence.diffbase_storage = _NoDifferences()
    return settings
