"""Read the configuration of the server from the command line and the environment."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from stationkeeper_core.published.registry_layout import BUCKETS
from stationkeeper_core.setting_values import (
    LOG_LEVELS,
    Address,
    SettingsError,
    read_address,
    read_buckets,
    read_log_level,
)
from stationkeeper_cups.accepting.peer_address import Networks, read_networks
from stationkeeper_cups.forwarded.headers import Form
from stationkeeper_cups.forwarded.proxies import TrustedProxies
from stationkeeper_cups.sources.kubernetes_source import ApiServer

FILES, WATCH = "files", "watch"
HANDSHAKE_SECONDS = 30.0
NO_NETWORKS = Networks()

_SERVER_TLS = "stationkeeper-server-tls"
_MAX_SECONDS = 600
_SWITCH = {"true": True, "false": False}
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Files:
    """Files as the source.

    Attributes:
        documents: the folder of the published documents.
        certificates, key: PEM files of the server.
        server_tls: the name of the Secret of these two files.
    """

    documents: Path
    certificates: Path
    key: Path
    server_tls: str = _SERVER_TLS


@dataclass(frozen=True)
class Kubernetes:
    """A watch of Secrets as the source.

    Attributes:
        api: the API server.
        server_tls: the name of the TLS Secret.
    """

    api: ApiServer
    server_tls: str


@dataclass(frozen=True)
class Forwarded:
    """A port for proxies that terminate TLS.

    Attributes:
        address: the address of the port.
        proxies: the trusted proxies, and their header form.
    """

    address: Address
    proxies: TrustedProxies


@dataclass(frozen=True)
class Settings:
    """The configuration.

    Attributes:
        cups: the address of the gateways' port.
        internal: the address of the internal port.
        source: the source of documents and server credentials.
        internal_token: the file with the bearer token of `/generation` and `/observations`; None: the first needs no
            token and the second is closed.
        log_level: the name of a level of `logging`.
        token_authentication: whether gateways without a certificate may authenticate by a token.
        server_root_may_change: whether a server certificate of another root is accepted at once.
        handshake_seconds: the maximum time of a TLS handshake.
        proxy_protocol_from: the load balancers that send PROXY protocol.
        forwarded: the port for proxies that terminate TLS; None if there is none.
        buckets: the number of documents for the Gateways; one of `BUCKET_COUNTS`.
        operator_certificate: the file with the certificate of the operator's signing key; None refuses handovers.
        latest_seconds: the maximum time that the gateways' port waits at the start until the operator says that the
            documents of the source are the latest.
        kept_generations: the file for the generations in force, in a folder that lasts as long as the pod; None stores
            nothing.
    """

    cups: Address
    internal: Address
    source: Files | Kubernetes
    internal_token: Path | None
    log_level: str
    token_authentication: bool = False
    server_root_may_change: bool = False
    handshake_seconds: float = HANDSHAKE_SECONDS
    proxy_protocol_from: Networks = NO_NETWORKS
    forwarded: Forwarded | None = None
    buckets: int = BUCKETS
    operator_certificate: Path | None = None
    latest_seconds: float = 0.0
    kept_generations: Path | None = None


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings of the command line; the environment supplies unset ones.

    Raises:
        SettingsError: a setting is missing or cannot be read.
        SystemExit: by argparse, for `--help` and unknown flags.
    """
    given = command_line(environment).parse_args(arguments)
    return Settings(
        cups=read_address("--listen", given.listen),
        internal=read_address("--internal-listen", given.internal_listen),
        source=_source(given, environment),
        internal_token=Path(given.internal_token_file) if given.internal_token_file else None,
        log_level=read_log_level("--log-level", given.log_level),
        token_authentication=_switch("--token-authentication", given.token_authentication),
        server_root_may_change=_switch("--server-root-may-change", given.server_root_may_change),
        handshake_seconds=_seconds("--handshake-seconds", given.handshake_seconds),
        proxy_protocol_from=_networks("--proxy-protocol-from", given.proxy_protocol_from),
        forwarded=_forwarded(given),
        buckets=read_buckets("--registry-buckets", given.registry_buckets),
        operator_certificate=Path(given.operator_certificate_file) if given.operator_certificate_file else None,
        latest_seconds=_seconds("--latest-seconds", given.latest_seconds, least=0),
        kept_generations=Path(given.kept_generations_file) if given.kept_generations_file else None,
    )


