"""Leader election: only the operator that holds the Lease writes.

As in client-go, a candidate watches the Lease *change*, on its own monotonic clock; clocks of two machines are never
compared. The holder stops writing well before others may take over, so two operators never write at the same time. A
restarted process in the pod of the holder has the same identity, and takes the Lease at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi, object_body, path_of

LEASE = "stationkeeper-operator"

_log = logging.getLogger("stationkeeper.operator.leadership")
_API = "coordination.k8s.io/v1"
_MOST_RELEASES = 3


@dataclass(frozen=True)
class Timing:
    """The times of the Lease, in seconds.

    Attributes:
        duration: how long others wait after the last change of the Lease before they take it.
        deadline: how long the holder still writes after its last renewal; well below `duration`.
        renew: the time between two renewals.
        retry: the time between two reads of another candidate's Lease; also the pause after a failure.
    """

    duration: int = 15
    deadline: float = 10.0
    renew: float = 5.0
    retry: float = 2.0


class NotLeadingError(Exception):
    """It is not certain that this process holds the Lease; nothing may be written."""


class Candidate(Protocol):
    """A candidate for the Lease, for the operator's event loop.

    Attributes:
        tried: set after the first attempt to get the Lease, successful or not.
    """

    tried: asyncio.Event

    @property
    def is_leading(self) -> bool:
        """Whether it is certain, with a margin, that this process holds the Lease."""

    @property
    def term(self) -> str:
        """The name of the present term of leadership; no other term has it."""

    def require(self) -> None:
        """Raise `NotLeadingError` if nothing may be written."""

    async def run(self) -> None:
        """Acquire and renew the Lease until cancelled."""

    async def release(self) -> None:
        """Release the Lease, so that another candidate can take it at once."""


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Lease(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class Leadership:
    """A candidate for the Lease.

    Args:
        api: the cluster's API server.
        namespace: of the Lease.
        identity: of this candidate; only processes in the same pod have the same one.
        changed: called when leadership begins or ends.
        timing: of the Lease.
        clock: monotonic, in seconds.

    Attributes:
        tried: set after the first attempt to get the Lease, successful or not.
    """

    def __init__(  # noqa: PLR0913 - the place, the name and the times of a candidate
        self,
        api: KubernetesApi,
        namespace: str,
        identity: str,
        *,
        changed: Callable[[], None] = lambda: None,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._collection = path_of(_API, namespace, "leases")
        self._path = path_of(_API, namespace, "leases", LEASE)
        self._identity = identity
        self._changed = changed
        self._timing = timing or Timing()
        self._clock = clock
        self._held: _Lease | None = None
        self._renewed_at = float("-inf")
        self._seen_version = ""
        self._seen_at = 0.0
        self._announced = False
        self.tried = asyncio.Event()

    @property
    def is_leading(self) -> bool:
        """Whether it is certain, with a margin, that this process holds the Lease."""
        return self._held is not None and self._clock() - self._renewed_at < self._timing.deadline

    @property
    def term(self) -> str:
        """The name of the present term; other terms, of any candidate, have other names. Empty without the Lease."""
        return "" if self._held is None else _term(self._held)

    def require(self) -> None:
        """Check that this process may write; call it before each write.

        Raises:
            NotLeadingError: nothing may be written.
        """
        if not self.is_leading:
            raise NotLeadingError

    async def run(self) -> None:
        """Acquire and renew the Lease until cancelled."""
        while True:
            began = self._clock()
            pause = self._timing.renew if await self.attempt() else self._timing.retry
            await self._pause(max(0.0, began + pause - self._clock()))

    async def attempt(self) -> bool:
        """Try once to acquire or renew the Lease; log a failure.

        Returns:
            Whether it succeeded.
        """
        self._announce()
        try:
            async with asyncio.timeout(self._timing.deadline / 2):
                done = await self._try(self._clock())
        except (ApiError, TimeoutError) as error:
            done = False
            fields = {"detail": str(error) or type(error).__name__}
            _log.warning("the Lease cannot be read or written", extra={"fields": fields})
        self._announce()
        self.tried.set()
        return done

    async def release(self) -> None:
        """Release the Lease, so that another candidate can take it at once; only log a failure."""
        held, self._held = self._held, None
        self._announce()
        if held is None:
            return
        try:
            await self._give_up(held)
        except ApiError as error:
            _log.warning("the Lease was not released", extra={"fields": {"detail": error}})

    async def _pause(self, seconds: float) -> None:
        """Sleep, and announce the end of leadership at the moment when it comes."""
        if self.is_leading:
            left = self._renewed_at + self._timing.deadline - self._clock()
            if left < seconds:
                await asyncio.sleep(max(0.0, left))
                self._announce()
                seconds -= left
        await asyncio.sleep(max(0.0, seconds))

    async def _give_up(self, lease: _Lease) -> None:
        for left in reversed(range(_MOST_RELEASES)):
            try:
                await self._write(lease, "", 1, acquired=None, transitions=lease.spec.lease_transitions or 0)
            except ApiError as error:
                if not error.is_conflict or not left:
                    raise
                # The API server may have written a renewal that was cancelled before it was answered.
                found = _decode(await self._api.get(self._path))
                if _term(found) != _term(lease):
                    raise
                lease = found
            else:
                return

    async def _try(self, began: float) -> bool:
        try:
            lease = self._held or msgspec.json.decode(await self._api.get(self._path), type=_Lease)
        except msgspec.MsgspecError as error:
            raise ApiError(0, "MalformedLease", str(error)) from None
        except ApiError as error:
            if not error.is_not_found:
                raise
            return await self._create(began)
        return await self._take(lease, began)

    async def _take(self, lease: _Lease, began: float) -> bool:
        # If the Lease has this identity but this process does not hold it, an earlier process of the same pod held it.
        # A kubelet starts a container only after the earlier one has ended, so there is no need to wait. A new term
        # begins nevertheless: a late write of the earlier process must not count as one of this term.
        holder, renews = lease.spec.holder_identity or "", lease is self._held
        if holder not in {"", self._identity} and not self._has_expired(lease):
            return False
        transitions = (lease.spec.lease_transitions or 0) + (0 if renews else 1)
        try:
            written = await self._write(
                lease, self._identity, self._timing.duration, lease.spec.acquire_time if renews else None, transitions
            )
        except ApiError as error:
            if error.is_conflict or error.is_not_found:
                self._held = None
                return False
            raise
        self._held, self._renewed_at = written, began
        return True

    def _has_expired(self, lease: _Lease) -> bool:
        now = self._clock()
        if lease.metadata.resource_version != self._seen_version:
            self._seen_version, self._seen_at = lease.metadata.resource_version, now
        duration = max(self._timing.duration, lease.spec.lease_duration_seconds or 0)
        return now - self._seen_at >= duration

    async def _create(self, began: float) -> bool:
        self._held = None
        spec = self._spec(self._identity, self._timing.duration, None, 0)
        body = object_body(_API, "Lease", {"name": LEASE}, spec=spec)
        try:
            self._held = _decode(await self._api.create(self._collection, body))
        except ApiError as error:
            if error.is_conflict:
                return False
            raise
        self._renewed_at = began
        return True

    async def _write(self, lease: _Lease, holder: str, duration: int, acquired: str | None, transitions: int) -> _Lease:
        metadata = {"name": LEASE, "resourceVersion": lease.metadata.resource_version}
        spec = self._spec(holder, duration, acquired, transitions)
        return _decode(await self._api.replace(self._path, object_body(_API, "Lease", metadata, spec=spec)))

    def _spec(self, holder: str, duration: int, acquired: str | None, transitions: int) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": duration,
            "acquireTime": acquired or now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    def _announce(self) -> None:
        leading = self.is_leading
        if leading != self._announced:
            self._announced = leading
            word = "leading" if leading else "no longer leading"
            _log.info(word, extra={"fields": {"identity": self._identity}})
            self._changed()


def _term(lease: _Lease) -> str:
    spec = lease.spec
    return f"{spec.lease_transitions or 0} {spec.holder_identity or ''} {spec.acquire_time or ''}"


def _decode(content: bytes) -> _Lease:
    try:
        return msgspec.json.decode(content, type=_Lease)
    except msgspec.MsgspecError as error:
        raise ApiError(0, "MalformedLease", str(error)) from None
