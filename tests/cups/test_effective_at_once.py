"""A reduction of trust acts on every way in: new and resumed handshakes, open connections, requests under way.

The handshake does not check some reductions: then the request is refused, and never answered with 200.
"""

import asyncio
import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_tools.sample_pki import KeyPair
from tests.core.revocation_lists import revocation_list
from tests.cups.client import Client, exchange
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
    """The connections and sessions that a client has from before a reduction."""

    idle: ssl.SSLSocket
    in_flight: ssl.SSLSocket
    session: ssl.SSLSession | None


def _serial(pki: Pki) -> str:
    return parse_certificates(pki.b_gateway.certificate_pem.decode())[0].serial


def _sha256(pki: Pki) -> str:
    return parse_certificates(pki.b_gateway.certificate_pem.decode())[0].sha256


def _with(pki: Pki, **options: object) -> State:
    return [Trusted("a", pki.a), Trusted("b", pki.b, options=options)], [Gateway(pki.eui)]


def _narrowed(pki: Pki, **options: object) -> State:
    return [Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui, options=options)]


def _both(pki: Pki) -> State:
    return [Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)]


def _revoked_by_crl(pki: Pki) -> State:
    (issuer,) = parse_certificates(pki.b.certificate_pem.decode())
    return _with(pki, revocation_lists=(revocation_list(issuer, int(_serial(pki), 16)),))


def _issued_indirectly(pki: Pki, *intermediates: KeyPair) -> State:
    return [Trusted("a", pki.b), Trusted("b", pki.a, intermediates)], [Gateway(pki.eui)]


@dataclass(frozen=True)
class Reduction:
    """A change that removes trust from a client.

    Attributes:
        after: what is published at the reduction.
        before: what is published first.
        client: the certificate and key of the client.
        vouched_for: whether a TrustedCA still vouches for that certificate, so that the handshake is not refused.
    """

    after: Callable[[Pki], State]
    before: Callable[[Pki], State] = _both
    client: Callable[[Pki], KeyPair] = lambda pki: pki.b_gateway
    vouched_for: bool = True


REDUCTIONS = {
    "the CA is removed": Reduction(lambda pki: ([Trusted("a", pki.a)], [Gateway(pki.eui)]), vouched_for=False),
    "an intermediate is taken out": Reduction(
        _issued_indirectly,
        lambda pki: _issued_indirectly(pki, pki.a_intermediate),
        lambda pki: pki.a_indirect_gateway,
        vouched_for=False,
    ),
    "its serial is revoked": Reduction(lambda pki: _with(pki, revoked_serials=(_serial(pki),))),
    "its fingerprint is revoked": Reduction(lambda pki: _with(pki, revoked_sha256=(_sha256(pki),))),
    "a CRL revokes it": Reduction(_revoked_by_crl),
    "the CA's ranges are narrowed": Reduction(lambda pki: _with(pki, eui_ranges=("FFFF000000000000/16",))),
    "the Gateway is suspended": Reduction(lambda pki: _narrowed(pki, suspended=True)),
    "the Gateway is deleted": Reduction(lambda pki: (_both(pki)[0], [])),
    "the Gateway allows other CAs": Reduction(lambda pki: _narrowed(pki, trusted_cas=("radio/a",))),
    "the Gateway pins another certificate": Reduction(lambda pki: _narrowed(pki, sha256_fingerprints=("0" * 64,))),
    "the CA moves to another namespace": Reduction(
        lambda pki: ([Trusted("a", pki.a), Trusted("b", pki.b, namespace="elsewhere")], [Gateway(pki.eui)])
    ),
}


def _prepare(client: Client) -> Before:
    idle, in_flight = client.connect(), client.connect()
    assert exchange(idle).status == 200
    session = idle.session
    in_flight.sendall(HEAD + BODY[:10])
    return Before(idle, in_flight, session)


def _outcome(attempt: Callable[[], int]) -> int | None:
    """Return the status of the answer; None if there was none."""
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
    case = REDUCTIONS[reduction]
    cups.publish(*case.before(pki))
    await cups.loaded()
    client = cups.client(case.client(pki), tls=tls)
    before = await asyncio.to_thread(_prepare, client)
    cups.publish(*case.after(pki))
    await cups.loaded()

    outcomes = await asyncio.to_thread(_outcomes, client, before)

    assert all(each in REFUSED if case.vouched_for else each is None for each in outcomes.values()), outcomes
