"""Fetch the certificate chain that a server presents, without verifying it. Bounded in time and size."""

import socket
import time
from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL

from stationkeeper_tools.station.tls_client import error_text

MAX_BYTES = 256 * 1024

_READ_BYTES = 16 * 1024


class UnreachableError(Exception):
    """The server does not answer, or does not speak TLS; the message says why."""


@dataclass(frozen=True)
class PresentedChain:
    """The chain that a server presents.

    Attributes:
        certificates: in the server's order, its own first.
        only_tls_1_3: whether it refuses TLS 1.2.
        ended: why the server ended the handshake after it had presented the chain; empty if it did not.
    """

    certificates: tuple[x509.Certificate, ...]
    only_tls_1_3: bool = False
    ended: str = ""


def presented_chain(host: str, port: str, seconds: float) -> PresentedChain:
    """Return the chain that a server presents to a client that verifies nothing and has no certificate.

    Args:
        host: a name or an address; sent as SNI, as a Station does.
        port: a number or the name of a service.
        seconds: for each of at most two connections.

    Raises:
        UnreachableError: it presents no chain in that time.
    """
    try:
        return _connect(host, port, seconds, SSL.TLS1_2_VERSION)
    except _HandshakeError as error:
        first = error
    try:
        found = _connect(host, port, seconds, SSL.TLS1_3_VERSION)
    except _HandshakeError:
        raise UnreachableError(f"{host}:{port} does not speak TLS: {first}") from None
    return PresentedChain(found.certificates, only_tls_1_3=True, ended=found.ended)


class _HandshakeError(Exception):
    """The handshake ended before the server presented anything."""


def _connect(host: str, port: str, seconds: float, version: int) -> PresentedChain:
    end = time.monotonic() + seconds
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")  # so that weak certificates can be shown too
    context.set_verify(SSL.VERIFY_NONE)
    tls = SSL.Connection(context, None)
    try:
        tls.set_tlsext_host_name(host.encode("idna"))
    except UnicodeError:
        raise UnreachableError(f"{host[:64]!a} is not a host name") from None
    tls.set_connect_state()
    try:
        with socket.create_connection((host, _port(port)), timeout=seconds) as connection:
            ended = _shake_hands(tls, connection, end)
    except TimeoutError:
        raise UnreachableError(f"{host}:{port} does not answer within {seconds:g} s") from None
    except OSError as error:
        raise UnreachableError(f"{host}:{port} cannot be reached: {error.strerror or error}") from None
    chain = tls.get_peer_cert_chain(as_cryptography=True) or []
    if not chain:
        raise _HandshakeError(ended or "no certificate was presented")
    return PresentedChain(tuple(chain), ended=ended)


def _shake_hands(tls: SSL.Connection, connection: socket.socket, end: float) -> str:
    """Do the TLS handshake; return why it ended too early, or an empty text."""
    received = 0
    while True:
        try:
            tls.do_handshake()
        except SSL.WantReadError:
            _send(tls, connection)
        except SSL.Error as error:
            return error_text(error)
        else:
            _send(tls, connection)
            return ""
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        connection.settimeout(remaining)
        data = connection.recv(_READ_BYTES)
        received += len(data)
        if not data or received > MAX_BYTES:
            return "the server closed the connection" if not data else f"the server sent more than {MAX_BYTES} bytes"
        tls.bio_write(data)


def _send(tls: SSL.Connection, connection: socket.socket) -> None:
    while True:
        try:
            connection.sendall(tls.bio_read(_READ_BYTES))
        except SSL.WantReadError:
            return


def _port(port: str) -> int:
    if port.isdecimal() and len(port) <= len("65535"):
        return int(port)
    try:
        return socket.getservbyname(port, "tcp")
    except OSError:
        raise UnreachableError(f"{port[:16]!a} is not a port") from None
