"""A client's side of TLS without a socket, so that a test controls every byte."""

import ssl
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from OpenSSL import crypto

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.tls.connection import State, TLSConnection, Verdict
from stationkeeper_cups.tls.context import gateway_context
from stationkeeper_cups.tls.server_credentials import ServerCredentials
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.pki import Pki

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Judge:
    """Gives the same verdict on every chain, and records the chains."""

    def __init__(self, refusal: Reason | None = None) -> None:
        self.refusal = refusal
        self.asked: list[tuple[bytes, ...]] = []

    def __call__(self, presented: tuple[bytes, ...], leaf: crypto.X509) -> Verdict:
        assert crypto.dump_certificate(crypto.FILETYPE_ASN1, leaf) == presented[0]
        self.asked.append(presented)
        return Verdict(StationkeeperError(self.refusal, "-") if self.refusal else None)


class Peer:
    """A TLS client over memory."""

    def __init__(
        self, pki: Pki, pair: KeyPair | None, version: ssl.TLSVersion, chain: tuple[KeyPair, ...] = ()
    ) -> None:
        context = ssl.create_default_context(cadata=pki.server_ca.certificate_pem.decode())
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if pair:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "pair.pem"
                parts = [pair.key_pem, pair.certificate_pem, *(each.certificate_pem for each in chain)]
                path.write_bytes(b"\n".join(parts))
                context.load_cert_chain(path)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self.alert = ""
        self.plain = b""

    def step(self, data: bytes = b"") -> bytes:
        """Take the server's bytes and return the client's."""
        self._in.write(data)
        try:
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                while more := self.tls.read(65536):
                    self.plain += more
                self.alert = self.alert or "close_notify"
        except ssl.SSLZeroReturnError:
            self.alert = self.alert or "close_notify"
        except ssl.SSLError as error:
            self.alert = self.alert or str(error.reason)
        return self._out.read()

    def write(self, plain: bytes) -> bytes:
        self.tls.write(plain)
        return self._out.read()

    def goodbye(self) -> bytes:
        with suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            self.tls.unwrap()
        return self._out.read()


def server(pki: Pki, judge: Judge, *, optional: bool = False) -> TLSConnection:
    credentials = ServerCredentials(pki.server.certificate_pem + pki.server_ca.certificate_pem, pki.server.key_pem)
    return TLSConnection(gateway_context(credentials, certificate_optional=optional), judge)


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    return (data[place : place + size] for place in range(0, len(data), size))


def shake_hands(connection: TLSConnection, peer: Peer, size: int = 1 << 20) -> bytes:
    """Exchange bytes until both are silent, the client's in pieces; return the received plain bytes."""
    plain, to_client = b"", b""
    for _ in range(8):
        to_server = peer.step(to_client)
        to_client = b""
        for piece in pieces(to_server, size):
            plain += connection.receive(piece)
            to_client += connection.data_to_send()
    peer.step(to_client)
    return plain


__all__ = ["VERSIONS", "Judge", "Peer", "State", "pieces", "server", "shake_hands"]
