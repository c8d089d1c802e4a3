"""The CRDs have the required structure, and the same fields as the records that the operator decodes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from stationkeeper_core.policy.token_authorization import MAX_TOKENS
from stationkeeper_core.x509.pem import MAX_CERTIFICATES, MAX_PEM_BYTES
from stationkeeper_operator.compiling.compile import CertificateStatus
from stationkeeper_operator.resources.records import DEFAULTS_NAME
from stationkeeper_operator.resources.resource_status import Condition
from stationkeeper_operator.resources.specs import GatewayDefaultsSpec, GatewaySpec, TrustedCASpec
from stationkeeper_operator.rollout.certificate_usage import MAX_UNREGISTERED, Unregistered
from stationkeeper_operator.rollout.gateway_observation import GatewayObservation

FOLDER = Path("crds")
CRDS = {path.stem: yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(FOLDER.glob("*.yaml"))}
SPECS = {"trustedcas": TrustedCASpec, "gateways": GatewaySpec, "gatewaydefaults": GatewayDefaultsSpec}
Found = tuple[str, dict[str, Any]]


def version(name: str) -> dict[str, Any]:
    (only,) = CRDS[name]["spec"]["versions"]
    assert isinstance(only, dict)
    return only


def schema(name: str) -> dict[str, Any]:
    found = version(name)["schema"]["openAPIV3Schema"]
    assert isinstance(found, dict)
    return found


def fields(path: str, node: dict[str, Any]) -> Iterator[Found]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from fields(f"{path}.{name}", child)
    if "items" in node:
        yield from fields(f"{path}[]", node["items"])


ALL: list[Found] = [
    each for name in CRDS for each in fields(name, schema(name)) if not each[0].endswith(f"{name}.metadata")
]


def parts(kind: Any) -> tuple[Any, ...]:
    """Return the parts of a union or a tuple."""
    found: tuple[Any, ...] = getattr(kind, "__args__", (kind,))
    return found


def written(kind: Any) -> set[str]:
    """Return the paths that the records of `kind` decode, also those in lists."""
    names: set[str] = set()
    for field in msgspec.structs.fields(kind):
        inner = [part for each in parts(field.type) for part in parts(each)]
        nested = [each for each in inner if isinstance(each, type) and issubclass(each, msgspec.Struct)]
        names.add(field.encode_name)
        names |= {f"{field.encode_name}.{path}" for each in nested for path in written(each)}
    return names


def declared(node: dict[str, Any]) -> set[str]:
    names: set[str] = set()
    for name, child in node.get("properties", {}).items():
        names.add(name)
        names |= {f"{name}.{path}" for path in declared(child.get("items", child))}
    return names


def test_there_are_the_three_kinds() -> None:
    assert {name: crd["spec"]["names"]["kind"] for name, crd in CRDS.items()} == {
        "trustedcas": "TrustedCA",
        "gateways": "Gateway",
        "gatewaydefaults": "GatewayDefaults",
    }
    assert {name: crd["spec"]["names"]["shortNames"] for name, crd in CRDS.items()} == {
        "trustedcas": ["stca"],
        "gateways": ["stgw"],
        "gatewaydefaults": ["stgwd"],
    }
    assert all(crd["spec"]["names"]["categories"] == ["stationkeeper"] for crd in CRDS.values())


@pytest.mark.parametrize("name", CRDS)
def test_a_crd_is_namespaced_named_after_its_group_and_has_the_status_subresource(name: str) -> None:
    crd = CRDS[name]
    assert crd["metadata"]["name"] == f"{name}.stationkeeper.io"
    assert (crd["spec"]["group"], crd["spec"]["scope"]) == ("stationkeeper.io", "Namespaced")
    assert version(name)["name"] == "v1alpha1"
    assert version(name)["subresources"] == {"status": {}}


@pytest.mark.parametrize(("path", "node"), ALL, ids=[path for path, _ in ALL])
def test_every_field_is_explained_and_bounded(path: str, node: dict[str, Any]) -> None:
    assert node.get("description", "").endswith("."), "kubectl explain shows nothing"
    assert not node.get("x-kubernetes-preserve-unknown-fields")
    match node.get("type"):
        case "string":
            named = path.endswith((".apiVersion", ".kind"))
            assert named or "maxLength" in node or "enum" in node or node.get("format") == "date-time"
        case "array":
            assert "maxItems" in node
            assert "x-kubernetes-list-type" in node
        case "object":
            assert "properties" in node
        case None:
            pytest.fail("kubectl explain shows no type")


@pytest.mark.parametrize("name", CRDS)
def test_the_schema_of_the_spec_is_what_the_operator_decodes(name: str) -> None:
    assert declared(schema(name)["properties"]["spec"]) == written(SPECS[name])


@pytest.mark.parametrize("name", CRDS)
def test_the_schema_of_a_condition_is_what_the_operator_writes(name: str) -> None:
    condition = schema(name)["properties"]["status"]["properties"]["conditions"]
    assert condition["x-kubernetes-list-map-keys"] == ["type"]
    assert declared(condition["items"]) == {each.encode_name for each in msgspec.structs.fields(Condition)}


def test_the_schema_of_a_certificate_is_what_the_operator_writes() -> None:
    certificates = schema("trustedcas")["properties"]["status"]["properties"]["certificates"]
    assert len(declared(certificates["items"])) == len(CertificateStatus.__dataclass_fields__)
    assert certificates["maxItems"] == 2 * MAX_CERTIFICATES


def test_the_schema_of_what_was_seen_is_what_the_operator_writes() -> None:
    status = schema("gateways")["properties"]["status"]
    assert declared(status) >= written(GatewayObservation)
    assert set(status["properties"]) - written(GatewayObservation) == {"observedGeneration", "conditions", "lnsURI"}
    unregistered = schema("trustedcas")["properties"]["status"]["properties"]["unregistered"]
    assert declared(unregistered["items"]) == written(Unregistered)
    assert unregistered["maxItems"] == MAX_UNREGISTERED


def test_the_schema_accepts_what_a_condition_explains() -> None:
    spec = schema("trustedcas")["properties"]["spec"]["properties"]
    for name in ("certificates", "intermediates"):
        assert "pattern" not in spec[name]
        assert spec[name]["maxLength"] == MAX_PEM_BYTES
    for server in ("lns", "cups"):
        fields_of_server = schema("gateways")["properties"]["spec"]["properties"][server]["properties"]
        assert "pattern" not in fields_of_server["uri"]
        assert "pattern" not in fields_of_server["trust"]


def test_the_lns_and_another_cups_server_are_described_by_the_same_fields_and_rules() -> None:
    def shape(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: shape(child) for name, child in node.items() if name not in of_its_own}
        return node

    of_its_own = {"description", "x-kubernetes-validations", "uri"}
    spec = schema("gateways")["properties"]["spec"]["properties"]
    assert shape(spec["lns"]) == shape(spec["cups"])
    lns, cups = ([each["rule"] for each in spec[name]["x-kubernetes-validations"]] for name in ("lns", "cups"))
    assert lns[:-1] == cups
    assert "ws://" in lns[-1]
    assert spec["lns"]["required"] == ["uri"]
    rules = [each["rule"] for each in spec["cups"]["properties"]["auth"]["x-kubernetes-validations"]]
    assert rules == ["has(self.token) != has(self.clientCertificate)"]


def test_the_eui_is_a_string_and_immutable() -> None:
    eui = schema("gateways")["properties"]["spec"]["properties"]["eui"]
    assert eui["type"] == "string"
    rules = {each["rule"]: each["message"] for each in eui["x-kubernetes-validations"]}
    assert "self == oldSelf" in rules


@pytest.mark.parametrize("name", CRDS)
def test_a_reference_and_a_union_are_replaced_as_a_whole(name: str) -> None:
    unions = {path: node for path, node in fields("", schema(name)) if path.endswith(("From", ".auth"))}
    assert unions
    assert {node.get("x-kubernetes-map-type") for node in unions.values()} == {"atomic"}


def test_lists_with_several_authors_are_merged() -> None:
    spec = schema("trustedcas")["properties"]["spec"]["properties"]
    revocation = spec["revocation"]["properties"]
    listed = (spec["euiRanges"], revocation["serials"], revocation["sha256Fingerprints"])
    assert {each["x-kubernetes-list-type"] for each in listed} == {"set"}


def test_the_lns_of_a_default_differs_from_a_gateways_only_by_the_tokens_by_eui() -> None:
    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: plain(child) for name, child in node.items() if name not in {"description", "tokenByEUI"}}
        return node

    default, own = (schema(name)["properties"]["spec"]["properties"]["lns"] for name in ("gatewaydefaults", "gateways"))
    assert "tokenByEUI" in default["properties"]["auth"]["properties"]
    rules = "x-kubernetes-validations"
    assert all(lns["properties"]["auth"].pop(rules) for lns in (default, own))
    assert plain(default) == plain(own)


def test_a_namespace_has_one_gateway_defaults_and_it_says_something() -> None:
    root = schema("gatewaydefaults")
    assert [each["rule"] for each in root["x-kubernetes-validations"]] == [f"self.metadata.name == '{DEFAULTS_NAME}'"]
    assert root["properties"]["spec"]["required"] == ["lns"]
    assert root["properties"]["status"]["properties"]["gateways"]["type"] == "integer"


def test_as_many_tokens_may_be_listed_as_are_compared() -> None:
    tokens = schema("gateways")["properties"]["spec"]["properties"]["client"]["properties"]["tokens"]
    assert (tokens["minItems"], tokens["maxItems"]) == (1, MAX_TOKENS)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("trustedcas", ["Ready", "Reason", "Gateways seen in 25 h", "Age"]),
        ("gateways", ["EUI", "Ready", "Vouched", "Delivery", "Last seen", "Came in by", "Refused", "Reason", "Age"]),
        ("gatewaydefaults", ["LNS", "Gateways", "Ready", "Reason", "Age"]),
    ],
)
def test_the_columns_show_what_one_looks_for_first(name: str, columns: list[str]) -> None:
    shown = [each["name"] for each in version(name)["additionalPrinterColumns"] if not each.get("priority")]
    assert shown == columns
    dates = {each["name"] for each in version(name)["additionalPrinterColumns"] if each["type"] == "date"}
    assert dates == {"Age", "Last seen"} & {*columns}, "kubectl shows a date as an age"
