"""Many clients and many changes: no client is wrongly accepted, and no client is wrongly refused."""

import asyncio
import http.client
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path

import pytest

from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_tools.sample_pki import KeyPair, make_gateway
from tests.cups.client import Client, exchange, until
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.own_process import process, serves
from tests.cups.pki import Pki

CLIENTS, SWAPS, BYSTANDERS_ANSWERS = 10, 36, 2000
VICTIM = "A840410000000001"
BODY = b'{"router":"a840:4100:0:1"}'


@dataclass(frozen=True)
class Asked:
    """One request of the victim: its begin and end, and whether it was accepted."""

    begun: float
    ended: float
    let_in: bool


@dataclass
class Phase:
    """A published state and its time in force: it begins at the latest when `/generation` reports it."""

    lets_in: bool
    published: float
    confirmed: float = float("inf")


@dataclass
class Load:
    """Clients in separate threads until they are stopped, and their results."""

    done: threading.Event = field(default_factory=threading.Event)
    bystanders: Counter[object] = field(default_factory=Counter)
    victims: list[Asked] = field(default_factory=list)

    def bystander(self, client: Client, *, keep: bool) -> None:
        while not self.done.is_set():
            with client.connect() as connection:
                answer = exchange(connection)
                self.bystanders[answer.status] += 1
                while keep and not answer.ends and not self.done.is_set():
                    answer = exchange(connection)
                    self.bystanders[answer.status] += 1

    def victim(self, client: Client, *, keep: bool) -> None:
        connection: ssl.SSLSocket | None = None
        since = time.monotonic()
        while not self.done.is_set():
            goes_on = False
            try:
                connection = connection or client.connect()
                answer = exchange(connection, BODY)
                let_in, goes_on = answer.status == 200, keep and not answer.ends
            except (OSError, http.client.HTTPException):
                let_in = False
            ended = time.monotonic()
            self.victims.append(Asked(since, ended, let_in))
            # A connection that is kept may be closed at any time after its last answer.
            since = ended
            if connection and not goes_on:
                connection.close()
                connection = None
        if connection:
            connection.close()


def _trusting(pki: Pki, *, suspended: bool = False, **options: object) -> tuple[list[Trusted], list[Gateway]]:
    gateways = [Gateway(pki.eui), Gateway(VICTIM, options={"suspended": suspended})]
    return [Trusted("a", pki.a), Trusted("b", pki.b, options=options)], gateways


def _reductions(pki: Pki, victim: KeyPair) -> list[tuple[list[Trusted], list[Gateway]]]:
    (certificate,) = parse_certificates(victim.certificate_pem.decode())
    trusted, gateways = _trusting(pki)
    return [
        (trusted[:1], gateways),
        _trusting(pki, revoked_serials=(certificate.serial,)),
        _trusting(pki, suspended=True),
        _trusting(pki, revoked_sha256=(certificate.sha256,)),
        (trusted, gateways[:1]),
        _trusting(pki, eui_ranges=(f"{pki.eui}/64",)),
    ]


def _unexplained(phases: list[Phase], asked: list[Asked]) -> list[Asked]:
    """Return the answers that no state in force between request and answer explains."""
    ends = [*(later.confirmed for _, later in pairwise(phases)), float("inf")]

    def is_explained(each: Asked) -> bool:
        return any(
            phase.lets_in == each.let_in and phase.published <= each.ended and each.begun <= end
            for phase, end in zip(phases, ends, strict=True)
        )

    return [each for each in asked if not is_explained(each)]


async def _more(counted: Callable[[], int], by: int) -> None:
    enough = counted() + by

    async def has_grown() -> bool:
        return counted() >= enough

    await until(has_grown, "requests are answered")


@pytest.mark.slow
async def test_every_answer_is_explained_by_a_state_in_force_between_request_and_answer(
    tmp_path: Path, pki: Pki
) -> None:
    cups, load = Cups(tmp_path, pki), Load()
    cups.lay_server_tls(pki.server)
    victim = make_gateway(VICTIM, pki.b, datetime.now(UTC))
    reductions = _reductions(pki, victim)
    phases = [Phase(lets_in=True, published=time.monotonic())]
    cups.publish(*_trusting(pki))
    with process(cups, tmp_path / "log"), ThreadPoolExecutor(CLIENTS) as pool:
        await serves(cups)
        running = [
            *(pool.submit(load.bystander, cups.client(pki.a_gateway), keep=keep) for keep in (True, False) * 3),
            *(pool.submit(load.victim, cups.client(victim), keep=keep) for keep in (True, False) * 2),
        ]
        try:
            for number in count(1):
                phases.append(Phase(lets_in=number % 2 == 0, published=time.monotonic()))
                cups.publish(*(_trusting(pki) if number % 2 == 0 else reductions[number // 2 % len(reductions)]))
                await cups.loaded()
                phases[-1].confirmed = time.monotonic()
                await _more(lambda: len(load.victims), 8)
                if number >= SWAPS and load.bystanders.total() >= BYSTANDERS_ANSWERS:
                    break
        finally:
            load.done.set()
            await asyncio.gather(*map(asyncio.wrap_future, running))

    assert set(load.bystanders) == {200}
    assert {each.let_in for each in load.victims} == {True, False}
    assert _unexplained(phases, load.victims) == []


def test_a_wrong_answer_would_be_found() -> None:
    phases = [Phase(lets_in=True, published=0, confirmed=1), Phase(lets_in=False, published=10, confirmed=11)]
    right = [Asked(2, 3, let_in=True), Asked(10.5, 10.6, let_in=True), Asked(10.5, 10.6, let_in=False)]
    wrong = [Asked(11.1, 11.2, let_in=True), Asked(8, 9.9, let_in=False)]
    assert _unexplained(phases, right + wrong) == wrong
