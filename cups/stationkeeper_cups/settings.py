"""The configuration of the server, from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_cups.kubernetes_source import ApiServer

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class SettingsError(ValueError):
    """The environment does not configure a server; the message says which variable, and what to set."""


@dataclass(frozen=True)
class Address:
    """A host, as an IP address or a name, and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True)
class Files:
    """The source is files.

    Attributes:
        documents: the folder of the published documents.
        server_tls: the folder of `tls.crt` and `tls.key`.
    """

    documents: Path
    server_tls: Path


@dataclass(frozen=True)
class Kubernetes:
    """The source is a watch.

    Attributes:
        api: how to reach the API server.
        server_tls: the name of the TLS Secret.
    """

    api: ApiServer
    server_tls: str


@dataclass(frozen=True)
class Settings:
    """All that can be configured.

    Attributes:
        cups: where gateways connect.
        internal: where the cluster asks about health and metrics.
        source: where documents and server credentials come from.
        internal_token: a file with the bearer token of `/generation`; None leaves it open.
        log_level: a name that `logging` knows.
    """

    cups: Address
    internal: Address
    source: Files | Kubernetes
    internal_token: Path | None
    log_level: str


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that `environment` holds.

    Raises:
        SettingsError: a variable is missing or cannot be read.
    """
    token = environment.get("STATIONKEEPER_INTERNAL_TOKEN_FILE")
    return Settings(
        cups=_address(environment, "STATIONKEEPER_CUPS_ADDRESS", "0.0.0.0:8987"),
        internal=_address(environment, "STATIONKEEPER_INTERNAL_ADDRESS", "0.0.0.0:8080"),
        source=_source(environment),
        internal_token=Path(token) if token else None,
        log_level=_log_level(environment),
    )


def _log_level(environment: Mapping[str, str]) -> str:
    level = environment.get("STATIONKEEPER_LOG_LEVEL", "INFO").upper()
    if level not in _LOG_LEVELS:
        raise SettingsError(f"STATIONKEEPER_LOG_LEVEL is {level!a}; set it to one of {', '.join(_LOG_LEVELS)}")
    return level


def _source(environment: Mapping[str, str]) -> Files | Kubernetes:
    source = environment.get("STATIONKEEPER_SOURCE", "files")
    if source == "files":
        base = "/var/run/stationkeeper"
        return Files(
            Path(environment.get("STATIONKEEPER_DOCUMENTS_FOLDER", f"{base}/documents")),
            Path(environment.get("STATIONKEEPER_SERVER_TLS_FOLDER", f"{base}/server-tls")),
        )
    if source == "kubernetes":
        return Kubernetes(
            _api(environment), environment.get("STATIONKEEPER_SERVER_TLS_SECRET", "stationkeeper-server-tls")
        )
    raise SettingsError(f"STATIONKEEPER_SOURCE is {source!a}; set it to files or kubernetes")


def _api(environment: Mapping[str, str]) -> ApiServer:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    url = environment.get("STATIONKEEPER_KUBERNETES_URL")
    if not url:
        if not host:
            raise SettingsError("STATIONKEEPER_SOURCE is kubernetes: run in a pod, or set STATIONKEEPER_KUBERNETES_URL")
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    namespace = environment.get("STATIONKEEPER_NAMESPACE")
    if not namespace:
        raise SettingsError("STATIONKEEPER_SOURCE is kubernetes: set STATIONKEEPER_NAMESPACE to that of the release")
    return ApiServer(
        url=url,
        ca_file=Path(environment.get("STATIONKEEPER_KUBERNETES_CA_FILE", _SERVICE_ACCOUNT / "ca.crt")),
        token_file=Path(environment.get("STATIONKEEPER_KUBERNETES_TOKEN_FILE", _SERVICE_ACCOUNT / "token")),
        namespace=namespace,
    )


def _address(environment: Mapping[str, str], name: str, default: str) -> Address:
    text = environment.get(name, default)
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:  # noqa: PLR2004 - the highest port
        raise SettingsError(f"{name} is {text!a}; set it to host:port")
    return Address(host.strip("[]"), int(port))
