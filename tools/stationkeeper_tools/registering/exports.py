"""Read lists of gateways that network servers export.

The Things Stack: `ttn-lw-cli gateways list` and the API's `/api/v3/gateways` (message `Gateway` of `gateway.proto`): an
array, an object with `gateways`, or one object after another; `ids.eui`, `ids.gateway_id`, `name`,
`gateway_server_address`, `lbs_lns_secret.value`. ChirpStack: the answer of `GET /api/gateways` (`ListGatewaysResponse`
of its `gateway.proto`): `totalCount` and `result` with `gatewayId` and `name`, or the same in snake case.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.protocol.credentials import parse_token
from stationkeeper_tools.fleet.eui_spelling import read_eui
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.registering.registration import FoundGateway

MAX_BYTES = 64 * 1024 * 1024
TTS_LNS_PORT = 8887
"""The port at which The Things Stack speaks the LNS protocol over TLS."""

_HOST = re.compile(r"(?:[a-z]{2,5}://)?([A-Za-z0-9.-]+)(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Export:
    """The content of an export.

    Attributes:
        gateways: those with an EUI.
        notes: remarks for a person: gateways that were left out, and why.
    """

    gateways: tuple[FoundGateway, ...]
    notes: tuple[str, ...]


def read_tts_export(path: Path, lns_trust: str | None) -> Export:
    """Return the gateways of an export of The Things Stack.

    Args:
        path: JSON.
        lns_trust: PEM of the root that signs the LNS' certificate; with it, each gateway gets the LNS of its Gateway
            Server, and its LNS key if the export has it. Without, the GatewayDefaults gives the LNS.

    Raises:
        InputError: it is no such export.
    """
    gateways, notes = [], []
    for number, item in enumerate(_listed(path, "gateways"), start=1):
        where, ids = f"{path}: gateway {number}", _object(item, "ids")
        eui, name = _text(ids, "eui"), _text(ids, "gateway_id") or _text(item, "name")
        if not eui:
            notes.append(f"{where} ({name[:64]!a}) has no EUI and is left out: it cannot be a Basics Station")
            continue
        lns, token = None, ""
        if lns_trust is not None:
            lns = _tts_lns(item, lns_trust)
            token = _tts_token(item)
            notes += _tts_notes(where, name, lns, token)
        gateways.append(FoundGateway(where, _eui(where, eui), name, lns, token if lns is not None else ""))
    return _export(path, gateways, notes)


def read_chirpstack_export(path: Path) -> Export:
    """Return the gateways of an export of ChirpStack.

    Args:
        path: JSON.

    Raises:
        InputError: it is no such export.
    """
    gateways, notes = [], []
    for number, item in enumerate(_listed(path, "result"), start=1):
        where = f"{path}: gateway {number}"
        gateway = _object(item, "gateway") or item
        eui = _text(gateway, "gatewayId") or _text(gateway, "gateway_id")
        if not eui:
            notes.append(f"{where} has no gatewayId and is left out")
            continue
        gateways.append(FoundGateway(where, _eui(where, eui), _text(gateway, "name")))
    total = _total(path)
    if total > len(gateways) + len(notes):
        notes.append(f"{path} has {len(gateways)} of {total} gateways: ask ChirpStack again with a greater limit")
    return _export(path, gateways, notes)


def _export(path: Path, gateways: Sequence[FoundGateway], notes: Sequence[str]) -> Export:
    if not gateways:
        raise InputError(*notes, f"{path}: holds no gateway with an EUI; is it the export of another server?")
    return Export(tuple(gateways), tuple(notes))


def _eui(where: str, text: str) -> Any:
    try:
        return read_eui(text)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _listed(path: Path, field: str) -> Iterator[dict[str, Any]]:
    for value in _values(path):
        listed = value.get(field) if isinstance(value, dict) else value
        items = listed if isinstance(listed, list) else [value]
        for item in items:
            if not isinstance(item, dict):
                raise InputError(f"{path}: a gateway is {type(item).__name__}, not an object")
            yield item


def _total(path: Path) -> int:
    counts = (value.get("totalCount", value.get("total_count")) for value in _values(path) if isinstance(value, dict))
    return sum(int(each) for each in counts if isinstance(each, int) or (isinstance(each, str) and each.isdecimal()))


def _values(path: Path) -> Iterator[Any]:
    """Yield the JSON values of the file: one, or several in sequence."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(f"{path}: has {size} bytes, at most {MAX_BYTES} are read")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8") from None
    decoder, position = json.JSONDecoder(), 0
    while rest := text[position:].lstrip():
        position = len(text) - len(rest)
        try:
            value, length = decoder.raw_decode(rest)
        except json.JSONDecodeError as error:
            line = text.count("\n", 0, position + error.pos) + 1
            raise InputError(f"{path}:{line}: is not JSON: {error.msg}") from None
        except RecursionError:
            raise InputError(f"{path}: is nested too deeply") from None
        position += length
        yield value


def _object(value: Any, field: str) -> dict[str, Any]:
    found = value.get(field)
    return found if isinstance(found, dict) else {}


def _text(value: Any, field: str) -> str:
    found = value.get(field)
    return found.strip() if isinstance(found, str) else ""


def _tts_lns(item: dict[str, Any], trust: str) -> dict[str, Any] | None:
    address = _HOST.fullmatch(_text(item, "gateway_server_address"))
    return {"uri": f"wss://{address[1]}:{TTS_LNS_PORT}", "trust": trust} if address else None


def _tts_token(item: dict[str, Any]) -> str:
    """Return the value after `Authorization: `; empty if the export has no usable key."""
    encoded = _text(_object(item, "lbs_lns_secret"), "value")
    try:
        key = base64.b64decode(encoded, validate=True)
        token = f"Bearer {key.decode('ascii')}" if key else ""
        if token:
            parse_token(token.encode())
    except (binascii.Error, ValueError, StationkeeperError):
        return ""
    return token


def _tts_notes(where: str, name: str, lns: dict[str, Any] | None, token: str) -> Iterator[str]:
    if lns is None:
        yield f"{where} ({name[:64]!a}) has no gateway_server_address: it gets the LNS of the GatewayDefaults"
    elif not token:
        yield (
            f"{where} ({name[:64]!a}) has no LNS key in the export: write lns.auth by hand, or export again with"
            " --lbs-lns-secret"
        )
