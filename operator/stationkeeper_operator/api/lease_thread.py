"""Hold the Lease in a separate thread, event loop and connections, so that no other work delays a renewal.

client-go renews in a separate goroutine for the same reason. `/healthz`, which the main loop answers, shows that the
main loop runs: a kubelet ends a stuck process, and the Lease with it.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.leadership import Leadership, NotLeadingError, Timing

_log = logging.getLogger("stationkeeper.operator.lease_thread")


class LeaseThread:
    """A candidate like `Leadership`, in a thread, for the main event loop.

    Args:
        connect: makes the connections of the thread; they are opened there.
        namespace: of the Lease.
        identity: of this candidate.
        changed: called in the main event loop when leadership begins or ends.
        timing: of the Lease.

    Attributes:
        tried: set after the first attempt to get the Lease, successful or not.
    """

    def __init__(
        self,
        connect: Callable[[], KubernetesApi],
        namespace: str,
        identity: str,
        *,
        changed: Callable[[], None] = lambda: None,
        timing: Timing | None = None,
    ) -> None:
        self._connect = connect
        self._namespace = namespace
        self._identity = identity
        self._changed = changed
        self._timing = timing
        self._main: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leadership: Leadership | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._done: asyncio.Event | None = None
        self._announced = ""
        self.tried = asyncio.Event()

    @property
    def is_leading(self) -> bool:
        """Whether it is certain that this process holds the Lease, in the term that was announced to the main loop."""
        leadership = self._leadership
        # If a term ended and another one began while the main loop was busy, the main loop must learn of both first.
        return (
            leadership is not None
            and self._announced != ""
            and leadership.is_leading
            and leadership.term == self._announced
        )

    @property
    def term(self) -> str:
        """The name of the term that was announced to the main loop; empty without the Lease."""
        return self._announced

    def require(self) -> None:
        """Check that this process may write; call it before each write.

        Raises:
            NotLeadingError: nothing may be written.
        """
        if not self.is_leading:
            raise NotLeadingError

    async def run(self) -> None:
        """Acquire and renew the Lease until cancelled.

        Raises:
            RuntimeError: the thread ended by itself.
        """
        self._main = asyncio.get_running_loop()
        ended: asyncio.Future[str] = self._main.create_future()
        threading.Thread(target=self._thread, args=(ended,), name="lease", daemon=True).start()
        try:
            detail = await asyncio.shield(ended)
        finally:
            self._in_thread(self._stop_renewing)
        raise RuntimeError(f"the Lease is no longer renewed: {detail}")

    async def release(self) -> None:
        """Release the Lease, so that another candidate can take it at once; only log a failure."""
        if self._loop is not None and self._loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._release(), self._loop))

    def _thread(self, ended: asyncio.Future[str]) -> None:
        detail = "it ended by itself"
        try:
            asyncio.run(self._hold())
        except Exception as error:
            _log.exception("the Lease cannot be held")
            detail = type(error).__name__
        self._in_main(lambda: None if ended.done() else ended.set_result(detail))

    async def _hold(self) -> None:
        async with self._connect() as api:
            leadership = Leadership(
                api, self._namespace, self._identity, changed=self._changed_in_thread, timing=self._timing
            )
            self._leadership, self._done = leadership, asyncio.Event()
            self._renewing = asyncio.create_task(leadership.run())
            self._loop = asyncio.get_running_loop()
            await _first_of(leadership.tried, self._renewing)
            self._in_main(self.tried.set)
            done = asyncio.create_task(self._done.wait())
            await asyncio.wait({done, self._renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not self._renewing.cancelled():
                self._renewing.result()
            await done

    async def _release(self) -> None:
        assert self._leadership is not None  # noqa: S101 - both are set before the loop is
        assert self._done is not None  # noqa: S101
        self._stop_renewing()
        if self._renewing is not None:
            await asyncio.wait({self._renewing})
        await self._leadership.release()
        self._done.set()

    def _stop_renewing(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()

    def _changed_in_thread(self) -> None:
        assert self._leadership is not None  # noqa: S101 - `_leadership` calls this method
        term = self._leadership.term if self._leadership.is_leading else ""
        self._in_main(lambda: self._announce(term))

    def _announce(self, term: str) -> None:
        self._announced = term
        self._changed()

    def _in_main(self, action: Callable[[], object]) -> None:
        _soon(self._main, action)

    def _in_thread(self, action: Callable[[], object]) -> None:
        _soon(self._loop, action)


def _soon(loop: asyncio.AbstractEventLoop | None, action: Callable[[], object]) -> None:
    if loop is not None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing waits there
            loop.call_soon_threadsafe(action)


async def _first_of(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Return when `event` is set or `task` has ended."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
