"""Keep the objects of manifest files, so that a bad file takes nothing out of force. Pure.

An object that the API server would refuse keeps its earlier content, as in a cluster. While one part of a file is
refused, no object of that file is removed: a missing object may be in the part that cannot be read. Valid parts count.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from stationkeeper_tools.checking.findings import CheckReason, Finding, Severity
from stationkeeper_tools.checking.manifests import OWN_KINDS, Manifest, parse_manifests
from stationkeeper_tools.checking.resource_schema import schema_findings
from stationkeeper_tools.checking.verdicts import with_data

MAX_OBJECT_BYTES = 1_572_864
"""The size limit of one object as JSON, as in etcd."""

_TYPES = (str, int, float, bool, type(None))
_LEAST, _MOST = -(2**63), 2**63 - 1


class ObjectKey(NamedTuple):
    """The kind, namespace and name of an object."""

    kind: str
    namespace: str
    name: str


class ManifestObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object of a manifest.

    Attributes:
        kind, namespace, name: of the object.
        line: its line in the file, from 1.
        content: as the API server would store it, without the fields that the API server adds.
        is_kept: whether the file no longer has it in this form.
    """

    kind: str
    namespace: str
    name: str
    line: int
    content: dict[str, Any]
    is_kept: bool = False

    @property
    def key(self) -> ObjectKey:
        """Its kind, namespace and name."""
        return ObjectKey(self.kind, self.namespace, self.name)


class ManifestFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """The objects of a file that count.

    Attributes:
        sha256: of the content that all of this was read from; empty if something was refused or kept.
        objects: in their order.
    """

    sha256: str = ""
    objects: tuple[ManifestObject, ...] = ()


def read_file(
    name: str, content: bytes, default_namespace: str, before: ManifestFile | None
) -> tuple[ManifestFile, tuple[Finding, ...]]:
    """Return the objects of a file that count from now on, and the file's problems.

    Args:
        name: of the file, for people.
        content: of the file.
        default_namespace: for objects that name none.
        before: the objects that counted until now; None for a new file.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    if before is not None and before.sha256 == sha256:
        return before, ()
    if not content.strip() and before is not None and before.objects:
        message = "is empty; perhaps it is being written. To remove its objects, delete the file"
        return marked_as_kept(before), (Finding(name, 1, Severity.ERROR, CheckReason.MALFORMED_YAML, message),)
    found = parse_manifests([(name, content)], default_namespace)
    findings = [each for each in found.findings if each.severity is Severity.ERROR]
    objects: dict[ObjectKey, ManifestObject] = {}
    if all(each.subject for each in findings):
        refused = {each.subject for each in findings}
        known = {each.key: each.content for each in before.objects} if before is not None else {}
        for manifest in found.manifests:
            if manifest.subject in refused:
                continue
            taken = _object_of(manifest)
            # An unchanged object is still valid: of a large file, only the changed objects are checked.
            is_known = manifest.kind in OWN_KINDS and known.get(taken.key) == taken.content
            problems = [] if is_known else list(_problems(manifest))
            findings += problems
            if not problems:
                objects[taken.key] = taken
    if not findings:
        return ManifestFile(sha256, tuple(objects.values())), ()
    remaining = (
        (each for each in marked_as_kept(before).objects if each.key not in objects) if before is not None else ()
    )
    return ManifestFile("", (*objects.values(), *remaining)), tuple(findings)


def marked_as_kept(file: ManifestFile) -> ManifestFile:
    """Return the file with all objects marked as kept."""
    return ManifestFile("", tuple(msgspec.structs.replace(each, is_kept=True) for each in file.objects))


def chosen(
    files: Mapping[str, ManifestFile], before: Mapping[ObjectKey, str]
) -> tuple[dict[ObjectKey, tuple[str, ManifestObject]], tuple[Finding, ...]]:
    """Return each object with its file, and findings on objects that several files have.

    If several files have an object, one that is not kept counts. Of several such files, it is the one that the object
    came from until now, so that an added copy changes nothing; else the first one by name.

    Args:
        files: by name.
        before: the file that each object came from until now.
    """
    candidates: dict[ObjectKey, list[tuple[str, ManifestObject]]] = {}
    for name in sorted(files):
        for each in files[name].objects:
            candidates.setdefault(each.key, []).append((name, each))
    found: dict[ObjectKey, tuple[str, ManifestObject]] = {}
    findings: list[Finding] = []
    for key, listed in candidates.items():
        first = min(listed, key=lambda each: (each[1].is_kept, each[0] != before.get(key), each[0]))
        found[key] = first
        findings += _doubled(key, first, (each for each in listed if each is not first and not each[1].is_kept))
    return found, tuple(findings)


def _doubled(
    key: ObjectKey, first: tuple[str, ManifestObject], others: Iterable[tuple[str, ManifestObject]]
) -> Iterator[Finding]:
    file, counting = first
    subject = f"{key.kind} {key.namespace}/{key.name}"
    for name, each in others:
        message = f"is the same object as that at {file}:{counting.line}, which counts; remove one of the two"
        yield Finding(name, each.line, Severity.ERROR, CheckReason.DUPLICATE_OBJECT, message, subject)


def _problems(manifest: Manifest) -> Iterator[Finding]:
    if not _is_json(manifest.content.value):
        message = "has a key that is not a text, or a value that JSON does not allow"
        yield manifest.finding(Severity.ERROR, CheckReason.INVALID_FIELD, message)
        return
    if len(msgspec.json.encode(manifest.content.value)) > MAX_OBJECT_BYTES:
        message = f"has more than {MAX_OBJECT_BYTES} bytes"
        yield manifest.finding(Severity.ERROR, CheckReason.INVALID_FIELD, message)
    elif manifest.kind in OWN_KINDS:
        yield from (each for each in schema_findings(manifest) if each.severity is Severity.ERROR)
    else:
        yield from _reference_problems(manifest)


def _reference_problems(manifest: Manifest) -> Iterator[Finding]:
    """Yield findings on fields of a Secret or ConfigMap that the API server would refuse, or drop without an error."""
    for field in ("data", "stringData", "binaryData"):
        value = manifest.content.value.get(field)
        if value is None:
            continue
        if not isinstance(value, dict) or not all(isinstance(each, str | None) for each in value.values()):
            message = f"{field} must hold only texts; write numbers in quotes"
            yield manifest.finding(Severity.ERROR, CheckReason.INVALID_FIELD, message, field)
    labels = manifest.content.at(("metadata", "labels"))
    if labels is not None and isinstance(labels.value, dict):
        for name, text in labels.value.items():
            if not isinstance(text, str):
                message = 'a label must be a text; write it in quotes, as "true"'
                yield manifest.finding(
                    Severity.ERROR, CheckReason.INVALID_METADATA, message, "metadata", "labels", name
                )


def _is_json(root: Any) -> bool:
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                return False
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif not isinstance(value, _TYPES) or (isinstance(value, int) and not _LEAST <= value <= _MOST):
            return False
    return True


def _object_of(manifest: Manifest) -> ManifestObject:
    value: Mapping[str, Any] = manifest.content.value if manifest.kind in OWN_KINDS else with_data(manifest)
    metadata = value.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    # Fields that only the API server writes are ignored; `kubectl get -o yaml` prints them.
    texts = {field: known[field] for field in ("labels", "annotations") if isinstance(known.get(field), dict)}
    content = {field: each for field, each in value.items() if field not in {"status", "metadata"}}
    content["metadata"] = {"name": manifest.name, "namespace": manifest.namespace, **texts}
    return ManifestObject(manifest.kind, manifest.namespace, manifest.name, manifest.content.line, content)
