import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from stationkeeper_core.eui64 import EUI64
from stationkeeper_tools.sample_pki import KeyPair
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.description import describe
from stationkeeper_tools.station.faults import StationFault
from stationkeeper_tools.station.files import MemoryFiles
from stationkeeper_tools.station.http_answer import HttpAnswer
from stationkeeper_tools.station.report import event, json_line, text
from stationkeeper_tools.station.state import StationState
from stationkeeper_tools.station.state_machine import Outcome, Station
from tests.cups.pki import Pki
from tests.tools.station.blobs import ABSENT, TOKEN, answer_body, ok
from tests.tools.station.gateways import token_blob


def a_station(trust: KeyPair) -> Station:
    files = {"cups.uri": b"https://cups.example.org:8987", "cups.trust": trust.certificate_pem, "cups.key": TOKEN}
    return Station(EUI64(0x0102030405060708), StationState(MemoryFiles(files)))


def said(outcome: Outcome, *, show_secrets: bool = False) -> str:
    return text(event(outcome, show_secrets=show_secrets))


def test_an_answer_is_reported_segment_by_segment(pki: Pki) -> None:
    blob = token_blob(pki.server_ca)

    lines = said(
        a_station(pki.server_ca).receive(
            ok(answer_body(tc_uri=b"wss://lns.example.org:8887", tc_credentials=blob, update=b"#!"))
        )
    )

    assert "Answered with status 200" in lines
    assert "LNS URI: wss://lns.example.org:8887" in lines
    assert f"LNS credentials, {len(blob)} bytes: authentication token, trust CN=Operator" in lines
    assert "token Authorization: … (19 bytes)" in lines
    assert "LNS CRC: 2077607535 -> " in lines
    assert "update, 2 bytes, not executed; a Station would run it" in lines
    assert "a Station restarts its LNS connection" in lines
    assert "next: REG set in 86400 s" in lines


def test_a_refusal_is_reported_with_the_servers_words_and_the_rotation(pki: Pki) -> None:
    body = b"GatewaySuspended: the Gateway is suspended\x1b[2J\n"

    lines = said(a_station(pki.server_ca).receive(HttpAnswer(403, body, len(body))))

    assert "Rejected with status 403: GatewaySuspended: the Gateway is suspended\ufffd[2J\n" in lines
    assert "next: BAK set in 60 s; REG -> BAK" in lines


def test_secrets_are_in_neither_form_unless_asked_for(pki: Pki) -> None:
    gateway = a_station(pki.server_ca)
    attempt = gateway.request()
    outcome = gateway.receive(ok(answer_body(tc_credentials=token_blob(pki.server_ca))))

    hidden = [json_line(event(each)) + text(event(each)) for each in (attempt, outcome)]
    shown = [json_line(event(each, show_secrets=True)) for each in (attempt, outcome)]

    assert not [each for each in hidden if "NNSXS" in each]
    assert all("Authorization: Bearer NNSXS.secret" in each for each in shown)
    assert "NNSXS" not in repr(attempt) + repr(outcome.received and outcome.received.credentials)


def test_the_fields_of_the_json_objects_are_a_contract(pki: Pki) -> None:
    gateway = a_station(pki.server_ca)
    request = json.loads(json_line(event(gateway.request())))
    outcome = json.loads(json_line(event(gateway.receive(ok(answer_body(cups_credentials=b"x", update=b"#!"))))))

    assert list(request) == [
        *("event", "set", "server", "tls", "credentials", "router", "cupsUri", "tcUri", "cupsCredCrc", "tcCredCrc"),
        *("station", "model", "package", "keys"),
    ]
    assert list(outcome) == [
        *("event", "result", "set", "status", "refusal", "cupsUri", "tcUri", "cupsCredentials", "tcCredentials"),
        *("update", "faults", "crcsBefore", "crcsAfter", "backedUp", "reconnects", "restartsLNS"),
        *("nextSet", "nextSeconds"),
    ]
    assert outcome["cupsCredentials"] == {"bytes": 1, "accepted": False, "set": None}
    assert [each["fault"] for each in outcome["faults"]] == ["BlobRejected"]
    assert outcome["update"]["wouldRun"] is True


@pytest.mark.parametrize("fault", StationFault)
def test_every_fault_stands_on_the_page(fault: StationFault) -> None:
    assert f"`{fault}`" in (Path(__file__).parents[3] / "docs" / "station.md").read_text()


@pytest.mark.parametrize(
    ("key", "kind"),
    [("a_gateway", "RSA 2048"), ("server", "P-256")],
)
def test_a_key_is_reported_by_its_kind_alone(pki: Pki, key: str, kind: str) -> None:
    pair: KeyPair = getattr(pki, key)
    credentials = CredentialSet(pki.server_ca.certificate_pem, pair.certificate_pem, pair.key_pem)

    described = describe(credentials, show_secrets=True)

    assert (described["authentication"], described["key"], described["token"]) == ("mutual", kind, None)


def test_keys_that_a_station_cannot_use_are_unreadable() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))

    for each in (key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), encrypted):
        assert describe(CredentialSet(b"a", b"a", each))["key"] == f"unreadable ({len(each)} bytes)"


def test_what_cannot_be_read_is_reported_by_its_size() -> None:
    described = describe(CredentialSet(b"garbage", b"-----BEGIN X-----", ABSENT))

    assert described["trust"] == "unreadable (7 bytes)"
    assert described["certificate"] == "unreadable (17 bytes)"
    assert described["key"] == "unreadable (4 bytes)"
    assert describe(CredentialSet(b"garbage", b"", b"NNSXS.secret"))["token"] == "malformed (12 bytes)"
