"""The page of metrics, generated from the code that makes them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stationkeeper_operator.compiling.verdict import Use
from website.references.table import table, text

ROOT = Path(__file__).parents[2]
CUPS, OPERATOR = ROOT / "cups/stationkeeper_cups", ROOT / "operator/stationkeeper_operator"

# The classes by which the code makes metrics, with the kind and the ending that Prometheus gives to each.
_KINDS = {
    "Counter": ("counter", "_total"),
    "Tally": ("counter", "_total"),
    "Gauge": ("gauge", ""),
    "GaugeMetricFamily": ("gauge", ""),
    "Histogram": ("histogram", ""),
    "Durations": ("histogram", ""),
}
_COLUMNS = ("metric", "kind", "labels", "what it is")


@dataclass(frozen=True)
class Metric:
    """One that the code makes.

    Attributes:
        name: as Prometheus shows it.
        kind: counter, gauge or histogram.
        labels: in their order.
        text: its help.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def page() -> str:
    """Return the page."""
    uses = ", ".join(f"`{each}`" for each in Use)
    return f"""# Metrics

Where they are: [the internal port of CUPS and the health port of the operator](operation.md#metrics). No label names a
gateway or a tenant. This page is generated from the code by `make docs`.

## CUPS

Each pod reports its own values.

{_table(CUPS)}
`outcome` and `reason` are words of [Reasons](reasons.md), or those that the text names.

## Operator

Only the leader reports gauges of resources and certificates; they are up to a minute old.

{_table(OPERATOR)}
`use` is {uses}. When a certificate is near its end:
[Certificates that expire](resources.md#certificates-that-expire).
"""


@cache
def metrics(folder: Path) -> tuple[Metric, ...]:
    """Return the metrics that the modules below a folder make, by name."""
    found = {each.name: each for path in folder.rglob("*.py") for each in _of_module(ast.parse(path.read_text()))}
    return tuple(found[name] for name in sorted(found))


def _table(folder: Path) -> str:
    rows = ((f"`{each.name}`", each.kind, _codes(each.labels), text(each.text)) for each in metrics(folder))
    return table(_COLUMNS, rows)


def _codes(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{each}`" for each in words)


def _of_module(tree: ast.Module) -> Iterator[Metric]:
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _KINDS):
            continue
        name, *others = [_strings(each) for each in call.args] or [()]
        if not name or not name[0].startswith("stationkeeper_"):
            continue
        kind, ending = _KINDS[call.func.id]
        help_text, *labels = others
        labels += [_strings(each.value) for each in call.keywords if each.arg == "labels"]
        yield Metric(name[0] + ending, kind, sum(labels, ()), "".join(help_text))


def _strings(node: ast.AST) -> tuple[str, ...]:
    return tuple(
        each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )
