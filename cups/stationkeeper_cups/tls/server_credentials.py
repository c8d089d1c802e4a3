"""The server credentials, and TLS contexts that request no client certificate.

These contexts are for the internal port. The gateways' port has its own TLS, in `tls`.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stationkeeper_core.errors import Reason, StationkeeperError


@dataclass(frozen=True)
class ServerCredentials:
    """The certificates and the key of the server.

    Attributes:
        certificates: PEM: the end-entity certificate, its intermediates, and preferably the issuer too; without it,
                OpenSSL searches it at every handshake.
        key: the PEM of the private key, not encrypted.
    """

    certificates: bytes
    key: bytes

    def __repr__(self) -> str:
        return "ServerCredentials()"


def server_authentication(credentials: ServerCredentials) -> ssl.SSLContext:
    """Return a context that requests no client certificate.

    Raises:
        StationkeeperError: `ServerCertificateInvalid`.
    """
    context = _server_context()
    load_credentials(context, credentials)
    return context


def load_credentials(context: ssl.SSLContext, credentials: ServerCredentials) -> None:
    """Set `credentials` in `context` for its next handshakes.

    Raises:
        StationkeeperError: `ServerCertificateInvalid`.
    """
    try:
        with _as_file(credentials.key + b"\n" + credentials.certificates) as path:
            context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise StationkeeperError(
            Reason.SERVER_CERTIFICATE_INVALID, f"the server's certificate or key: {error}"
        ) from None


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    # OpenSSL's loader accepts only paths, and the key must not reach a disk.
    with open(os.memfd_create("server-credentials"), "wb", buffering=0) as memory:  # noqa: PTH123 - no path
        memory.write(content)
        yield f"/proc/self/fd/{memory.fileno()}"


def _no_password() -> str:
    raise ValueError("the key is encrypted")
