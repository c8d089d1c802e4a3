import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stationkeeper_core.eui64 import EUI64
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.files import MemoryFiles
from stationkeeper_tools.station.http_answer import HttpAnswer
from stationkeeper_tools.station.state import Server, SetName, StationState
from stationkeeper_tools.station.state_machine import Behaviour, Outcome, Result, Station
from tests.tools.station.blobs import ABSENT, TOKEN, answer_body, ok, sequence

CA = CredentialSet(sequence(300))
LNS_BLOB = CA.trust + ABSENT + TOKEN
CUPS_URI, LNS_URI = b"https://cups.example.org:8987", b"wss://lns.example.org:8887"
NO_CHANGE = ok(bytes(14))
REFUSED = HttpAnswer(403, b"GatewaySuspended: no", 20)
UNREACHABLE = StationError(StationFault.CONNECT_FAILED, "no route")


def boot_only(**files: bytes) -> Station:
    """Return a Station with a BOOT set and `files`, whose names have `_` for the dot."""
    state = StationState(MemoryFiles({name.replace("_", "."): content for name, content in files.items()}))
    state.seed("https://boot.example.org:8987", CA)
    return Station(EUI64(0x0102030405060708), state)


def complete() -> Station:
    return boot_only(cups_uri=CUPS_URI, cups_trust=CA.trust)


def ask(station: Station, answer: HttpAnswer | StationError) -> Outcome:
    try:
        station.request()
    except StationError as error:
        return station.failed(error)
    return station.failed(answer) if isinstance(answer, StationError) else station.receive(answer)


def test_a_station_with_only_a_boot_set_goes_through_the_empty_ones_and_reports_nothing_configured() -> None:
    station = boot_only()

    outcomes = [ask(station, NO_CHANGE), ask(station, NO_CHANGE)]
    report = station.request().report

    assert [(each.result, each.next_set) for each in outcomes] == [
        (Result.NOT_CONFIGURED, SetName.BACKUP),
        (Result.NOT_CONFIGURED, SetName.BOOT),
    ]
    assert (report.cups_uri, report.cups_credentials_crc, report.tc_credentials_crc) == (None, 2077607535, 2077607535)


@pytest.mark.parametrize("status", [-1, 201, 204, 302, 401, 403, 404, 429, 500, 503])
def test_any_status_but_200_rotates_at_once(status: int) -> None:
    station = complete()

    outcome = ask(station, HttpAnswer(status, b"", 0))

    assert (outcome.result, outcome.next_set, outcome.next_seconds) == (Result.REJECTED, SetName.BACKUP, 60)


def test_failures_to_connect_rotate_at_the_eighth_and_then_at_each() -> None:
    station = complete()

    sets = [ask(station, UNREACHABLE).next_set for _ in range(9)]

    assert sets == [SetName.REGULAR] * 7 + [SetName.BACKUP, SetName.BOOT]


def test_refusals_count_among_the_failures() -> None:
    station = complete()
    for _ in range(7):
        ask(station, REFUSED)
    used = station.set_name

    assert ask(station, UNREACHABLE).next_set is used.next


def test_success_with_any_set_goes_back_to_the_regular_one_and_forgets_the_failures() -> None:
    station = complete()
    ask(station, REFUSED)
    ask(station, REFUSED)
    assert station.set_name is SetName.BOOT

    outcome = ask(station, NO_CHANGE)

    assert (outcome.next_set, outcome.next_seconds, station.failures) == (SetName.REGULAR, 24 * 3600, 0)


def test_the_backup_set_is_the_regular_one_that_first_worked() -> None:
    station = complete()
    ask(station, REFUSED)
    ask(station, REFUSED)
    ask(station, NO_CHANGE)
    assert station.state.uri(Server.CUPS, SetName.BACKUP) is None

    ask(station, ok(answer_body(b"https://other.example.org:1")))

    assert station.state.uri(Server.CUPS, SetName.BACKUP) == CUPS_URI
    assert station.state.uri(Server.CUPS, SetName.REGULAR) == b"https://other.example.org:1"


@pytest.mark.parametrize(
    ("body", "reconnects", "restarts_lns", "seconds"),
    [
        (answer_body(), False, False, 86400),
        (answer_body(cups_uri=CUPS_URI), True, False, 60),
        (answer_body(cups_credentials=LNS_BLOB), True, False, 60),
        (answer_body(tc_uri=LNS_URI), False, True, 86400),
        (answer_body(tc_credentials=LNS_BLOB), False, True, 86400),
        (answer_body(CUPS_URI, LNS_URI, LNS_BLOB, LNS_BLOB), True, True, 60),
    ],
)
def test_a_cups_update_is_tried_at_once_and_an_lns_update_restarts_the_lns_link(
    body: bytes, reconnects: bool, restarts_lns: bool, seconds: float
) -> None:
    outcome = ask(complete(), ok(body))

    assert outcome.result is Result.ANSWERED
    assert (outcome.reconnects, outcome.restarts_lns, outcome.next_seconds) == (reconnects, restarts_lns, seconds)


