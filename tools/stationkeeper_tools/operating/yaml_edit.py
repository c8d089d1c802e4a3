"""Make small edits in YAML and JSON texts; every other byte stays as it is, comments too. Pure.

The result is parsed again and compared with the expected value. A text with a different value is never returned.
"""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from stationkeeper_tools.checking.located_yaml import LocatedYaml, read_documents
from stationkeeper_tools.operating.fleet import Change, Edit, edited, is_entry

Path = tuple[str | int, ...]


class NotEditableError(Exception):
    """The text cannot be edited in this way; the message says why."""


def edit_text(text: str, document: int, place: Path, edit: Edit) -> str:
    """Return the text with an edit of one spec.

    Args:
        text: of a file.
        document: which YAML document of it, from 0, empty ones not counted.
        place: of the object in that document; empty for the document itself.
        edit: what to change.

    Raises:
        NotEditableError: the edit would change other parts too.
        stationkeeper_tools.checking.located_yaml.MalformedYamlError: the text cannot be read.
    """
    documents = read_documents(text)
    spec = documents[document].at((*place, "spec"))
    if spec is None or not isinstance(spec.value, dict):
        raise NotEditableError("it has no spec")
    expected = edited(spec.value, edit)
    if expected == spec.value:
        return text
    lines = text.splitlines(keepends=True)
    changed = _Text(lines).apply(spec, edit)
    if _read_again(changed, document, place, len(documents)) != expected:
        raise NotEditableError(f"spec.{'.'.join(edit.path)} is written in a way that is not edited here")
    return changed


def cut_document(text: str, document: int) -> str:
    """Return the text without one of its YAML documents.

    Args:
        text: of a file.
        document: which one, from 0, empty ones not counted.

    Raises:
        NotEditableError: the edit would change other parts too.
    """
    documents = read_documents(text)
    expected = [each.value for number, each in enumerate(documents) if number != document]
    lines = text.splitlines(keepends=True)
    starts = [0, *(number for number, line in enumerate(lines) if line.rstrip() == "---" or line.startswith("--- "))]
    first = max(each for each in starts if each < documents[document].line)
    last = min((each for each in starts if each >= documents[document].line), default=len(lines))
    changed = "".join(lines[:first] + lines[last:])
    if [each.value for each in read_documents(changed)] != expected:
        raise NotEditableError("the lines of its document cannot be separated from the others")
    return changed


def _read_again(text: str, document: int, place: Path, count: int) -> Any:
    try:
        documents = read_documents(text)
    except Exception as error:
        raise NotEditableError("the result would not be YAML") from error
    found = documents[document].at((*place, "spec")) if len(documents) == count else None
    return found.value if found is not None else None


