"""Whatever takes trust away acts on all four ways in: new and resumed handshakes, open connections, requests begun.

Of some reductions the handshake knows nothing: there the request is refused, and never answered with 200.
"""

import asyncio
import http.client
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from stationkeeper_core.pem import parse_certificates
from tests.cups.client import Client, exchange, until
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki

BODY = b'{"router":"102:304:506:708"}'
HEAD = b"POST /update-info HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY)
REFUSED = {403, 404}
SWAPS = 20

State = tuple[list[Trusted], list[Gateway]]


@dataclass(frozen=True)
class Before:
    """What a client holds from before a reduction."""

    idle: ssl.SSLSocket
    in_flight: ssl.SSLSocket
    session: ssl.SSLSession | None


def _serial(pki: Pki) -> str:
    return f"{parse_certificates(pki.b_gateway.certificate_pem.decode())[0].x509.serial_number:X}"


def _sha256(pki: Pki) -> str:
    return parse_certificates(pki.b_gateway.certificate_pem.decode())[0].sha256


def _with(pki: Pki, **options: object) -> State:
    return [Trusted("a", pki.a), Trusted("b", pki.b, options=options)], [Gateway(pki.eui)]


def _narrowed(pki: Pki, **options: object) -> State:
    return [Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui, options=options)]


REDUCTIONS: dict[str, Callable[[Pki], State]] = {
    "the CA is removed": lambda pki: ([Trusted("a", pki.a)], [Gateway(pki.eui)]),
    "its serial is revoked": lambda pki: _with(pki, revoked_serials=(_serial(pki),)),
    "its fingerprint is revoked": lambda pki: _with(pki, revoked_sha256=(_sha256(pki),)),
    "the CA's ranges are narrowed": lambda pki: _with(pki, eui_ranges=("FFFF000000000000/16",)),
    "the Gateway is suspended": lambda pki: _narrowed(pki, suspended=True),
    "the Gateway is deleted": lambda pki: ([Trusted("a", pki.a), Trusted("b", pki.b)], []),
    "the Gateway allows other CAs": lambda pki: _narrowed(pki, trusted_cas=("radio/a",)),
    "the Gateway pins another certificate": lambda pki: _narrowed(pki, sha256_fingerprints=("0" * 64,)),
    "the CA moves to another namespace": lambda pki: (
        [Trusted("a", pki.a), Trusted("b", pki.b, namespace="elsewhere")],
        [Gateway(pki.eui)],
    ),
}


def _prepare(client: Client) -> Before:
    idle, in_flight = client.connect(), client.connect()
    assert exchange(idle).status == 200
    session = idle.session
    in_flight.sendall(HEAD + BODY[:10])
    return Before(idle, in_flight, session)


def _outcome(attempt: Callable[[], int]) -> int | None:
    """The status of the answer, None where there was none."""
    try:
        return attempt()
    except (OSError, http.client.HTTPException):
        return None


def _ask(client: Client, session: ssl.SSLSession | None = None) -> int:
    with client.connect(session) as connection:
        return exchange(connection).status


def _complete(connection: ssl.SSLSocket) -> int:
    connection.sendall(BODY[10:])
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status


def _outcomes(client: Client, before: Before) -> dict[str, int | None]:
    with before.idle, before.in_flight:
        return {
            "in flight": _outcome(lambda: _complete(before.in_flight)),
            "keep-alive": _outcome(lambda: exchange(before.idle).status),
            "new": _outcome(lambda: _ask(client)),
            "resumed": _outcome(lambda: _ask(client, before.session)),
        }


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("reduction", REDUCTIONS)
async def test_a_reduction_acts_on_every_way_in(cups: Cups, pki: Pki, reduction: str, tls: ssl.TLSVersion) -> None:
    cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
    await cups.loaded()
    client = cups.client(pki.b_gateway, tls=tls)
    before = await asyncio.to_thread(_prepare, client)
    cups.publish(*REDUCTIONS[reduction](pki))
    await cups.loaded()

    outcomes = await asyncio.to_thread(_outcomes, client, before)

    removed = reduction == "the CA is removed"
    assert all(each is None if removed else each in REFUSED for each in outcomes.values()), outcomes


async def _grows(count: Callable[[], int], by: int) -> None:
    enough = count() + by

    async def has_grown() -> bool:
        return count() >= enough

    await until(has_grown, "requests are answered")


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_no_ticket_is_issued(cups: Cups, pki: Pki, tls: ssl.TLSVersion) -> None:
    client = cups.client(pki.a_gateway, tls=tls)

    def has_ticket() -> bool:
        with client.connect() as connection:
            assert exchange(connection).status == 200
            return connection.session is not None and connection.session.has_ticket

    assert not await asyncio.to_thread(has_ticket)


async def test_every_answer_is_explained_by_a_snapshot_in_force_meanwhile(cups: Cups, pki: Pki) -> None:
    done = threading.Event()
    bystanders: Counter[object] = Counter()
    answered: list[tuple[float, float]] = []

    def bystander(keep: bool) -> None:
        client = cups.client(pki.a_gateway)
        while not done.is_set():
            with client.connect() as connection:
                bystanders[exchange(connection).status] += 1
                while keep and not done.is_set():
                    bystanders[exchange(connection).status] += 1

    def affected() -> None:
        client = cups.client(pki.b_gateway)
        connection: ssl.SSLSocket | None = None
        while not done.is_set():
            begun = time.monotonic()
            try:
                connection = connection or client.connect()
                if exchange(connection).status == 200:
                    answered.append((begun, time.monotonic()))
            except (OSError, http.client.HTTPException):
                if connection:
                    connection.close()
                connection = None
        if connection:
            connection.close()

    threads = [
        *(asyncio.create_task(asyncio.to_thread(bystander, keep)) for keep in (True, True, False)),
        *(asyncio.create_task(asyncio.to_thread(affected)) for _ in range(2)),
    ]
    shut: list[tuple[float, float]] = []
    try:
        for _ in range(SWAPS):
            cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
            await cups.loaded()
            await _grows(lambda: len(answered), 1)
            cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
            await cups.loaded()
            confirmed = time.monotonic()
            await _grows(bystanders.total, 20)
            shut.append((confirmed, time.monotonic()))
    finally:
        done.set()
        await asyncio.gather(*threads)

    assert set(bystanders) == {200}
    assert bystanders[200] > 20 * SWAPS
    assert not [begun for begun, ended in answered for begin, end in shut if begin <= begun and ended <= end]


async def test_a_volume_that_leads_nowhere_changes_nothing_until_it_is_mended(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    async def complained() -> bool:
        return "cannot read, the last good state stays in force" in caplog.messages

    data = cups.documents / "..data"
    target = data.readlink()
    data.unlink()
    data.symlink_to("..nowhere")
    client = cups.client(pki.a_gateway)
    assert (await client.ask()).status == 200
    data.unlink()
    data.symlink_to("..data")
    await until(complained, "that it cannot be read is logged")
    assert (await client.ask()).status == 200
    data.unlink()
    data.symlink_to(target)
    cups.publish([Trusted("b", pki.b)], [Gateway(pki.eui)])
    await cups.loaded()
    assert await client.alert() == "TLSV1_ALERT_UNKNOWN_CA"
