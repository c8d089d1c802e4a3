"""Compress the JSON texts of statuses, with a text that resembles most of them as the dictionary.

A Gateway's status has about 1,300 bytes; it differs from the next one by a name, some times and numbers. Packed it has
about 60 to 200 bytes. Equal texts give equal bytes, so that packed texts can be compared.
"""

import zlib

_CONDITION = (
    '{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"%s","observedGeneration":1,"reason":"%s","status":"True",'
    '"type":"%s"}'
)
_FACTS = (
    ("the spec is in force", "Accepted", "Accepted"),
    ("Secret stationkeeper-registry-00 is written", "Published", "Published"),
    ("loaded by every ready CUPS pod 0.25 s after it was published", "Enforced", "Enforced"),
    ("TrustedCA /, TrustedCA / could let it in", "Vouched", "Vouched"),
    ("accepted, published and enforced", "Ready", "Ready"),
)
_MODEL = (
    '{"certificate":{"issuer":"CN=","notAfter":"2027-01-01T00:00:00Z","notBefore":"2026-01-01T00:00:00Z","serial":"",'
    '"sha256":"","subject":"CN=","trustedCA":""},"conditions":['
    + ",".join(_CONDITION % each for each in _FACTS)
    + '],"delivery":{"outstanding":[],"state":"Delivered"},"lastSeen":"2026-01-01T00:00:00Z","lnsURI":"wss://",'
    '"model":"linux","observedGeneration":1,"package":"","station":"2.0.6(linux/std)"}'
).encode()
_LEVEL, _WINDOW_BITS, _MEMORY_LEVEL = 1, -12, 5
_SHORT = 64
_MARK = b"\0"
"""The first byte of a packed text; no JSON text begins with it."""


def packed(text: bytes) -> bytes:
    """Return `text` packed; unchanged if it is short or does not get shorter."""
    if len(text) <= _SHORT:
        return text
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _MODEL)
    found = _MARK + stream.compress(text) + stream.flush()
    return found if len(found) < len(text) else text


def unpacked(kept: bytes) -> bytes:
    """Return the text from the result of `packed`."""
    if not kept.startswith(_MARK):
        return kept
    return zlib.decompressobj(_WINDOW_BITS, _MODEL).decompress(kept[len(_MARK) :])
