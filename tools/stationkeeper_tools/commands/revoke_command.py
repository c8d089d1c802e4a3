"""`stationkeeper revoke`."""

from pathlib import Path

import click

from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_tools.commands.changing import change, tell, timeout_option
from stationkeeper_tools.commands.fleet_options import explained, fleet_of, fleet_options, wanted_eui
from stationkeeper_tools.commands.output import Output, output_option, print_text
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.operating.fleet import Fleet
from stationkeeper_tools.operating.revocation import (
    Revocation,
    revocation_of_certificate,
    revocation_of_gateway,
    revocation_of_serial,
)

_MAX_CERTIFICATE_BYTES = 256 * 1024
_MAX_SUBJECT = 256


@click.command("revoke")
@click.argument("eui", required=False)
@click.option("--serial", help="A serial number, as `openssl x509 -serial` prints it; --ca names its CA.")
@click.option(
    "--cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A certificate, PEM or DER; its chain may follow.",
)
@click.option("--ca", help="With --serial or --cert: the name of a TrustedCA, or NAMESPACE/NAME.")
@click.option("--undo", is_flag=True, help="Remove the entry again, so that the certificate is accepted as before.")
@timeout_option
@fleet_options
@output_option()
def command(
    eui: str | None,
    serial: str | None,
    cert: Path | None,
    ca: str | None,
    undo: bool,
    timeout: float,
    manifests: Path | None,
    state: Path | None,
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
    output: Output,
) -> int:
    """Revoke the certificate of a gateway, and wait until no CUPS accepts it any more.

    With an EUI, it is the certificate that this gateway used last; with --cert, the one in a file. Its fingerprint is
    added to spec.revocation of every TrustedCA in view that trusts the same CA; with --serial, the serial number is
    added. Existing entries stay. A serial number is not added to a TrustedCA whose CA has the same name but
    another key: such TrustedCAs are shown.

    A folder's files are edited in place; comments stay as they are. In a cluster, another tool that manages the
    resource may undo the change: then revoke with that tool.

    The exit code is 4 if the change is written but not enforced in time everywhere.
    Example: `stationkeeper revoke 01-23-45-67-89-AB-CD-EF`
    """
    if sum(each is not None for each in (eui, serial, cert)) != 1:
        raise InputError("give one of the EUI of a gateway, --cert, and --serial with --ca")
    if serial is not None and ca is None:
        raise InputError("--serial needs --ca: a serial number is unique only within its CA")
    with explained():
        fleet = fleet_of(manifests, state, namespace, kubeconfig, context)
        revocation = _revocation(fleet, eui, serial, cert, ca)
        edit = revocation.undo if undo else revocation.edit
        outcomes = [change(fleet, each, edit, timeout) for each in revocation.trusted_cas]
    may_still_trust = [f"{each.key.namespace}/{each.key.name}" for each in revocation.may_still_trust]
    if may_still_trust and output is Output.TEXT:
        print_text(
            f"Not changed, with a CA of the same name: {', '.join(may_still_trust)}. Check whether they trust this CA."
        )
    done = f"revocation of {revocation.entry} taken back" if undo else f"revoked {revocation.entry}"
    return tell(
        outcomes,
        done,
        output,
        entry=revocation.entry,
        list=".".join(("spec", *revocation.path)),
        undo=undo,
        stillTrustedBy=may_still_trust,
    )


def _revocation(fleet: Fleet, eui: str | None, serial: str | None, cert: Path | None, ca: str | None) -> Revocation:
    resources = fleet.resources()
    if eui is not None:
        return revocation_of_gateway(resources, wanted_eui(eui))
    if serial is not None:
        return revocation_of_serial(resources, serial, ca or "")
    chain = _certificates(cert or Path())
    return revocation_of_certificate(resources, chain[0].sha256, [each.issuer[:_MAX_SUBJECT] for each in chain], ca)


def _certificates(path: Path) -> tuple[Certificate, ...]:
    with path.open("rb") as file:
        content = file.read(_MAX_CERTIFICATE_BYTES)
    if b"-----BEGIN " not in content:
        return (parse_certificate(content),)
    found = parse_certificates(content.decode("utf-8", "replace"))
    if not found:
        raise InputError(f"{path}: holds no certificate; give a file in PEM or DER")
    return tuple(found)
