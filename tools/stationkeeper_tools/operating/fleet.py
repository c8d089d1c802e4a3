"""A fleet as commands see it, in a cluster or a folder: resources with statuses, and small edits of their specs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA


class FleetFault(StrEnum):
    """The stable names of `FleetError`."""

    NOT_FOUND = "NotFound"
    """There is no such resource."""
    AMBIGUOUS = "Ambiguous"
    """Several resources match."""
    NOT_EDITABLE = "NotEditable"
    """A manifest cannot be edited without changing more of it."""
    REFUSED = "Refused"
    """The cluster refuses, or the change would do harm."""
    UNREACHABLE = "Unreachable"
    """The cluster, or the folder, cannot be reached."""


class FleetError(Exception):
    """The request cannot be carried out.

    Attributes:
        fault: the stable name.
    """

    def __init__(self, fault: FleetFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


class ResourceName(NamedTuple):
    """The kind, namespace and name of a resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class FleetResource:
    """A TrustedCA or Gateway.

    Attributes:
        key: its kind, namespace and name.
        spec: as its author wrote it.
        status: as the operator wrote it; empty if it has not.
        generation: of the spec; 0 if that is not known.
        location: its file and line; empty in a cluster.
    """

    key: ResourceName
    spec: Mapping[str, Any]
    status: Mapping[str, Any]
    generation: int = 0
    location: str = ""

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return the condition of that type for the present spec; empty if there is none."""
        for each in self.status.get("conditions") or ():
            if each.get("type") == kind and each.get("observedGeneration") == self.generation:
                found: Mapping[str, Any] = each
                return found
        return {}


class Change(StrEnum):
    """The kinds of edits."""

    SET = "Set"
    ADD = "Add"
    REMOVE = "Remove"


@dataclass(frozen=True)
class Edit:
    """A small change of a spec.

    Attributes:
        change: `SET` a value, or `ADD` an item as the first of a list, or `REMOVE` all items that equal it.
        path: of the value or list, below `spec`.
        value: true or false to be set; the text of an item.
    """

    change: Change
    path: tuple[str, ...]
    value: bool | str


def edited(spec: Mapping[str, Any], edit: Edit) -> dict[str, Any]:
    """Return the spec with the edit applied; an equal spec if the edit changes nothing.

    Args:
        spec: as it is.
        edit: what to change.
    """
    *around, last = edit.path
    new_spec = dict(spec)
    place = new_spec
    for step in around:
        place[step] = dict(place.get(step) or {})
        place = place[step]
    present = place.get(last)
    listed = list(present) if isinstance(present, list) else []
    match edit.change:
        case Change.SET:
            if bool(present) != edit.value:
                place[last] = edit.value
        case Change.ADD:
            if not any(is_entry(each, edit.value) for each in listed):
                place[last] = [edit.value, *listed]
        case Change.REMOVE:
            place[last] = [each for each in listed if not is_entry(each, edit.value)]
            if not place[last]:
                del place[last]
    return spec_without_empty(new_spec, around) if edit.change is Change.REMOVE else new_spec


def is_entry(item: object, value: object) -> bool:
    """Return whether a list item is the given fingerprint or serial number, in any notation.

    Args:
        item: the item of the list.
        value: the value to look for.
    """
    return isinstance(item, str) and isinstance(value, str) and _plain(item) == _plain(value)


def _plain(text: str) -> str:
    digits = text.rpartition("=")[2].lower().replace(":", "").replace(" ", "").removeprefix("0x")
    return digits.lstrip("0") or "0"


def spec_without_empty(spec: dict[str, Any], path: Iterable[str]) -> dict[str, Any]:
    """Return the spec without the objects along `path` that have become empty."""
    steps = list(path)
    while steps:
        place = spec
        for step in steps[:-1]:
            place = place[step]
        if not place.get(steps[-1]):
            place.pop(steps[-1], None)
        steps.pop()
    return spec


class Fleet(Protocol):
    """The place of resources."""

    def resources(self) -> list[FleetResource]:
        """Return all TrustedCAs and Gateways in view.

        Raises:
            FleetError: they cannot be read; the same for every method here.
        """

    def get(self, key: ResourceName) -> FleetResource:
        """Return a resource as it is now."""

    def edit(self, key: ResourceName, edit: Edit) -> FleetResource:
        """Apply only `edit` to the spec of a resource, and return the resource."""

    def delete(self, key: ResourceName) -> None:
        """Delete a resource."""


def gateway_of(resources: Iterable[FleetResource], eui: EUI64) -> FleetResource:
    """Return the Gateway with an EUI.

    Raises:
        FleetError: there is none, or several namespaces have one.
    """
    text = format_hex(eui)
    found = [each for each in resources if each.key.kind == GATEWAY and each.spec.get("eui") == text]
    if not found:
        raise FleetError(FleetFault.NOT_FOUND, f"no Gateway has the EUI {text}; is the namespace right?")
    if len(found) > 1:
        names = ", ".join(f"{each.key.namespace}/{each.key.name}" for each in found[:5])
        raise FleetError(FleetFault.AMBIGUOUS, f"several Gateways have the EUI {text}: {names}; give --namespace")
    return found[0]


def trusted_ca_of(resources: Iterable[FleetResource], name: str) -> FleetResource:
    """Return a TrustedCA by its name.

    Args:
        resources: all in view.
        name: `name`, or `namespace/name`.

    Raises:
        FleetError: there is none, or several namespaces have one.
    """
    namespace, _, short = name.rpartition("/")
    matching = [
        each
        for each in resources
        if each.key.kind == TRUSTED_CA and each.key.name == short and namespace in {"", each.key.namespace}
    ]
    if not matching:
        raise FleetError(FleetFault.NOT_FOUND, f"there is no TrustedCA {name[:200]}; is the namespace right?")
    if len(matching) > 1:
        names = ", ".join(f"{each.key.namespace}/{each.key.name}" for each in matching[:5])
        raise FleetError(FleetFault.AMBIGUOUS, f"several TrustedCAs have that name: {names}; write NAMESPACE/NAME")
    return matching[0]
