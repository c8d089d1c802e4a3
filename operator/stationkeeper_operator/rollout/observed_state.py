"""Collect the observations of the CUPS pods for the statuses, at a rate that does not flood the API server. Pure.

The statuses are the storage. This module holds only observations that no status shows yet, and the TrustedCA that
vouched for each gateway. So a restart loses nothing, and a round costs only its changes. An attacker may control a pod,
and a tenant can issue a certificate for any EUI. So an observation counts only for existing Gateways and TrustedCAs,
and only if the TrustedCA may vouch for the Gateway's namespace. A change is due at once. If only the time of the visit
is later, it is due when the status is `REFRESH` old.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.protocol.delivery import has_same_target
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import DeliveryState, Observation
from stationkeeper_operator.compiling.incremental.namespaced_index import NamespacedIndex
from stationkeeper_operator.compiling.retention.document_changes import DocumentChanges
from stationkeeper_operator.compiling.world_changes import ResourceChange
from stationkeeper_operator.resources.records import TRUSTED_CA, Gateway, Key, Resource, TrustedCA
from stationkeeper_operator.rollout.certificate_usage import CertificateUsage
from stationkeeper_operator.rollout.gateway_observation import (
    NOTHING_SEEN,
    DeliveryShown,
    GatewayObservation,
    fields_of,
    merged,
    shown_in,
)

REFRESH = timedelta(minutes=10)
AHEAD = timedelta(minutes=5)

_ALL_PENDING = DeliveryShown(state=DeliveryState.PENDING)


@dataclass
class _Unwritten:
    """An observation that the status does not show yet; `due` if it must be written now."""

    observed: GatewayObservation
    due: bool = False


class ObservedState:
    """The observations of one release, as its leader knows them.

    Args:
        current: returns the present resource; None if it no longer exists.
        release_namespace: the namespace whose TrustedCAs may vouch for the Gateways of other namespaces.

    Attributes:
        usage: the TrustedCAs that vouched for gateways.
    """

    def __init__(self, current: Callable[[Key], Resource | None], release_namespace: str) -> None:
        self.usage = CertificateUsage()
        self._current = current
        self._release_namespace = release_namespace
        self._keys: dict[str, Key] = {}
        self._authorities: set[Key] = set()
        self._by_eui: NamespacedIndex[str] = NamespacedIndex()
        self._unwritten: dict[str, _Unwritten] = {}
        self._later: list[tuple[datetime, str]] = []
        self._stuck_at: dict[str, str] = {}
        self._counted = False
        self._known = False

    @property
    def is_known(self) -> bool:
        """Whether the resources are known."""
        return self._known

    def take_in_resources(self, changes: Mapping[Key, ResourceChange]) -> None:
        """Take in the resources; read the observations in the statuses of new ones.

        Args:
            changes: the changes since the last call; at the first call, all resources.
        """
        for key, (before, after) in changes.items():
            self._index(before, after)
            if before is not None and (after is None or after.metadata.uid != before.metadata.uid):
                self._remove(before.metadata.uid)
            if after is not None and after.metadata.uid not in self._keys:
                self._keys[after.metadata.uid] = key
                self._read_status(after)
        authorities = {key: after for key, (_, after) in changes.items() if key.kind == TRUSTED_CA}
        if authorities:
            self._authorities |= authorities.keys()
            self._authorities -= {key for key, after in authorities.items() if after is None}
            self.usage.keep_only(self._authorities)
        self._known = True

    def _index(self, before: Resource | None, after: Resource | None) -> None:
        if isinstance(before, Gateway) and before.spec is not None:
            self._by_eui.discard(before.spec.eui, before.key)
        if isinstance(after, Gateway) and after.spec is not None:
            self._by_eui.add(after.spec.eui, after.key)

    def _remove(self, uid: str) -> None:
        self._keys.pop(uid, None)
        self._unwritten.pop(uid, None)
        self._stuck_at.pop(uid, None)
        self.usage.remove(uid)

    def take_in(self, instance: str, observations: Iterable[Observation], now: datetime) -> list[Key]:
        """Take in the observations of one pod.

        Args:
            instance: the name of the pod's process.
            observations: the observations, in any order; one may come twice.
            now: the time, aware; a visit after it is ignored.

        Returns:
            The resources whose status must be written now.
        """
        found: dict[Key, None] = {}
        for seen in (each for each in observations if _has_valid_times(each, now)):
            key = self._visit(instance, seen, now) if seen.uid else self._add_unregistered(seen)
            if key is not None:
                found[key] = None
        return list(found)

    def reconfigured(self, changes: Iterable[DocumentChanges]) -> Iterator[Key]:
        """Take in published changes, one by one: a gateway with a new target is `Pending` until it reports that target.

        After a pod has loaded the change, it reports the same for the gateways that it remembers.

        Returns:
            The resources whose status must be written now.
        """
        for uid in (uid for each in changes for uid in _with_new_target(each)):
            key = self._mark_pending(uid)
            if key is not None:
                yield key

    def due(self, now: datetime) -> list[Key]:
        """Return the resources whose status is old and must be written."""
        due_keys: list[Key] = []
        while self._later and self._later[0][0] <= now:
            uid = heapq.heappop(self._later)[1]
            unwritten = self._unwritten.get(uid)
            if unwritten is not None and not unwritten.due:
                unwritten.due = True
                due_keys.append(self._keys[uid])
        return due_keys

    def counting(self, now: datetime) -> Iterator[None]:
        """Count the gateways of each TrustedCA again, in steps; see `CertificateUsage.counting`."""
        yield from self.usage.counting(now)
        self._counted = True

    def count(self, now: datetime) -> list[Key]:
        """Count the gateways of each TrustedCA again, at once; return the keys of all TrustedCAs."""
        for _ in self.counting(now):
            pass
        return self.authorities()

    def key_of(self, uid: str) -> Key | None:
        """Return the key of the resource with a uid; None if it does not exist."""
        return self._keys.get(uid)

    def authorities(self) -> list[Key]:
        """Return the keys of all TrustedCAs."""
        return [key for key in self._authorities if isinstance(self._current(key), TrustedCA)]

    def fields(self, resource: Resource) -> Mapping[str, object]:
        """Return the status fields of `resource` that must be written now."""
        if isinstance(resource, TrustedCA):
            return self.usage.fields_of(resource.key, self._registered_for(resource.key)) if self._counted else {}
        unwritten = self._unwritten.get(resource.metadata.uid)
        return fields_of(unwritten.observed) if unwritten is not None and unwritten.due else {}

    def written(self, resource: Resource) -> None:
        """Record that a status was written."""
        uid = resource.metadata.uid
        unwritten = self._unwritten.get(uid)
        if unwritten is None or not isinstance(resource, Gateway):
            return
        shown = shown_in(resource)
        if shown == unwritten.observed:
            del self._unwritten[uid]
        elif shown.substance == unwritten.observed.substance:
            self._postpone(uid, unwritten, shown)

    def _read_status(self, resource: Resource) -> None:
        if isinstance(resource, TrustedCA):
            self.usage.read_status(resource)
        elif isinstance(resource, Gateway) and resource.status.names_a_certificate:
            self._use(resource.metadata.uid, shown_in(resource))

    def _visit(self, instance: str, seen: Observation, now: datetime) -> Key | None:
        key = self._keys.get(seen.uid)
        resource = self._current(key) if key is not None else None
        if key is None or not isinstance(resource, Gateway) or not _is_about(seen, resource):
            return None
        seen = self._in_scope(seen, key.namespace)
        unwritten = self._unwritten.get(seen.uid)
        shown = shown_in(resource)
        if shown.newest > now + AHEAD:
            shown = NOTHING_SEEN
        before = unwritten.observed if unwritten is not None else shown
        stuck_at = self._stuck_at.get(seen.uid, instance)
        after = merged(before, seen, keep_not_converging=stuck_at != instance)
        if after == before:
            return None
        self._use(seen.uid, after)
        self._note_stuck_pod(seen, instance, after)
        if unwritten is None:
            unwritten = self._unwritten[seen.uid] = _Unwritten(after)
        unwritten.observed = after
        if after.substance != shown.substance:
            unwritten.due = True
            return key
        if not unwritten.due and before == shown:
            self._postpone(seen.uid, unwritten, shown)
        return None

    def _mark_pending(self, uid: str) -> Key | None:
        key = self._keys.get(uid)
        resource = self._current(key) if key is not None else None
        if not isinstance(resource, Gateway) or resource.metadata.uid != uid:
            return None
        unwritten = self._unwritten.get(uid)
        observed = unwritten.observed if unwritten is not None else shown_in(resource)
        if observed.delivery is None:
            return None
        self._stuck_at.pop(uid, None)
        self._unwritten[uid] = _Unwritten(msgspec.structs.replace(observed, delivery=_ALL_PENDING), due=True)
        return key

    def _add_unregistered(self, seen: Observation) -> Key | None:
        if seen.certificate is None:
            return None
        authority = self._authority(seen.certificate.trusted_ca)
        if authority is None or self._registered_for(authority)(seen.eui):
            return None
        return self.usage.add_unregistered(seen, authority)

    def _authority(self, name: str) -> Key | None:
        """Return the TrustedCA that a pod names as `namespace/name`; None if it does not exist."""
        key = Key(TRUSTED_CA, *name.partition("/")[::2])
        return key if isinstance(self._current(key), TrustedCA) else None

    def _in_scope(self, seen: Observation, namespace: str) -> Observation:
        """Return the observation without visits and refusals that a TrustedCA of another tenant vouches for."""
        if seen.certificate is not None and not self._may_vouch_for(seen.certificate.trusted_ca, namespace):
            seen = msgspec.structs.replace(seen, last_seen=None, certificate=None)
        refusal = seen.refusal
        if refusal is not None and refusal.trusted_ca and not self._may_vouch_for(refusal.trusted_ca, namespace):
            seen = msgspec.structs.replace(seen, refusal=None)
        return seen

    def _may_vouch_for(self, name: str, namespace: str) -> bool:
        authority = self._authority(name)
        return authority is not None and authority.namespace in {namespace, self._release_namespace}

    def _registered_for(self, authority: Key) -> Callable[[str], bool]:
        """Return a function that says whether an EUI has a Gateway that the TrustedCA may vouch for."""
        if authority.namespace == self._release_namespace:
            return lambda eui: eui in self._by_eui
        return lambda eui: self._by_eui.has(eui, authority.namespace)

    def _use(self, uid: str, observed: GatewayObservation) -> None:
        if observed.certificate is not None and observed.last_seen is not None:
            shown = observed.certificate
            self.usage.used(uid, shown.trusted_ca, observed.last_seen, is_ca=shown.is_ca)
        elif observed != NOTHING_SEEN:
            self.usage.remove(uid)

    def _note_stuck_pod(self, seen: Observation, instance: str, found: GatewayObservation) -> None:
        if found.delivery is None or found.delivery.state != DeliveryState.NOT_CONVERGING:
            self._stuck_at.pop(seen.uid, None)
        elif seen.delivery is not None and seen.delivery.state == DeliveryState.NOT_CONVERGING:
            self._stuck_at[seen.uid] = instance

    def _postpone(self, uid: str, unwritten: _Unwritten, shown: GatewayObservation) -> None:
        unwritten.due = False
        heapq.heappush(self._later, (shown.newest + REFRESH, uid))


def _with_new_target(changes: DocumentChanges) -> Iterator[str]:
    for record in changes.changed:
        before = changes.before.get(record.uid)
        if not isinstance(record, RegisteredGateway) or not isinstance(before, RegisteredGateway):
            continue
        if not has_same_target(before, record):
            yield record.uid


def _is_about(seen: Observation, gateway: Gateway) -> bool:
    eui = gateway.spec.eui if gateway.spec is not None else ""
    return seen.uid == gateway.metadata.uid and parse_hex(seen.eui) == parse_hex(eui)


def _has_valid_times(seen: Observation, now: datetime) -> bool:
    times = (seen.last_seen, seen.refusal.at if seen.refusal is not None else None)
    return all(each is None or (each.tzinfo is not None and each <= now + AHEAD) for each in times)
