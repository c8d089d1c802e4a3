import asyncio
from datetime import UTC, datetime, timedelta

from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_tools.sample_pki import KeyPair
from tests.core.revocation_lists import revocation_list
from tests.cups.client import exchange
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki


def _certificate(pair: KeyPair) -> Certificate:
    (found,) = parse_certificates(pair.certificate_pem.decode())
    return found


def _with_list(pki: Pki, *serials: int, **options: object) -> Trusted:
    found = revocation_list(_certificate(pki.a), *serials, **options)
    return Trusted("a", pki.a, options={"revocation_lists": (found,)})


async def test_a_list_revokes_on_an_open_connection_and_harms_no_other_ca(cups: Cups, pki: Pki) -> None:
    serial = _certificate(pki.a_gateway).serial_number
    with await asyncio.to_thread(cups.client(pki.a_gateway).connect) as connection:
        assert (await asyncio.to_thread(exchange, connection)).status == 200
        cups.publish([_with_list(pki, serial), Trusted("b", pki.b)], [Gateway(pki.eui)])
        await cups.loaded()
        for answer in (await asyncio.to_thread(exchange, connection), await cups.client(pki.a_gateway).ask()):
            assert (answer.status, answer.reason) == (403, "CertificateRevoked")
    assert (await cups.client(pki.b_gateway).ask()).status == 200


async def test_an_overdue_list_refuses_by_the_servers_own_clock(cups: Cups, pki: Pki) -> None:
    past = int((datetime.now(UTC) - timedelta(minutes=1)).timestamp())
    for refuse, status in ((True, 403), (False, 200)):
        cups.publish([_with_list(pki, 1, next_update=past, refuse_overdue=refuse)], [Gateway(pki.eui)])
        await cups.loaded()
        answer = await cups.client(pki.a_gateway).ask()
        assert (answer.status, answer.body.startswith(b"CRLExpired")) == (status, refuse)
