"""Read an answer of a CUPS server by the table of the protocol page, without any code of the tested encoder.

Fields in their order, all integers little endian: the length of the CUPS URI (1 byte) and the URI, the same for the LNS
URI, the length of the CUPS credentials (2 bytes) and the credentials, the same for the LNS credentials, the length of
the signature (4 bytes, which counts the 4 bytes of the key CRC), key CRC and signature, the length of the update (4
bytes) and the update. A signature of length 0 has no key CRC.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class StationAnswer:
    cups_uri: str
    tc_uri: str
    cups_credentials: bytes
    tc_credentials: bytes
    signature: bytes
    update: bytes


@dataclass(frozen=True)
class CredentialSet:
    """The three parts of a blob, empty if absent."""

    trust: bytes
    certificate: bytes
    key: bytes


def read_answer(body: bytes) -> StationAnswer:
    position = 0

    def segment(width: int) -> bytes:
        nonlocal position
        length = sum(byte << (8 * place) for place, byte in enumerate(body[position : position + width]))
        begin, position = position + width, position + width + length
        assert position <= len(body), "the answer ends within a segment"
        return body[begin:position]

    assert len(body) >= 14, "an answer has 14 bytes at least"
    cups_uri, tc_uri = segment(1), segment(1)
    assert position <= 8192, "both URIs have to be in the first chunk"
    cups_credentials, tc_credentials = segment(2), segment(2)
    key_crc_and_signature, update = segment(4), segment(4)
    assert position == len(body), "something follows the answer"
    assert len(key_crc_and_signature) in {0, *range(8, 133)}
    return StationAnswer(
        cups_uri.decode("ascii"),
        tc_uri.decode("ascii"),
        cups_credentials,
        tc_credentials,
        key_crc_and_signature[4:],
        update,
    )


def split_credentials(blob: bytes) -> CredentialSet:
    """Return the parts of a blob as the client splits it: DER elements by length, absent ones as four zero bytes."""
    trust, rest = _element(blob)
    certificate, key = _element(rest)
    return CredentialSet(trust, certificate, b"" if key == bytes(4) else key)


def _element(blob: bytes) -> tuple[bytes, bytes]:
    if blob[:4] == bytes(4):
        return b"", blob[4:]
    assert blob[0] == 0x30, "neither a DER sequence nor absent"
    assert blob[1] == 0x82, "a certificate has a length of two bytes"
    end = 4 + (blob[2] << 8 | blob[3])
    return blob[:end], blob[end:]
