"""Read the configuration of the operator from the command line and the environment."""

import argparse
import re
import secrets
import socket
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

SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CUPS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[1-9][0-9]{0,4})?")
_MAX_IDENTITY = 128


@dataclass(frozen=True)
class Settings:
    """The configuration.

    Attributes:
        namespace: the namespace of the release, with the Secrets, the Lease and the CUPS pods.
        watch_namespaces: the namespaces to serve, sorted; empty means all.
        identity: the holder's name in the Lease; unique per pod, and the same for each process of a pod.
        health: the address of `/healthz`, `/readyz` and `/metrics`.
        kubeconfig: None means the ServiceAccount of the pod.
        internal_token: the file with the token of the CUPS pods' internal port; None: the pods are not asked.
        signing_key: the file with the key that signs documents for the CUPS pods; None: the pods wait for their
            kubelets.
        log_level: the name of a level of `logging`.
        cups_names: the names of this release's CUPS for gateways, lower-case and sorted: hosts, or `host:port`.
        buckets: the number of Secrets for the Gateways of the release; one of `BUCKET_COUNTS`.
    """

    namespace: str
    watch_namespaces: tuple[str, ...]
    identity: str
    health: Address
    kubeconfig: Path | None
    internal_token: Path | None
    log_level: str
    cups_names: tuple[str, ...] = ()
    buckets: int = BUCKETS
    signing_key: Path | None = None


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings of the command line; the environment supplies unset ones.

    Raises:
        SettingsError: a setting is missing or cannot be read.
        SystemExit: by argparse, for `--help` and unknown flags.
    """
    given = command_line(environment).parse_args(arguments)
    if not 0 < len(given.identity) <= _MAX_IDENTITY or not given.identity.isprintable():
        raise SettingsError(f"--identity is not a name of 1 to {_MAX_IDENTITY} characters")
    return Settings(
        namespace=_release_namespace(given.namespace),
        watch_namespaces=_namespaces(given.watch_namespaces),
        identity=given.identity,
        health=read_address("--health-address", given.health_address),
        kubeconfig=Path(given.kubeconfig) if given.kubeconfig else None,
        internal_token=Path(given.internal_token_file) if given.internal_token_file else None,
        log_level=read_log_level("--log-level", given.log_level),
        cups_names=_cups_names(given.cups_names),
        buckets=read_buckets("--registry-buckets", given.registry_buckets),
        signing_key=Path(given.signing_key_file) if given.signing_key_file else None,
    )


def command_line(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        environment: gives the value of a flag that the command line does not have.

    Returns:
        The parser. The help of each flag ends with its variable and its default in brackets.
    """
    parser = argparse.ArgumentParser(
        prog="stationkeeper-operator",
        description="Publish TrustedCAs, Gateways and GatewayDefaults to CUPS, and report their status.",
    )

    parser.add_argument("--version", action="version", version=f"%(prog)s {version('stationkeeper')}")

    def add(flag: str, variable: str, default: str, text: str) -> None:
        shown = f"; default: {default}" if default and "default:" not in text else ""
        parser.add_argument(flag, default=environment.get(variable, default), help=f"{text} ({variable}{shown})")

    add("--namespace", "STATIONKEEPER_NAMESPACE", "", "namespace of the release; default: the pod's own")
    add(
        "--watch-namespaces",
        "STATIONKEEPER_WATCH_NAMESPACES",
        "",
        "namespaces to serve, separated by commas; empty: all",
    )
    identity = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    holder = "holder of the Lease, the same for each process of a pod; default: host name and a random part"
    add("--identity", "STATIONKEEPER_IDENTITY", identity, holder)
    add("--health-address", "STATIONKEEPER_HEALTH_ADDRESS", "0.0.0.0:8081", "host:port of /healthz, /readyz, /metrics")
    add("--kubeconfig", "KUBECONFIG", "", "kubeconfig file; default: the pod's ServiceAccount")
    internal = "file with the bearer token of the CUPS pods' internal port; empty: the pods are not asked"
    add("--internal-token-file", "STATIONKEEPER_INTERNAL_TOKEN_FILE", "", internal)
    signing = "file with the Ed25519 key that signs documents for the CUPS pods; empty: they wait for their kubelets"
    add("--signing-key-file", "STATIONKEEPER_SIGNING_KEY_FILE", "", signing)
    names = "host or host:port of this release's CUPS for gateways, separated by commas; empty: not known"
    add("--cups-names", "STATIONKEEPER_CUPS_NAMES", "", names)
    buckets = "number of Secrets for the Gateways of the release"
    add("--registry-buckets", "STATIONKEEPER_REGISTRY_BUCKETS", str(BUCKETS), buckets)
    add("--log-level", "STATIONKEEPER_LOG_LEVEL", "INFO", "one of " + ", ".join(LOG_LEVELS))
    return parser


def _release_namespace(given: str) -> str:
    if given:
        return _namespace(given, "--namespace")
    try:
        return SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="ascii").strip()
    except OSError:
        raise SettingsError("set STATIONKEEPER_NAMESPACE to the namespace of the release") from None


def _namespaces(given: str) -> tuple[str, ...]:
    names = {name.strip() for name in given.split(",")} - {""}
    return tuple(sorted(_namespace(name, "--watch-namespaces") for name in names))


def _cups_names(given: str) -> tuple[str, ...]:
    names = {name.strip().lower() for name in given.split(",")} - {""}
    for name in names:
        if not _CUPS_NAME.fullmatch(name):
            raise SettingsError(f"--cups-names has {name[:80]!a}, which is neither a host nor host:port")
    return tuple(sorted(names))


def _namespace(name: str, flag: str) -> str:
    if not _NAMESPACE.fullmatch(name):
        raise SettingsError(f"{flag} has {name[:80]!a}, which cannot be the name of a namespace")
    return name
