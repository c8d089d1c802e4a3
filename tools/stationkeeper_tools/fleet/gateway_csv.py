"""Read a list of gateways as CSV, from a spreadsheet or an export.

One column holds the EUI. A column with a name is used if there is one; other columns are ignored. The header may be
missing if the first column holds EUIs only. All problems are reported at once, with their lines.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_tools.fleet.eui_spelling import read_eui
from stationkeeper_tools.input_errors import InputError

MAX_BYTES = 64 * 1024 * 1024
MAX_GATEWAYS = 200_000

_EUI_HEADERS = ("eui", "eui64", "gatewayeui", "gatewayeui64", "gweui", "gtweui", "stationeui", "router", "routereui")
_ID_HEADERS = ("gatewayid", "gwid", "id")
_NAME_HEADERS = ("name", "gatewayname", "label", "hostname")
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class ListedGateway:
    """A gateway of a list.

    Attributes:
        line: of the file, from 1.
        eui: of the gateway.
        name: as the list has it; empty if it has none.
    """

    line: int
    eui: EUI64
    name: str = ""


def read_gateway_csv(path: Path) -> list[ListedGateway]:
    """Return the gateways of the file, in its order.

    Args:
        path: UTF-8 with or without a byte order mark; separated by commas, semicolons, tabs or bars.

    Raises:
        InputError: what is wrong, line by line.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(f"{path}: has {size} bytes, at most {MAX_BYTES} are read; split the file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 (at byte {error.start}); save it as CSV UTF-8") from None
    return parse_gateway_csv(text, str(path))


def parse_gateway_csv(text: str, source: str) -> list[ListedGateway]:
    """Return the gateways of `text`, as `read_gateway_csv`.

    Args:
        text: of the file.
        source: how messages call it.

    Raises:
        InputError: what is wrong, line by line.
    """
    rows = list(_rows(text, source))
    if not rows:
        raise InputError(f"{source}: is empty; write a header with a column eui, and one gateway a line")
    columns = _columns(rows[0][1])
    if columns is None:
        return _listed(rows, _Columns(0, None), source)
    if columns.eui is None:
        header = ", ".join(rows[0][1])[:200]
        raise InputError(
            f"{source}:1: no column is called eui; the columns are: {header!a}. Rename the one with the EUI"
        )
    return _listed(rows[1:], columns, source)


@dataclass(frozen=True)
class _Columns:
    eui: int | None
    name: int | None


def _rows(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{source}:{reader.line_num}: cannot be read as CSV: {error}") from None


def _columns(header: Sequence[str]) -> _Columns | None:
    """Return the numbers of the columns; None if the first row is not a header but a gateway."""
    names = [re.sub(r"[^a-z0-9]", "", each.lower()) for each in header]
    eui = next((names.index(each) for each in (*_EUI_HEADERS, *_ID_HEADERS) if each in names), None)
    if eui is None and _is_eui(header[0]):
        return None
    return _Columns(eui, next((names.index(each) for each in _NAME_HEADERS if each in names), None))


def _is_eui(text: str) -> bool:
    try:
        read_eui(text)
    except ValueError:
        return False
    return True


def _listed(rows: Sequence[tuple[int, list[str]]], columns: _Columns, source: str) -> list[ListedGateway]:
    gateways: dict[EUI64, ListedGateway] = {}
    problems: list[str] = []
    for line, row in rows:
        try:
            gateway = ListedGateway(line, read_eui(_cell(row, columns.eui)), _cell(row, columns.name))
        except ValueError as error:
            problems.append(f"{source}:{line}: {error}")
            continue
        first = gateways.setdefault(gateway.eui, gateway)
        if first is not gateway:
            text = f"EUI {format_hex(gateway.eui)} is in line {first.line} too; remove one of the two"
            problems.append(f"{source}:{line}: {text}")
    if len(gateways) > MAX_GATEWAYS:
        problems.append(f"{source}: lists {len(gateways)} gateways, at most {MAX_GATEWAYS} are read; split the file")
    if problems:
        raise InputError(*problems)
    if not gateways:
        raise InputError(f"{source}: has a header but no gateway; write one gateway a line")
    return list(gateways.values())


def _cell(row: Sequence[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""
