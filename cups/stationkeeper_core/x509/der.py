"""Encode one element of DER.

Source: X.690, sections 8.1 and 10.1.
"""

LONGEST_SHORT_LENGTH = 0x7F


def element(tag: int, content: bytes) -> bytes:
    """Return an element: tag, definite length in its shortest form, content."""
    length = len(content)
    if length <= LONGEST_SHORT_LENGTH:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def element_length(encoded: bytes) -> int:
    """Return the length in bytes of the element at the start of `encoded`; 0 if it is not complete."""
    if len(encoded) < 2:  # noqa: PLR2004 - tag and length
        return 0
    length, begin = encoded[1], 2
    if length > LONGEST_SHORT_LENGTH:
        begin += length & LONGEST_SHORT_LENGTH
        length = int.from_bytes(encoded[2:begin], "big")
    return begin + length if begin + length <= len(encoded) else 0