class _Text:
    """The lines of a file, addressed by the marks of YAML nodes."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))
        self._text = "".join(lines)

    def apply(self, spec: LocatedYaml, edit: Edit) -> str:
        present = spec.at(edit.path)
        if edit.change is Change.SET:
            if present is not None:
                return self._replaced(present.node, _scalar(edit.value))
            return self._inserted(spec, edit.path, _scalar(edit.value))
        if edit.change is Change.REMOVE:
            return self._removed(spec, edit)
        if present is not None and isinstance(present.node, yaml.SequenceNode):
            return self._with_item(present.node, _scalar(edit.value))
        if present is not None:
            return self._replaced(present.node, f"[{_scalar(edit.value)}]")
        return self._inserted(spec, edit.path, f"[{_scalar(edit.value)}]")

    def _inserted(self, spec: LocatedYaml, path: Sequence[str], value: str) -> str:
        """Add a field to the innermost object of `path` that exists, with the missing objects inside."""
        around = spec
        steps = list(path)
        while len(steps) > 1 and (inner := around.at((steps[0],))) is not None and isinstance(inner.value, dict):
            around = inner
            steps.pop(0)
        node = around.node
        if not isinstance(node, yaml.MappingNode):
            raise NotEditableError("it is not a mapping")
        for step in reversed(steps[1:]):
            value = f'{{"{step}": {value}}}' if node.flow_style else f"{{{step}: {value}}}"
        existing = around.at((steps[0],))
        if existing is not None:
            return self._replaced(existing.node, value)
        if node.flow_style:
            comma = ", " if node.value else ""
            return self._put(self._offset(node.start_mark) + 1, f'"{steps[0]}": {value}{comma}')
        key = node.value[0][0]
        line, column = key.start_mark.line, key.start_mark.column
        if self._lines[line][:column].strip():
            raise NotEditableError("its first field stands beside another one")
        return self._put(self._starts[line], f"{' ' * column}{steps[0]}: {value}\n")

    def _with_item(self, node: yaml.SequenceNode, item: str) -> str:
        if node.flow_style:
            comma = ", " if node.value else ""
            return self._put(self._offset(node.start_mark) + 1, f"{item}{comma}")
        line, column = node.start_mark.line, node.start_mark.column
        return self._put(self._starts[line], f"{' ' * column}- {item}\n")

    def _removed(self, spec: LocatedYaml, edit: Edit) -> str:
        found = spec.at(edit.path)
        if found is None or not isinstance(found.node, yaml.SequenceNode):
            raise NotEditableError("it has no such list")
        node = found.node
        places = [number for number, each in enumerate(found.value) if is_entry(each, edit.value)]
        if len(places) == len(node.value):
            return self._without_field(spec, edit.path)
        if node.flow_style:
            return self._cut_flow(node.value, places)
        cut = {node.value[number].start_mark.line for number in places}
        return "".join(line for number, line in enumerate(self._lines) if number not in cut)

    def _cut_flow(self, items: Sequence[yaml.Node], places: Sequence[int]) -> str:
        text = self._text
        for number in reversed(places):
            if number + 1 < len(items):
                begin, end = self._offset(items[number].start_mark), self._offset(items[number + 1].start_mark)
            else:
                begin, end = self._offset(items[number - 1].end_mark), self._offset(items[number].end_mark)
            text = text[:begin] + text[end:]
        return text

    def _without_field(self, spec: LocatedYaml, path: Sequence[str]) -> str:
        """Remove the field, and the objects around it that would become empty."""
        steps = list(path)
        while len(steps) > 1:
            around = spec.at(steps[:-1])
            if around is None or len(around.value) > 1:
                break
            steps.pop()
        around = spec.at(steps[:-1])
        node = around.node if around is not None else None
        if not isinstance(node, yaml.MappingNode):
            raise NotEditableError("it is not a mapping")
        number = next(place for place, (key, _) in enumerate(node.value) if key.value == steps[-1])
        key, value = node.value[number]
        if not node.flow_style:
            last = value.end_mark.line + (value.end_mark.column > 0)
            return "".join(self._lines[: key.start_mark.line] + self._lines[last:])
        if number + 1 < len(node.value):
            begin, end = self._offset(key.start_mark), self._offset(node.value[number + 1][0].start_mark)
        else:
            begin = self._offset(node.value[number - 1][1].end_mark) if number else self._offset(key.start_mark)
            end = self._offset(value.end_mark)
        return self._text[:begin] + self._text[end:]

    def _replaced(self, node: yaml.Node, value: str) -> str:
        begin, end = self._offset(node.start_mark), self._offset(node.end_mark)
        # The node of a field without a value is at its colon.
        gap = " " if begin == end and self._text[begin - 1 : begin] == ":" else ""
        return self._text[:begin] + gap + value + self._text[end:]

    def _put(self, offset: int, text: str) -> str:
        return self._text[:offset] + text + self._text[offset:]

    def _offset(self, mark: yaml.Mark) -> int:
        return self._starts[mark.line] + mark.column


def _scalar(value: bool | str) -> str:
    """Return a value as both YAML and JSON write it."""
    return json.dumps(value)
