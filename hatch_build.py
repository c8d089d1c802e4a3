"""Steps of the build beside copying: see the two classes.

Source: https://hatch.pypa.io/latest/plugins/build-hook/custom/ and …/metadata-hook/custom/.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)]+)\)")
_MANIFESTS = {"crds": "crds", "helm/stationkeeper/rbac": "rbac"}
_TOOLS = Path("tools/stationkeeper_tools")


class Files(BuildHookInterface):
    """Adds files from other places: to a wheel with the tools the manifests, to an sdist what links to folders name.

    An image's build has no tools, and hatchling leaves out of an sdist what is reached by a link to a folder.
    """

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Name the files to be added."""
        root, added = Path(self.root), build_data.setdefault("force_include", {})
        if self.target_name == "wheel" and _version != "editable" and (root / _TOOLS).is_dir():
            for source, name in _MANIFESTS.items():
                added[str(root / source)] = f"stationkeeper_tools/manifests/{name}"
        if self.target_name == "sdist":
            for link in (root / "helm").rglob("*"):
                if link.is_symlink() and link.is_dir():
                    added[str(link)] = str(link.relative_to(root))


class LongDescription(MetadataHookInterface):
    """The README, whose links lead into the repository wherever it is shown."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the long description."""
        root = Path(self.root)
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        text = (root / "README.md").read_text(encoding="utf-8")
        base = f"{project['urls']['Repository']}/blob/v{project['version']}/"
        metadata["readme"] = {"content-type": "text/markdown", "text": _LINK.sub(rf"]({base}\1)", text)}
