"""A fleet in a folder of manifests: specs from the files, statuses from the state folder of `serve`.

A file is edited in place, and only the part that changes: comments and order stay as they are.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA
from stationkeeper_tools.checking.located_yaml import LocatedYaml, MalformedYamlError, read_documents
from stationkeeper_tools.operating.fleet import Edit, FleetError, FleetFault, FleetResource, ResourceName
from stationkeeper_tools.operating.yaml_edit import NotEditableError, cut_document, edit_text
from stationkeeper_tools.standalone.folder_scan import Fingerprint, read_regular, scan
from stationkeeper_tools.standalone.folder_watch import MAX_FILE_BYTES
from stationkeeper_tools.standalone.state_folder import STATUS

_GROUP = "stationkeeper.io/"
_MAX_STATUS_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class _Place:
    """The place of an object in a file."""

    key: ResourceName
    file: Path
    document: int
    item: tuple[str | int, ...]
    line: int
    value: Mapping[str, Any]
    is_alone: bool


class FolderFleet:
    """The fleet of one folder.

    Args:
        folder: of the manifests.
        state: the state folder of the process that serves it; statuses come from there.
        default_namespace: for objects that name none.
        namespace: only its resources are in view; None for all.
    """

    def __init__(self, folder: Path, state: Path, default_namespace: str, namespace: str | None) -> None:
        self._folder = folder
        self._state = state
        self._default = default_namespace
        self._namespace = namespace
        self._read_files: dict[str, tuple[Fingerprint, list[_Place]]] = {}

    def resources(self) -> list[FleetResource]:
        """Return the resources in view; see `Fleet`."""
        statuses = self._statuses()
        return [
            _resource(key, place, statuses)
            for key, place in self._places().items()
            if self._namespace in {None, key.namespace}
        ]

    def get(self, key: ResourceName) -> FleetResource:
        """Return one resource; see `Fleet`."""
        return _resource(key, self._place(key), self._statuses())

    def edit(self, key: ResourceName, edit: Edit) -> FleetResource:
        """Edit the file of a resource; see `Fleet`."""
        place = self._place(key)
        text = _read(place.file)
        try:
            changed = edit_text(text, place.document, place.item, edit)
        except (NotEditableError, MalformedYamlError) as error:
            detail = f"{place.file}:{place.line}: {error}; edit it by hand"
            raise FleetError(FleetFault.NOT_EDITABLE, detail) from None
        if changed != text:
            _replace(place.file, changed)
        return self.get(key)

    def delete(self, key: ResourceName) -> None:
        """Delete the file of a resource, or its document in a file with several; see `Fleet`."""
        place = self._place(key)
        if place.is_alone:
            place.file.unlink()
            return
        if place.item:
            detail = f"{place.file}:{place.line}: is an item of a List; delete it by hand"
            raise FleetError(FleetFault.NOT_EDITABLE, detail)
        try:
            changed = cut_document(_read(place.file), place.document)
        except (NotEditableError, MalformedYamlError) as error:
            detail = f"{place.file}:{place.line}: {error}; delete it by hand"
            raise FleetError(FleetFault.NOT_EDITABLE, detail) from None
        _replace(place.file, changed)

    def _place(self, key: ResourceName) -> _Place:
        found = self._places().get(key)
        if found is None:
            raise FleetError(FleetFault.NOT_FOUND, f"{self._folder} holds no {key}")
        return found

    def _places(self) -> dict[ResourceName, _Place]:
        places: dict[ResourceName, _Place] = {}
        listed = scan(self._folder)
        if listed.unreadable:
            name, why = next(iter(listed.unreadable.items()))
            raise FleetError(FleetFault.UNREACHABLE, f"{self._folder / name}: {why}")
        for name, fingerprint in listed.files.items():
            for place in self._of_file(name, fingerprint):
                other = places.setdefault(place.key, place)
                if other is not place:
                    where = f"{other.file}:{other.line}"
                    detail = f"{place.file}:{place.line}: {place.key} is at {where} too; remove one of the two"
                    raise FleetError(FleetFault.AMBIGUOUS, detail)
        return places

    def _of_file(self, name: str, fingerprint: Fingerprint) -> list[_Place]:
        """Return the resources of a file; read it again only if it has changed."""
        before, places = self._read_files.get(name, (None, []))
        if before == fingerprint:
            return places
        file = self._folder / name
        try:
            documents = read_documents(_read(file))
        except MalformedYamlError as error:
            raise FleetError(FleetFault.UNREACHABLE, f"{file}: {error}") from None
        objects = [(number, item, each) for number, document in enumerate(documents) for item, each in _items(document)]
        places = [
            _Place(key, file, number, item, each.line, each.value, len(objects) == 1)
            for number, item, each in objects
            if (key := self._key(each)) is not None
        ]
        self._read_files[name] = (fingerprint, places)
        return places

    def _key(self, each: LocatedYaml) -> ResourceName | None:
        value = each.value
        if not isinstance(value, dict) or not str(value.get("apiVersion", "")).startswith(_GROUP):
            return None
        metadata = value.get("metadata")
        known = metadata if isinstance(metadata, dict) else {}
        kind, name = value.get("kind"), known.get("name")
        if kind not in {GATEWAY, TRUSTED_CA} or not isinstance(name, str):
            return None
        return ResourceName(str(kind), str(known.get("namespace") or self._default), name)

    def _statuses(self) -> dict[ResourceName, Mapping[str, Any]]:
        path = self._state / STATUS
        try:
            content = msgspec.json.decode(read_regular(path, _MAX_STATUS_BYTES))
            return {ResourceName(each["kind"], each["namespace"], each["name"]): each for each in content["resources"]}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
            detail = f"{path} cannot be read: {error}; give the folder of `stationkeeper serve` by --state"
            raise FleetError(FleetFault.UNREACHABLE, detail) from None


def _resource(key: ResourceName, place: _Place, statuses: Mapping[ResourceName, Mapping[str, Any]]) -> FleetResource:
    told = statuses.get(key, {})
    spec = place.value.get("spec")
    known = spec if isinstance(spec, dict) else {}
    return FleetResource(key, known, told.get("status") or {}, told.get("generation", 0), f"{place.file}:{place.line}")


def _items(document: LocatedYaml) -> Iterator[tuple[tuple[str | int, ...], LocatedYaml]]:
    """Yield the objects of a document with their places; of a `List`, yield its items."""
    if isinstance(document.value, dict) and str(document.value.get("kind", "")).endswith("List"):
        listed = document.at(("items",))
        items: Iterable[LocatedYaml] = listed.items() if listed is not None else ()
        yield from (((("items", number)), each) for number, each in enumerate(items))
        return
    yield (), document


def _read(path: Path) -> str:
    try:
        return read_regular(path, MAX_FILE_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(FleetFault.UNREACHABLE, f"{path} cannot be read: {error}") from None


def _replace(path: Path, text: str) -> None:
    """Replace a file in one step and keep its mode; replace the target of a link."""
    real = path.resolve()
    new = real.with_name(f".{real.name}.new")
    try:
        with new.open("w", encoding="utf-8", newline="") as file:
            shutil.copymode(real, new)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(real)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise FleetError(FleetFault.UNREACHABLE, f"{path} cannot be written: {error.strerror}") from None
