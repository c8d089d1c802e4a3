from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from stationkeeper_operator.observing.pod_client import MAX_PAGE_BYTES, PodClient, PodError
from stationkeeper_operator.rollout.generation_report import HandoverState, Loaded, LoadRefusal
from stationkeeper_tools.ports import free_port
from tests.operator.internal_port import TOKEN, InternalPort, internal_port
from tests.operator.seeing import saw


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[InternalPort]:
    async with internal_port(tmp_path) as made:
        yield made


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[PodClient]:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    async with PodClient(tmp_path / "token") as made:
        yield made


@pytest.mark.parametrize(("said", "taken"), [(7_000, 7_000), (-1, 0), (2**60, 0)])
async def test_the_moment_of_an_answer_is_kept_as_the_pod_waits_for_it(tmp_path: Path, said: int, taken: int) -> None:
    (tmp_path / "token").write_text(TOKEN)
    async with internal_port(tmp_path) as port, PodClient(tmp_path / "token") as client:
        port.loaded = Loaded({"trust": 7}, handover=HandoverState("one", is_latest=False, moment=said))
        answer = await client.loaded(port.pod())
    assert answer.handover == HandoverState("one", is_latest=False, moment=taken)


async def test_a_pod_reports_what_it_has_loaded_and_seen(port: InternalPort, client: PodClient) -> None:
    port.loaded = Loaded({"trust": 7}, {"registry-00": LoadRefusal("DigestMismatch", "it is not")})
    port.seen = [saw(0), saw(1)]
    assert await client.loaded(port.pod()) == port.loaded
    page = await client.observations(port.pod(), 1)
    assert (page.cursor, page.observations) == (2, (saw(1),))
    assert port.authorizations == [f"Bearer {TOKEN}"] * 2


async def test_a_pod_without_the_identity_of_the_token_does_not_get_the_token(
    tmp_path: Path, client: PodClient
) -> None:
    async with internal_port(tmp_path, "another-token-of-enough-bytes") as impostor:
        with pytest.raises(PodError, match="does not prove"):
            await client.loaded(impostor.pod())
        assert impostor.paths == []


async def test_a_changed_token_is_used_from_the_next_request_on(tmp_path: Path, client: PodClient) -> None:
    async with internal_port(tmp_path, "another-token-of-enough-bytes") as port:
        with pytest.raises(PodError):
            await client.loaded(port.pod())
        (tmp_path / "token").write_text("another-token-of-enough-bytes")
        assert await client.loaded(port.pod()) == Loaded()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=401), "401"),
        (web.Response(status=302, headers={"Location": "https://192.0.2.1/"}), "302"),
        (web.Response(text="nonsense"), "contract"),
        (web.Response(body=b"\xff"), "contract"),
        (web.Response(text="[" * 100_000), "contract"),
        (web.Response(text='{"generations": {"trust": "many"}}'), "contract"),
        (web.Response(body=b" " * (MAX_PAGE_BYTES + 1)), "more than"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_a_named_problem(
    port: InternalPort, client: PodClient, answer: web.Response, said: str
) -> None:
    port.answer = answer
    with pytest.raises(PodError, match=said):
        await client.loaded(port.pod())


async def test_a_pod_that_cannot_be_reached_is_a_problem_of_that_pod(port: InternalPort, client: PodClient) -> None:
    with pytest.raises(PodError):
        await client.loaded(replace(port.pod(), port=free_port()))
    with pytest.raises(PodError, match="no address"):
        await client.loaded(replace(port.pod(), host=""))


@pytest.mark.parametrize(
    "token", ["", "short", "a token with\nan end of line", "ein Token mit Ümlaut".encode("latin-1")]
)
async def test_a_token_that_cannot_be_used_is_reported_without_telling_it(
    tmp_path: Path, port: InternalPort, client: PodClient, token: str | bytes
) -> None:
    (tmp_path / "token").write_bytes(token if isinstance(token, bytes) else token.encode())
    with pytest.raises(PodError, match="token") as told:
        await client.loaded(port.pod())
    assert "end of line" not in str(told.value)
    assert port.paths == []


async def test_a_missing_token_is_a_reported_problem(tmp_path: Path, port: InternalPort) -> None:
    async with PodClient(tmp_path / "missing") as client:
        with pytest.raises(PodError, match="cannot be read"):
            await client.loaded(port.pod())
