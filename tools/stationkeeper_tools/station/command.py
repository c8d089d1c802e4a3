"""`stationkeeper station`: simulate a gateway, to see what a gateway would get from CUPS."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.protocol.credentials import parse_token
from stationkeeper_tools.station.connection import CONNECTION_TIMEOUT_SECONDS
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.files import FolderFiles
from stationkeeper_tools.station.gateway_eui import parse_gateway_eui
from stationkeeper_tools.station.report import Blocks, event, json_line
from stationkeeper_tools.station.runner import ask_once, live
from stationkeeper_tools.station.server_uri import MAX_URI_CHARACTERS, parse_server_uri
from stationkeeper_tools.station.state import Server, SetName, StationState
from stationkeeper_tools.station.state_machine import Attempt, Behaviour, Outcome, Result, Station

NAME = "station"

_DEFAULTS = Behaviour()


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(NAME, help="simulate a gateway: ask a CUPS server, store what it sends, and show it")
    parser.add_argument(
        "--home", type=Path, metavar="DIR", required=True, help="the folder of its files; created if it does not exist"
    )
    parser.add_argument(
        "--eui", type=_eui, required=True, help="16 hex digits, with dashes or colons too; a MAC; or an ID6"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="first delete all sets of the folder, so that the BOOT set is made again"
    )
    boot = parser.add_argument_group("the BOOT set", "is made of these if the folder has none; else they are ignored")
    boot.add_argument("--cups", type=_uri, metavar="URI", help="https://host:port, without a path")
    boot.add_argument("--trust", type=Path, metavar="FILE", help="certificate that verifies the server, PEM or DER")
    boot.add_argument("--cert", type=Path, metavar="FILE", help="the gateway's certificate, PEM or DER")
    boot.add_argument("--key", type=Path, metavar="FILE", help="its private key, PEM or DER")
    boot.add_argument("--token", type=Path, metavar="FILE", help="a token instead of certificate and key")
    often = parser.add_mutually_exclusive_group()
    often.add_argument("--once", action="store_true", help="ask once; exit with 0 if the status is 200, else with 1")
    often.add_argument(
        "--count", type=_count, metavar="N", help="ask N times; exit with 0 if the last status is 200, else with 1"
    )
    for option, default, meaning in (
        ("--retry", _DEFAULTS.retry_seconds, "between a failure, or a change of the CUPS server, and the next request"),
        ("--interval", _DEFAULTS.interval_seconds, "between an answer and the next request"),
        ("--timeout", CONNECTION_TIMEOUT_SECONDS, "how long a server may be silent"),
    ):
        parser.add_argument(
            option, type=_seconds, metavar="SECONDS", default=default, help=f"{meaning} (default %(default)g)"
        )
    parser.add_argument(
        "--station", metavar="TEXT", default=_DEFAULTS.station, help="version to report (default %(default)s)"
    )
    parser.add_argument(
        "--model", metavar="TEXT", default=_DEFAULTS.model, help="model to report (default %(default)s)"
    )
    parser.add_argument(
        "--lns-connected",
        action="store_true",
        help="simulate an LNS link that is up: wait the interval after failures too",
    )
    parser.add_argument("--show-secrets", action="store_true", help="show tokens (private keys are never shown)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; return 0, 1 if the server refused or could not be asked, or 2 for a wrong command line."""
    try:
        station = Station(arguments.eui, _state(arguments), _behaviour(arguments))
        faults = station.state.uri_faults()
        for fault in faults:
            print(f"stationkeeper station: {fault}", file=sys.stderr)  # noqa: T201 - this is the output
        if any(fault.fault in {StationFault.BAD_URI, StationFault.NO_URI} for fault in faults):
            return 1
        return asyncio.run(_run(station, arguments))
    except _UsageError as error:
        print(f"stationkeeper station: {error}", file=sys.stderr)  # noqa: T201 - this is the output
        return 2
    except OSError as error:
        print(f"stationkeeper station: {error}", file=sys.stderr)  # noqa: T201 - this is the output
        return 1


class _UsageError(Exception):
    """The command line, or a file that it names, is wrong."""


