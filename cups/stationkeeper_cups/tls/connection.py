"""One TLS connection without input or output: client bytes in; plain bytes, bytes to send and a state out.

OpenSSL proves that the client has the key of its certificate. The judge decides once, by all presented certificates,
whether the client is accepted. If all of them are known in the handshake, it decides there, so that the client gets an
alert. Otherwise it decides right after the handshake; a refused connection is then closed without an alert.
"""

import time
from collections.abc import Callable
from enum import Enum

import msgspec
from OpenSSL import SSL, crypto

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_core.x509.purpose import may_be_client
from stationkeeper_cups.tls.client_flight import (
    HANDSHAKE,
    first_encrypted_end,
    is_one_record,
    last_record,
    leaves_no_room,
    presented_in_clear,
)

# A chain of ten certificates with RSA keys of 4096 bits has 20 KiB.
MAX_HANDSHAKE_BYTES = 64 * 1024

_READ_BYTES = 16 * 1024
_OUT_BYTES = 32 * 1024

# X509_V_ERR_* of OpenSSL's <openssl/x509_vfy.h>: at these, OpenSSL asks, and it sends the client the matching alert.
# An empty store has no issuer for any path: alert 48, unknown_ca. These errors come before those with their own alert,
# except for a key that is too weak by itself.
_WITHOUT_ISSUER = frozenset({2, 18, 19, 20, 21, 22})
# The errors with their own alert: 45 certificate_expired, 42 bad_certificate, 43 unsupported_certificate.
_OWN_ERRORS = {
    Reason.CERTIFICATE_EXPIRED: frozenset({10}),
    Reason.CERTIFICATE_NOT_YET_VALID: frozenset({9}),
    Reason.CERTIFICATE_WRONG_PURPOSE: frozenset({26}),
    Reason.CERTIFICATE_TOO_WEAK: frozenset({66, 67, 68}),
}
_OF_TIME = (Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_NOT_YET_VALID)
_NO_CERTIFICATE = "peer did not return a certificate"


class State(Enum):
    """The state of a connection.

    Attributes:
        HANDSHAKE: no plain bytes yet.
        OPEN: plain bytes in both directions.
        PEER_ENDED: the client has closed its side; the server may still send.
        ENDED: the server has closed its side; further bytes of the client are dropped.
        CLOSED: both sides are closed.
        FAILED: the handshake was refused or TLS failed; only the alert remains to be sent.
    """

    HANDSHAKE = "handshake"
    OPEN = "open"
    PEER_ENDED = "peer ended"
    ENDED = "ended"
    CLOSED = "closed"
    FAILED = "failed"


class Verdict(msgspec.Struct, frozen=True):
    """The verdict of a judge on presented certificates.

    Attributes:
        refusal: why the client is refused; None if it is accepted.
        judgement: the judgement, for decisions on requests.
    """

    refusal: StationkeeperError | None
    judgement: object = None


# The presented certificates, DER, the client's own first; and the client's own as OpenSSL's object.
Judge = Callable[[tuple[bytes, ...], crypto.X509], Verdict]


