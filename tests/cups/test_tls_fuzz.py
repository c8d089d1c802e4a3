import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stationkeeper_cups.tls.client_flight import leaves_no_room, presented_in_clear
from stationkeeper_cups.tls.connection import State
from tests.cups.pki import Pki
from tests.cups.tls_peer import Judge, server
from tests.examples import examples
from tests.fuzz.tls import run


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_a_broken_conversation_ends_in_a_named_state_however_it_is_split(block: int) -> None:
    found = {run(seed) for seed in range(block * 100, (block + 1) * 100)}
    assert State.FAILED in found


@given(pieces=st.lists(st.binary(max_size=300), max_size=10))
@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_a_named_state(pki: Pki, pieces: list[bytes]) -> None:
    connection = server(pki, Judge())
    for each in pieces:
        assert connection.receive(each) == b""
        connection.data_to_send()
    connection.receive_end()
    assert connection.state is State.FAILED


@given(received=st.binary(max_size=2000), length=st.integers(0, 3000))
def test_any_bytes_are_read_as_a_flight_or_not(received: bytes, length: int) -> None:
    presented_in_clear(received)
    leaves_no_room(received, length)


@given(content=st.binary(max_size=600))
def test_any_certificate_message_is_read_or_not(content: bytes) -> None:
    message = b"\x0b" + len(content).to_bytes(3, "big") + content
    found = presented_in_clear(b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message)
    assert found is None or sum(len(each) + 3 for each in found) + 3 == len(content)
