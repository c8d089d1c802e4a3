"""The events on CUPS pods: refused documents, missing Secrets, and the end of the server certificate."""

import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from datetime import datetime

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.expiry import Stage, stage_of
from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.rollout.generation_report import LoadRefusal, ServerCertificate
from stationkeeper_operator.rollout.step_fact import POD_CANNOT_LOAD

SERVER_CERTIFICATE_EXPIRING = "ServerCertificateExpiring"
WAITING = "WaitsForSecret"
WAITING_SECONDS = 10.0

_EVENTS_OF_A_POD = 20
_EVENTS_OF_A_POD_A_SECOND = 1 / 300


@dataclass(frozen=True)
class PodEvent:
    """A warning to record on a pod.

    Attributes:
        pod: the pod.
        reason: a CamelCase word.
        message: the text of the event.
    """

    pod: CupsPod
    reason: str
    message: str


class PodEvents:
    """Makes each event once.

    Args:
        now: the time, aware.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._expiring: dict[str, tuple[datetime, Stage | None]] = {}
        self._waiting: dict[str, tuple[str, float]] = {}
        self._budgets: dict[str, RateLimit] = {}

    def keep_only(self, present: Set[str]) -> None:
        """Drop the pods that no longer exist.

        Args:
            present: the uids of the existing pods.
        """
        for known in (self._expiring, self._waiting, self._budgets):
            for uid in known.keys() - present:
                del known[uid]

    def of_refusal(self, pod: CupsPod, document: str, refusal: LoadRefusal) -> Iterator[PodEvent]:
        """Yield the event that a pod refuses a published document."""
        message = f"{document} is not loaded; the last good state stays in force: {refusal.reason}: {refusal.detail}"
        yield from self._within_budget(pod, POD_CANNOT_LOAD, message)

    def of_waiting(self, pod: CupsPod, secrets_missing: str) -> Iterator[PodEvent]:
        """Yield, once, the event that a pod has lacked Secrets for a while; Secrets may arrive within seconds."""
        if not secrets_missing:
            self._waiting.pop(pod.uid, None)
            return
        what, report_at = self._waiting.get(pod.uid, ("", time.monotonic() + WAITING_SECONDS))
        if what == secrets_missing or time.monotonic() < report_at:
            self._waiting[pod.uid] = what, report_at
            return
        self._waiting[pod.uid] = secrets_missing, report_at
        yield from self._within_budget(
            pod, WAITING, f"no gateway can connect to it until these Secrets exist: {secrets_missing}"
        )

    def of_expiry(self, pod: CupsPod, certificate: ServerCertificate | None) -> Iterator[PodEvent]:
        """Yield the event that the server certificate ends soon, once for each stage of a certificate."""
        if certificate is None or certificate.not_after.tzinfo is None:
            return
        begin = certificate.not_before if certificate.not_before and certificate.not_before.tzinfo else None
        stage = stage_of(begin, certificate.not_after, self._now())
        reported = self._expiring.get(pod.uid)
        self._expiring[pod.uid] = (certificate.not_after, stage)
        if stage is None or reported == (certificate.not_after, stage):
            return
        end = rfc3339(certificate.not_after)
        message = f"{stage}: the server certificate ends at {end}; no gateway connects after that; renew its Secret"
        yield from self._within_budget(pod, SERVER_CERTIFICATE_EXPIRING, message)

    def _within_budget(self, pod: CupsPod, reason: str, message: str) -> Iterator[PodEvent]:
        """Yield the event within the budget of the pod: a hostile pod could report something else each time."""
        budget = self._budgets.setdefault(pod.uid, RateLimit(_EVENTS_OF_A_POD_A_SECOND, _EVENTS_OF_A_POD))
        if budget.take():
            yield PodEvent(pod, reason, message)
