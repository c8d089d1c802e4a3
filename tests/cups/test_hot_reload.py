import asyncio
import ssl
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from stationkeeper_core.published.documents import CONTRACT, TRUST, encode
from stationkeeper_cups.http.connection import RequestSeconds
from tests.bench.fleet import Fleet
from tests.cups.client import DEADLINE_SECONDS, exchange, get_internal, until
from tests.cups.conftest import Cups, serving
from tests.cups.documents import Gateway, Trusted, contents
from tests.cups.pki import Pki

SOON = 10.0
"""Seconds on a busy machine; tests/bench measures the real time."""


async def test_a_ca_is_trusted_soon_after_it_comes_and_refused_soon_after_it_goes(cups: Cups, pki: Pki) -> None:
    client = cups.client(pki.b_gateway)

    async def trusted() -> bool:
        return await client.alert() == "answered with 200"

    async def refused() -> bool:
        return await client.alert() == "TLSV1_ALERT_UNKNOWN_CA"

    assert await refused()
    cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
    assert await until(trusted, "CA b is trusted") < SOON
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    assert await until(refused, "CA b is refused") < SOON


@pytest.mark.slow
async def test_bystanders_lose_no_request_over_many_changes_of_trust(cups: Cups, pki: Pki) -> None:
    done = threading.Event()
    outcomes: Counter[object] = Counter()

    def new_connections() -> None:
        client = cups.client(pki.a_gateway)
        while not done.is_set():
            with client.connect() as connection:
                outcomes[exchange(connection).status] += 1

    def one_connection() -> None:
        client = cups.client(pki.a_gateway)
        while not done.is_set():
            with client.connect() as connection:
                while not done.is_set():
                    answer = exchange(connection)
                    outcomes[answer.status] += 1
                    if answer.ends:
                        break

    loops = [
        asyncio.create_task(asyncio.to_thread(loop)) for loop in (new_connections, new_connections, one_connection)
    ]
    for swap in range(10):
        others = [Trusted("b", pki.b)] if swap % 2 == 0 else []
        cups.publish([Trusted("a", pki.a), *others], [Gateway(pki.eui)])
        await cups.loaded()
    done.set()
    await asyncio.gather(*loops)

    assert set(outcomes) == {200}
    assert outcomes[200] > 20


async def test_an_open_connection_of_a_removed_ca_is_closed(cups: Cups, pki: Pki) -> None:
    cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
    await cups.loaded()
    connection = await asyncio.to_thread(cups.client(pki.b_gateway).connect)
    with connection:
        assert (await asyncio.to_thread(exchange, connection)).status == 200
        cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
        await cups.loaded()

        assert await asyncio.to_thread(connection.recv, 1) == b""


async def test_a_request_that_was_begun_before_a_removal_is_decided_after_it(cups: Cups, pki: Pki) -> None:
    cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
    await cups.loaded()
    connection = await asyncio.to_thread(cups.client(pki.b_gateway).connect)
    with connection:
        connection.sendall(b"POST /update-info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\n\r\n")
        cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
        await cups.loaded()
        answer = b""
        # The connection is ended; whether the client sees that while it sends or while it reads is chance.
        with suppress(OSError):
            connection.sendall(b'{"router":"102:304:506:708"}')
            answer = await asyncio.to_thread(connection.recv, 1000)

    assert answer == b""


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_from_before_a_removal_cannot_be_resumed(cups: Cups, pki: Pki, tls: ssl.TLSVersion) -> None:
    cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
    await cups.loaded()
    client = cups.client(pki.b_gateway, tls=tls)

    def first() -> ssl.SSLSession | None:
        with client.connect() as connection:
            assert exchange(connection).status == 200
            return connection.session

    session = await asyncio.to_thread(first)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    await cups.loaded()

    def again() -> str:
        try:
            with client.connect(session) as connection:
                return f"answered with {exchange(connection).status}"
        except ssl.SSLError as error:
            return str(error.reason)

    assert await asyncio.to_thread(again) == "TLSV1_ALERT_UNKNOWN_CA"


