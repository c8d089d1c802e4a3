"""The options of a command for its page: the address and the users."""

from pathlib import Path

from stationkeeper_core.setting_values import Address, SettingsError, read_address
from stationkeeper_cups.accepting.peer_address import read_networks
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.page.access import Access, TrustedProxy
from stationkeeper_tools.page.secret_file import SecretFile
from stationkeeper_tools.page.serving import PageAddress, check_address


def listening_address(flag: str, text: str) -> Address:
    """Return the address in an option.

    Raises:
        InputError: it is not an address.
    """
    try:
        address = read_address(flag, text)
    except SettingsError as error:
        raise InputError(str(error)) from None
    if address.port == 0:
        raise InputError(f"{flag} is {text[:80]!a}; set it to a port from 1 to 65535")
    return address


def page_access(
    token_file: Path | None, user_header: str | None, networks: str, secret_header: str, secret_file: Path | None
) -> Access:
    """Return who may see the page.

    Args:
        token_file: the file with the token; None for none.
        user_header: the header in which a proxy names the user; None if no proxy is trusted.
        networks: the networks of the proxies, as CIDR, separated by commas.
        secret_header: the header with which a proxy proves its identity.
        secret_file: the file with the value of that header.

    Raises:
        InputError: a needed option is missing.
    """
    token = SecretFile(token_file) if token_file is not None else None
    if user_header is None and not networks and secret_file is None:
        return Access(token)
    try:
        trusted = read_networks(networks)
    except ValueError as error:
        raise InputError(f"--proxy-cidrs: {error}") from None
    if user_header is None or not trusted or secret_file is None:
        raise InputError(
            "a proxy needs all three options: give --proxy-user-header, --proxy-cidrs and --proxy-secret-file"
        )
    if user_header.lower() == secret_header.lower():
        raise InputError("--proxy-user-header and --proxy-secret-header are the same header")
    return Access(token, TrustedProxy(trusted, user_header, secret_header, SecretFile(secret_file)))


def page_address(
    flag: str, text: str, access: Access, certificate: Path | None = None, key: Path | None = None
) -> PageAddress:
    """Return the address of the page.

    Args:
        flag: the name of the option, for messages.
        text: its value.
        access: who may see it.
        certificate: PEM file of a certificate for TLS, with its chain; None for none.
        key: PEM file of its private key.

    Raises:
        InputError: the value is not an address, or everybody could see the page.
    """
    if (certificate is None) != (key is None):
        raise InputError("--tls-cert and --tls-key go together")
    listening = listening_address(flag, text)
    address = PageAddress(listening.host, listening.port, certificate, key)
    check_address(address, access)
    return address