def command_line(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        environment: the values of flags that the command line does not have.

    Returns:
        The parser; the help of each flag ends with its variable and its default in brackets.
    """
    parser = argparse.ArgumentParser(
        prog="stationkeeper-cups",
        description="Answer /update-info of LoRa Basics Station gateways over mutual TLS.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('stationkeeper')}")

    def add(flag: str, variable: str, default: str, text: str) -> None:
        shown = f"; default: {default}" if default else ""
        parser.add_argument(flag, default=environment.get(variable, default), help=f"{text} ({variable}{shown})")

    base = "/var/run/stationkeeper"
    add("--listen", "STATIONKEEPER_CUPS_ADDRESS", "0.0.0.0:8987", "host:port where gateways connect")
    internal = "host:port of health, metrics, loaded generations and observations"
    add("--internal-listen", "STATIONKEEPER_INTERNAL_ADDRESS", "0.0.0.0:8080", internal)
    add("--source", "STATIONKEEPER_SOURCE", FILES, f"{FILES}: mounted Secrets; {WATCH}: the Secrets by the API server")
    add(
        "--directory",
        "STATIONKEEPER_DOCUMENTS_FOLDER",
        f"{base}/documents",
        f"{FILES}: folder of the published documents",
    )
    pair = f"{base}/server-tls/tls"
    add("--tls-cert", "STATIONKEEPER_TLS_CERT", f"{pair}.crt", f"{FILES}: PEM of the server's certificates")
    add("--tls-key", "STATIONKEEPER_TLS_KEY", f"{pair}.key", f"{FILES}: PEM of the server's key")
    add("--namespace", "STATIONKEEPER_NAMESPACE", "", f"{WATCH}: the release's namespace")
    add("--tls-secret", "STATIONKEEPER_SERVER_TLS_SECRET", _SERVER_TLS, "name of the TLS Secret")
    add("--api-server", "STATIONKEEPER_KUBERNETES_URL", "", f"{WATCH}: URL of the API server, outside of a pod")
    account = _SERVICE_ACCOUNT
    api_ca, api_token = (f"{WATCH}: {what} for the API server" for what in ("PEM of the CA", "file with the token"))
    add("--api-ca-file", "STATIONKEEPER_KUBERNETES_CA_FILE", f"{account}/ca.crt", api_ca)
    add("--api-token-file", "STATIONKEEPER_KUBERNETES_TOKEN_FILE", f"{account}/token", api_token)
    add(
        "--internal-token-file",
        "STATIONKEEPER_INTERNAL_TOKEN_FILE",
        "",
        "file with the bearer token of /generation and /observations",
    )
    tokens = "true or false: gateways without a client certificate may authenticate by a token"
    add("--token-authentication", "STATIONKEEPER_TOKEN_AUTHENTICATION", "false", tokens)
    root = "true or false: a server certificate of another root is accepted at once"
    add("--server-root-may-change", "STATIONKEEPER_SERVER_ROOT_MAY_CHANGE", "false", root)
    handshake = "maximum seconds of a TLS handshake; gateways on slow links need more than 10"
    add("--handshake-seconds", "STATIONKEEPER_HANDSHAKE_SECONDS", f"{HANDSHAKE_SECONDS:g}", handshake)
    proxies = "networks (CIDR, separated by commas) of load balancers that send a PROXY protocol header"
    add("--proxy-protocol-from", "STATIONKEEPER_PROXY_PROTOCOL_FROM", "", proxies)
    add("--forwarded-listen", "STATIONKEEPER_FORWARDED_ADDRESS", "", "host:port for proxies that terminate TLS")
    forms = f"how these proxies forward certificates: {', '.join(Form)}"
    add("--forwarded-form", "STATIONKEEPER_FORWARDED_FORM", "", forms)
    add("--forwarded-from", "STATIONKEEPER_FORWARDED_FROM", "", "networks of these proxies")
    add("--forwarded-ca-file", "STATIONKEEPER_FORWARDED_CA_FILE", "", "PEM of the CAs of these proxies")
    names = "DNS names or URIs in the certificates of these proxies, separated by commas"
    add("--forwarded-names", "STATIONKEEPER_FORWARDED_NAMES", "", names)
    buckets = "number of Secrets for the Gateways of the release"
    add("--registry-buckets", "STATIONKEEPER_REGISTRY_BUCKETS", str(BUCKETS), buckets)
    signer = "file with the certificate of the operator key that signs handovers; empty: handovers are refused"
    add("--operator-certificate-file", "STATIONKEEPER_OPERATOR_CERTIFICATE_FILE", "", signer)
    latest = "maximum seconds to wait at the start until the operator confirms the documents of the source"
    add("--latest-seconds", "STATIONKEEPER_LATEST_SECONDS", "0", latest)
    kept = "file for the generations in force, so that a restart does not go back to older ones; empty: none"
    add("--kept-generations-file", "STATIONKEEPER_KEPT_GENERATIONS_FILE", "", kept)
    add("--log-level", "STATIONKEEPER_LOG_LEVEL", "INFO", "one of " + ", ".join(LOG_LEVELS))
    return parser


def _source(given: argparse.Namespace, environment: Mapping[str, str]) -> Files | Kubernetes:
    if given.source == FILES:
        return Files(Path(given.directory), Path(given.tls_cert), Path(given.tls_key), given.tls_secret)
    if given.source != WATCH:
        raise SettingsError(f"--source is {given.source!a}; set it to {FILES} or {WATCH}")
    if not given.namespace:
        raise SettingsError(f"--source is {WATCH}: set --namespace to that of the release")
    api = ApiServer(
        url=given.api_server or _url_in_pod(environment),
        ca_file=Path(given.api_ca_file),
        token_file=Path(given.api_token_file),
        namespace=given.namespace,
    )
    return Kubernetes(api, given.tls_secret)


def _url_in_pod(environment: Mapping[str, str]) -> str:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise SettingsError(f"--source is {WATCH}: run in a pod, or set --api-server")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _switch(flag: str, text: str) -> bool:
    if text not in _SWITCH:
        raise SettingsError(f"{flag} is {text[:80]!a}; set it to {' or '.join(_SWITCH)}")
    return _SWITCH[text]


def _forwarded(given: argparse.Namespace) -> Forwarded | None:
    if not given.forwarded_listen:
        return None
    if given.forwarded_form not in set(Form):
        raise SettingsError(f"--forwarded-form is {given.forwarded_form[:80]!a}; set it to one of {', '.join(Form)}")
    trusted = _networks("--forwarded-from", given.forwarded_from)
    names = frozenset(filter(None, map(str.strip, given.forwarded_names.split(","))))
    needed = {"--forwarded-from": trusted, "--forwarded-ca-file": given.forwarded_ca_file, "--forwarded-names": names}
    for flag, value in needed.items():
        if not value:
            raise SettingsError(f"--forwarded-listen is set: set {flag}, so that only these proxies are trusted")
    address = read_address("--forwarded-listen", given.forwarded_listen)
    proxies = TrustedProxies(Form(given.forwarded_form), trusted, Path(given.forwarded_ca_file), names)
    return Forwarded(address, proxies)


def _networks(flag: str, text: str) -> Networks:
    try:
        return read_networks(text)
    except ValueError as error:
        raise SettingsError(f"{flag}: {error}") from None


def _seconds(flag: str, text: str, least: int = 1) -> float:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= _MAX_SECONDS:
        raise SettingsError(f"{flag} is {text[:80]!a}; set it to a whole number from {least} to {_MAX_SECONDS}")
    return float(text)
