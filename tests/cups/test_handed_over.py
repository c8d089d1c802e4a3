"""Documents from the operator are in force at once, and no other sender is accepted."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from stationkeeper_core.published.documents import DOCUMENTS, MAX_SECRET_BYTES, REGISTRY, TRUST, encode
from stationkeeper_core.published.operator_proof import HEADER, Latest, OperatorKey
from tests.cups.client import Answer, get_internal, put_internal, until
from tests.cups.conftest import TOKEN, Cups, ready, serving
from tests.cups.documents import Gateway, Trusted, contents
from tests.cups.pki import Pki
from tests.operator_key import OperatorPair, make_operator_pair


@pytest.fixture(scope="module")
def operator() -> OperatorPair:
    return make_operator_pair()


@pytest.fixture
async def cups(tmp_path: Path, pki: Pki, operator: OperatorPair) -> AsyncIterator[Cups]:
    async with serving(tmp_path, pki, token=TOKEN, operator_certificate=operator.certificate_pem) as made:
        yield made


def trust(pki: Pki, generation: int, *more: Trusted) -> bytes:
    """Return the trust document with CA `a` and `more`."""
    return encode(TRUST, generation, contents([Trusted("a", pki.a), *more], [])[TRUST])


async def hand_over(
    cups: Cups, value: bytes, pair: OperatorPair, *, document: str = TRUST, signed_as: str = TRUST, token: str = TOKEN
) -> Answer:
    signature = OperatorKey(pair.key_pem).sign_document(signed_as, value)
    headers = {"Authorization": f"Bearer {token}", HEADER: signature}
    return await put_internal(cups.internal_port, f"/documents/{document}", value, headers)


async def told(cups: Cups) -> dict[str, object]:
    found: dict[str, object] = (await get_internal(cups.internal_port, "/generation", TOKEN)).json()
    return found


async def in_force(cups: Cups) -> int:
    generations = (await told(cups))["generations"]
    assert isinstance(generations, dict)
    return int(generations[TRUST])


async def test_a_handed_over_document_is_in_force_before_the_answer(
    cups: Cups, pki: Pki, operator: OperatorPair
) -> None:
    client = cups.client(pki.b_gateway)
    assert (await hand_over(cups, trust(pki, 10, Trusted("b", pki.b)), operator)).status == 204
    assert await client.alert() == "answered with 200"
    assert (await hand_over(cups, trust(pki, 11), operator)).status == 204
    assert await client.alert() == "TLSV1_ALERT_UNKNOWN_CA"


async def test_a_late_volume_reverts_nothing_and_is_not_a_refusal(cups: Cups, pki: Pki, operator: OperatorPair) -> None:
    assert (await hand_over(cups, trust(pki, 12), operator)).status == 204
    # The kubelet lays what was published in between, minutes late.
    registry = encode(REGISTRY[0], 13, contents([], [])[REGISTRY[0]])
    cups.lay_documents({TRUST: trust(pki, 11, Trusted("b", pki.b)), REGISTRY[0]: registry})

    async def is_read() -> bool:
        generations = (await told(cups))["generations"]
        return isinstance(generations, dict) and generations[REGISTRY[0]] == 13

    await until(is_read, "what was laid with it is in force")
    assert await cups.client(pki.b_gateway).alert() == "TLSV1_ALERT_UNKNOWN_CA"
    assert ((await told(cups))["refused"], await in_force(cups)) == ({}, 12)


async def test_a_volume_that_goes_back_is_reported_all_the_same(cups: Cups, pki: Pki, operator: OperatorPair) -> None:
    cups.lay_documents({TRUST: trust(pki, 10)})

    async def loaded() -> bool:
        return await in_force(cups) == 10

    await until(loaded, "it is loaded")
    assert (await hand_over(cups, trust(pki, 12), operator)).status == 204
    cups.lay_documents({TRUST: trust(pki, 9, Trusted("b", pki.b))})

    async def refused() -> bool:
        return "OlderGeneration" in str((await told(cups))["refused"])

    await until(refused, "somebody restored an old Secret")
    assert await in_force(cups) == 12


async def test_an_older_document_that_was_signed_once_is_refused(cups: Cups, pki: Pki, operator: OperatorPair) -> None:
    old = trust(pki, 10, Trusted("b", pki.b))
    assert (await hand_over(cups, old, operator)).status == 204
    assert (await hand_over(cups, trust(pki, 11), operator)).status == 204
    answer = await hand_over(cups, old, operator)
    assert (answer.status, answer.json()["reason"]) == (409, "OlderGeneration")
    assert await cups.client(pki.b_gateway).alert() == "TLSV1_ALERT_UNKNOWN_CA"
    assert (await told(cups))["refused"] == {}


async def test_the_token_without_the_operators_key_changes_nothing(
    cups: Cups, pki: Pki, operator: OperatorPair, caplog: pytest.LogCaptureFixture
) -> None:
    forged, before = trust(pki, 2**62, Trusted("b", pki.b)), (await told(cups))["generations"]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answers = [
        await hand_over(cups, forged, make_operator_pair()),
        await put_internal(cups.internal_port, "/documents/trust", forged, headers),
        await put_internal(cups.internal_port, "/documents/trust", forged, {**headers, HEADER: "no base64"}),
        await put_internal(cups.internal_port, "/documents/trust", forged, {**headers, HEADER: "AAAA" * 4000}),
        await hand_over(cups, forged, operator, signed_as="registry-00"),
        await hand_over(cups, forged + b"x", OperatorPair(make_operator_pair().key_pem, b"")),
    ]
    assert [each.status for each in answers] == [403, 403, 403, 400, 403, 403]
    after = await told(cups)
    assert (after["generations"], after["refused"]) == (before, {})
    assert any("not the operator's" in each.message for each in caplog.records)


async def test_the_operators_signature_does_not_do_without_the_token(
    cups: Cups, pki: Pki, operator: OperatorPair
) -> None:
    assert (await hand_over(cups, trust(pki, 10), operator, token="wrong")).status == 401
    assert await in_force(cups) == cups.generation


async def test_an_unknown_document_or_a_body_that_is_too_large_is_not_read(cups: Cups, operator: OperatorPair) -> None:
    assert (await hand_over(cups, b"x", operator, document="nothing")).status == 404
    too_large = await hand_over(cups, bytes(MAX_SECRET_BYTES + 1), operator)
    assert too_large.status in {413, 0}, "the connection may end while it is being sent"
    assert await in_force(cups) == cups.generation


async def test_a_signed_document_that_cannot_be_loaded_is_reported(cups: Cups, operator: OperatorPair) -> None:
    answer = await hand_over(cups, b"nonsense", operator)
    assert (answer.status, answer.json()["reason"]) == (409, "MalformedDocument")
    assert "MalformedDocument" in str((await told(cups))["refused"])


async def test_without_the_operators_certificate_nothing_is_taken(guarded: Cups, pki: Pki) -> None:
    assert (await hand_over(guarded, trust(pki, 10), make_operator_pair())).status == 403
    assert "handover" not in await told(guarded)


async def test_a_certificate_that_is_replaced_counts_at_once_and_one_of_another_kind_never(
    cups: Cups, pki: Pki, operator: OperatorPair
) -> None:
    assert cups.operator_certificate is not None
    other = make_operator_pair()
    cups.operator_certificate.write_bytes(make_operator_pair(curve=True).certificate_pem)
    assert (await hand_over(cups, trust(pki, 10), operator)).status == 403
    cups.operator_certificate.write_bytes(other.certificate_pem)
    assert (await hand_over(cups, trust(pki, 10), operator)).status == 403
    assert (await hand_over(cups, trust(pki, 10), other)).status == 204


# -- a pod that starts


async def send_latest(
    cups: Cups, pair: OperatorPair, generations: dict[str, int], instance: str = "", ago: int = 0
) -> Answer:
    handover = (await told(cups))["handover"]
    assert isinstance(handover, dict)
    body = msgspec.json.encode(
        Latest(instance or str(handover["instance"]), generations, int(handover["moment"]) - ago)
    )
    headers = {"Authorization": f"Bearer {TOKEN}", HEADER: OperatorKey(pair.key_pem).sign_latest(body)}
    return await put_internal(cups.internal_port, "/latest", body, headers)


@pytest.fixture
async def starting(tmp_path: Path, pki: Pki, operator: OperatorPair) -> AsyncIterator[Cups]:
    """Yield a server that has loaded its volume and waits for the operator."""
    made = Cups(tmp_path, pki, TOKEN, operator_certificate=operator.certificate_pem, latest_seconds=600)
    made.start()
    made.lay_server_tls(pki.server)
    made.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])

    async def loaded() -> bool:
        answer = await get_internal(made.internal_port, "/generation", TOKEN)
        return answer.status == 200 and not answer.json()["missing"]

    await until(loaded, "the volume is loaded")
    yield made
    await made.stop()


async def test_a_pod_that_starts_with_an_old_volume_does_not_serve_it(
    starting: Cups, pki: Pki, operator: OperatorPair
) -> None:
    latest = dict.fromkeys(DOCUMENTS, starting.generation) | {TRUST: 10}
    assert (await send_latest(starting, operator, latest)).status == 409
    assert not await ready(starting)
    with pytest.raises(ConnectionRefusedError):
        await starting.client(pki.b_gateway).ask()
    assert (await hand_over(starting, trust(pki, 10), operator)).status == 204
    assert (await send_latest(starting, operator, latest)).status == 204
    await until(lambda: ready(starting), "it serves")
    assert await starting.client(pki.b_gateway).alert() == "TLSV1_ALERT_UNKNOWN_CA"
    assert await starting.client(pki.a_gateway).alert() == "answered with 200"


async def test_a_message_for_another_process_or_by_another_signer_has_no_effect(
    starting: Cups, operator: OperatorPair
) -> None:
    latest = dict.fromkeys(DOCUMENTS, starting.generation)
    assert (await send_latest(starting, operator, latest, "another")).status == 403
    assert (await send_latest(starting, make_operator_pair(), latest)).status == 403
    assert (await send_latest(starting, operator, latest, ago=10_000)).status == 403
    assert not await ready(starting)


async def test_without_an_operator_a_pod_serves_what_its_volume_holds_after_a_while(
    tmp_path: Path, pki: Pki, operator: OperatorPair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    options = {"token": TOKEN, "operator_certificate": operator.certificate_pem, "latest_seconds": 1}
    async with serving(tmp_path, pki, **options) as cups:
        assert await cups.client(pki.a_gateway).alert() == "answered with 200"
    assert any("no operator confirmed" in each.message for each in caplog.records)
