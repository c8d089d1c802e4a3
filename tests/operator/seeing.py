"""Observations as CUPS pods make them, and a store with the Gateways that they are about."""

from datetime import datetime, timedelta
from typing import Any

from stationkeeper_core.published.observation import (
    DeliveryState,
    Observation,
    SeenCertificate,
    SeenDelivery,
    SeenRefusal,
    Segment,
)
from stationkeeper_operator.compiling.world_changes import ResourceChange
from stationkeeper_operator.reporting.conditions import status_of
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key, Resource, decode_resource
from stationkeeper_operator.rollout.observed_state import ObservedState
from tests.operator.resource_building import NOW, metadata
from tests.operator.test_conditions import ACCEPTED

CA = Key(TRUSTED_CA, "lorawan", "acme")


def eui(number: int) -> str:
    return f"{number:016X}"


def saw(
    number: int, minutes: float = 0, *, uid: str | None = None, ca: str = "lorawan/acme", **fields: Any
) -> Observation:
    """Return a pod's observation of the gateway `number`, `minutes` after `NOW`."""
    certificate = SeenCertificate(serial="1F", sha256="ab" * 32, not_after=NOW + timedelta(days=3650), trusted_ca=ca)
    base: dict[str, Any] = {
        "eui": eui(number),
        "uid": f"uid-lorawan-gw-{number}" if uid is None else uid,
        "last_seen": at(minutes),
        "station": "2.0.6",
        "model": "linux",
        "certificate": certificate,
    }
    return Observation(**{**base, **fields})


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def refusal(minutes: float, reason: str = "CertificateRevoked") -> SeenRefusal:
    return SeenRefusal(reason=reason, at=at(minutes))


def delivery(state: DeliveryState, deliveries: int = 1) -> SeenDelivery:
    outstanding = () if state is DeliveryState.DELIVERED else (Segment.LNS_CREDENTIALS,)
    return SeenDelivery(state=state, deliveries=deliveries, outstanding=outstanding)


class Fleet:
    """A TrustedCA and some Gateways, and the observed state with them."""

    def __init__(self, gateways: int = 1) -> None:
        names = {Key(GATEWAY, "lorawan", f"gw-{each}"): eui(each) for each in range(gateways)}
        self.resources = {key: self.make(key, {"eui": spec}) for key, spec in names.items()}
        self.resources[CA] = self.make(CA, {"certificates": "x"})
        self.start()

    def start(self) -> None:
        """Start a new operator that knows only the resources."""
        self.state = ObservedState(self.resources.get, "release")
        self._told: dict[Key, Resource] = {}
        self.tell()

    def tell(self) -> None:
        """Take in the resources, as the reconciler does at each turn."""
        keys = self._told.keys() | self.resources.keys()
        self.state.take_in_resources(
            {key: ResourceChange(self._told.get(key), self.resources.get(key)) for key in keys}
        )
        self._told = dict(self.resources)

    def make(self, key: Key, spec: dict[str, Any], status: dict[str, Any] | None = None) -> Resource:
        return decode_resource(
            key.kind, {"metadata": metadata(key.name, key.namespace), "spec": spec, "status": status or {}}
        )

    def key(self, number: int = 0) -> Key:
        return Key(GATEWAY, "lorawan", f"gw-{number}")

    def write(self, key: Key) -> dict[str, Any]:
        """Write the status of a resource, as the status writer does, and return it."""
        resource = self.resources[key]
        status = status_of(resource, ACCEPTED, True, "", NOW, None, self.state.fields(resource))
        spec = {"eui": eui(int(key.name.rpartition("-")[2]))} if key.kind == GATEWAY else {"certificates": "x"}
        self.resources[key] = self.make(key, spec, status)
        self.state.written(self.resources[key])
        return status

    def pending(self, key: Key) -> bool:
        return bool(self.state.fields(self.resources[key]))
