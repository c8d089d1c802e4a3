"""Check manifests against the schema of their CustomResourceDefinition, as the API server does.

JSON Schema checks the OpenAPI v3 part; a CEL evaluator checks the rules of `x-kubernetes-validations`. An unknown field
is an error, as in `kubectl apply`. Messages never repeat a value, since it may be a private key in the wrong place.
"""

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import cel
from cel.stdlib import add_stdlib_to_context
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from stationkeeper_operator.resources.records import GATEWAY
from stationkeeper_tools.checking.findings import CheckReason, Finding, Severity
from stationkeeper_tools.checking.manifests import Manifest
from stationkeeper_tools.shipped_manifests import crd_files, load

_RULES = "x-kubernetes-validations"
_KEPT = (
    "type",
    "required",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    _RULES,
)
_NUMBER_OR_NOT = re.compile(r"[0-9]+(?:[eE][0-9]+)?")
_MAX_FINDINGS = 20


def schema_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield the findings for which the API server would refuse a TrustedCA, Gateway or GatewayDefaults.

    Args:
        manifest: of one of these kinds.
    """
    count = 0
    value = _without_nulls(manifest.content.value, definition(manifest.kind))
    for error in _validator(manifest.kind).iter_errors(value):
        for reason, message, path in _error_text(error):
            yield manifest.finding(Severity.ERROR, reason, message, *path)
            count += 1
        if count >= _MAX_FINDINGS:
            return
    if manifest.kind == GATEWAY:
        yield from _unquoted_eui(manifest)


def definition(kind: str) -> Mapping[str, Any]:
    """Return the OpenAPI v3 schema of a kind from its CustomResourceDefinition."""
    return _definitions()[kind]


@cache
def _definitions() -> Mapping[str, Mapping[str, Any]]:
    found = {}
    for path in crd_files():
        (document,) = load(path)
        spec = document["spec"]
        found[spec["names"]["kind"]] = spec["versions"][0]["schema"]["openAPIV3Schema"]
    return found


@cache
def _validator(kind: str) -> Validator:
    schema = _closed(definition(kind))
    schema["properties"] |= {"metadata": {"type": "object"}, "status": {"type": "object"}}
    schema["required"] = ["apiVersion", "kind", "metadata", *schema.get("required", [])]
    made: Validator = _with_rules()(schema)
    return made


@cache
def _with_rules() -> Any:
    """Return the class of validators that know the rules of `x-kubernetes-validations`."""
    make: Any = extend  # its types are not published
    return make(Draft202012Validator, {_RULES: _evaluate})


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema as JSON Schema in which objects have no unknown fields."""
    closed = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("x-kubernetes-list-type") == "set":
        closed["uniqueItems"] = True
    if schema.get("x-kubernetes-int-or-string"):
        closed["type"] = ["integer", "string"]
    if "properties" in schema:
        closed["properties"] = {name: _closed(child) for name, child in schema["properties"].items()}
        closed["additionalProperties"] = False
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    return closed


def _without_nulls(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return the value without the fields that are null, which the API server drops."""
    if isinstance(value, list) and "items" in schema:
        return [_without_nulls(each, schema["items"]) for each in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    known = schema["properties"]
    return {
        key: _without_nulls(child, known.get(key, {}))
        for key, child in value.items()
        if child is not None or key not in known
    }


@cache
def _program(expression: str) -> cel.Program:
    return cel.compile(expression)


def _evaluate(_validator: Any, rules: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Yield the findings of the CEL rules of a field; like the API server, only if the rest of its value is valid."""
    if not Draft202012Validator(schema).is_valid(instance):
        return
    context = cel.Context({"self": instance})
    add_stdlib_to_context(context)
    for rule in rules:
        if "oldSelf" in rule["rule"]:  # judges a change, and there is nothing to compare with
            continue
        try:
            holds = _program(rule["rule"]).execute(context)
        except (ValueError, TypeError, RuntimeError, KeyError):
            holds = False  # as the API server has it
        if holds is not True:
            yield ValidationError(_rule_message(rule, context))


def _rule_message(rule: Mapping[str, str], context: cel.Context) -> str:
    fallback = rule.get("message", "breaks a rule of its definition")
    if "messageExpression" not in rule:
        return fallback
    try:
        return str(_program(rule["messageExpression"]).execute(context))
    except (ValueError, TypeError, RuntimeError, KeyError):
        return fallback


def _error_text(error: ValidationError) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
    path = tuple(error.absolute_path)
    name = _dotted(path) or "the object"
    value: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            for key in sorted(set(instance) - set(schema["properties"]), key=str):
                known = ", ".join(sorted(schema["properties"]))
                message = f"{_dotted((*path, key))} does not exist; {name} has {known}"
                yield CheckReason.UNKNOWN_FIELD, message, (*path, key)
            return
        case "required":
            missing = [each for each in value if each not in instance]
            message = f"{name} lacks {', '.join(missing)}"
        case "type":
            wanted = " or ".join(value) if isinstance(value, list) else value
            message = f"{name} must be of type {wanted}, and is {_type_name(instance)}"
        case "enum":
            message = f"{name} must be one of {', '.join(map(str, value))}"
        case "pattern":
            message = f"{name} must match {value}"
        case "minLength" | "maxLength" | "minItems" | "maxItems":
            unit = "characters" if str(error.validator).endswith("Length") else "items"
            bound = "at least" if str(error.validator).startswith("min") else "at most"
            message = f"{name} must have {bound} {value} {unit}, and has {len(instance)}"
        case "uniqueItems":
            message = f"{name} has an item twice"
        case _ if error.validator == _RULES:
            message = f"{name}: {error.message}" if path else error.message
            path = path or ("metadata", "name")  # the only thing of the whole object that a rule judges
        case _:
            message = f"{name} breaks {error.validator}"
    yield CheckReason.INVALID_FIELD, message, path


def _unquoted_eui(manifest: Manifest) -> Iterator[Finding]:
    """Yield a finding for an EUI without quotes that some YAML readers take for a number."""
    eui = manifest.content.at(("spec", "eui"))
    if eui is not None and eui.is_plain and isinstance(eui.value, str) and _NUMBER_OR_NOT.fullmatch(eui.value):
        message = f'spec.eui looks like a number; write it in quotes: "{eui.value[:64]}"'
        yield manifest.finding(Severity.ERROR, CheckReason.INVALID_FIELD, message, "spec", "eui")


def _dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}"[:64] for step in path).lstrip(".")


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and math.isfinite(value) is False:
        return "no finite number"
    names = {bool: "boolean", int: "a number", float: "a number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), type(value).__name__)
