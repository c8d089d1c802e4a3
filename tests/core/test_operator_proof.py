import base64
import contextlib

import msgspec
import pytest

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published.operator_proof import Latest, OperatorCertificate, OperatorKey, OperatorKeyError
from tests.operator_key import OperatorPair, make_operator_pair

PAIR, ANOTHER = make_operator_pair(), make_operator_pair()
KEY, CERTIFICATE = OperatorKey(PAIR.key_pem), OperatorCertificate(PAIR.certificate_pem)
LATEST = b'{"instance":"pod-1","generations":{"trust":3}}'


def refusal(*document: object) -> str:
    with pytest.raises(StationkeeperError) as refused:
        CERTIFICATE.check_document(*document)  # type: ignore[arg-type]
    assert refused.value.reason is Reason.NOT_FROM_OPERATOR
    return refused.value.detail


def test_a_signature_is_valid_for_one_document() -> None:
    signature = KEY.sign_document("trust", b"value")

    CERTIFICATE.check_document("trust", b"value", signature)
    for document, value in (("registry-00", b"value"), ("trust", b"other"), ("trus", b"tvalue")):
        assert refusal(document, value, signature) == f"{document}: not signed with the key of the operator"


SIGNATURES = {
    "none": "",
    "no base64": "no base64!",
    "zeros": base64.b64encode(bytes(64)).decode(),
    "too short": base64.b64encode(bytes(63)).decode(),
    "of another key": OperatorKey(ANOTHER.key_pem).sign_document("trust", b"value"),
    "with a line break": KEY.sign_document("trust", b"value") + "\n",
    "of the latest generations": KEY.sign_latest(b"value"),
}


@pytest.mark.parametrize("signature", SIGNATURES)
def test_no_other_signature_passes(signature: str) -> None:
    assert "not signed" in refusal("trust", b"value", SIGNATURES[signature])


def test_the_latest_generations_are_for_the_process_that_they_name() -> None:
    signature = KEY.sign_latest(LATEST)

    assert CERTIFICATE.check_latest(LATEST, signature, "pod-1", 1000) == {"trust": 3}
    with pytest.raises(StationkeeperError, match="for another process") as refused:
        CERTIFICATE.check_latest(LATEST, signature, "pod-2", 1000)
    assert refused.value.reason is Reason.NOT_FROM_OPERATOR


@pytest.mark.parametrize(("age", "is_believed"), [(0, True), (4_000, True), (4_001, False), (-1, False)])
def test_the_latest_generations_are_believed_only_just_after_the_process_was_asked(age: int, is_believed: bool) -> None:
    body = msgspec.json.encode(Latest("pod-1", {"trust": 3}, moment=50_000))
    expected = contextlib.nullcontext() if is_believed else pytest.raises(StationkeeperError, match="too old")
    with expected:
        CERTIFICATE.check_latest(body, KEY.sign_latest(body), "pod-1", 50_000 + age)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"instance":"pod-1"}', b'{"instance":"\xff","generations":{}}', b"[" * 9999]
)
def test_signed_latest_generations_that_cannot_be_read_are_refused(body: bytes) -> None:
    with pytest.raises(StationkeeperError, match="cannot be read") as refused:
        CERTIFICATE.check_latest(body, KEY.sign_latest(body), "pod-1", 0)
    assert refused.value.reason is Reason.NOT_FROM_OPERATOR


def test_latest_generations_need_a_signature_of_their_own_kind() -> None:
    with pytest.raises(StationkeeperError, match="not signed"):
        CERTIFICATE.check_latest(LATEST, KEY.sign_document("trust", LATEST), "pod-1", 0)


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (b"no key", "PEM of a private key"),
        (PAIR.certificate_pem, "PEM of a private key"),
        (make_operator_pair(curve=True).key_pem, "it is EC.*; make an Ed25519 key"),
    ],
    ids=["no key", "a certificate", "another kind"],
)
def test_a_key_of_another_kind_is_refused_and_not_shown(pem: bytes, problem: str) -> None:
    with pytest.raises(OperatorKeyError, match=problem) as refused:
        OperatorKey(pem)
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        (OperatorPair(b"", b"no certificate"), "cannot be read"),
        (OperatorPair(b"", PAIR.key_pem), "cannot be read"),
        (make_operator_pair(curve=True), "no Ed25519 key"),
    ],
)
def test_a_certificate_that_verifies_nothing_is_refused(pair: OperatorPair, problem: str) -> None:
    with pytest.raises(StationkeeperError, match=problem) as refused:
        OperatorCertificate(pair.certificate_pem)
    assert refused.value.reason is Reason.NOT_FROM_OPERATOR
