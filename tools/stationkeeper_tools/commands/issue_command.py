"""`stationkeeper issue`."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.serialization import Encoding

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import format_hex
from stationkeeper_core.protocol.credentials import check_uri
from stationkeeper_core.protocol.station_certificate import check_trust
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import (
    Colour,
    Output,
    coloured,
    counted,
    output_option,
    print_json,
    print_note,
    print_text,
)
from stationkeeper_tools.fleet.gateway_csv import read_gateway_csv
from stationkeeper_tools.input_errors import MAX_SHOWN, InputError
from stationkeeper_tools.issuing.issue_run import LIST, IssueResult, IssueState, issue_all, locked, write_list
from stationkeeper_tools.issuing.issuer import Issuer, KeyType, read_authority, read_signing_key
from stationkeeper_tools.issuing.station_folder import CupsServer

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MAX_DAYS = 36500


@click.command("issue")
@click.option(
    "--csv", "csv_file", type=_FILE, required=True, help="The list of gateways; its column eui takes any usual form."
)
@click.option("--ca-cert", type=_FILE, required=True, help="The certificate of the CA that signs, PEM or DER.")
@click.option("--ca-key", type=_FILE, required=True, help="Its private key, PEM or DER.")
@click.option("--ca-key-password-file", type=_FILE, help="A file with the password of an encrypted key.")
@click.option("--cups", required=True, metavar="URI", help="The CUPS server that the gateways ask: https://host:port.")
@click.option("--cups-trust", type=_FILE, required=True, help="The root that verifies that server, PEM or DER.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gateways"),
    show_default=True,
    help="The folder that gets one folder for each gateway, named after its EUI.",
)
@click.option(
    "--key-type",
    type=click.Choice([each.value for each in KeyType]),
    default=KeyType.P256.value,
    show_default=True,
    help="The kind of the gateways' keys.",
)
@click.option(
    "--days",
    type=click.IntRange(1, _MAX_DAYS),
    default=3650,
    show_default=True,
    help="How long the certificates are valid, at most as long as the CA's.",
)
@output_option()
def command(
    csv_file: Path,
    ca_cert: Path,
    ca_key: Path,
    ca_key_password_file: Path | None,
    cups: str,
    cups_trust: Path,
    out: Path,
    key_type: str,
    days: int,
    output: Output,
) -> int:
    """Make a key and a certificate for each gateway of a list.

    Each gateway gets a folder with Station's own files: cups.uri, cups.trust, cups.crt and cups.key. Copy it to the
    gateway, into the folder of its station.conf. The certificate's Common Name is the EUI.

    A folder that exists is checked and never changed, so after an interruption the same command continues. The file
    issued.csv lists which gateway has which certificate. Only the owner can read the keys: keep the folder safe, and
    delete the keys here when they are on the gateways.

    Example: `stationkeeper issue --csv gateways.csv --ca-cert ca.crt --ca-key ca.key --cups
    https://cups.example.org:8987 --cups-trust server-ca.crt`
    """
    begin = time.monotonic()
    gateways = read_gateway_csv(csv_file)
    password = ca_key_password_file.read_bytes().rstrip(b"\r\n") if ca_key_password_file else None
    issuer = Issuer(
        read_authority(ca_cert),
        read_signing_key(ca_key, password),
        key_type=KeyType(key_type),
        now=datetime.now(UTC),
        days=days,
        source=str(ca_cert),
    )
    server = _cups_server(cups, cups_trust)
    if issuer.is_shortened:
        print_note(f"The certificates end when the CA's certificate ends, at {rfc3339(issuer.not_after)}.")
    results: list[IssueResult] = []
    with locked(out):
        try:
            euis = (each.eui for each in gateways)
            for result in counted(issue_all(euis, out, server, issuer), len(gateways), "Issuing"):
                results.append(result)  # noqa: PERF402 - an interruption must not lose those that were made
        finally:
            write_list(out, results)
            os.sync()
    _show(results, out, issuer, time.monotonic() - begin, output)
    return ExitCode.INCOMPLETE if any(each.state is IssueState.REFUSED for each in results) else ExitCode.YES


def _cups_server(uri: str, trust: Path) -> CupsServer:
    try:
        check_uri(uri, ("https",))
    except StationkeeperError as error:
        raise InputError(f"--cups: {error.detail}") from None
    certificate = read_authority(trust)
    try:
        check_trust(certificate)
    except StationkeeperError as error:
        raise InputError(f"{trust}: {error.detail}; a Station cannot verify the server with it") from None
    return CupsServer(uri, certificate.x509.public_bytes(Encoding.DER))


def _show(results: list[IssueResult], out: Path, issuer: Issuer, seconds: float, output: Output) -> None:
    count = {state: sum(each.state is state for each in results) for state in IssueState}
    if output is Output.JSON:
        print_json(
            {
                "folder": str(out),
                "list": str(out / LIST),
                "seconds": round(seconds, 3),
                "issued": count[IssueState.ISSUED],
                "kept": count[IssueState.KEPT],
                "refused": count[IssueState.REFUSED],
                "gateways": [_fields(each) for each in results],
            }
        )
        return
    refused = [each.problem for each in results if each.problem]
    for problem in refused[:MAX_SHOWN]:
        print_note(f"{coloured('refused', Colour.BAD)} {problem}")
    if len(refused) > MAX_SHOWN:
        print_note(f"… and {len(refused) - MAX_SHOWN} more: --output json lists all.")
    print_text(
        f"{coloured(str(count[IssueState.ISSUED]), Colour.GOOD)} issued, {count[IssueState.KEPT]} were there,"
        f" {count[IssueState.REFUSED]} refused, in {seconds:.1f} s: {out}"
    )
    print_text(f"Valid until {rfc3339(issuer.not_after)}. Which gateway has which certificate: {out / LIST}")
    print_text("Next: copy each folder to its gateway, and register them: stationkeeper register --csv FILE")


def _fields(result: IssueResult) -> dict[str, str]:
    fields = {"eui": format_hex(result.eui), "state": result.state.value, "folder": str(result.folder)}
    if result.state is IssueState.REFUSED:
        return fields | {"problem": result.problem}
    return fields | {"serial": result.serial, "sha256": result.sha256, "notAfter": result.not_after}
