"""The folder of one gateway: the four files with which a Basics Station starts.

cups.uri, cups.trust, cups.crt and cups.key. Certificates and key are DER, so that the gateway reports the same CRC as
for the credentials that a CUPS server sends. A folder is written completely or not at all, and never changed later.
"""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.protocol.credentials import client_authentication
from stationkeeper_core.protocol.private_key import parse_private_key
from stationkeeper_core.protocol.station_preflight import preflight
from stationkeeper_core.x509.keys import public_key_der
from stationkeeper_tools.issuing.issuer import Issued, Issuer

URI, TRUST, CERTIFICATE, KEY = "cups.uri", "cups.trust", "cups.crt", "cups.key"

_NEW = ".new-"


@dataclass(frozen=True)
class CupsServer:
    """The CUPS server that gateways ask.

    Attributes:
        uri: https://host:port.
        trust: DER of the certificate that verifies it.
    """

    uri: str
    trust: bytes


def write_folder(parent: Path, eui: EUI64, server: CupsServer, issued: Issued) -> Path:
    """Create the folder of a gateway, with mode 0700 and files of mode 0600.

    Args:
        parent: the folder that gets it.
        eui: its name.
        server: for cups.uri and cups.trust.
        issued: for cups.crt and cups.key.

    Returns:
        The folder.

    Raises:
        FileExistsError: there is one already; it is not changed.
        StationkeeperError: a Basics Station would not accept these files.
    """
    certificate = issued.certificate.public_bytes(Encoding.DER)
    preflight(client_authentication(server.trust, certificate, issued.key_der))
    folder = parent / format_hex(eui)
    if folder.exists():  # `rename` would replace an empty folder without an error
        raise FileExistsError(errno.EEXIST, "exists already", str(folder))
    new = parent / f"{_NEW}{format_hex(eui)}"
    new.mkdir(mode=0o700)
    try:
        for name, content in (
            (URI, server.uri.encode()),
            (TRUST, server.trust),
            (CERTIFICATE, certificate),
            (KEY, issued.key_der),
        ):
            _write(new / name, content)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return folder


def remove_unfinished(parent: Path) -> None:
    """Remove what an interrupted run left behind: its keys were never in a gateway's folder."""
    for each in parent.glob(f"{_NEW}*"):
        shutil.rmtree(each, ignore_errors=True)


def read_folder(folder: Path, eui: EUI64, server: CupsServer, issuer: Issuer) -> x509.Certificate:
    """Return the certificate in a gateway's folder.

    Raises:
        ValueError: the folder's content differs from what this run would write; the message says how.
        OSError: a file cannot be read.
    """
    missing = [name for name in (URI, TRUST, CERTIFICATE, KEY) if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    certificate = _certificate((folder / CERTIFICATE).read_bytes())
    common_names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if common_names != [format_hex(eui)]:
        raise ValueError(f"has a certificate for {', '.join(common_names)[:64]!a} in {CERTIFICATE}")
    try:
        key = parse_private_key((folder / KEY).read_bytes())
    except StationkeeperError:
        raise ValueError(f"has no private key that can be read in {KEY}") from None
    if key.public != public_key_der(certificate.public_key()):
        raise ValueError(f"has a key in {KEY} that does not belong to {CERTIFICATE}")
    if not issuer.is_issuer_of(certificate):
        raise ValueError("has a certificate that another CA signed")
    if certificate.not_valid_after_utc <= issuer.not_before:
        raise ValueError(f"has a certificate that has expired at {certificate.not_valid_after_utc:%Y-%m-%d}")
    if (folder / URI).read_bytes().strip() != server.uri.encode():
        raise ValueError(f"has another CUPS server in {URI}")
    if _der((folder / TRUST).read_bytes()) != server.trust:
        raise ValueError(f"has another certificate in {TRUST}")
    return certificate


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _certificate(content: bytes) -> x509.Certificate:
    try:
        if b"-----BEGIN " in content:
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except ValueError:
        raise ValueError(f"has no certificate that can be read in {CERTIFICATE}") from None


def _der(content: bytes) -> bytes:
    if b"-----BEGIN " not in content:
        return content
    try:
        return x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
    except ValueError:
        return b""
