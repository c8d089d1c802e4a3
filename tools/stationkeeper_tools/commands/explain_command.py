"""`stationkeeper explain`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.protocol.credentials import MAX_TOKEN_BYTES
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.reason_table import REASONS
from stationkeeper_core.x509.client_certificate import ClientCertificate, read_client_certificate
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_tools.checking.manifests import read_manifests
from stationkeeper_tools.commands.errors import CommandError, CommandFault
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import Colour, Output, coloured, output_option, print_json, print_text
from stationkeeper_tools.explaining.decision_steps import (
    Decision,
    StepState,
    decide_by_certificate,
    decide_by_token,
    decide_without_certificate,
)
from stationkeeper_tools.explaining.evidence import Evidence, credentials_form, evidence_of_manifests
from stationkeeper_tools.fleet.eui_spelling import read_eui
from stationkeeper_tools.input_errors import InputError

_MAX_CERTIFICATE_BYTES = 256 * 1024
_MARKS = {
    StepState.PASSED: ("yes", Colour.GOOD),
    StepState.FAILED: ("NO", Colour.BAD),
    StepState.NOT_REACHED: ("-", Colour.CAUTION),
}


@click.command("explain")
@click.argument("eui")
@click.option(
    "--cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The gateway's certificate, with its chain if it sends one; PEM or DER.",
)
@click.option(
    "--token",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The gateway's cups.key with a token, for a gateway without a certificate.",
)
@click.option(
    "--manifests",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Use these files or folders instead of a cluster. May be given several times.",
)
@click.option("--namespace", "-n", help="The Gateway's namespace. [default: all; with --manifests: default]")
@click.option(
    "--release-namespace", default="stationkeeper", show_default=True, help="Where Stationkeeper is installed."
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The kubeconfig of the cluster. [default: $KUBECONFIG, then ~/.kube/config]",
)
@click.option("--context", help="The context in the kubeconfig. [default: its current context]")
@output_option()
def command(
    eui: str,
    cert: Path | None,
    token: Path | None,
    manifests: tuple[Path, ...],
    namespace: str | None,
    release_namespace: str,
    kubeconfig: Path | None,
    context: str | None,
    output: Output,
) -> int:
    """Show, step by step, whether CUPS accepts a gateway, and what to do if it does not.

    EUI may be written in any form. CUPS' own steps decide: in a cluster by the Secrets that CUPS loads, with
    --manifests by what the operator would publish. From a cluster, the last visit, the last refusal and the delivery
    are shown too. Without --cert and --token it ends with the TrustedCAs that may vouch for the gateway. CUPS accepts a
    --token only if token authentication is switched on.

    The exit code is 0 if the gateway is accepted, 1 if not.
    Example: `stationkeeper explain 01-23-45-67-89-AB-CD-EF --cert gateway.crt`
    """
    if cert is not None and token is not None:
        raise InputError("give --cert or --token, not both: with a certificate, CUPS ignores the token")
    try:
        wanted = read_eui(eui)
    except ValueError as error:
        raise InputError(str(error)) from None
    certificate = _certificate(cert) if cert is not None else None
    now = datetime.now(UTC)
    if manifests:
        found = read_manifests(manifests, namespace or "default")
        broken = [f"{each.file}:{each.line}: {each.message}" for each in found.findings if not each.subject]
        if broken:
            raise InputError(*broken)
        evidence = evidence_of_manifests(wanted, found, release_namespace, now)
    else:
        evidence = _of_cluster(wanted, kubeconfig, context, release_namespace, namespace)
    if certificate is not None:
        decision = decide_by_certificate(wanted, certificate, evidence.snapshot, now)
    elif token is not None:
        decision = decide_by_token(wanted, _token(token), evidence.snapshot)
    else:
        decision = decide_without_certificate(wanted, evidence.snapshot)
    if output is Output.JSON:
        print_json(_fields(wanted, decision, evidence, by_certificate=certificate is not None))
    else:
        whatever = certificate is None and token is None
        for line in _lines(wanted, decision, evidence, whatever=whatever):
            print_text(line)
    return ExitCode.YES if decision.refusal is None else ExitCode.NO


def _token(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_TOKEN_BYTES + 1)


def _certificate(path: Path) -> ClientCertificate:
    with path.open("rb") as file:
        content = file.read(_MAX_CERTIFICATE_BYTES)
    try:
        if b"-----BEGIN " not in content:
            return read_client_certificate((content,))
        found = parse_certificates(content.decode("utf-8", "replace"))
        return read_client_certificate(tuple(each.der for each in found))
    except StationkeeperError as error:
        raise InputError(f"{path}: {error.detail}") from None


def _of_cluster(
    eui: EUI64, kubeconfig: Path | None, context: str | None, release_namespace: str, namespace: str | None
) -> Evidence:
    from stationkeeper_tools.cluster_access import ClusterError  # noqa: PLC0415 - kubernetes is slow to load
    from stationkeeper_tools.explaining.cluster_evidence import evidence_of_cluster  # noqa: PLC0415 - the same

    try:
        return evidence_of_cluster(eui, kubeconfig, context, release_namespace, namespace)
    except ClusterError as error:
        fault = CommandFault.CLUSTER_REFUSED if error.is_refusal else CommandFault.CLUSTER_UNREACHABLE
        raise CommandError(fault, str(error), ExitCode.UNREACHABLE) from None


def _todo(decision: Decision, evidence: Evidence) -> str:
    """Return the next step for the user; empty if there is none."""
    refusal = decision.refusal
    if refusal is None or refusal.reason is None:
        return ""
    if refusal.reason is Reason.GATEWAY_NOT_REGISTERED:
        waiting = [each for each in evidence.records if each.is_accepted is False]
        if waiting:
            first = waiting[0]
            return f"Gateway {first.namespace}/{first.name} is not accepted ({first.reason}): {first.message}"
    return REASONS[refusal.reason].remedy


def _fields(eui: EUI64, decision: Decision, evidence: Evidence, *, by_certificate: bool) -> dict[str, Any]:
    refusal = decision.refusal
    return {
        "eui": format_hex(eui),
        "letIn": refusal is None,
        "byCertificate": by_certificate,
        "reason": refusal.reason if refusal is not None else None,
        "next": _todo(decision, evidence),
        "steps": [
            {"step": each.name, "state": each.state.value, "reason": each.reason, "detail": each.detail}
            for each in decision.steps
        ],
        "trustedCAs": list(decision.trusted_cas),
        "delivers": _delivered(decision.gateway) if refusal is None and decision.gateway is not None else None,
        "gateways": [
            {
                "namespace": each.namespace,
                "name": each.name,
                "accepted": each.is_accepted,
                "reason": each.reason,
                "message": each.message,
                **{key: each.status[key] for key in ("lastSeen", "lastRefusal", "delivery") if key in each.status},
            }
            for each in evidence.records
        ],
    }


def _delivered(gateway: RegisteredGateway) -> dict[str, str]:
    return {
        "lnsURI": gateway.lns_uri,
        "lnsCredentials": credentials_form(gateway.lns_credentials),
        "cupsURI": gateway.cups_uri,
        "cupsCredentials": credentials_form(gateway.cups_credentials),
    }


def _lines(eui: EUI64, decision: Decision, evidence: Evidence, *, whatever: bool) -> Iterator[str]:
    yield f"Gateway {format_hex(eui)}" + (", with any certificate" if whatever else "")
    for step in decision.steps:
        mark, colour = _MARKS[step.state]
        told = ": ".join(filter(None, (step.reason.value if step.reason else "", step.detail)))
        yield f"  {coloured(f'{mark:>3}', colour)}  {step.name}{f' ({told})' if told else ''}"
    for each in evidence.records:
        yield from _record_lines(each)
    if decision.refusal is not None:
        yield f"CUPS {coloured('refuses', Colour.BAD, bold=True)} it: {decision.refusal.reason}"
        yield f"Next: {_todo(decision, evidence)}"
        return
    condition = "" if not whatever else " with a valid certificate of one of these CAs"
    yield f"CUPS {coloured('accepts', Colour.GOOD, bold=True)} it{condition}."
    if decision.gateway is not None:
        delivered = _delivered(decision.gateway)
        yield f"  LNS: {delivered['lnsURI'] or 'unchanged'}, with {delivered['lnsCredentials']}"
        if delivered["cupsURI"]:
            yield f"  CUPS: moves to {delivered['cupsURI']}, with {delivered['cupsCredentials']}"


def _record_lines(record: Any) -> Iterator[str]:
    state = {True: "accepted", False: "not accepted", None: "not reconciled yet"}[record.is_accepted]
    yield f"  Gateway {record.namespace}/{record.name} is {state}: {record.message or record.reason or 'no message'}"
    if not record.status:
        return
    yield f"    last visit: {record.status.get('lastSeen', 'never')}"
    refusal = record.status.get("lastRefusal")
    if refusal:
        yield f"    last refusal: {refusal.get('reason')} at {refusal.get('time')}"
    delivery = record.status.get("delivery")
    if delivery:
        outstanding = ", ".join(delivery.get("outstanding", ()))
        yield f"    delivery: {delivery.get('state')}{f', outstanding: {outstanding}' if outstanding else ''}"