def test_while_the_lns_link_is_up_failures_wait_the_interval_too() -> None:
    station = complete()
    station.behaviour = Behaviour(retry_seconds=1, interval_seconds=9, lns_connected=True)

    assert ask(station, REFUSED).next_seconds == 9
    assert ask(station, UNREACHABLE).next_seconds == 9


def test_credentials_are_reported_by_their_crc_from_the_next_request_on() -> None:
    station = complete()

    outcome = ask(station, ok(answer_body(tc_uri=LNS_URI, tc_credentials=LNS_BLOB)))
    report = station.request().report

    assert outcome.crcs_before[Server.LNS] == 2077607535
    assert outcome.crcs_after[Server.LNS] == report.tc_credentials_crc == CredentialSet(CA.trust, b"", TOKEN).crc
    assert report.tc_uri == LNS_URI


def test_a_rejected_blob_leaves_the_set_and_keeps_the_uri_of_the_same_answer() -> None:
    station = complete()

    outcome = ask(station, ok(answer_body(tc_uri=LNS_URI, tc_credentials=b"-----BEGIN")))

    assert (outcome.result, [each.fault for each in outcome.faults]) == (Result.ANSWERED, [StationFault.BLOB_REJECTED])
    assert outcome.crcs_after == outcome.crcs_before
    assert station.request().report.tc_uri == LNS_URI
    assert outcome.restarts_lns


def test_an_answer_that_breaks_off_changes_nothing_and_is_a_failure() -> None:
    station = complete()

    outcome = ask(station, ok(answer_body(tc_uri=LNS_URI, tc_credentials=LNS_BLOB)[:-9]))

    assert (outcome.result, outcome.next_seconds) == (Result.FAILED, 60)
    assert [each.fault for each in outcome.faults] == [StationFault.ANSWER_CUT]
    assert station.request().report.tc_uri is None


def test_an_answer_that_breaks_off_in_the_update_changes_the_rest_all_the_same() -> None:
    station = complete()

    outcome = ask(station, ok(answer_body(tc_uri=LNS_URI, update=b"update")[:-1]))

    assert outcome.result is Result.FAILED
    assert station.request().report.tc_uri == LNS_URI


def test_a_refusal_that_crashes_a_station_starts_it_again() -> None:
    station = complete()
    ask(station, REFUSED)

    outcome = station.failed(StationError(StationFault.ERROR_BODY_TOO_LARGE, "9000 bytes"))

    assert (outcome.result, outcome.next_set, station.failures) == (Result.CRASHED, SetName.REGULAR, 0)


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        (b"https://cups.example.org:8987/", StationFault.BAD_URI),
        (b"wss://cups.example.org:8987", StationFault.BAD_URI),
        (b"https://" + b"a" * 120 + b":1", StationFault.URI_TOO_LONG),
    ],
)
def test_a_uri_that_bricks_a_station_is_a_fault_of_the_answer_that_brings_it(uri: bytes, fault: StationFault) -> None:
    station = complete()

    outcome = ask(station, ok(answer_body(cups_uri=uri)))

    assert [each.fault for each in outcome.faults] == [fault]
    assert fault in {each.fault for each in station.state.uri_faults()}


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"cups_uri": CUPS_URI}, StationFault.NO_TRUST),
        ({"cups_uri": b"https://a"}, StationFault.BAD_URI),
        ({"cups_uri": CUPS_URI, "cups_trust": b"a", "cups_key": b"Bearer a"}, StationFault.TOKEN_MALFORMED),
    ],
)
def test_a_set_that_no_request_can_be_made_with_is_a_failure(files: dict[str, bytes], fault: StationFault) -> None:
    outcome = ask(boot_only(**files), NO_CHANGE)

    assert (outcome.result, outcome.next_set) == (Result.FAILED, SetName.REGULAR)
    assert [each.fault for each in outcome.faults] == [fault]


def test_a_token_set_sends_its_line() -> None:
    station = boot_only(cups_uri=CUPS_URI, cups_trust=CA.trust, cups_key=TOKEN)

    assert b"\r\n" + TOKEN + b"\r\n{" in station.request().data


def _raw_and_signature(update: bytes) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return point[1:], bytes(4) + key.sign(update, ec.ECDSA(hashes.SHA512()))


def test_an_update_would_run_unsigned_without_a_key_and_signed_with_the_right_one() -> None:
    update = b"#!/bin/sh\n"
    (raw, signature), (other, _) = _raw_and_signature(update), _raw_and_signature(update)
    cases: list[tuple[list[bytes], bytes, bytes, bool]] = [
        ([], b"", update, True),
        ([raw], b"", update, False),
        ([raw], signature, update, True),
        ([other, raw], signature, update, True),
        ([other], signature, update, False),
        ([raw], signature, update + b"more", False),
        ([raw + b"\n"], signature, update, False),
        ([], signature, update, False),
    ]
    for keys, sent_signature, sent_update, runs in cases:
        station = boot_only(
            cups_uri=CUPS_URI, cups_trust=CA.trust, **{f"sig-{n}_key": key for n, key in enumerate(keys)}
        )

        outcome = ask(station, ok(answer_body(signature=sent_signature, update=sent_update)))

        assert outcome.received is not None
        assert outcome.received.update is not None
        assert outcome.received.update.would_run is runs