async def _run(station: Station, arguments: argparse.Namespace) -> int:
    stop, blocks = asyncio.Event(), Blocks(waits=not arguments.once)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def tell(happened: Attempt | Outcome) -> None:
        fields = event(happened, show_secrets=arguments.show_secrets)
        said = json_line(fields) if arguments.json else blocks.next(fields)
        if said:
            print(said, flush=True)  # noqa: T201 - this is the output

    if arguments.once:
        asking = asyncio.create_task(ask_once(station, tell, arguments.timeout))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([asking, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not asking.done():
            asking.cancel()
            return 1
        return _exit_status(asking.result())
    last = await live(station, stop, tell, arguments.timeout, arguments.count)
    return 0 if arguments.count is None else _exit_status(last)


def _exit_status(outcome: Outcome | None) -> int:
    return 0 if outcome is not None and outcome.result is Result.ANSWERED else 1


def _state(arguments: argparse.Namespace) -> StationState:
    state = StationState(FolderFiles(arguments.home))
    if arguments.fresh:
        if not arguments.cups:
            raise _UsageError("--fresh deletes all sets: give --cups and the other options of the BOOT set")
        _boot_credentials(arguments)
        state.forget()
    if state.stored_uri(Server.CUPS, SetName.BOOT) is None:
        if arguments.cups:
            state.seed(arguments.cups, _boot_credentials(arguments))
        return state
    for note in _unused(arguments, state):
        print(f"stationkeeper station: {note}", file=sys.stderr)  # noqa: T201 - this is the output
    return state


def _unused(arguments: argparse.Namespace, state: StationState) -> Iterator[str]:
    """Yield notes on options that are ignored because the folder already has its sets."""
    anew = "--fresh starts anew with what is given"
    given = CredentialSet(
        _content(arguments.trust), _content(arguments.cert), _token(arguments) or _content(arguments.key)
    )
    options = {"trust": "--trust", "crt": "--cert", "key": "--token" if arguments.token else "--key", "uri": "--cups"}
    if differing := [options[part] for part in state.differing(arguments.cups, given)]:
        yield (
            f"{arguments.home} has a BOOT set already, which is used; it is not what is given by "
            f"{', '.join(differing)}: ignored; {anew}"
        )
    regular = state.stored_uri(Server.CUPS, SetName.REGULAR)
    if arguments.cups and regular and regular != arguments.cups.encode():
        yield (
            f"{arguments.home} has a REG set with another CUPS server, {regular.decode('latin-1')!a}, which is asked "
            f"first; {anew}"
        )


def _boot_credentials(arguments: argparse.Namespace) -> CredentialSet:
    if arguments.token and (arguments.cert or arguments.key):
        raise _UsageError("--token is for gateways without --cert and --key")
    if bool(arguments.cert) != bool(arguments.key):
        raise _UsageError("--cert and --key go together")
    if not arguments.trust and arguments.cups.lower().startswith("https"):
        raise _UsageError("--trust is needed: the certificate that verifies the CUPS server")
    if arguments.token:
        return CredentialSet(_content(arguments.trust), b"", _token(arguments))
    return CredentialSet(*(_content(path) for path in (arguments.trust, arguments.cert, arguments.key)))


def _token(arguments: argparse.Namespace) -> bytes:
    """Return the header line of `--token`; empty if there is none."""
    if not arguments.token:
        return b""
    try:
        return parse_token(_content(arguments.token))
    except StationkeeperError as error:
        raise _UsageError(f"{arguments.token}: {error}") from None


def _content(path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path else b""
    except OSError as error:
        raise _UsageError(f"{path}: {error.strerror}") from None


def _behaviour(arguments: argparse.Namespace) -> Behaviour:
    return Behaviour(
        station=arguments.station,
        model=arguments.model,
        retry_seconds=arguments.retry,
        interval_seconds=arguments.interval,
        lns_connected=arguments.lns_connected,
    )


def _eui(value: str) -> EUI64:
    try:
        return parse_gateway_eui(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _uri(value: str) -> str:
    try:
        parse_server_uri(value, Server.CUPS.scheme)
    except StationError as error:
        raise argparse.ArgumentTypeError(error.detail) from None
    if len(value) > MAX_URI_CHARACTERS or not value.isascii():
        raise argparse.ArgumentTypeError(f"a Station reads at most {MAX_URI_CHARACTERS} characters, only ASCII")
    return value


def _count(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of at least 1")
    return int(value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of seconds")
    return seconds
