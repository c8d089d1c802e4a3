"""Pack serial numbers of certificates into few bytes, for lists of many thousands.

Each has its length in one byte, then its shortest big-endian two's complement; they are in ascending order. Any bytes
unpack into serial numbers or a `ValueError`.
"""

from collections.abc import Iterable

MAX_SERIAL_BYTES = 64


def pack_serials(serials: Iterable[int]) -> bytes:
    """Pack `serials`, each once and in ascending order.

    Raises:
        ValueError: one has more than `MAX_SERIAL_BYTES`.
    """
    return b"".join(_packed(serial) for serial in sorted(set(serials)))


def unpack_serials(packed: bytes) -> frozenset[int]:
    """Return the serial numbers in `packed`.

    Raises:
        ValueError: it is cut short.
    """
    serials: set[int] = set()
    start = 0
    while start < len(packed):
        begin = start + 1
        start = begin + packed[start]
        if start > len(packed):
            raise ValueError("the serial numbers are cut short")
        serials.add(int.from_bytes(packed[begin:start], "big", signed=True))
    return frozenset(serials)


def count_serials(packed: bytes) -> int:
    """Return the number of serial numbers in `packed`.

    Raises:
        ValueError: it is cut short.
    """
    return len(unpack_serials(packed))


def _packed(serial: int) -> bytes:
    # One more bit than the value, for the sign.
    size = (serial if serial >= 0 else ~serial).bit_length() // 8 + 1
    if size > MAX_SERIAL_BYTES:
        raise ValueError(f"a serial number has {size} bytes, at most {MAX_SERIAL_BYTES} are allowed")
    return bytes([size]) + serial.to_bytes(size, "big", signed=True)
