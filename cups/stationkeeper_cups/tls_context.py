"""The TLS context of one trust generation, and the reason for which a handshake under it was refused.

A context is made once and never changed, and it issues no tickets: a session from before a change of trust cannot be
resumed after it. A refusal tells the client why by a TLS alert, which asyncio alone would drop with the connection.
"""

import hashlib
import logging
import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stationkeeper_core.errors import Reason, StationkeeperError

_log = logging.getLogger("stationkeeper.cups.tls_context")

# X509_V_ERR_* of OpenSSL's <openssl/x509_vfy.h>.
_VERIFY_REASONS = {
    2: Reason.UNKNOWN_CA,
    7: Reason.UNKNOWN_CA,
    18: Reason.UNKNOWN_CA,
    19: Reason.UNKNOWN_CA,
    20: Reason.UNKNOWN_CA,
    21: Reason.UNKNOWN_CA,
    27: Reason.UNKNOWN_CA,
    9: Reason.CERTIFICATE_NOT_YET_VALID,
    10: Reason.CERTIFICATE_EXPIRED,
    26: Reason.CERTIFICATE_WRONG_PURPOSE,
    66: Reason.CERTIFICATE_TOO_WEAK,
    67: Reason.CERTIFICATE_TOO_WEAK,
    68: Reason.CERTIFICATE_TOO_WEAK,
}


@dataclass(frozen=True)
class ServerCredentials:
    """What the server proves itself with.

    Attributes:
        certificates: PEM, the end-entity certificate, its intermediates and best its issuer too, without which OpenSSL
            looks for it at every handshake.
        key: PEM of the private key, not encrypted.
    """

    certificates: bytes
    key: bytes

    def __repr__(self) -> str:
        return "ServerCredentials()"


class RefusedHandshakeError(ssl.SSLError):
    """A handshake that failed, with the alert that is still to be sent.

    Attributes:
        alert: the bytes for the client; empty where TLS has none to say.
        stable_reason: the reason's word.
        detail: what OpenSSL found.
    """

    def __init__(self, cause: ssl.SSLError, alert: bytes) -> None:
        super().__init__(*cause.args)
        self.alert = alert
        self.stable_reason, self.detail = _explain(cause)


def client_authentication(
    trusted: Sequence[bytes],
    credentials: ServerCredentials,
    *,
    certificate_optional: bool = False,
    weak: bool = False,
) -> ssl.SSLContext:
    """The context that lets in clients whose chain ends in one of `trusted`; with none of these, nobody.

    Args:
        trusted: DER.
        credentials: of the server.
        certificate_optional: whether those are let in as well who present no certificate at all; one that is presented
            has to verify all the same.
        weak: whether chains with SHA-1 signatures and RSA keys below 2048 bits pass, for a request to be decided on.
            Protocol versions and cipher suites stay as they are.

    A certificate that this TLS library cannot read is left out and logged: one must not shut the door for all others.

    Raises:
        StationkeeperError: `ServerCertificateInvalid`.
    """
    context = _server_context()
    context.verify_mode = ssl.CERT_OPTIONAL if certificate_optional else ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    load_credentials(context, credentials)
    if weak:
        _lower_security_level(context)
    for certificate in trusted:
        try:
            context.load_verify_locations(cadata=certificate)
        except (ssl.SSLError, ValueError) as error:
            fields = {"sha256": hashlib.sha256(certificate).hexdigest(), "detail": str(error)}
            _log.error("a trusted certificate is left out of handshakes", extra={"fields": fields})
    return context


def server_authentication(credentials: ServerCredentials) -> ssl.SSLContext:
    """A context that asks its clients for no certificate.

    Raises:
        StationkeeperError: `ServerCertificateInvalid`.
    """
    context = _server_context()
    load_credentials(context, credentials)
    return context


def load_credentials(context: ssl.SSLContext, credentials: ServerCredentials) -> None:
    """Has `context` prove itself with `credentials` from its next handshake on.

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
    context = _AlertingContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _AlertingObject
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    return context


def _lower_security_level(context: ssl.SSLContext) -> None:
    # SHA-1 counts as 63 bits, which only level 0 takes; that level also governs ciphers, which are therefore named.
    names = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    context.set_ciphers(":".join([*names, "@SECLEVEL=0"]))


class _AlertingObject(ssl.SSLObject):
    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            raise
        except ssl.SSLError as error:
            raise RefusedHandshakeError(error, self.outgoing.read()) from error


class _AlertingContext(ssl.SSLContext):
    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        connection = super().wrap_bio(incoming, outgoing, *args, **kwargs)
        if isinstance(connection, _AlertingObject):
            connection.outgoing = outgoing
        return connection


def _explain(error: ssl.SSLError) -> tuple[Reason, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _VERIFY_REASONS.get(error.verify_code, Reason.CERTIFICATE_INVALID)
        return reason, f"{error.verify_message} (X.509 error {error.verify_code})"
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return Reason.CLIENT_CERTIFICATE_MISSING, "the client sent no certificate"
    return Reason.HANDSHAKE_FAILED, str(error.reason or error)


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    # OpenSSL's loader takes only paths; the key must not reach a disk where that can be helped.
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("server-credentials"), "wb", buffering=0) as memory:  # noqa: PTH123 - no path
            memory.write(content)
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name


def _no_password() -> str:
    raise ValueError("the key is encrypted")
