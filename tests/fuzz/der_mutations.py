"""Change DER at random: elements, with correct lengths, and bytes, with wrong ones."""

from dataclasses import dataclass, replace
from random import Random

_HIGH_TAG = 0x1F
_INTERESTING = [
    b"",
    b"\0",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\0\0",
    b"\xff\xff",
    b"\x05\0",
    b"\x30\0",
    b"\x02\x01\0",
]
_TAGS = [1, 2, 3, 4, 5, 6, 10, 12, 18, 19, 20, 22, 23, 24, 26, 28, 30, 0x24, 0x30, 0x31, 0x80, 0x82, 0xA0, 0xA1, 0xA3]
_MAX_DEPTH = 12


@dataclass(frozen=True)
class Node:
    """An element: its tag, its content or inner elements, and the form of its length."""

    tag: int
    content: bytes = b""
    children: "tuple[Node, ...] | None" = None
    form: str = "short"

    def written(self) -> bytes:
        content = self.content if self.children is None else b"".join(each.written() for each in self.children)
        if self.form == "open":
            return bytes([self.tag, 0x80]) + content + b"\0\0"
        size = len(content)
        if self.form == "long":
            return bytes([self.tag, 0x84]) + size.to_bytes(4, "big") + content
        if size < 0x80:
            return bytes([self.tag, size]) + content
        length = size.to_bytes((size.bit_length() + 7) // 8, "big")
        return bytes([self.tag, 0x80 | len(length)]) + length + content


def tree(data: bytes, depth: int = 0) -> tuple[Node, ...] | None:
    """Return the elements of strict DER, also those inside octet and bit strings; None if it is not strict DER."""
    found: list[Node] = []
    at = 0
    while at < len(data):
        header = _header(data, at)
        if header is None or depth > _MAX_DEPTH:
            return None
        tag, start, stop = header
        content = data[start:stop]
        children = tree(content, depth + 1) if tag & 0x20 else None
        if tag & 0x20 and children is None:
            return None
        if tag == 4 and content:
            children = tree(content, depth + 1)
        found.append(Node(tag, content, children))
        at = stop
    return tuple(found)


def mutated(der: bytes, random: Random) -> bytes:
    """Return `der` with one to four changes."""
    nodes = tree(der) if random.random() < 0.8 else None
    if nodes is not None and len(nodes) == 1:
        node = nodes[0]
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            node = _changed(node, random)
        der = node.written()
    if nodes is None or random.random() < 0.1:
        der = _bytes_changed(der, random)
    return der


def _header(data: bytes, at: int) -> tuple[int, int, int] | None:
    if at + 2 > len(data) or data[at] & _HIGH_TAG == _HIGH_TAG:
        return None
    tag, length, start = data[at], data[at + 1], at + 2
    if length >= 0x80:
        size = length & 0x7F
        if size not in range(1, 5) or start + size > len(data):
            return None
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return None if start + length > len(data) else (tag, start, start + length)


def _changed(node: Node, random: Random) -> Node:
    """Return `node` with one change; deep elements are changed as often as shallow ones."""
    if node.children and random.random() < 0.9:
        at = random.randrange(len(node.children))
        children = list(node.children)
        if random.random() < 0.1:
            _rearrange(children, at, random)
        else:
            children[at] = _changed(children[at], random)
        return replace(node, children=tuple(children))
    return _node_changed(node, random)


def _rearrange(children: list[Node], at: int, random: Random) -> None:
    kind = random.randrange(4)
    if kind == 0:
        del children[at]
    elif kind == 1:
        children.insert(at, children[random.randrange(len(children))])
    elif kind == 2:
        other = random.randrange(len(children))
        children[at], children[other] = children[other], children[at]
    else:
        children.insert(at, Node(random.choice(_TAGS), random.choice(_INTERESTING)))


def _node_changed(node: Node, random: Random) -> Node:
    kind = random.randrange(7)
    content = node.content if node.children is None else b"".join(each.written() for each in node.children)
    if kind == 0:
        return replace(node, tag=random.choice(_TAGS))
    if kind == 1:
        return replace(node, form=random.choice(("long", "open", "short")))
    if kind == 2:
        return replace(node, content=random.choice(_INTERESTING), children=None)
    if kind == 3:
        cut = random.randint(0, len(content))
        parts = (Node(node.tag & 0xDF, content[:cut]), Node(4, content[cut:]))
        return replace(node, tag=node.tag | 0x20, children=parts, form=random.choice(("short", "open")))
    if kind == 4:
        before, after = random.choice(_INTERESTING), random.choice(_INTERESTING)
        return replace(node, content=before + content + after, children=None)
    return replace(node, content=_bytes_changed(content, random), children=None)


def _bytes_changed(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randint(0, max(len(changed) - 1, 0))
        kind = random.randrange(5)
        if kind == 0 and changed:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 1 and changed:
            changed[at] = random.randrange(256)
        elif kind == 2:
            del changed[at : at + random.choice((1, 1, 2, 8))]
        elif kind == 3:
            changed[at:at] = random.choice(_INTERESTING)
        else:
            end = at + random.choice((1, 2, 8, 32))
            changed[at:at] = changed[at:end]
    return bytes(changed)
