"""TLS byte by byte, without a socket."""

import ssl

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_cups.tls.client_flight import MAX_CERTIFICATES, leaves_no_room, presented_in_clear
from stationkeeper_cups.tls.connection import MAX_HANDSHAKE_BYTES, State
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.pki import Pki
from tests.cups.tls_peer import VERSIONS, Judge, Peer, pieces, server, shake_hands

SIZES = [1, 7, 500, 1 << 20]


def _der(pair: KeyPair) -> bytes:
    return parse_certificates(pair.certificate_pem.decode())[0].der


@pytest.mark.parametrize("tls", VERSIONS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chain", [(), ("a_intermediate",), ("b",), ("a_intermediate", "a", "b")])
def test_the_judge_is_asked_once_about_all_that_was_presented(
    pki: Pki, tls: ssl.TLSVersion, size: int, chain: tuple[str, ...]
) -> None:
    others = tuple(getattr(pki, each) for each in chain)
    judge = Judge()
    connection, peer = server(pki, judge), Peer(pki, pki.a_indirect_gateway, tls, others)
    shake_hands(connection, peer, size)

    assert connection.state is State.OPEN
    assert judge.asked == [(_der(pki.a_indirect_gateway), *map(_der, others))]
    assert connection.presented == judge.asked[0]


@pytest.mark.parametrize("tls", VERSIONS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("certificate", "reason", "alert"),
    [
        ("a_gateway", Reason.UNKNOWN_CA, "TLSV1_ALERT_UNKNOWN_CA"),
        ("a_expired_gateway", Reason.CERTIFICATE_EXPIRED, "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        ("a_future_gateway", Reason.CERTIFICATE_NOT_YET_VALID, "SSLV3_ALERT_BAD_CERTIFICATE"),
        # The certificate itself has no fault, so that OpenSSL finds no better alert.
        ("a_gateway", Reason.CERTIFICATE_EXPIRED, "TLSV1_ALERT_UNKNOWN_CA"),
        ("a_gateway", Reason.CERTIFICATE_WRONG_PURPOSE, "TLSV1_ALERT_UNKNOWN_CA"),
        ("a_gateway", Reason.CERTIFICATE_TOO_WEAK, "TLSV1_ALERT_UNKNOWN_CA"),
        ("a_gateway", Reason.TRUST_BUDGET_SPENT, "TLSV1_ALERT_UNKNOWN_CA"),
    ],
)
def test_a_refused_client_reads_why(
    pki: Pki, tls: ssl.TLSVersion, size: int, certificate: str, reason: Reason, alert: str
) -> None:
    connection, peer = server(pki, Judge(reason)), Peer(pki, getattr(pki, certificate), tls)
    plain = shake_hands(connection, peer, size)

    assert (connection.state, plain) == (State.FAILED, b"")
    assert connection.failure is not None
    assert connection.failure.reason is reason
    assert peer.alert == alert


@pytest.mark.parametrize("size", SIZES)
def test_tls_1_2_sends_an_alert_to_a_refused_client_with_a_chain_too(pki: Pki, size: int) -> None:
    connection = server(pki, Judge(Reason.UNKNOWN_CA))
    peer = Peer(pki, pki.a_indirect_gateway, ssl.TLSVersion.TLSv1_2, (pki.a_intermediate, pki.b))
    shake_hands(connection, peer, size)

    assert peer.alert == "TLSV1_ALERT_UNKNOWN_CA"


@pytest.mark.parametrize("size", SIZES)
def test_tls_1_3_ends_a_refused_client_with_a_chain_after_the_handshake_and_reads_nothing_of_it(
    pki: Pki, size: int
) -> None:
    connection = server(pki, Judge(Reason.UNKNOWN_CA))
    peer = Peer(pki, pki.a_indirect_gateway, ssl.TLSVersion.TLSv1_3, (pki.a_intermediate,))
    shake_hands(connection, peer, size)

    assert connection.state is State.FAILED
    assert connection.receive(peer.write(b"POST /update-info HTTP/1.1\r\n")) == b""
    assert connection.data_to_send() == b""


@pytest.mark.parametrize(
    ("tls", "alert"),
    [
        (ssl.TLSVersion.TLSv1_2, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_3, "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
    ],
)
def test_a_client_without_a_certificate_is_refused_unless_that_is_allowed(
    pki: Pki, tls: ssl.TLSVersion, alert: str
) -> None:
    judge = Judge(Reason.UNKNOWN_CA)
    refused, refused_peer = server(pki, judge), Peer(pki, None, tls)
    shake_hands(refused, refused_peer)
    let_in, peer = server(pki, judge, optional=True), Peer(pki, None, tls)
    shake_hands(let_in, peer)

    assert refused.failure is not None
    assert (refused.failure.reason, refused_peer.alert) == (Reason.CLIENT_CERTIFICATE_MISSING, alert)
    assert (let_in.state, let_in.presented, let_in.verdict) == (State.OPEN, (), None)
    assert judge.asked == []


@pytest.mark.parametrize("tls", VERSIONS)
def test_where_a_certificate_is_optional_one_that_is_presented_is_judged(pki: Pki, tls: ssl.TLSVersion) -> None:
    connection, peer = server(pki, Judge(Reason.UNKNOWN_CA), optional=True), Peer(pki, pki.b_gateway, tls)
    shake_hands(connection, peer)
    assert connection.state is State.FAILED


@pytest.mark.parametrize("tls", VERSIONS)
@pytest.mark.parametrize("size", SIZES)
def test_plain_bytes_pass_both_ways_whatever_the_pieces(pki: Pki, tls: ssl.TLSVersion, size: int) -> None:
    connection, peer = server(pki, Judge()), Peer(pki, pki.a_gateway, tls)
    shake_hands(connection, peer)
    sent = bytes(range(256)) * 200
    found = b"".join(connection.receive(piece) for piece in pieces(peer.write(sent), size))
    connection.write(sent)
    peer.step(connection.data_to_send())

    assert (found, peer.plain) == (sent, sent)


@pytest.mark.parametrize("tls", VERSIONS)
def test_a_client_that_sent_close_notify_is_still_answered(pki: Pki, tls: ssl.TLSVersion) -> None:
    connection, peer = server(pki, Judge()), Peer(pki, pki.a_gateway, tls)
    shake_hands(connection, peer)
    assert connection.receive(peer.write(b"asked") + peer.goodbye()) == b"asked"

    states = [connection.state]
    connection.write(b"answered")
    connection.end()
    assert [*states, connection.state] == [State.PEER_ENDED, State.CLOSED]
    assert connection.data_to_send()
    with pytest.raises(ConnectionError):
        connection.write(b"more")


@pytest.mark.parametrize("tls", VERSIONS)
def test_after_the_servers_close_notify_further_client_bytes_are_dropped(pki: Pki, tls: ssl.TLSVersion) -> None:
    connection, peer = server(pki, Judge()), Peer(pki, pki.a_gateway, tls)
    shake_hands(connection, peer)
    late = peer.write(b"late")
    connection.end()
    assert connection.state is State.ENDED
    assert connection.receive(late) == b""
    peer.step(connection.data_to_send())
    assert peer.alert == "close_notify"


@pytest.mark.parametrize("tls", VERSIONS)
def test_an_end_without_close_notify_is_distinguished(pki: Pki, tls: ssl.TLSVersion) -> None:
    connection, peer = server(pki, Judge()), Peer(pki, pki.a_gateway, tls)
    shake_hands(connection, peer)
    connection.receive_end()
    assert (connection.state, connection.truncated) == (State.PEER_ENDED, True)

    begun = server(pki, Judge())
    begun.receive(Peer(pki, pki.a_gateway, tls).step())
    begun.receive_end()
    assert begun.failure is not None
    assert (begun.state, begun.failure.reason) == (State.FAILED, Reason.HANDSHAKE_FAILED)


@pytest.mark.parametrize("tls", VERSIONS)
def test_plain_bytes_come_at_once_however_their_records_come(pki: Pki, tls: ssl.TLSVersion) -> None:
    connection, peer = server(pki, Judge()), Peer(pki, pki.a_gateway, tls)
    shake_hands(connection, peer)
    first, second, third, fourth, last = (peer.write(each) for each in (b"1" * 100, b"2", b"3" * 16384, b"4", b"5"))

    assert connection.receive(first) == b"1" * 100
    assert connection.receive(second + third) == b"2" + b"3" * 16384
    assert connection.receive(fourth[:-1]) == b""
    assert connection.receive(fourth[-1:] + last) == b"45"
    assert connection.receive(peer.write(b"6")) == b"6"


@pytest.mark.parametrize("tls", VERSIONS)
def test_a_broken_record_ends_the_connection(pki: Pki, tls: ssl.TLSVersion) -> None:
    connection, peer = server(pki, Judge()), Peer(pki, pki.a_gateway, tls)
    shake_hands(connection, peer)
    record = bytearray(peer.write(b"x" * 100))
    record[-1] ^= 1
    assert connection.receive(bytes(record)) == b""
    assert connection.state is State.FAILED


def test_a_handshake_has_a_bound(pki: Pki) -> None:
    connection = server(pki, Judge())
    # Handshake records without end, each the part of one message of 16 MiB.
    record = b"\x16\x03\x01\x40\x00"
    connection.receive(record + b"\x01\xff\xff\xff" + bytes(0x4000 - 4))
    sent = 0
    while connection.state is State.HANDSHAKE:
        connection.receive(record + bytes(0x4000))
        sent += 0x4000
        assert sent <= 2 * MAX_HANDSHAKE_BYTES


def _certificate_message(*certificates: bytes) -> bytes:
    listed = b"".join(len(each).to_bytes(3, "big") + each for each in certificates)
    body = len(listed).to_bytes(3, "big") + listed
    return b"\x0b" + len(body).to_bytes(3, "big") + body


def _records(kind: int, content: bytes, size: int = 0x4000) -> bytes:
    return b"".join(bytes((kind, 3, 3)) + len(piece).to_bytes(2, "big") + piece for piece in pieces(content, size))


@pytest.mark.parametrize("size", [1, 10, 0x4000])
def test_certificates_in_clear_are_found_in_whatever_records(size: int) -> None:
    hello = b"\x01" + (100).to_bytes(3, "big") + bytes(100)
    message = _certificate_message(b"one", b"two" * 100)
    found = _records(22, hello, size) + _records(22, message + b"\x10\x00\x00\x02ab", size)
    assert presented_in_clear(found) == (b"one", b"two" * 100)


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"\x16",
        _records(22, _certificate_message(b"one")[:-1]),
        _records(22, b"\x0b\x00\x00\x01a"),
        _records(22, b"\x0b\x00\x00\x04\x00\x00\x02ab"),
        _records(22, b"\x0b\x00\x00\x06\x00\x00\x03\x00\x00\x09"),
        _records(20, b"\x01") + _records(22, _certificate_message(b"one")),
        _records(22, _certificate_message(*[b"x"] * (MAX_CERTIFICATES + 1))),
    ],
)
def test_an_incomplete_message_shows_no_certificates(received: bytes) -> None:
    assert presented_in_clear(received) is None


def test_a_record_leaves_room_for_another_certificate_or_not() -> None:
    def flight(certificates: int) -> bytes:
        return _records(22, bytes(50)) + _records(20, b"\x01") + _records(23, bytes(8 + 5 + certificates + 17))

    assert leaves_no_room(flight(500), 500)
    assert not leaves_no_room(flight(500 + 300), 500)
    assert not leaves_no_room(flight(400), 500), "compressed, or not what it seems"
    assert not leaves_no_room(b"", 500)
    assert not leaves_no_room(flight(500) + _records(23, bytes(300)), 500), "more of it may follow in the next record"
    assert not leaves_no_room(flight(500)[:-1], 500)
