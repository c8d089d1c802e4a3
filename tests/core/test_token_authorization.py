import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.policy.token_authorization import (
    STEPS,
    TokenClaim,
    TokenGrant,
    authorize_by_token,
    token_is_compared,
    token_sha256,
)
from stationkeeper_core.protocol.credentials import MAX_TOKEN_BYTES
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.reason_table import REASONS
from tests.core.certificates import EUI
from tests.core.states import gateway, snapshot

TOKEN, OTHER = b"Bearer 0123456789abcdef", b"Bearer fedcba9876543210"
ROUTER = EUI64(int(EUI, 16))
DIGESTS = tuple(hashlib.sha256(each).hexdigest() for each in (TOKEN, OTHER))


def authorize(registered: RegisteredGateway | None, *headers: bytes) -> TokenGrant:
    found = snapshot([], [registered] if registered is not None else [])
    return authorize_by_token(TokenClaim(headers, ROUTER), found)


def refusal(registered: RegisteredGateway | None, *headers: bytes) -> StationkeeperError:
    with pytest.raises(StationkeeperError) as refused:
        authorize(registered, *headers)
    return refused.value


@pytest.mark.parametrize("header", [TOKEN, OTHER])
@pytest.mark.parametrize(
    "options",
    [
        {"token_sha256s": DIGESTS},
        {"token_sha256s": DIGESTS[::-1]},
        {"token_sha256s": ("0" * 64, "1" * 64, "2" * 64, "3" * 64, *DIGESTS)},
        {"token_sha256s": DIGESTS, "sha256_fingerprints": ("ab" * 32,), "trusted_cas": ("radio/ca",)},
    ],
)
def test_each_token_of_a_gateway_opens_it_whatever_certificates_it_is_narrowed_to(
    options: dict[str, Any], header: bytes
) -> None:
    registered = gateway(**options)
    assert authorize(registered, header).gateway == registered


@pytest.mark.parametrize(("header", "source"), [(TOKEN, "a/token"), (OTHER, "")])
def test_what_a_token_opens_names_where_it_is_kept_if_that_is_published(header: bytes, source: str) -> None:
    registered = gateway(token_sha256s=DIGESTS, token_sources=("a/token",))
    assert authorize(registered, header) == TokenGrant(registered, source)


@pytest.mark.parametrize(
    ("registered", "headers", "reason", "said"),
    [
        (gateway(token_sha256s=DIGESTS), (), Reason.TOKEN_MISSING, "neither"),
        (None, (), Reason.TOKEN_MISSING, "neither"),
        (gateway(token_sha256s=DIGESTS), (TOKEN, TOKEN), Reason.TOKEN_REFUSED, "2 Authorization headers"),
        (None, (TOKEN,), Reason.TOKEN_REFUSED, "no accepted Gateway"),
        (gateway("FFFFFFFFFFFFFFFF", token_sha256s=DIGESTS), (TOKEN,), Reason.TOKEN_REFUSED, "no accepted Gateway"),
        (gateway(token_sha256s=DIGESTS, suspended=True), (TOKEN,), Reason.TOKEN_REFUSED, "suspended"),
        (gateway(), (TOKEN,), Reason.TOKEN_REFUSED, "has no token"),
        (gateway(token_sha256s=DIGESTS[:1]), (OTHER,), Reason.TOKEN_REFUSED, "not a token of"),
        (gateway(token_sha256s=DIGESTS), (b"",), Reason.TOKEN_REFUSED, "not a token of"),
        (gateway(token_sha256s=DIGESTS), (TOKEN.lower(),), Reason.TOKEN_REFUSED, "not a token of"),
        (gateway(token_sha256s=DIGESTS), (TOKEN[7:],), Reason.TOKEN_REFUSED, "not a token of"),
        (gateway(token_sha256s=DIGESTS), (TOKEN + b" ",), Reason.TOKEN_REFUSED, "not a token of"),
        (gateway(token_sha256s=DIGESTS), (DIGESTS[0].encode(),), Reason.TOKEN_REFUSED, "not a token of"),
        (gateway(token_sha256s=("", "not a digest", "\u00e9")), (TOKEN,), Reason.TOKEN_REFUSED, "not a token of"),
    ],
)
def test_each_step_refuses_with_a_detail_of_its_own_and_without_the_token(
    registered: RegisteredGateway | None, headers: tuple[bytes, ...], reason: Reason, said: str
) -> None:
    refused = refusal(registered, *headers)

    assert refused.reason == reason
    assert said in refused.detail
    assert "0123456789abcdef" not in str(refused)


