"""`stationkeeper page`."""

import asyncio
import os
import signal
import ssl
from pathlib import Path

import click

from stationkeeper_cups.process.json_log import log_as_json
from stationkeeper_operator.api.kubernetes_credentials import CredentialsError
from stationkeeper_operator.settings import SERVICE_ACCOUNT_NAMESPACE
from stationkeeper_tools.commands.errors import CommandError, CommandFault
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import print_note
from stationkeeper_tools.commands.page_options import page_access, page_address
from stationkeeper_tools.page.cluster_page import PageSettings, run_cluster_page

LISTEN = "127.0.0.1:8090"
SECRET_HEADER = "X-Stationkeeper-Proxy"  # noqa: S105 - a header's name


@click.command("page")
@click.option("--listen", default=LISTEN, show_default=True, help="host:port of the page.")
@click.option(
    "--namespace", "-n", multiple=True, help="Only this namespace. May be given several times. [default: all]"
)
@click.option(
    "--check-ins",
    type=click.IntRange(1, 365),
    default=2,
    show_default=True,
    help="How many missed daily check-ins make a gateway silent.",
)
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with the token that opens the page.")
@click.option(
    "--proxy-user-header",
    help="The header with the user's name, from a proxy that authenticates people: X-Forwarded-User.",
)
@click.option("--proxy-cidrs", default="", help="The networks of such proxies, as CIDR, with commas between.")
@click.option(
    "--proxy-secret-header",
    default=SECRET_HEADER,
    show_default=True,
    help="The header with the proxy's secret.",
)
@click.option("--proxy-secret-file", type=click.Path(path_type=Path), help="A file with the proxy's secret.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="PEM of a certificate and its chain, to speak TLS.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM of its private key.")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The kubeconfig of the cluster. [default: the pod's ServiceAccount, else $KUBECONFIG, then ~/.kube/config]",
)
@click.option("--context", help="The context in the kubeconfig. [default: its current context]")
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    default="INFO",
    show_default=True,
    help="The lowest level of log lines; each is a JSON object on standard error.",
)
def command(
    listen: str,
    namespace: tuple[str, ...],
    check_ins: int,
    token_file: Path | None,
    proxy_user_header: str | None,
    proxy_cidrs: str,
    proxy_secret_header: str,
    proxy_secret_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    log_level: str,
) -> int:
    """Show the fleet of a cluster in the browser, on a read-only page.

    Without a token and without a proxy that authenticates people, only this machine can open the page: it listens on
    127.0.0.1. It needs the right to list and watch trustedcas and gateways. For a folder, use `stationkeeper serve
    --page`.

    SIGTERM and Ctrl-C end it.
    Example: `stationkeeper page --namespace radio`
    """
    access = page_access(token_file, proxy_user_header, proxy_cidrs, proxy_secret_header, proxy_secret_file)
    settings = PageSettings(
        address=page_address("--listen", listen, access, tls_cert, tls_key),
        access=access,
        kubeconfig=_kubeconfig(kubeconfig, context),
        context=context,
        namespaces=tuple(sorted(set(namespace))),
        check_ins=check_ins,
    )
    log_as_json(log_level)
    scheme = "https" if tls_cert else "http"
    print_note(f"The page is on {scheme}://{listen}/ until Ctrl-C.")
    try:
        asyncio.run(_run(settings))
    except CredentialsError as error:
        detail = f"{error}; give --kubeconfig and --context"
        raise CommandError(CommandFault.BAD_INPUT, detail) from None
    except ssl.SSLError as error:
        detail = f"{tls_cert} and {tls_key} cannot be used: {error}"
        raise CommandError(CommandFault.BAD_INPUT, detail) from None
    return ExitCode.YES


async def _run(settings: PageSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run_cluster_page(settings, stop)


def _kubeconfig(given: Path | None, context: str | None) -> Path | None:
    if given is not None:
        return given
    if context is None and not os.environ.get("KUBECONFIG") and SERVICE_ACCOUNT_NAMESPACE.exists():
        return None
    return Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
