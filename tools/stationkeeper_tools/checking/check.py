"""Find all problems in manifests before anything is applied."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from stationkeeper_operator.resources.records import Key
from stationkeeper_tools.checking.findings import CheckReason, Finding, Severity
from stationkeeper_tools.checking.manifests import OWN_KINDS, Manifest, ManifestSet
from stationkeeper_tools.checking.resource_schema import schema_findings
from stationkeeper_tools.checking.verdicts import build_world, plan_of, verdict_findings


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Attributes:
        findings: sorted by file and line.
        resources: how many TrustedCAs, Gateways and GatewayDefaults were judged.
        others: how many objects of other kinds were not judged.
    """

    findings: tuple[Finding, ...]
    resources: int
    others: int

    @property
    def errors(self) -> int:
        """The number of errors."""
        return sum(each.severity is Severity.ERROR for each in self.findings)

    @property
    def warnings(self) -> int:
        """The number of warnings."""
        return len(self.findings) - self.errors


def check(manifests: ManifestSet, release_namespace: str, now: datetime) -> CheckResult:
    """Judge manifests as the API server and the operator would.

    Args:
        manifests: what the files hold.
        release_namespace: where Stationkeeper is installed.
        now: the time, aware.
    """
    own = [each for each in manifests.manifests if each.kind in OWN_KINDS]
    by_schema = [finding for each in own for finding in schema_findings(each)]
    by_name = [each for each in manifests.findings if each.reason == CheckReason.INVALID_METADATA]
    refused = {(each.file, each.subject) for each in (*by_name, *by_schema)}
    # The API server refuses what the schema refuses, so the operator never judges it.
    judged = [each for each in own if (each.file, each.subject) not in refused]
    by_operator = list(_verdicts(judged, manifests, release_namespace, now))
    findings = {*manifests.findings, *by_schema, *by_operator}
    return CheckResult(tuple(sorted(findings)), len(own), manifests.others)


def _verdicts(
    judged: Collection[Manifest], manifests: ManifestSet, release_namespace: str, now: datetime
) -> Iterator[Finding]:
    admitted = {id(each) for each in judged}
    objects = [each for each in manifests.manifests if each.kind not in OWN_KINDS or id(each) in admitted]
    plan = plan_of(build_world(objects, release_namespace), now)
    for each in judged:
        verdict = plan.verdicts.get(Key(each.kind, each.namespace, each.name))
        if verdict is not None:
            yield from verdict_findings(each, verdict, now)