async def test_the_gateways_lns_changes_without_a_restart(cups: Cups, pki: Pki) -> None:
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"lns_uri": "wss://new.example.org:443"})])
    await cups.loaded()

    assert b"wss://new.example.org:443" in (await cups.client(pki.a_gateway).ask()).body


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda value: b"", "MalformedDocument"),
        (lambda value: value[:-20], "MalformedDocument"),
        (lambda value: value.replace(b'"contract":%d' % CONTRACT, b'"contract":9'), "UnknownContract"),
        (lambda value: value.replace(b'"sha256":"', b'"sha256":"0'), "DigestMismatch"),
        (lambda value: encode(TRUST, 1, contents([], [])[TRUST]), "OlderGeneration"),
    ],
)
async def test_a_document_that_cannot_be_loaded_leaves_the_last_good_one_in_force(
    cups: Cups, pki: Pki, spoil: object, reason: str
) -> None:
    good = (cups.documents / TRUST).read_bytes()
    assert callable(spoil)
    cups.lay_documents({TRUST: spoil(good)})

    async def refused() -> bool:
        found = (await get_internal(cups.internal_port, "/generation")).json()["refused"]
        return TRUST in found and found[TRUST]["reason"] == reason

    await until(refused, f"the document is refused with {reason}")
    assert (await cups.client(pki.a_gateway).ask()).status == 200


async def test_the_servers_certificate_is_replaced_without_a_restart(cups: Cups, pki: Pki) -> None:
    client = cups.client(pki.a_gateway)

    def serial() -> object:
        with client.connect() as connection:
            return (connection.getpeercert() or {})["serialNumber"]

    before = await asyncio.to_thread(serial)
    cups.lay_server_tls(pki.other_server)

    async def replaced() -> bool:
        return await asyncio.to_thread(serial) != before

    await until(replaced, "the new certificate is shown")


async def test_a_key_that_does_not_match_leaves_the_servers_certificate_in_force(cups: Cups, pki: Pki) -> None:
    mixed = type(pki.server)(key_pem=pki.other_server.key_pem, certificate_pem=pki.server.certificate_pem)
    cups.lay_server_tls(mixed)

    async def refused() -> bool:
        found = (await get_internal(cups.internal_port, "/generation")).json()["refused"]
        return "server-certificate" in found and found["server-certificate"]["reason"] == "ServerCertificateInvalid"

    await until(refused, "the pair is refused")
    assert (await cups.client(pki.a_gateway).ask()).status == 200


async def test_content_missing_from_the_volume_stays_in_force(cups: Cups, pki: Pki) -> None:
    cups.lay_documents({})

    assert (await cups.client(pki.a_gateway).ask()).status == 200


@pytest.mark.slow
async def test_a_change_of_trust_closes_just_the_connections_that_it_concerns(tmp_path: Path, pki: Pki) -> None:
    # No connection ends because a busy machine takes long to open them all.
    async with serving(tmp_path, pki, seconds=RequestSeconds(head=300, idle=300)) as cups:
        await _closes_just_those(cups, pki)


async def _closes_just_those(cups: Cups, pki: Pki) -> None:
    staying, leaving = Fleet("ECDSA"), Fleet("ECDSA")
    members = [(fleet, member) for fleet in (staying, leaving) for member in fleet.gateways(60)]
    gateways = [Gateway(each.eui) for _, each in members[:60]]
    trusted = [Trusted("a", staying.ca), Trusted("b", leaving.ca)]
    cups.publish(trusted, gateways)
    await cups.loaded()

    def connect(number: int) -> ssl.SSLSocket:
        return cups.client(members[number][1].pair).connect()

    connections = [await asyncio.to_thread(connect, number) for number in range(len(members))]
    cups.publish(trusted[:1], gateways)
    await cups.loaded()

    def is_ended(connection: ssl.SSLSocket, seconds: float) -> bool:
        connection.settimeout(seconds)
        try:
            return connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    ended = [await asyncio.to_thread(is_ended, each, DEADLINE_SECONDS) for each in connections[60:]]
    stayed = [await asyncio.to_thread(is_ended, each, 0.05) for each in connections[:60]]
    for each in connections:
        each.close()
    assert (ended, stayed) == ([True] * 60, [False] * 60)
