"""Exports of other servers, read from a file: the accepted gateways, and the notes about the rest."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.registering.exports import MAX_BYTES, Export, read_chirpstack_export, read_tts_export

EUI = "0123456789ABCDEF"


def read_tts(tmp_path: Path, **fields: Any) -> Export:
    path = tmp_path / "tts.json"
    path.write_text(json.dumps({"ids": {"eui": EUI, "gateway_id": "roof"}, **fields}))
    return read_tts_export(path, "PEM")


def secret(value: bytes) -> dict[str, str]:
    return {"value": base64.b64encode(value).decode()}


def test_a_gateway_gets_the_lns_and_the_key_of_its_server(tmp_path: Path) -> None:
    found = read_tts(tmp_path, gateway_server_address="https://eu1.example:443", lbs_lns_secret=secret(b"NNSXS.X"))
    (gateway,) = found.gateways
    assert (gateway.lns, gateway.token) == ({"uri": "wss://eu1.example:8887", "trust": "PEM"}, "Bearer NNSXS.X")
    assert found.notes == ()


@pytest.mark.parametrize(
    "given",
    [{}, {"lbs_lns_secret": {"value": "!"}}, {"lbs_lns_secret": secret(b"\xff")}, {"lbs_lns_secret": secret(b"a\nb")}],
)
def test_a_key_that_no_header_can_carry_is_left_to_a_person(tmp_path: Path, given: dict[str, Any]) -> None:
    found = read_tts(tmp_path, gateway_server_address="eu1.example", **given)
    assert found.gateways[0].token == ""
    (note,) = found.notes
    assert "write lns.auth by hand" in note


def test_a_gateway_without_a_server_gets_no_key(tmp_path: Path) -> None:
    found = read_tts(tmp_path, lbs_lns_secret=secret(b"NNSXS.X"))
    assert (found.gateways[0].lns, found.gateways[0].token) == (None, "")
    (note,) = found.notes
    assert "it gets the LNS of the GatewayDefaults" in note


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff{}", "is not UTF-8"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'{"result": []}\n{', ":2: is not JSON"),
        (b'[{"gatewayId": "xyz"}]', "gateway 1: "),
        (b"[1]", "a gateway is int, not an object"),
        (b'{"result": [{"name": "a"}]}', "holds no gateway with an EUI"),
    ],
)
def test_what_is_no_export_is_refused_by_what_is_wrong_with_it(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_chirpstack_export(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(InputError, match=f"has {MAX_BYTES + 1} bytes"):
        read_chirpstack_export(path)
