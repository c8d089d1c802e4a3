"""`stationkeeper check`."""

from datetime import UTC, datetime
from pathlib import Path

import click

from stationkeeper_tools.checking.check import CheckResult, check
from stationkeeper_tools.checking.findings import Severity
from stationkeeper_tools.checking.manifests import read_manifests
from stationkeeper_tools.checking.reports import as_github, as_json, as_sarif
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import Colour, Output, coloured, output_option, print_json, print_text
from stationkeeper_tools.input_errors import InputError

_COLOURS = {Severity.ERROR: Colour.BAD, Severity.WARNING: Colour.CAUTION}


@click.command("check")
@click.argument("paths", type=click.Path(exists=True, allow_dash=True, path_type=Path), nargs=-1, required=True)
@click.option("--namespace", "-n", default="default", show_default=True, help="For manifests without a namespace.")
@click.option(
    "--release-namespace", default="stationkeeper", show_default=True, help="Where Stationkeeper is installed."
)
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@output_option(Output.SARIF, Output.GITHUB)
def command(paths: tuple[Path, ...], namespace: str, release_namespace: str, strict: bool, output: Output) -> int:
    """Check manifests before they are applied; show the file and line of each problem.

    PATHS are files, folders, or - for standard input: TrustedCAs, Gateways, GatewayDefaults, and the Secrets and
    ConfigMaps that they name. They are checked by the schema of the resources and the operator's own rules. No cluster
    is asked, and nothing is sent. A Secret or ConfigMap that is not among the files gives a warning, since it may be in
    the cluster.

    The exit code is 0 without errors and 1 with errors. Examples: `stationkeeper check manifests/`, and in a pipeline
    `kustomize build . | stationkeeper check - --output github`
    """
    found = read_manifests(paths, namespace)
    result = check(found, release_namespace, datetime.now(UTC))
    if not result.resources and not result.findings:
        places = ", ".join(map(str, paths))
        raise InputError(f"{places}: there is no TrustedCA, Gateway or GatewayDefaults; check the path")
    match output:
        case Output.JSON:
            print_json(as_json(result))
        case Output.SARIF:
            print_json(as_sarif(result))
        case Output.GITHUB:
            for line in as_github(result.findings):
                print_text(line)
        case _:
            _show(result)
    return ExitCode.NO if result.errors or (strict and result.warnings) else ExitCode.YES


def _show(result: CheckResult) -> None:
    for each in result.findings:
        severity = coloured(each.severity.value, _COLOURS[each.severity], bold=True)
        subject = f" [{each.subject}]" if each.subject else ""
        print_text(f"{each.file}:{each.line}: {severity} {each.reason}: {each.message}{subject}")
    others = f"; {result.others} objects of other kinds are not checked" if result.others else ""
    print_text(f"{result.resources} resources: {result.errors} errors, {result.warnings} warnings{others}")
