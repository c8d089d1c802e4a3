"""Write findings in the forms that people and CI read."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from stationkeeper_core.errors import Reason
from stationkeeper_core.reason_table import REASONS
from stationkeeper_tools.checking.check import CheckResult
from stationkeeper_tools.checking.findings import MEANINGS, CheckReason, Finding

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(result: CheckResult) -> dict[str, Any]:
    """Return the result as one JSON object."""
    return {
        "resources": result.resources,
        "otherObjects": result.others,
        "errors": result.errors,
        "warnings": result.warnings,
        "findings": [
            {
                "file": each.file,
                "line": each.line,
                "severity": each.severity.value,
                "reason": each.reason,
                "message": each.message,
                "object": each.subject,
            }
            for each in result.findings
        ],
    }


def as_sarif(result: CheckResult) -> dict[str, Any]:
    """Return the result in SARIF 2.1.0 (OASIS), as code scanning takes it."""
    reasons = sorted({each.reason for each in result.findings})
    driver = {
        "name": "stationkeeper",
        "version": version("stationkeeper"),
        "rules": [{"id": each, "shortDescription": {"text": _meaning(each)}} for each in reasons],
    }
    return {
        "$schema": _SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_sarif_result(each) for each in result.findings]}],
    }


def as_github(findings: Iterable[Finding]) -> Iterable[str]:
    """Yield the findings as workflow commands, which GitHub shows at the lines of a pull request."""
    for each in findings:
        file, title = _property(each.file), _property(each.reason)
        text = _data(f"{each.subject}: {each.message}" if each.subject else each.message)
        yield f"::{each.severity.value} file={file},line={each.line},title={title}::{text}"


def _sarif_result(finding: Finding) -> Mapping[str, Any]:
    uri = quote(PurePath(finding.file).as_posix())
    location = {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": finding.line}}}
    text = f"{finding.subject}: {finding.message}" if finding.subject else finding.message
    return {
        "ruleId": finding.reason,
        "level": finding.severity.value,
        "message": {"text": text},
        "locations": [location],
    }


def _meaning(reason: str) -> str:
    if reason in set(CheckReason):
        return MEANINGS[CheckReason(reason)]
    if reason in set(Reason):
        return REASONS[Reason(reason)].meaning
    return "A certificate has expired or expires soon."


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
