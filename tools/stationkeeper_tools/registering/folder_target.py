"""Register in a folder of manifests, for example for a GitOps tool. Existing files are never changed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stationkeeper_tools.checking.manifests import read_manifests
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.private_files import write_private
from stationkeeper_tools.registering.manifest_text import manifest_text
from stationkeeper_tools.registering.register import TargetRefusedError
from stationkeeper_tools.registering.registration import Registration


class FolderTarget:
    """Registers in a folder: one file for a Gateway, and one with mode 0600 for a Secret.

    Args:
        folder: created if it does not exist.
        namespace: of the Gateways.
        dry_run: write nothing.
    """

    def __init__(self, folder: Path, namespace: str, *, dry_run: bool) -> None:
        self._folder = folder
        self._namespace = namespace
        self._dry_run = dry_run

    def existing(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Return the Gateways of the namespace from all files of the folder.

        Raises:
            InputError: a file cannot be read as YAML.
        """
        if not self._folder.is_dir():
            return
        found = read_manifests([self._folder], self._namespace)
        broken = [f"{each.file}:{each.line}: {each.message}" for each in found.findings if not each.subject]
        if broken:
            raise InputError(*broken)
        for each in found.manifests:
            spec = each.content.value.get("spec")
            if each.kind == "Gateway" and each.namespace == self._namespace and isinstance(spec, dict):
                yield each.name, spec

    def put(self, registration: Registration, *, is_new: bool, is_same: bool) -> bool:
        """Write the missing files of a Gateway."""
        path, secret = self._folder / f"{registration.name}.yaml", self._folder / f"{registration.name}-lns.yaml"
        if not is_new and not is_same:
            raise TargetRefusedError("the folder has another spec for it; edit it there, or delete that manifest")
        if is_new and path.exists():
            raise TargetRefusedError(f"{path} exists and holds something else; move it away")
        is_secret_missing = registration.secret is not None and not secret.exists()
        if self._dry_run or not (is_new or is_secret_missing):
            return is_new or is_secret_missing
        self._folder.mkdir(parents=True, exist_ok=True)
        if registration.secret is not None and is_secret_missing:
            write_private(secret, manifest_text(registration.secret).encode())
        if is_new:
            new = path.with_name(f".{path.name}.new")
            new.write_text(manifest_text(registration.gateway), encoding="utf-8")
            new.replace(path)
        return True
