"""Read YAML with the line number of every value.

It is read as kubectl reads it: without dates, without numbers to base 60, and no key twice. Aliases that multiply and
deep nesting are refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 32 * 1024 * 1024
MAX_VALUES = 2_000_000
MAX_DEPTH = 64

Path = Sequence[str | int]

_NOT_IN_JSON = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}


class MalformedYamlError(Exception):
    """The text cannot be read as YAML.

    Attributes:
        line: the line number, from 1.
        problem: what is wrong.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


class _Loader(yaml.CSafeLoader):
    """Reads dates and numbers to base 60 as text, since JSON has none."""

    def integer(self, node: yaml.ScalarNode) -> object:
        """Return a number; return 11:22:33:44:55:11:22:33 as text: it is an EUI, not a number to base 60."""
        return node.value if ":" in node.value else self.construct_yaml_int(node)

    def fraction(self, node: yaml.ScalarNode) -> object:
        """Return a number, or text as `integer` does."""
        return node.value if ":" in node.value else self.construct_yaml_float(node)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_IN_JSON]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.fraction)


@dataclass(frozen=True)
class LocatedYaml:
    """A value and the places of its parts.

    Attributes:
        value: the Python value.
        node: the YAML node.
    """

    value: Any
    node: yaml.Node

    @property
    def line(self) -> int:
        """The line where it begins, from 1."""
        return _line(self.node)

    def at(self, path: Path) -> "LocatedYaml | None":
        """Return the value at `path`, None if there is none."""
        node: yaml.Node | None = self.node
        value = self.value
        for step in path:
            node = _child(node, step)
            if node is None:
                return None
            value = value[step]
        return LocatedYaml(value, node) if node is not None else None

    def line_of(self, path: Path) -> int:
        """Return the line of the key or item at `path`, or of the innermost one around it that exists."""
        line, node = self.line, self.node
        for step in path:
            key = _key(node, step)
            child = _child(node, step)
            if child is None:
                break
            line = _line(key if key is not None else child)
            node = child
        return line

    def items(self) -> Iterator["LocatedYaml"]:
        """Yield the items of a sequence."""
        if isinstance(self.node, yaml.SequenceNode):
            for value, node in zip(self.value, self.node.value, strict=True):
                yield LocatedYaml(value, node)

    @property
    def is_plain(self) -> bool:
        """Whether it is a scalar without quotes."""
        return isinstance(self.node, yaml.ScalarNode) and not self.node.style

    @property
    def is_block(self) -> bool:
        """Whether it is a block text: its lines are below its key, after `|`."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.style == "|"

    def doubled_keys(self) -> Iterator[tuple[int, str]]:
        """Yield each key that one mapping has twice, with the line of the second."""
        seen: set[int] = set()
        waiting = [self.node]
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                keys: set[str] = set()
                for key, child in node.value:
                    text = str(key.value)
                    if text in keys and text != "<<":
                        yield _line(key), text
                    keys.add(text)
                    waiting.append(child)
            elif isinstance(node, yaml.SequenceNode):
                waiting += node.value


def read_documents(text: str) -> list[LocatedYaml]:
    """Return the documents of `text` without empty ones.

    Raises:
        MalformedYamlError: it cannot be read.
    """
    if len(text) > MAX_BYTES:
        raise MalformedYamlError(1, f"has {len(text)} characters, at most {MAX_BYTES} are read; split the file")
    documents: list[LocatedYaml] = []
    loader = _Loader(text)
    try:
        _bound_depth(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            _bound(node)
            value = loader.construct_document(node)
            if value is not None:
                documents.append(LocatedYaml(value, node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise MalformedYamlError(mark.line + 1 if mark else 1, error.problem or "cannot be read") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise MalformedYamlError(1, " ".join(str(error).split())[:200]) from None
    except (AttributeError, LookupError):
        # So PyYAML's constructors fail at a text that its own tag does not fit, such as `!!bool 1`.
        raise MalformedYamlError(1, "has a value that is not of the type of its tag") from None
    finally:
        loader.dispose()
    return documents


def _bound_depth(text: str) -> None:
    """Refuse a text with too many levels before its nodes are made: libyaml's binding uses C's stack for each level."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep(event.start_mark.line + 1 if event.start_mark else 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _bound(root: yaml.Node) -> None:
    """Refuse a document that, with its aliases written out, is too deep or too large."""
    known: dict[int, tuple[int, int]] = {}
    inside: set[int] = set()

    def measure(node: yaml.Node, depth: int) -> tuple[int, int]:
        """Return the values and the levels of a node."""
        if id(node) in known:
            return known[id(node)]
        if depth > MAX_DEPTH or id(node) in inside:
            raise _too_deep(_line(node))
        inside.add(id(node))
        values, levels = 1, 0
        for child in _children(node):
            more, below = measure(child, depth + 1)
            values, levels = values + more, max(levels, below + 1)
            if values > MAX_VALUES:
                raise MalformedYamlError(_line(node), f"has more than {MAX_VALUES} values, its aliases written out")
        if levels > MAX_DEPTH:
            raise _too_deep(_line(node))
        inside.discard(id(node))
        known[id(node)] = values, levels
        return known[id(node)]

    measure(root, 0)


def _too_deep(line: int) -> MalformedYamlError:
    return MalformedYamlError(line, f"is nested deeper than {MAX_DEPTH} levels")


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _key(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((key for key, _ in reversed(node.value) if key.value == step), None)


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((child for key, child in reversed(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