def test_refusals_that_depend_on_the_registry_have_one_discreet_reason() -> None:
    assert REASONS[Reason.TOKEN_REFUSED].discreet
    assert REASONS[Reason.TOKEN_REFUSED].http_status == REASONS[Reason.TOKEN_MISSING].http_status == 403


def test_the_token_is_compared_before_any_refusal_that_depends_on_the_registry() -> None:
    assert STEPS[1] is token_is_compared
    claim = token_is_compared(TokenClaim((TOKEN,), ROUTER), snapshot([], []))
    assert (claim.gateway, claim.match) == (None, None)


def test_a_claim_does_not_show_its_token() -> None:
    assert "0123456789abcdef" not in repr(TokenClaim((TOKEN,), ROUTER))


@given(st.lists(st.binary(max_size=80), max_size=3), st.sampled_from([None, gateway(), gateway(token_sha256s=DIGESTS)]))
def test_any_other_authorization_is_refused(headers: list[bytes], registered: RegisteredGateway | None) -> None:
    expected = Reason.TOKEN_REFUSED if headers else Reason.TOKEN_MISSING
    assert refusal(registered, *headers).reason == expected


@pytest.mark.parametrize(
    "content",
    [TOKEN, TOKEN + b"\n", b"Authorization: " + TOKEN + b"\r\n", b"authorization:" + TOKEN],
)
def test_a_token_is_registered_by_the_digest_of_what_follows_the_headers_name(content: bytes) -> None:
    assert token_sha256(content) == DIGESTS[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.TOKEN_INVALID),
        (b"Bearer", Reason.TOKEN_INVALID),
        (b"Bearer 0123456789abcdef\r\nX: y", Reason.TOKEN_INVALID),
        (b"Bearer " + b"a" * MAX_TOKEN_BYTES, Reason.TOKEN_INVALID),
        (b"0123456789abcde", Reason.TOKEN_TOO_SHORT),
        (b"Bearer 0123456789abcde", Reason.TOKEN_TOO_SHORT),
        (b"Bearer              0123456789abcde", Reason.TOKEN_TOO_SHORT),
        (b"LongSchemeWordOfMany 0123", Reason.TOKEN_TOO_SHORT),
    ],
)
def test_a_token_that_cannot_be_sent_or_could_be_guessed_is_refused_without_being_repeated(
    content: bytes, reason: Reason
) -> None:
    with pytest.raises(StationkeeperError) as refused:
        token_sha256(content)
    assert refused.value.reason == reason
    assert "0123" not in refused.value.detail


@pytest.mark.parametrize("content", [b"0123456789abcdef", b"Basic 0123456789abcdef", b"Bearer a b c d e f g h i"])
def test_sixteen_bytes_after_a_word_are_enough(content: bytes) -> None:
    registered = gateway(token_sha256s=(token_sha256(content),))
    assert authorize(registered, content).gateway == registered


@given(st.binary(max_size=200))
def test_any_content_gives_a_digest_or_a_refusal(content: bytes) -> None:
    try:
        digest = token_sha256(content)
    except StationkeeperError as refused:
        assert refused.reason in {Reason.TOKEN_INVALID, Reason.TOKEN_TOO_SHORT}
    else:
        assert len(digest) == 64


def test_a_step_that_needs_the_gateway_cannot_run_before_it_was_looked_up() -> None:
    with pytest.raises(LookupError, match="before it was looked up"):
        _ = TokenClaim((TOKEN,), ROUTER).registered


def test_a_claim_shows_nothing_of_its_token() -> None:
    assert repr(TokenClaim((TOKEN,), ROUTER)) == f"TokenClaim(router={EUI})"
