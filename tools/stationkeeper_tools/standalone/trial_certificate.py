"""Make a server certificate for trials, if a person gives none: a new root, and a certificate that it signs.

Both are stored, so that gateways with this root can connect again after a restart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stationkeeper_tools.sample_pki import KeyPair, make_root, make_server
from stationkeeper_tools.standalone.state_folder import StateFolder

ROOT = "server-ca.crt"

# So early that it is valid even if the clock of this machine or of a gateway is wrong.
_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
_DAYS = (datetime(2049, 12, 31, tzinfo=UTC) - _BEGIN).days
_AUTHORITY, _CERTIFICATE, _KEY = "server-ca.pem", "server.crt", "server.key"
_END_OF_KEY = b"-----END PRIVATE KEY-----\n"


@dataclass(frozen=True)
class ServerFiles:
    """The PEM files of a server.

    Attributes:
        certificate: its certificates, its own first.
        key: its private key.
        root: the root of the trial, for `cups.trust`; None if a person gave their own certificate.
    """

    certificate: Path
    key: Path
    root: Path | None = None


def trial_certificate(state: StateFolder, names: Iterable[str]) -> ServerFiles:
    """Return the files of the trial certificate; make them if they are missing or are for other names.

    Args:
        state: the folder that stores them.
        names: host names and IP addresses by which gateways reach the server.

    Raises:
        OSError: they cannot be read or written.
        ValueError: a stored file is not what this function wrote.
    """
    hosts: list[str] = []
    addresses: list[str] = []
    for name in dict.fromkeys(names):
        if _is_address(name):
            addresses.append(str(ip_address(name)))
        else:
            hosts.append(name)
    hosts = hosts or ["localhost"]  # the certificate needs a name of its own
    authority = _authority(state)
    files = ServerFiles(state.path / _CERTIFICATE, state.path / _KEY, state.path / ROOT)
    if not _fits(state.read(_CERTIFICATE), state.read(_KEY), authority, {*hosts, *addresses}):
        server = make_server(hosts, addresses, authority, _BEGIN, _DAYS)
        state.write(_KEY, server.key_pem)
        state.write(_CERTIFICATE, server.certificate_pem + authority.certificate_pem)
    if state.read(ROOT) != authority.certificate_pem:
        state.write(ROOT, authority.certificate_pem)
    return files


def _authority(state: StateFolder) -> KeyPair:
    content = state.read(_AUTHORITY)
    if content is not None:
        key, end, certificate = content.partition(_END_OF_KEY)
        found = KeyPair(key + end, certificate)
        load_pem_private_key(found.key_pem, None)
        x509.load_pem_x509_certificate(found.certificate_pem)
        return found
    made = make_root("Stationkeeper trial CA", _BEGIN, _DAYS)
    state.write(_AUTHORITY, made.key_pem + made.certificate_pem)
    return made


def _fits(certificate: bytes | None, key: bytes | None, authority: KeyPair, names: set[str]) -> bool:
    if certificate is None or key is None:
        return False
    try:
        found = x509.load_pem_x509_certificate(certificate)
        found.verify_directly_issued_by(authority.x509)
        if found.public_key() != load_pem_private_key(key, None).public_key():
            return False
        listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return False
    hosts = listed.get_values_for_type(x509.DNSName)
    addresses = listed.get_values_for_type(x509.IPAddress)
    return {*hosts, *(str(each) for each in addresses)} == names


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
