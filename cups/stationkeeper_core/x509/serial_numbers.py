"""Serial numbers of certificates in few bytes, for lists of many thousands.

Each is its length in one byte, then its big-endian two's complement, as short as that can be; they follow one another
in ascending order. Unpacking is total: any bytes give serial numbers or a `ValueError`.
"""

from collections.abc import Iterable

MAX_SERIAL_BYTES = 64


def pack_serials(serials: Iterable[int]) -> bytes:
    """`serials`, each once and in ascending order.

    Raises:
        ValueError: one has more than `MAX_SERIAL_BYTES`.
    """
    return b"".join(_packed(serial) for serial in sorted(set(serials)))


def unpack_serials(packed: bytes) -> frozenset[int]:
    """The serial numbers that `packed` holds.

    Raises:
        ValueError: it is cut short.
    """
    found: set[int] = set()
    start = 0
    while start < len(packed):
        begin = start + 1
        start = begin + packed[start]
        if start > len(packed):
            raise ValueError("the serial numbers are cut short")
        found.add(int.from_bytes(packed[begin:start], "big", signed=True))
    return frozenset(found)


def count_serials(packed: bytes) -> int:
    """How many serial numbers `packed` holds.

    Raises:
        ValueError: it is cut short.
    """
    return len(unpack_serials(packed))


def _packed(serial: int) -> bytes:
    # One bit more than the value has, for the sign.
    size = (serial if serial >= 0 else ~serial).bit_length() // 8 + 1
    if size > MAX_SERIAL_BYTES:
        raise ValueError(f"a serial number has {size} bytes, at most {MAX_SERIAL_BYTES} are allowed")
    return bytes([size]) + serial.to_bytes(size, "big", signed=True)
