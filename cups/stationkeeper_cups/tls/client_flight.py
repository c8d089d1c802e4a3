"""Read the presented certificates from the client's bytes, because OpenSSL shows only one path of them.

In TLS 1.2 the client's Certificate message is in clear text (RFC 5246, 7.4.2): all certificates are known. In TLS 1.3
it is encrypted, but the lengths of its records are not (RFC 8446, 5.2): if the message ends with its first record, and
that has no space for one more certificate, OpenSSL shows all certificates.

This proves nothing about the client. It only shows whether a judgement can be final.
"""

from collections.abc import Iterator

MAX_CERTIFICATES = 32
# Less than the shortest certificate with a name, a key of 32 bytes and a signature of 64 bytes.
SMALLEST_CERTIFICATE = 180

# The first bytes of each encrypted record of TLS 1.3 (RFC 8446, 5.2).
_ENCRYPTED = b"\x17\x03\x03"
# Content types of records (RFC 5246, 6.2.1).
HANDSHAKE = 22
_CHANGE_CIPHER_SPEC, _APPLICATION_DATA = 20, 23
_CERTIFICATE = 11
_RECORD_HEADER = 5
_MESSAGE_HEADER = 4
_LENGTH_BYTES = 3
# The tag of the AEAD and the inner content type.
_ENCRYPTION_BYTES = 17
# A handshake header, an empty request context and the length of the list.
_LIST_HEADER = _MESSAGE_HEADER + 4
# The length of a certificate and the length of its extensions.
_ENTRY_HEADER = 5


def presented_in_clear(received: bytes) -> tuple[bytes, ...] | None:
    """Return the certificates of the TLS 1.2 handshake at the beginning of `received`.

    Args:
        received: all bytes of the client since the connection began.

    Returns:
        DER, the end-entity certificate first; None without a complete, well-formed Certificate message.
    """
    # This runs in each handshake, so the 24-bit numbers are computed without a call.
    body = _message(_handshake(received), _CERTIFICATE)
    if body is None or len(body) < _LENGTH_BYTES:
        return None
    place, size = _LENGTH_BYTES, len(body)
    if (body[0] << 16 | body[1] << 8 | body[2]) != size - _LENGTH_BYTES:
        return None
    certificates: list[bytes] = []
    while place < size:
        begin = place + _LENGTH_BYTES
        if begin > size or len(certificates) == MAX_CERTIFICATES:
            return None
        place = begin + (body[place] << 16 | body[place + 1] << 8 | body[place + 2])
        if place > size:
            return None
        certificates.append(body[begin:place])
    return tuple(certificates)


def leaves_no_room(received: bytes, path_bytes: int) -> bool:
    """Return whether the client of a TLS 1.3 handshake can have presented only one certificate.

    Args:
        received: all bytes that OpenSSL had got when it knew the certificates. A message that did not end with its
            first record may have more certificates in the next one: a client may send small records (RFC 8446, 5.1).
        path_bytes: the length of the one certificate that is known.
    """
    begin, end = next(((begin, end) for begin, kind, end in _places(received) if kind == _APPLICATION_DATA), (0, 0))
    if not begin or end != len(received):
        return False
    left = end - begin - _ENCRYPTION_BYTES - _LIST_HEADER - _ENTRY_HEADER - path_bytes
    return 0 <= left < SMALLEST_CERTIFICATE


def first_encrypted_end(received: bytes | bytearray) -> int | None:
    """Return the place after the first bytes that look like an encrypted record of TLS 1.3; None if there are none.

    It does not walk through the records, since a client may send very many, and a byte at a time. So the place is wrong
    for a client whose random bytes look like such a record.
    """
    begin = received.find(_ENCRYPTED)
    if begin < 0 or begin + _RECORD_HEADER > len(received):
        return None
    return begin + _RECORD_HEADER + (received[begin + 3] << 8 | received[begin + 4])


def last_record(received: bytes | bytearray) -> int | None:
    """Return the content type of the last record of `received`; None if that record is incomplete."""
    place, size, kind = 0, len(received), None
    while place + _RECORD_HEADER <= size:
        kind = received[place]
        place += _RECORD_HEADER + (received[place + 3] << 8 | received[place + 4])
    return kind if place == size else None


def is_one_record(received: bytes) -> bool:
    """Return whether `received` is exactly one record of application data."""
    size = len(received)
    return (
        size > _RECORD_HEADER
        and received[0] == _APPLICATION_DATA
        and _RECORD_HEADER + (received[3] << 8 | received[4]) == size
    )


def _places(received: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Yield where the content of each complete record begins, its content type, and where it ends."""
    place, size = 0, len(received)
    while place + _RECORD_HEADER <= size:
        begin = place + _RECORD_HEADER
        place = begin + (received[place + 3] << 8 | received[place + 4])
        if place > size:
            return
        yield begin, received[begin - _RECORD_HEADER], place


def _handshake(received: bytes) -> bytes:
    """Return the handshake messages of all complete records before the client's encryption."""
    messages = bytearray()
    place, size = 0, len(received)
    while place + _RECORD_HEADER <= size:
        kind, begin = received[place], place + _RECORD_HEADER
        place = begin + (received[place + 3] << 8 | received[place + 4])
        if place > size or kind == _CHANGE_CIPHER_SPEC:
            break
        if kind == HANDSHAKE:
            messages += received[begin:place]
    return bytes(messages)


def _message(stream: bytes, wanted: int) -> bytes | None:
    place, size = 0, len(stream)
    while place + _MESSAGE_HEADER <= size:
        end = place + _MESSAGE_HEADER + (stream[place + 1] << 16 | stream[place + 2] << 8 | stream[place + 3])
        if stream[place] == wanted:
            return stream[place + _MESSAGE_HEADER : end] if end <= size else None
        place = end
    return None
