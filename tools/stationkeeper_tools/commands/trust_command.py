"""`stationkeeper trust`."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_tools.commands.errors import CommandError, CommandFault
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import Colour, Output, coloured, output_option, print_json, print_text
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.server_trust.presented_chain import PresentedChain, UnreachableError, presented_chain
from stationkeeper_tools.server_trust.root_search import RootSearch, find_root, read_bundle
from stationkeeper_tools.server_trust.station_view import station_problems
from stationkeeper_tools.station.faults import StationError
from stationkeeper_tools.station.server_uri import ServerAddress, parse_server_uri

_MAX_BUNDLE_BYTES = 16 * 1024 * 1024


@click.command("trust")
@click.argument("uri")
@click.option(
    "--ca-bundle",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with roots, used if the server does not send its root. [default: this system's]",
)
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write the root into this new file, PEM.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 300), default=10.0, show_default=True, help="Seconds for a connection."
)
@output_option()
def command(uri: str, ca_bundle: Path | None, save: Path | None, timeout: float, output: Output) -> int:
    """Show the certificates of a server, and the root certificate to write into `trust`.

    URI is that of an LNS, wss://host:port, or of a CUPS server, https://host:port. The server is checked with this root
    as a Station would check it. The connection proves nothing about the server: compare the root's fingerprint with the
    one that the server's operator gives you.

    The exit code is 0 if a Station would accept the server, 1 if not, or if the root is not found.
    Example: `stationkeeper trust wss://eu1.cloud.thethings.network:8887 --save lns-root.pem`
    """
    address = _address(uri)
    known = _root_certificates(ca_bundle)
    try:
        chain = presented_chain(address.host, address.port, timeout)
    except UnreachableError as error:
        detail = f"{error}; check the address and the firewall"
        raise CommandError(CommandFault.SERVER_UNREACHABLE, detail, ExitCode.UNREACHABLE) from None
    search = find_root(chain.certificates, known)
    problems = _problems(chain, search, address.host)
    if save is not None and search.root is not None:
        _save(save, _pem(search.root))
    if output is Output.JSON:
        print_json(_fields(uri, chain, search, problems))
    else:
        _show(uri, chain, search, problems)
    return ExitCode.NO if problems else ExitCode.YES


def _address(uri: str) -> ServerAddress:
    scheme = "http" if uri.lower().startswith("http") else "ws"
    try:
        address = parse_server_uri(uri, scheme)
    except StationError as error:
        raise InputError(f"{error.detail}; write wss://host:port") from None
    if not address.tls:
        raise InputError(f"{uri[:160]!a} has no TLS, so it needs no trust; write {scheme}s://host:port")
    return address


def _root_certificates(bundle: Path | None) -> list[x509.Certificate]:
    path = bundle or _system_bundle()
    if path is None:
        return []
    with path.open("rb") as file:
        certificates = read_bundle(file.read(_MAX_BUNDLE_BYTES))
    if bundle is not None and not certificates:
        raise InputError(f"{bundle}: holds no certificate; give a PEM file with root certificates")
    return certificates


def _system_bundle() -> Path | None:
    paths = ssl.get_default_verify_paths()
    usual = (paths.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
    return next((Path(each) for each in usual if each and Path(each).is_file()), None)


def _problems(chain: PresentedChain, search: RootSearch, host: str) -> list[str]:
    if search.root is None:
        where = "neither presented by the server nor in the bundle"
        return [
            f"the issuer {search.missing[:128]!a} is {where}: get the root from the server's operator, or --ca-bundle"
        ]
    return list(station_problems(chain, search.root, host, datetime.now(UTC)))


def _save(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="ascii") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path}: exists already; give the name of a new file") from None


def _pem(certificate: x509.Certificate) -> str:
    return to_pem(certificate.public_bytes(Encoding.DER))


def _certificate(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "notAfter": rfc3339(certificate.not_valid_after_utc),
    }


def _fields(uri: str, chain: PresentedChain, search: RootSearch, problems: list[str]) -> dict[str, Any]:
    root = None
    if search.root is not None:
        root = {**_certificate(search.root), "presented": search.is_presented, "pem": _pem(search.root)}
    return {
        "uri": uri,
        "presented": [_certificate(each) for each in chain.certificates],
        "root": root,
        "stationAccepts": not problems,
        "problems": problems,
        "note": _note(chain),
    }


def _note(chain: PresentedChain) -> str:
    return (
        f"the server ended the handshake, perhaps because it asks for a client certificate: {chain.ended}"
        if (chain.ended)
        else ""
    )


def _show(uri: str, chain: PresentedChain, search: RootSearch, problems: list[str]) -> None:
    print_text(f"{uri} presents:")
    for each in chain.certificates:
        print_text(f"  {_line(each)}")
    if search.root is not None:
        source = "presented by the server" if search.is_presented else "not presented; found in the bundle"
        print_text(f"\nThe root to write into trust ({source}):\n  {_line(search.root)}")
        print_text(f"  SHA-256 {_certificate(search.root)['sha256']}\n\n{_pem(search.root)}")
    if chain.ended:
        print_text(f"Note: {_note(chain)}")
    for line in _verdict(problems):
        print_text(line)


def _line(certificate: x509.Certificate) -> str:
    subject = coloured(certificate.subject.rfc4514_string()[:100] or "(no subject)", Colour.NAME)
    return f"{subject}, until {certificate.not_valid_after_utc:%Y-%m-%d}"


def _verdict(problems: list[str]) -> Iterator[str]:
    if not problems:
        yield f"A Station {coloured('accepts', Colour.GOOD, bold=True)} this server with this root."
        return
    yield f"A Station {coloured('refuses', Colour.BAD, bold=True)} this server:"
    yield from (f"  - {each}" for each in problems)
