import asyncio
import zlib
from pathlib import Path

import pytest

from stationkeeper_tools.ports import free_port
from stationkeeper_tools.sample_pki import make_gateway
from stationkeeper_tools.station.answer import Answer
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.faults import StationFault
from stationkeeper_tools.station.files import FolderFiles
from stationkeeper_tools.station.runner import ask_once, interact, live
from stationkeeper_tools.station.state import Server, SetName, StationState
from stationkeeper_tools.station.state_machine import Outcome, Result, Station
from tests.cups.client import until
from tests.cups.conftest import Cups
from tests.cups.documents import LNS_URI, Gateway, Trusted
from tests.cups.pki import Pki
from tests.tools.station.gateways import QUICK, credentials, station, token_blob


def boot_station(cups: Cups, pki: Pki) -> Station:
    return station(pki.eui, f"https://localhost:{cups.port}", credentials(pki.a_gateway, pki.server_ca))


def publish_lns(cups: Cups, pki: Pki) -> bytes:
    blob = token_blob(pki.server_ca)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"lns_credentials": blob})])
    return blob


async def test_with_its_boot_set_a_station_gets_its_lns_and_then_nothing_more(cups: Cups, pki: Pki) -> None:
    blob = publish_lns(cups, pki)
    await cups.loaded()
    gateway = boot_station(cups, pki)

    first = await ask_once(gateway)
    second = await ask_once(gateway)

    assert (first.result, first.set_name, first.faults) == (Result.ANSWERED, SetName.BOOT, ())
    assert first.restarts_lns
    assert gateway.state.uri(Server.LNS, SetName.REGULAR) == LNS_URI.encode()
    assert first.crcs_after[Server.LNS] == zlib.crc32(blob)
    assert second.result is Result.ANSWERED
    assert second.received is not None
    assert second.received.answer == Answer()
    assert second.crcs_before == second.crcs_after == first.crcs_after


async def test_a_token_of_the_lns_is_stored_whole(cups: Cups, pki: Pki) -> None:
    publish_lns(cups, pki)
    await cups.loaded()
    gateway = boot_station(cups, pki)

    await ask_once(gateway)

    stored = gateway.state.credentials(Server.LNS, SetName.REGULAR)
    assert (stored.certificate, stored.header_lines) == (b"", b"Authorization: Bearer NNSXS.secret\r\n")


async def test_a_refused_station_rotates_and_says_the_servers_reason(cups: Cups, pki: Pki) -> None:
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"suspended": True})])
    await cups.loaded()
    gateway = boot_station(cups, pki)

    outcome = await ask_once(gateway)

    assert (outcome.result, outcome.set_name, outcome.next_set) == (Result.REJECTED, SetName.BOOT, SetName.REGULAR)
    assert outcome.received is not None
    assert outcome.received.status == 403
    assert outcome.received.refusal.startswith(b"GatewaySuspended")


async def test_a_certificate_that_no_ca_vouches_for_fails_in_the_handshake(cups: Cups, pki: Pki) -> None:
    gateway = station(pki.eui, f"https://localhost:{cups.port}", credentials(pki.b_gateway, pki.server_ca))

    outcome = await ask_once(gateway)

    assert (outcome.result, outcome.next_set) == (Result.FAILED, SetName.BOOT)
    assert [each.fault for each in outcome.faults] == [StationFault.TLS_FAILED]


async def test_a_server_that_the_trust_does_not_know_is_refused(cups: Cups, pki: Pki) -> None:
    gateway = station(pki.eui, f"https://localhost:{cups.port}", credentials(pki.a_gateway, pki.b))

    outcome = await ask_once(gateway)

    assert [each.fault for each in outcome.faults] == [StationFault.TLS_FAILED]
    assert "certificate verify failed" in outcome.faults[0].detail


async def test_an_ip_address_never_matches_although_the_certificate_holds_it(cups: Cups, pki: Pki) -> None:
    gateway = station(pki.eui, f"https://127.0.0.1:{cups.port}", credentials(pki.a_gateway, pki.server_ca))

    outcome = await ask_once(gateway)

    assert [each.fault for each in outcome.faults] == [StationFault.TLS_FAILED]
    assert "127.0.0.1" in outcome.faults[0].detail


