"""The page of the chart's values, generated from the comments in `values.yaml`."""

import json
from itertools import groupby

from helm.document_values import CHART, Documented, documented
from website.references.table import table, text

_HEAD = """# Values of the chart

Every value of `helm/stationkeeper`, with its default. `values.schema.json` refuses misspelt names and wrong types.
[The Helm chart](chart.md) says how to install it.
This page is generated from `helm/stationkeeper/values.yaml` by `make docs`.
"""


def page() -> str:
    """Return the page: a section for each part of the release, in the order of the file."""
    found = documented((CHART / "values.yaml").read_text(encoding="utf-8"))
    parts = {each.path[0]: each.text for each in found if each.is_section and len(each.path) == 1}
    values = [each for each in found if not each.is_section]
    grouped = groupby(values, lambda each: each.path[0] if len(each.path) > 1 and each.path[0] in parts else "")
    sections: dict[str, list[Documented]] = {}
    for part, members in grouped:
        sections.setdefault(part, []).extend(members)
    return _HEAD + "".join(_section(part, parts.get(part, ""), members) for part, members in sections.items())


def _section(part: str, about: str, values: list[Documented]) -> str:
    title = f"`{part}`" if part else "The whole release"
    rows = ((f"`{'.'.join(each.path)}`", f"`{json.dumps(each.default)}`", text(each.text)) for each in values)
    intro = f"{text(about)}\n\n" if about else ""
    return f"\n## {title}\n\n{intro}{table(('value', 'default', 'what it is'), rows)}"
