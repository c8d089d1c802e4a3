"""Judge manifests with the operator's own compile step, as if a cluster held nothing else."""

import base64
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from stationkeeper_core.errors import Reason
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.expiry import Stage, stage_of
from stationkeeper_operator.compiling.compile import PublishPlan, Verdict, compile_plan
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import (
    SECRET,
    Key,
    Reference,
    ReferencedObject,
    Resource,
    decode_referenced,
    decode_resource,
)
from stationkeeper_tools.checking.findings import CheckReason, Finding, Severity
from stationkeeper_tools.checking.manifests import OWN_KINDS, Manifest

_NOTHING_IN_FORCE = "; nothing of it is in force"
_UNREMARKABLE = ("the spec is in force", "the LNS is that of ")
_FIELD = re.compile(r"[a-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+|\[[0-9]+\])*")
_LINE_OF_PEM = re.compile(r"\bline ([0-9]+)")
_OUTSIDE = re.compile(r"names (?:Secret|ConfigMap) \S+, which does not exist")
_HINT = "; it may be in the cluster: give its manifest too, or apply it first"


def build_world(manifests: Collection[Manifest], release_namespace: str) -> World:
    """Return a world that holds only these objects.

    Args:
        manifests: TrustedCAs, Gateways, GatewayDefaults, Secrets and ConfigMaps.
        release_namespace: where Stationkeeper is installed.
    """
    resources: dict[Key, Resource] = {}
    referenced: dict[Reference, ReferencedObject] = {}
    for manifest in manifests:
        if manifest.kind in OWN_KINDS:
            resource = decode_resource(manifest.kind, _with_identity(manifest))
            resources[resource.key] = resource
        else:
            found = decode_referenced(manifest.kind, with_data(manifest))
            referenced[Reference(manifest.kind, manifest.namespace, manifest.name)] = found
    return World(release_namespace, resources, referenced)


def plan_of(world: World, now: datetime) -> PublishPlan:
    """Return the plan of the operator, as if nothing were in force yet.

    Args:
        world: all objects.
        now: the time, aware.
    """
    return compile_plan(world, {}, now)


def verdict_findings(manifest: Manifest, verdict: Verdict, now: datetime) -> Iterator[Finding]:
    """Yield the operator's findings on one object.

    Args:
        manifest: of the object.
        verdict: on it.
        now: the time, aware; for expiry.
    """
    if not verdict.accepted:
        message = verdict.message.removesuffix(_NOTHING_IN_FORCE)
        is_outside = verdict.reason == Reason.REFERENCE_NOT_FOUND and all(map(_OUTSIDE.search, message.split("; ")))
        is_harmless = is_outside or verdict.reason == Reason.SUSPENDED
        severity = Severity.WARNING if is_harmless else Severity.ERROR
        yield _located(manifest, severity, verdict.reason, message + (_HINT if is_outside else ""))
    else:
        notes = [each for each in verdict.message.split("; ") if not each.startswith(_UNREMARKABLE)]
        if notes:
            yield _located(manifest, Severity.WARNING, CheckReason.NOTE, "; ".join(notes))
    for validity in verdict.validities:
        stage = stage_of(validity.not_before, validity.not_after, now)
        # The verdict already says whether an expired certificate is an error.
        if stage is not None:
            verb = "has expired" if stage is Stage.EXPIRED else "expires"
            message = f"{validity.use.value} certificate {validity.name} {verb} at {rfc3339(validity.not_after)}"
            yield manifest.finding(Severity.WARNING, stage.value, message, "spec")


def with_data(manifest: Manifest) -> Mapping[str, Any]:
    """Return a Secret or ConfigMap as the API server would store it: with `stringData` in `data`."""
    value: dict[str, Any] = manifest.content.value
    texts = value.get("stringData")
    if manifest.kind != SECRET or not isinstance(texts, dict):
        return value
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items() if isinstance(text, str)}
    data = value.get("data")
    others = {key: each for key, each in value.items() if key != "stringData"}
    return {**others, "data": {**(data if isinstance(data, dict) else {}), **encoded}}


def _located(manifest: Manifest, severity: Severity, reason: str, message: str) -> Finding:
    """Return a finding at the first field that the message names; in a PEM text, at the line that it names."""
    for text in _FIELD.findall(message):
        path = ("spec", *_steps(text.removeprefix("spec.")))
        field = manifest.content.at(path)
        if field is None:
            continue
        finding = manifest.finding(severity, reason, message, *path)
        inside = _LINE_OF_PEM.search(message)
        if inside is not None and field.is_block:
            return Finding(finding.file, field.line + int(inside[1]), severity, reason, message, finding.subject)
        return finding
    return manifest.finding(severity, reason, message, "spec")


def _steps(text: str) -> Iterator[str | int]:
    for name, number in re.findall(r"([A-Za-z0-9]+)|\[([0-9]+)\]", text):
        yield int(number) if number else name


def _with_identity(manifest: Manifest) -> Mapping[str, Any]:
    """Return the object as the API server would store it: with a namespace and an identity of its own."""
    value: dict[str, Any] = manifest.content.value
    metadata = value.get("metadata")
    known: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
    identity = {
        "name": manifest.name,
        "namespace": manifest.namespace,
        "uid": known.get("uid") or manifest.subject,
    }
    return {**value, "metadata": {**known, **identity}}
