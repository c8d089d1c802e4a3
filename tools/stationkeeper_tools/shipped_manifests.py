"""The manifests that Stationkeeper ships: its definitions, and the rights of its two ServiceAccounts.

In a checkout they lie in `crds/` and `helm/stationkeeper/rbac/`, in an installed package in `manifests/` beside this
module, where the build puts copies of them.
"""

from pathlib import Path
from typing import Any

import yaml

from stationkeeper_tools.tool_errors import ToolError, ToolFault

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def crd_files(package: Path = _PACKAGE, checkout: Path = _CHECKOUT) -> list[Path]:
    """Return the files of the CustomResourceDefinitions, sorted.

    Raises:
        ToolError: `ManifestsMissing`.
    """
    return _files(package / "manifests" / "crds", checkout / "crds")


def rbac_files(package: Path = _PACKAGE, checkout: Path = _CHECKOUT) -> list[Path]:
    """Return the files of the rights, each a list of RBAC rules, sorted.

    Raises:
        ToolError: `ManifestsMissing`.
    """
    return _files(package / "manifests" / "rbac", checkout / "helm" / "stationkeeper" / "rbac")


def load(path: Path) -> list[Any]:
    """Return the YAML documents of a file, without empty ones."""
    with path.open(encoding="utf-8") as file:
        # Use the C library: without it, a definition takes a tenth of a second.
        return [document for document in yaml.load_all(file, yaml.CSafeLoader) if document is not None]


def _files(*folders: Path) -> list[Path]:
    for folder in folders:
        if found := sorted(folder.glob("*.yaml")):
            return found
    places = " nor in ".join(str(each) for each in folders)
    detail = f"there are no manifests, neither in {places}: install stationkeeper again"
    raise ToolError(ToolFault.MANIFESTS_MISSING, detail)
