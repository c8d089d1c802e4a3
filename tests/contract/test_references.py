"""The pages of the reference are up to date and complete."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from helm.document_values import CHART, documented
from stationkeeper_core.setting_values import SettingsError
from stationkeeper_cups.metrics import Metrics as CupsMetrics
from stationkeeper_cups.settings import read_settings as read_cups_settings
from stationkeeper_operator.metrics import Metrics as OperatorMetrics
from stationkeeper_operator.metrics import ResourceMetrics
from website.references import metrics
from website.references.__main__ import DOCS, PAGES
from website.references.settings import page as settings_page
from website.references.table import table, text

CRDS = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(Path("crds").glob("*.yaml"))]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_the_one_that_the_code_makes(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run `make docs`"


def fields(path: str, schema: dict[str, Any]) -> Iterator[str]:
    yield path
    if "items" in schema:
        yield from fields(f"{path}[]", schema["items"])
    for name, child in schema.get("properties", {}).items():
        yield from fields(f"{path}.{name}", child)


@pytest.mark.parametrize("crd", CRDS, ids=lambda crd: crd["spec"]["names"]["kind"])
def test_each_field_stands_on_the_page_with_what_it_is(crd: dict[str, Any]) -> None:
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]
    section = (
        PAGES["custom-resources.md"]().partition(f"\n## {crd['spec']['names']['kind']}\n")[2].partition("\n## ")[0]
    )
    rows = {line.split("|")[1].strip(): line.split("|")[3].strip() for line in section.splitlines() if "| `" in line}
    wanted = {f"`{each}`" for part in ("spec", "status") if part in schema for each in fields(part, schema[part])}
    # An item of a plain list needs no words of its own.
    assert {each for each in wanted - rows.keys() if not each.endswith("[]`")} == set()
    assert [each for each in wanted & rows.keys() if not rows[each]] == []


def test_a_value_of_the_chart_that_a_page_names_exists() -> None:
    values = {".".join(each.path) for each in documented((CHART / "values.yaml").read_text())}
    parts = "|".join(sorted({each.partition(".")[0] for each in values}))
    pages = {path.name: path.read_text() for path in sorted(Path("docs").glob("*.md"))}
    named = {
        (name, found)
        for name, text in pages.items()
        for found in re.findall(rf"`((?:{parts})(?:\.[A-Za-z0-9]+)+)[`=:]", text)
        if not found.endswith((".py", ".yaml", ".crt", ".key", ".pem", ".trust", ".uri", ".example", ".log"))
    }
    # Below a value that is documented as a whole, Kubernetes or cert-manager defines the fields.
    lacking = {each for each in named if not any(f"{each[1]}.".startswith(f"{value}.") for value in values)}
    assert lacking == set()


def exposed() -> set[str]:
    operator = OperatorMetrics()
    operator.add(ResourceMetrics(dict, lambda _key: None, lambda: datetime.now(UTC)))
    texts = (CupsMetrics().exposition().decode(), operator.exposition().decode())
    endings = {"counter": "_total"}
    return {each.name + endings.get(each.type, "") for one in texts for each in text_string_to_metric_families(one)}


def test_each_metric_that_the_programs_tell_stands_on_the_page() -> None:
    found = {each.name for folder in (metrics.CUPS, metrics.OPERATOR) for each in metrics.metrics(folder)}
    page = metrics.page()

    assert {each for each in exposed() if not each.endswith("_created")} <= found
    assert [each for each in found if f"| `{each}` |" not in page] == []


def test_each_metric_has_words_and_a_family_of_labels_its_labels() -> None:
    found = {each.name: each for each in metrics.metrics(metrics.CUPS)}

    assert [each.name for each in found.values() if not each.text.endswith(".")] == []
    assert found["stationkeeper_load_refusals_total"].labels == ("document", "reason")
    assert found["stationkeeper_gateway_certificates_expiring"].labels == ("within",)


def test_a_setting_that_the_page_names_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "| `--registry-buckets` | `STATIONKEEPER_REGISTRY_BUCKETS` | `16` |" in settings_page()
    with pytest.raises(SettingsError, match="--registry-buckets is '17'"):
        read_cups_settings([], {"STATIONKEEPER_REGISTRY_BUCKETS": "17"})


def test_words_are_escaped_as_text_in_a_cell() -> None:
    made = table(("a",), [(text('"*" for all, or `a|*b`,\n <none>'),)])

    assert made == '| a |\n|-|\n| "\\*" for all, or `a\\|*b`, \\<none> |\n'
