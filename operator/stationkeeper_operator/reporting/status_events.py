"""Record events on status changes that need a person."""

import contextlib
import logging

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.observation import DeliveryState, Segment
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.compiling.verdict import ACCEPTED, RevocationListStatus, Verdict
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.expiry import EXPIRING, is_graver
from stationkeeper_operator.resources.fact import Fact
from stationkeeper_operator.resources.records import Resource
from stationkeeper_operator.resources.resource_status import Condition

_INTENDED = frozenset({Reason.SUSPENDED, Reason.BEING_DELETED})
_FELL_BACK = (
    "it reports the configuration of spec.cups, but it asked here with its earlier configuration, so the new one does "
    "not work: correct that server, its trust or the client certificate in spec.cups. Its fallback (BAK) is the first "
    "set that it got, and nothing renews that set: keep the CA of that certificate until it asks with the new one; "
    "else it cannot come back"
)
_log = logging.getLogger("stationkeeper.operator.status_writer")


class StatusEvents:
    """Records each event once.

    Args:
        events: records events.
    """

    def __init__(self, events: EventRecorder) -> None:
        self._events = events

    async def report_changes(self, before: Resource, after: Resource, verdict: Verdict) -> None:
        """Record the changes between a written status and the one before.

        Args:
            before: the resource with the earlier status.
            after: the resource with the new status.
            verdict: the verdict on the spec in `after`.

        Raises:
            NotLeadingError: this process no longer holds the Lease.
        """
        await self._report_verdict(before, verdict)
        await self._report_delivery(before, after)
        await self._report_expiry(before, after)

    async def report_served_twice(self, resource: Resource, fact: Fact) -> None:
        """Record, on one resource of a namespace, that another release serves the namespace too.

        Args:
            resource: the resource of the event; the condition is on all resources.
            fact: the condition.
        """
        fields = {"namespace": resource.metadata.namespace, "detail": fact.message}
        _log.warning("another release writes the same statuses", extra={"fields": fields})
        with contextlib.suppress(NotLeadingError):
            await self._events.warning(resource, fact.reason, fact.message)

    async def _report_verdict(self, before: Resource, verdict: Verdict) -> None:
        condition = next((each for each in before.status.conditions if each.type == ACCEPTED), None)
        was_refused = condition is not None and condition.status == "False"
        if verdict.accepted:
            if condition is not None and was_refused and condition.reason != Reason.SUSPENDED:
                await self._events.normal(before, ACCEPTED, "accepted again")
        elif verdict.reason not in _INTENDED and not (
            condition and was_refused and _is_same_refusal(condition, verdict)
        ):
            await self._events.warning(before, verdict.reason, verdict.message)
        for each in _newly_overdue(before, verdict):
            message = f"the CRL of {each.issuer} is overdue since {each.next_update}; publish a new one"
            await self._events.warning(before, Reason.CRL_EXPIRED, message)

    async def _report_delivery(self, before: Resource, after: Resource) -> None:
        state = _delivery(after).get("state")
        if state == _delivery(before).get("state"):
            return
        if state == DeliveryState.NOT_CONVERGING:
            await self._events.warning(after, DeliveryState.NOT_CONVERGING, _not_converging(after))
        elif state == DeliveryState.FELL_BACK:
            await self._events.warning(after, DeliveryState.FELL_BACK, _FELL_BACK)

    async def _report_expiry(self, before: Resource, after: Resource) -> None:
        was, condition = (
            next((each for each in of.status.conditions if each.type == EXPIRING), None) for of in (before, after)
        )
        if condition is not None and is_graver(condition.reason, was.reason if was else None):
            await self._events.warning(after, condition.reason, condition.message)


def _delivery(resource: Resource) -> dict[str, object]:
    found = resource.status.value.get("delivery")
    return found if isinstance(found, dict) else {}


def _not_converging(resource: Resource) -> str:
    listed = _delivery(resource).get("outstanding")
    outstanding = ", ".join(str(each) for each in listed) if isinstance(listed, list) else ""
    log = "see the gateway's log for what it does not accept or store"
    returns = Segment.CUPS_URI in outstanding
    cure = f"{log}, and whether the server of cups.uri sends it back here" if returns else log
    return f"it was sent the same several times and still lacks: {outstanding}; {cure}"


def _is_same_refusal(condition: Condition, verdict: Verdict) -> bool:
    # A revocation that does not act has this reason too: report it, even if something else did not fit before.
    same_message = condition.message == verdict.message or verdict.reason != Reason.CAPACITY_EXCEEDED
    return condition.reason == verdict.reason and same_message


def _newly_overdue(before: Resource, verdict: Verdict) -> list[RevocationListStatus]:
    shown = before.status.value.get("revocationLists")
    listed = [each for each in shown if isinstance(each, dict)] if isinstance(shown, list) else []
    known = {(each.get("issuer"), each.get("nextUpdate")) for each in listed if each.get("overdue") is True}
    overdue = [each for each in verdict.revocation_lists if each.overdue]
    return [each for each in overdue if (each.issuer, each.next_update) not in known]
