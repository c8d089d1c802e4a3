"""Check that each package that is installed with Stationkeeper has a licence that permits redistribution.

The packages are those of the bill of materials. `PERMITTED` lists the permitted licences.
"""

import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from images.licences import licence

PERMITTED = frozenset(
    {
        *("Apache-2.0", "Apache Software License"),
        *("MIT", "MIT License", "MIT-0"),
        *("BSD-2-Clause", "BSD-3-Clause", "BSD License"),
        *("ISC", "ISC License (ISCL)"),
        *("PSF-2.0", "Python Software Foundation License"),
        # Its terms hold for its own files, which are given on as they are.
        *("MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"),
    }
)
"""SPDX identifiers, and the names of licences in the metadata of older packages."""


def refused(bill: Path) -> dict[str, str]:
    """Return the packages of a bill of materials with no known and permitted licence, each with its licence.

    A package that is only for other systems is not installed, and is left out.

    Args:
        bill: a CycloneDX file.
    """
    names = [str(each["name"]) for each in json.loads(bill.read_text(encoding="utf-8"))["components"]]
    found = {}
    for name in names:
        try:
            said = licence(distribution(name))
        except PackageNotFoundError:
            continue
        if not permitted(said):
            found[name] = said
    return found


def permitted(said: str) -> bool:
    """Return whether an expression is permitted: all parts joined by AND or a comma, one of those joined by OR."""
    if said in PERMITTED:
        return True
    return any(
        all(term.strip(" ()") in PERMITTED for term in re.split(r" AND |, ", choice))
        for choice in re.split(r" OR ", said)
    )