async def test_a_server_that_is_down_is_tried_again_with_the_same_set_until_it_answers(cups: Cups, pki: Pki) -> None:
    gateway = boot_station(cups, pki)
    await ask_once(gateway)
    gateway.set_name = SetName.BOOT
    await cups.stop()
    failed = [await interact(gateway) for _ in range(3)]
    assert {(each.result, each.next_set, each.faults[0].fault) for each in failed} == {
        (Result.FAILED, SetName.BOOT, StationFault.CONNECT_FAILED)
    }
    stop, outcomes = asyncio.Event(), list[Outcome]()

    life = asyncio.create_task(
        live(gateway, stop, lambda happened: outcomes.append(happened) if isinstance(happened, Outcome) else None)
    )

    async def failed_twice() -> bool:
        return len(outcomes) > 1

    await until(failed_twice, "two more failures")
    stop.set()

    assert (await life) is outcomes[-1]
    assert gateway.failures == 3 + len(outcomes)


async def test_a_station_asks_until_its_count_with_sets_without_a_uri_left_out(cups: Cups, pki: Pki) -> None:
    results = list[Result]()

    last = await live(
        boot_station(cups, pki),
        asyncio.Event(),
        lambda happened: results.append(happened.result) if isinstance(happened, Outcome) else None,
        count=1,
    )

    assert last is not None
    assert results == [Result.NOT_CONFIGURED, Result.NOT_CONFIGURED, Result.ANSWERED]


async def test_a_station_of_an_earlier_process_goes_on_from_its_folder(cups: Cups, pki: Pki, tmp_path: Path) -> None:
    publish_lns(cups, pki)
    await cups.loaded()
    boot, uri, home = credentials(pki.a_gateway, pki.server_ca), f"https://localhost:{cups.port}", tmp_path / "home"
    first = await ask_once(station(pki.eui, uri, boot, files=FolderFiles(home)))

    again = Station(boot_station(cups, pki).eui, StationState(FolderFiles(home)), QUICK)
    second = await ask_once(again)

    assert first.restarts_lns
    assert (second.result, second.restarts_lns) == (Result.ANSWERED, False)


@pytest.mark.slow
async def test_a_fleet_in_one_process_gets_its_lns(cups: Cups, pki: Pki) -> None:
    euis = [f"01020304050608{number:02X}" for number in range(8)]
    cups.publish(
        [Trusted("a", pki.a)],
        [Gateway(eui, options={"lns_credentials": token_blob(pki.server_ca)}) for eui in euis],
    )
    await cups.loaded()
    now = pki.a_gateway.x509.not_valid_before_utc
    uri = f"https://localhost:{cups.port}"
    fleet = [station(eui, uri, credentials(make_gateway(eui, pki.a, now), pki.server_ca)) for eui in euis]

    outcomes = await asyncio.gather(*map(ask_once, fleet))

    assert {each.result for each in outcomes} == {Result.ANSWERED}
    assert {each.state.uri(Server.LNS, SetName.REGULAR) for each in fleet} == {LNS_URI.encode()}


@pytest.mark.parametrize("boot", ["garbage", "key of another"])
async def test_credentials_that_tls_cannot_use_are_a_failure(pki: Pki, boot: str) -> None:
    sets = {
        "garbage": CredentialSet(b"garbage"),
        "key of another": CredentialSet(
            pki.server_ca.certificate_pem, pki.a_gateway.certificate_pem, pki.b_gateway.key_pem
        ),
    }

    outcome = await ask_once(station(pki.eui, f"https://localhost:{free_port()}", sets[boot]))

    assert [each.fault for each in outcome.faults] == [StationFault.CREDENTIALS_UNUSABLE]


async def test_credentials_of_65535_bytes_arrive_whole(cups: Cups, pki: Pki) -> None:
    blob = token_blob(pki.server_ca)
    blob = blob[:-2] + b"x" * (65_535 - len(blob)) + blob[-2:]
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"lns_credentials": blob})])
    await cups.loaded()

    outcome = await ask_once(boot_station(cups, pki))

    assert (outcome.result, outcome.faults) == (Result.ANSWERED, ())
    assert outcome.crcs_after[Server.LNS] == zlib.crc32(blob)
