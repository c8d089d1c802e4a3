"""Make the objects to register for each gateway of a list."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_tools.checking.located_yaml import read_documents
from stationkeeper_tools.checking.manifests import GROUP, VERSION, Manifest
from stationkeeper_tools.checking.resource_schema import schema_findings
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.registering.manifest_text import manifest_text

_MAX_NAME = 200
_LABELS = {"stationkeeper.io/credentials": "true"}


@dataclass(frozen=True)
class FoundGateway:
    """A gateway of a list, before it has the name of a resource.

    Attributes:
        location: file and line or number, for messages.
        eui: of the gateway.
        name: as the list has it; empty if it has none.
        lns: `spec.lns`; None if the GatewayDefaults of the namespace gives it.
        token: for its LNS, the value after `Authorization: `; empty for none. A secret: never print it.
    """

    location: str
    eui: EUI64
    name: str = ""
    lns: Mapping[str, Any] | None = None
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Registration:
    """The objects of one gateway.

    Attributes:
        eui: of the gateway.
        name: of the Gateway resource.
        gateway: the Gateway.
        secret: the Secret with the token for its LNS; None if there is none.
    """

    eui: EUI64
    name: str
    gateway: Mapping[str, Any]
    secret: Mapping[str, Any] | None = field(default=None, repr=False)


def registrations(gateways: Iterable[FoundGateway], namespace: str) -> list[Registration]:
    """Return the objects for the gateways of a list.

    A Gateway gets its name from the list, changed to the letters that Kubernetes allows. It is named by its EUI if
    two would get the same name, or if the list has no name.

    Args:
        gateways: of one list.
        namespace: of the resources.

    Raises:
        InputError: a Gateway would not be accepted, or the list has an EUI twice.
    """
    found = list(gateways)
    _check_unique(found)
    names = Counter(_slug(each.name) for each in found)
    result = [_registration(each, names, namespace) for each in found]
    problems = [
        f"{gateway.location}: {finding.message}"
        for gateway, each in zip(found, result, strict=True)
        for finding in schema_findings(_as_manifest(each.gateway, namespace))
    ]
    if problems:
        raise InputError(*problems)
    return result


def _check_unique(found: Iterable[FoundGateway]) -> None:
    first: dict[EUI64, FoundGateway] = {}
    problems = [
        f"{each.location}: EUI {format_hex(each.eui)} is at {first[each.eui].location} too; remove one of the two"
        for each in found
        if first.setdefault(each.eui, each) is not each
    ]
    if problems:
        raise InputError(*problems)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:_MAX_NAME].strip("-")


def _registration(gateway_found: FoundGateway, names: Mapping[str, int], namespace: str) -> Registration:
    digits, slug = format_hex(gateway_found.eui).lower(), _slug(gateway_found.name)
    name = slug if slug and names[slug] == 1 else f"{slug or 'gateway'}-{digits}"
    spec: dict[str, Any] = {"eui": format_hex(gateway_found.eui)}
    secret = None
    if gateway_found.lns is not None:
        spec["lns"] = dict(gateway_found.lns)
        if gateway_found.token:
            key = {"name": f"{name}-lns", "key": "token"}
            spec["lns"]["auth"] = {"token": {"secretKeyRef": key}}
            metadata = {"name": key["name"], "namespace": namespace, "labels": _LABELS}
            secret = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata,
                "stringData": {"token": gateway_found.token},
            }
    gateway = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return Registration(gateway_found.eui, name, gateway, secret)


def _as_manifest(gateway: Mapping[str, Any], namespace: str) -> Manifest:
    (content,) = read_documents(manifest_text(gateway))
    return Manifest("", content, "Gateway", namespace, gateway["metadata"]["name"])