class TLSConnection:
    """The server's side of one connection.

    Args:
        context: a context of `gateway_context`.
        judge: decides on presented certificates (DER, the end-entity certificate first).

    Attributes:
        state: the state of the connection.
        failure: why it is `FAILED`.
        truncated: whether the client's TCP connection has ended. Basics Station ends it without a close_notify alert.
        presented: the presented certificates, when they are known; empty if there are none.
        verdict: the verdict on them, after the judgement.
    """

    __slots__ = (
        "_given",
        "_is_between_records",
        "_judge",
        "_received",
        "_ssl",
        "_was_checked",
        "failure",
        "presented",
        "state",
        "truncated",
        "verdict",
    )

    def __init__(self, context: SSL.Context, judge: Judge) -> None:
        self._ssl = SSL.Connection(context, None)
        self._ssl.set_accept_state()
        self._ssl.set_app_data(self)
        self._judge = judge
        self._received = bytearray()
        # The number of these bytes that OpenSSL has got.
        self._given = 0
        self._was_checked = False
        self._is_between_records = False
        self.state = State.HANDSHAKE
        self.failure: StationkeeperError | None = None
        self.truncated = False
        self.presented: tuple[bytes, ...] = ()
        self.verdict: Verdict | None = None

    def receive(self, data: bytes) -> bytes:
        """Take in bytes of the client and return the decrypted plain bytes.

        The bytes to send in response, if any, are in `data_to_send`. In a state without use for them, the received
        bytes are dropped.
        """
        if not data:
            return b""
        if self.state is State.HANDSHAKE:
            return self._shake_hands(data)
        if self.state not in (State.OPEN, State.ENDED):
            return b""
        # After a record that came in parts, this is no longer tracked.
        self._is_between_records = self._is_between_records and is_one_record(data)
        self._ssl.bio_write(data)
        return self._plain(is_one_record=self._is_between_records)

    def receive_end(self) -> None:
        """Record that the client's bytes have ended."""
        self.truncated = True
        if self.state is State.HANDSHAKE:
            self._fail(Reason.HANDSHAKE_FAILED, "the client ended the connection")
        elif self.state is State.OPEN:
            self.state = State.PEER_ENDED
        elif self.state is State.ENDED:
            self.state = State.CLOSED

    def write(self, plain: bytes) -> None:
        """Encrypt `plain`, into `data_to_send`.

        Raises:
            ConnectionError: the state does not allow writes.
        """
        if self.state not in (State.OPEN, State.PEER_ENDED):
            raise ConnectionError(f"the TLS connection is {self.state.value}")
        if not plain:
            return
        try:
            self._ssl.sendall(plain)
        except SSL.Error as error:
            self._fail(Reason.HANDSHAKE_FAILED, f"TLS: {explain(error)}")
            raise ConnectionError("the TLS connection has failed") from None

    def end(self) -> None:
        """Close the server's side; the close_notify alert is in `data_to_send`."""
        if self.state not in (State.OPEN, State.PEER_ENDED):
            return
        try:
            self._ssl.shutdown()
        except SSL.Error as error:
            self._fail(Reason.HANDSHAKE_FAILED, f"TLS: {explain(error)}")
            return
        self.state = State.ENDED if self.state is State.OPEN else State.CLOSED

    def data_to_send(self) -> bytes:
        """Return the next bytes for the client, each byte once."""
        to_send = b""
        while True:
            try:
                more = self._ssl.bio_read(_OUT_BYTES)
            except SSL.Error:
                return to_send
            to_send = to_send + more if to_send else more
            if len(more) < _OUT_BYTES:
                return to_send

    def release(self) -> None:
        """Drop the objects of the handshake; call it too if the connection is closed in its handshake."""
        self._ssl.set_app_data(None)
        self._judge = _no_judge
        self._received = bytearray()

    def _shake_hands(self, data: bytes) -> bytes:
        self._received += data
        if len(self._received) > MAX_HANDSHAKE_BYTES:
            self._fail(Reason.HANDSHAKE_FAILED, f"a handshake of more than {MAX_HANDSHAKE_BYTES} bytes")
            return b""
        first = self._first_encrypted_end()
        is_done = first is not None and self._give(bytes(self._received[self._given : first]))
        rest = bytes(self._received[self._given :])
        if is_done and rest:
            self._ssl.bio_write(rest)
        elif not is_done and (self.state is State.FAILED or not self._give(rest)):
            return b""
        if not self._is_accepted():
            return b""
        self.state = State.OPEN
        last = last_record(self._received)
        self._is_between_records = last is not None
        self.release()
        # In TLS 1.2 that was the client's Finished: no plain bytes came with it.
        return b"" if last == HANDSHAKE else self._plain()

    def _first_encrypted_end(self) -> int | None:
        """Return where the first encrypted record of TLS 1.3 ends, if OpenSSL gets it and more now.

        OpenSSL gets that record alone, because this shows whether the certificates end with it.
        """
        end = None if self._was_checked else first_encrypted_end(self._received)
        return end if end is not None and self._given < end < len(self._received) else None

    def _give(self, data: bytes) -> bool:
        """Give OpenSSL bytes of the client; return whether the handshake is done."""
        self._given += len(data)
        self._ssl.bio_write(data)
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            self._refuse(error)
            return False
        return True

    def _is_accepted(self) -> bool:
        """Judge certificates that were not judged in the handshake; return whether the client is accepted."""
        if self.verdict is None:
            leaf = self._ssl.get_peer_certificate()
            if leaf is None:
                return True
            try:
                self.presented = (_der(leaf), *map(_der, self._ssl.get_peer_cert_chain() or ()))
            except crypto.Error:
                self._fail(Reason.MALFORMED_CERTIFICATE, "OpenSSL cannot write the client's certificates")
                return False
            self.verdict = self._judge(self.presented, leaf)
        refusal = self.verdict.refusal if self.verdict else None
        if refusal is None:
            return True
        # TLS 1.2's Finished is not sent, so this client's handshake does not end either.
        self.data_to_send()
        self._fail(refusal.reason, refusal.detail)
        return False

    def _refuse(self, error: SSL.Error) -> None:
        refusal = self.verdict.refusal if self.verdict else None
        if refusal is not None:
            self._fail(refusal.reason, refusal.detail)
            return
        found = explain(error)
        if found == _NO_CERTIFICATE:
            self._fail(Reason.CLIENT_CERTIFICATE_MISSING, "the client sent no certificate")
        else:
            self._fail(Reason.HANDSHAKE_FAILED, found)

    def _fail(self, reason: Reason, detail: str) -> None:
        self.state = State.FAILED
        self.failure = StationkeeperError(reason, detail)
        self.release()

    def _plain(self, *, is_one_record: bool = False) -> bytes:
        """Read all plain bytes; if exactly one record came in, one read of OpenSSL is enough."""
        plain = b""
        while not (plain and is_one_record):
            try:
                more = self._ssl.recv(_READ_BYTES)
            except SSL.WantReadError:
                return plain if self.state is State.OPEN else b""
            except SSL.ZeroReturnError:
                answer = plain if self.state is State.OPEN else b""
                self.state = State.PEER_ENDED if self.state is State.OPEN else State.CLOSED
                return answer
            except SSL.Error as error:
                self._fail(Reason.HANDSHAKE_FAILED, f"TLS: {explain(error)}")
                return b""
            plain = plain + more if plain else more
        return plain if self.state is State.OPEN else b""

    def examine(self, certificate: crypto.X509, error: int, depth: int) -> bool:
        """Return whether OpenSSL continues the handshake at `error` on the certificate at `depth` of its path.

        Return False only for a client that the judge refuses, at the error with the best matching alert.
        """
        if not self._was_checked and depth == 0:
            self._was_checked = True
            self.presented = self._all_presented(_der(certificate))
            if self.presented:
                self.verdict = self._judge(self.presented, certificate)
        refusal = self.verdict.refusal if self.verdict else None
        return refusal is None or not _fits(error, refusal.reason, certificate)

    def _all_presented(self, leaf: bytes) -> tuple[bytes, ...]:
        """Return the presented certificates; empty if there may be more."""
        received = bytes(self._received[: self._given])
        if self._ssl.get_protocol_version() == SSL.TLS1_2_VERSION:
            found = presented_in_clear(received) or ()
            return found if found[:1] == (leaf,) else ()
        return (leaf,) if leaves_no_room(received, len(leaf)) else ()


def verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, _ok: int) -> bool:
    """Answer OpenSSL's callback for each error and each certificate of its path."""
    tls: TLSConnection | None = connection.get_app_data()
    if tls is None:
        return False
    # OpenSSL calls this several times in each handshake; after the client is accepted, the answer is known.
    if tls.verdict is not None and tls.verdict.refusal is None:
        return True
    try:
        return tls.examine(certificate, error, depth)
    except crypto.Error:
        return False


def explain(error: SSL.Error) -> str:
    """Return OpenSSL's texts for `error`."""
    found = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(each[-1]) for each in found) or "the connection was cut off"


def _no_judge(_presented: tuple[bytes, ...], _leaf: crypto.X509) -> Verdict:
    raise RuntimeError("a connection is judged in its handshake only")


def _fits(error: int, reason: Reason, leaf: crypto.X509) -> bool:
    """Return whether `error` has the alert that matches `reason` best."""
    if error in _OWN_ERRORS.get(reason, ()):
        return True
    return error in _WITHOUT_ISSUER and not _has_own_error(leaf, reason)


def _has_own_error(leaf: crypto.X509, reason: Reason) -> bool:
    """Return whether OpenSSL later finds `reason` in the end-entity certificate itself: it has no issuers here."""
    if reason in _OF_TIME:
        return _is_out_of_time(leaf)
    if reason is not Reason.CERTIFICATE_WRONG_PURPOSE:
        return False
    try:
        return not may_be_client(parse_certificate(_der(leaf)))
    except (StationkeeperError, crypto.Error):
        return False


def _is_out_of_time(certificate: crypto.X509) -> bool:
    now = time.strftime("%Y%m%d%H%M%SZ", time.gmtime()).encode()
    try:
        begin, end = certificate.get_notBefore(), certificate.get_notAfter()
    except crypto.Error:
        # An unreadable time has no own alert.
        return False
    return begin is not None and end is not None and not begin <= now <= end


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
