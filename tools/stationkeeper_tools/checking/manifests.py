"""Read manifests from files and folders: the objects that Stationkeeper uses, with their files and lines."""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stationkeeper_core.published.observation import clean
from stationkeeper_operator.resources.records import CONFIG_MAP, GATEWAY, GATEWAY_DEFAULTS, SECRET, TRUSTED_CA
from stationkeeper_tools.checking.findings import CheckReason, Finding, Severity
from stationkeeper_tools.checking.located_yaml import MAX_BYTES, LocatedYaml, MalformedYamlError, read_documents

GROUP, VERSION = "stationkeeper.io", "v1alpha1"
OWN_KINDS = (TRUSTED_CA, GATEWAY, GATEWAY_DEFAULTS)
REFERENCED_KINDS = (SECRET, CONFIG_MAP)
STANDARD_INPUT = "-"

_ENDINGS = {".yaml", ".yml", ".json"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MAX_NAME, _MAX_NAMESPACE = 253, 63


@dataclass(frozen=True)
class Manifest:
    """One object of a file.

    Attributes:
        file: as the person named it.
        content: the object, with its lines.
        kind: of the object.
        namespace: of the object, or the default one if it names none.
        name: of the object; empty if it has none.
    """

    file: str
    content: LocatedYaml
    kind: str
    namespace: str
    name: str

    @property
    def subject(self) -> str:
        """The object's kind, namespace and name, for people; cut if they are longer than any valid one."""
        kind, namespace, name = (clean(each, _MAX_NAME + 1) for each in (self.kind, self.namespace, self.name))
        return f"{kind} {namespace}/{name}"

    def finding(self, severity: Severity, reason: str, message: str, *path: str | int) -> Finding:
        """Return a finding about the value at `path`."""
        return Finding(self.file, self.content.line_of(path), severity, reason, message, self.subject)


@dataclass
class ManifestSet:
    """The content of manifest files.

    Attributes:
        manifests: the objects of the kinds that matter, in the order of the files; the first of two with the same name.
        findings: what is wrong with the files themselves.
        others: how many objects of other kinds there are.
    """

    manifests: list[Manifest] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    others: int = 0


def read_manifests(paths: Iterable[Path], default_namespace: str) -> ManifestSet:
    """Return the manifests in the files.

    Args:
        paths: files, folders (every .yaml, .yml and .json below them), or `-` for standard input.
        default_namespace: for objects that name none.

    Raises:
        OSError: a file cannot be read.
    """
    return parse_manifests(_contents(paths), default_namespace)


def parse_manifests(contents: Iterable[tuple[str, bytes]], default_namespace: str) -> ManifestSet:
    """Return the manifests in the contents of files.

    Args:
        contents: the name and the content of each.
        default_namespace: for objects that name none.
    """
    manifests = ManifestSet()
    seen: dict[tuple[str, str, str], Manifest] = {}
    for given, content in contents:
        name = clean(given, len(given))
        try:
            documents = read_documents(content.decode("utf-8-sig"))
        except MalformedYamlError as error:
            manifests.findings.append(_malformed(name, error.line, error.problem))
            continue
        except UnicodeDecodeError as error:
            manifests.findings.append(_malformed(name, 1, f"is not UTF-8 (at byte {error.start})"))
            continue
        for document in documents:
            manifests.findings += _doubled(name, document)
            for item in _items(document):
                _add(manifests, seen, name, item, default_namespace)
    return manifests


def _contents(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    read: set[Path] = set()
    for path in paths:
        if str(path) == STANDARD_INPUT:
            yield "<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1)
            continue
        for file in sorted(_files(path)) if path.is_dir() else [path]:
            if file.resolve() not in read:
                read.add(file.resolve())
                yield str(file), _bounded(file)


def _bounded(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def _files(folder: Path) -> Iterator[Path]:
    for each in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in each.relative_to(folder).parts)
        if each.suffix in _ENDINGS and not hidden and each.is_file():
            yield each


def _malformed(name: str, line: int, problem: str) -> Finding:
    return Finding(name, line, Severity.ERROR, CheckReason.MALFORMED_YAML, problem)


def _doubled(name: str, document: LocatedYaml) -> Iterator[Finding]:
    for line, key in document.doubled_keys():
        message = f"the key {key[:64]!a} is there twice; remove one of the two"
        yield Finding(name, line, Severity.ERROR, CheckReason.DUPLICATE_KEY, message)


def _items(document: LocatedYaml) -> Iterator[LocatedYaml]:
    """Yield the objects of a document; of a `List`, yield its items."""
    if isinstance(document.value, dict) and str(document.value.get("kind", "")).endswith("List"):
        listed = document.at(("items",))
        if listed is not None:
            yield from listed.items()
            return
    yield document


def _add(
    manifests: ManifestSet,
    seen: dict[tuple[str, str, str], Manifest],
    file: str,
    content: LocatedYaml,
    default_namespace: str,
) -> None:
    value = content.value
    group, _, version = _text(value, "apiVersion").rpartition("/")
    kind = _text(value, "kind")
    is_own, is_referenced = group == GROUP, not group and version == "v1" and kind in REFERENCED_KINDS
    if not is_own and not is_referenced:
        manifests.others += 1
        return
    metadata = value.get("metadata")
    manifest = Manifest(file, content, kind, _text(metadata, "namespace") or default_namespace, _text(metadata, "name"))
    if is_own and (kind not in OWN_KINDS or version != VERSION):
        message = f"{GROUP}/{version} has no kind {kind[:64]!a}; there are {', '.join(OWN_KINDS)} in {GROUP}/{VERSION}"
        manifests.findings.append(manifest.finding(Severity.ERROR, CheckReason.UNKNOWN_VERSION, message, "apiVersion"))
        return
    manifests.findings += _metadata_findings(manifest)
    first = seen.setdefault((manifest.kind, manifest.namespace, manifest.name), manifest)
    if first is manifest:
        manifests.manifests.append(manifest)
        return
    message = f"is the same object as that at {first.file}:{first.content.line}; remove one of the two"
    manifests.findings.append(
        manifest.finding(Severity.ERROR, CheckReason.DUPLICATE_OBJECT, message, "metadata", "name")
    )


def _metadata_findings(manifest: Manifest) -> Iterator[Finding]:
    for text, pattern, longest, key in (
        (manifest.name, _NAME, _MAX_NAME, "name"),
        (manifest.namespace, _NAMESPACE, _MAX_NAMESPACE, "namespace"),
    ):
        if not pattern.fullmatch(text) or len(text) > longest:
            message = (
                f"metadata.{key} must be 1 to {longest} lower-case letters, digits and hyphens, with a letter or digit"
                " at both ends"
            )
            yield manifest.finding(Severity.ERROR, CheckReason.INVALID_METADATA, message, "metadata", key)


def _text(value: Any, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
