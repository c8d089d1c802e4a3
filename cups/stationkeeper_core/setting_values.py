"""Values of settings, read from the text of a flag or of an environment variable; an error says what to set."""

from dataclasses import dataclass

from stationkeeper_core.published.registry_layout import BUCKET_COUNTS

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_MAX_PORT = 65535
_SHOWN = 80


class SettingsError(ValueError):
    """The program cannot run as it is configured; the message says which setting, and what to set."""


@dataclass(frozen=True)
class Address:
    """A host, as an IP address or a name, and a TCP port."""

    host: str
    port: int


def read_address(flag: str, text: str) -> Address:
    """Return the address that `host:port` says; an IPv6 address may stand in brackets.

    Raises:
        SettingsError: it says none.
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > _MAX_PORT:
        raise SettingsError(f"{flag} is {text[:_SHOWN]!a}; set it to host:port")
    return Address(host.strip("[]"), int(port))


def read_buckets(flag: str, text: str) -> int:
    """Return one of `BUCKET_COUNTS`.

    Raises:
        SettingsError: the text is none of them.
    """
    return int(_one_of(flag, text, tuple(map(str, BUCKET_COUNTS))))


def read_log_level(flag: str, text: str) -> str:
    """Return one of `LOG_LEVELS`; its case does not matter.

    Raises:
        SettingsError: the text is none of them.
    """
    return _one_of(flag, text.upper(), LOG_LEVELS)


def _one_of(flag: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise SettingsError(f"{flag} is {text[:_SHOWN]!a}; set it to one of {', '.join(known)}")
    return text
