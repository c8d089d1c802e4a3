"""JSON texts of statuses in little memory: compressed against a text that most of them resemble.

A Gateway's status has some 1,300 bytes, which differ from those of the next one by a name, a few times and numbers.
Packed it has some 60 to 200. The same text gives the same bytes, so that packed texts can be compared.
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
"""Begins what is packed; no JSON text begins with it."""


def packed(text: bytes) -> bytes:
    """Return `text` as it is to be kept; a short one, or one that does not get shorter, as it is."""
    if len(text) <= _SHORT:
        return text
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _MODEL)
    found = _MARK + stream.compress(text) + stream.flush()
    return found if len(found) < len(text) else text


def unpacked(kept: bytes) -> bytes:
    """Return the text of which `packed` gave `kept`."""
    if not kept.startswith(_MARK):
        return kept
    return zlib.decompressobj(_WINDOW_BITS, _MODEL).decompress(kept[len(_MARK) :])
