"""`stationkeeper serve`."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from stationkeeper_core.setting_values import SettingsError
from stationkeeper_cups.process.json_log import log_as_json
from stationkeeper_tools.commands.errors import CommandError, CommandFault
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import Colour, Output, coloured, output_option, print_json_line, print_text
from stationkeeper_tools.commands.page_options import listening_address, page_address
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.page.access import Access
from stationkeeper_tools.page.object_page import OfferedPage
from stationkeeper_tools.page.secret_file import SecretFile
from stationkeeper_tools.standalone.default_state import default_state
from stationkeeper_tools.standalone.serve import ServeSettings, serve
from stationkeeper_tools.standalone.state_folder import StateFolder, StateInUseError
from stationkeeper_tools.standalone.trial_certificate import ServerFiles, trial_certificate

LISTEN, INTERNAL = "0.0.0.0:8987", "127.0.0.1:8080"
_LOCAL = ("localhost", "127.0.0.1", "::1")


@click.command("serve")
@click.option(
    "--manifests", type=click.Path(path_type=Path), help="The folder of TrustedCAs, Gateways and what they name."
)
@click.option("--example", is_flag=True, help="Run an example: ask as its gateway, remove its CA, ask again, and end.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="The folder for what must survive a restart. [default: $STATE_DIRECTORY, then ~/.local/state/stationkeeper]",
)
@click.option("--listen", default=LISTEN, show_default=True, help="host:port where gateways connect.")
@click.option(
    "--internal-listen", default=INTERNAL, show_default=True, help="host:port of health, metrics and observations."
)
@click.option(
    "--server-cert",
    type=click.Path(path_type=Path),
    help="PEM of the server's certificate and its chain. [default: one for trials, kept in the state folder]",
)
@click.option("--server-key", type=click.Path(path_type=Path), help="PEM of its private key.")
@click.option(
    "--server-name",
    multiple=True,
    help="Host name or IP address by which gateways reach the server. May be given several times."
    " [default: this machine's]",
)
@click.option("--namespace", "-n", default="default", show_default=True, help="For manifests without a namespace.")
@click.option(
    "--release-namespace",
    default="stationkeeper",
    show_default=True,
    help="The namespace whose TrustedCAs may speak for the Gateways of other namespaces.",
)
@click.option("--token-authentication", is_flag=True, help="Accept gateways without a certificate by a token.")
@click.option("--page", help="host:port of a read-only page that shows the fleet. [default: none]")
@click.option(
    "--page-token-file",
    type=click.Path(path_type=Path),
    help="A file with the token that opens the page. Without it, only this machine can open the page.",
)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    default="INFO",
    show_default=True,
    help="The lowest level of log lines; each is a JSON object on standard error.",
)
@output_option()
def command(
    manifests: Path | None,
    example: bool,
    state: Path | None,
    listen: str,
    internal_listen: str,
    server_cert: Path | None,
    server_key: Path | None,
    server_name: tuple[str, ...],
    namespace: str,
    release_namespace: str,
    token_authentication: bool,
    page: str | None,
    page_token_file: Path | None,
    log_level: str,
    output: Output,
) -> int:
    """Serve gateways from a folder of manifests, without Kubernetes.

    The folder has the same YAML as a cluster, with the Secrets and ConfigMaps that it names. A change is in force
    within a second. A bad file takes nothing out of force; its file and line are shown. After a restart the last good
    state is in force, even if the folder is missing. The state of each manifest is shown on standard output and in
    status.json of the state folder.

    SIGTERM and Ctrl-C end it; it answers the open requests first.
    Example: `stationkeeper serve --manifests ./gateways --server-cert server.pem --server-key server.key`
    """
    tell = _tell_json if output is Output.JSON else _tell_text
    if example:
        from stationkeeper_tools.standalone.example import run_example  # noqa: PLC0415 - rarely needed

        return run_example(tell)
    if manifests is None:
        raise InputError("give the folder of the manifests by --manifests, or --example")
    if (server_cert is None) != (server_key is None):
        raise InputError("--server-cert and --server-key go together")
    folder = state or default_state(os.environ)
    if folder.resolve().is_relative_to(manifests.resolve()):
        raise InputError(f"the state folder {folder} is inside the folder of manifests: give another one by --state")
    log_as_json(log_level)
    try:
        with StateFolder(folder) as opened:
            if opened.is_new and not manifests.is_dir():
                raise InputError(f"{manifests} is not a folder: give the folder of the manifests by --manifests")
            names = server_name or (*_LOCAL, socket.gethostname().lower())
            settings = ServeSettings(
                manifests=manifests,
                namespace=namespace,
                release_namespace=release_namespace,
                listen=listening_address("--listen", listen),
                internal=listening_address("--internal-listen", internal_listen),
                server=_server(opened, server_cert, server_key, names, tell),
                server_names=server_name,
                token_authentication=token_authentication,
                log_level=log_level,
                page=_page(page, page_token_file),
            )
            asyncio.run(_serve(settings, opened, tell))
    except StateInUseError as error:
        raise CommandError(CommandFault.BAD_INPUT, str(error)) from None
    except SettingsError as error:
        raise CommandError(CommandFault.NOT_READABLE, str(error), ExitCode.UNREACHABLE) from None
    return ExitCode.YES


async def _serve(settings: ServeSettings, state: StateFolder, tell: Callable[[str, Mapping[str, Any]], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, state, tell, stop)
    tell("stopped", {})


def _server(
    state: StateFolder,
    certificate: Path | None,
    key: Path | None,
    names: tuple[str, ...],
    tell: Callable[[str, Mapping[str, Any]], None],
) -> ServerFiles:
    if certificate is not None and key is not None:
        for path in (certificate, key):
            path.read_bytes()
        return ServerFiles(certificate, key)
    try:
        files = trial_certificate(state, names)
    except ValueError as error:
        raise InputError(f"the trial certificate in {state.path} cannot be read: {error}") from None
    assert files.root is not None  # noqa: S101 - a trial has one
    tell("trial", {"root": str(files.root), "pem": files.root.read_text(), "names": list(names)})
    return files


def _page(where: str | None, token_file: Path | None) -> OfferedPage | None:
    if where is None:
        if token_file is not None:
            raise InputError("--page-token-file goes with --page")
        return None
    access = Access(SecretFile(token_file) if token_file is not None else None)
    return OfferedPage(page_address("--page", where, access), access)


def _tell_json(kind: str, fields: Mapping[str, Any]) -> None:
    print_json_line({"told": kind, **fields})


def _tell_text(kind: str, fields: Mapping[str, Any]) -> None:
    text = _TEXTS[kind](fields)
    if text:
        print_text(text)


def _trial_text(fields: Mapping[str, Any]) -> str:
    names = ", ".join(fields["names"])
    return (
        f"The server's certificate is for trials only, for {names}.\n"
        f"Copy {fields['root']} into cups.trust of the gateways:\n{fields['pem'].rstrip()}"
    )


def _finding_text(fields: Mapping[str, Any]) -> str:
    resource = f" [{fields['resource']}]" if fields["resource"] else ""
    where = f"{fields['file']}:{fields['line']}"
    return f"{where}: {coloured('error', Colour.BAD, bold=True)} {fields['reason']}: {fields['message']}{resource}"


def _status_text(fields: Mapping[str, Any]) -> str:
    mark = coloured("ready", Colour.GOOD) if fields["ready"] else coloured("NOT READY", Colour.BAD, bold=True)
    reason = "" if fields["ready"] else f" {fields['reason']}"
    said = "; ".join(filter(None, (fields["message"], fields["enforced"])))
    where = f" ({fields['file']}:{fields['line']})" if fields["file"] else ""
    return f"{fields['kind']} {fields['namespace']}/{fields['name']}: {mark}{reason}: {said}{where}"


def _event_text(fields: Mapping[str, Any]) -> str:
    mark = coloured("warning", Colour.CAUTION, bold=True) if fields["type"] == "Warning" else "note"
    resource = f"{fields['kind']} {fields['namespace']}/{fields['name']}"
    return f"{resource}: {mark} {fields['reason']}: {fields['message']}"


_TEXTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "trial": _trial_text,
    "waiting": lambda fields: f"{fields['folder']} holds no manifest yet; waiting for one.",
    "serving": lambda fields: f"Serving {fields['manifests']} on {fields['listen']}.",
    "finding": _finding_text,
    "cleared": lambda _fields: "All manifests can be read again.",
    "status": _status_text,
    "event": _event_text,
    "more": lambda fields: f"… and {fields['count']} more: see status.json.",
    "step": lambda fields: f"[{fields['seconds']:4.1f} s] {fields['text']}",
    "stopped": lambda _fields: "Stopped.",
}
