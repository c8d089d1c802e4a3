"""Feed the TLS layer with broken conversations: `python -m tests.fuzz.tls --inputs 1000000 --seed 1`.

A real client's bytes are cut, changed, repeated and split at random. The only exception is the documented one, the sent
bytes stay bounded, and the result does not depend on how the bytes were split.
"""

import argparse
import random
from functools import cache

from stationkeeper_core.errors import Reason
from stationkeeper_cups.tls.connection import State, TLSConnection
from tests.cups.pki import Pki
from tests.cups.tls_peer import VERSIONS, Judge, Peer, server

MOST_SENT_BYTES = 128 * 1024
_ESTABLISHED = 2


@cache
def pki() -> Pki:
    return Pki.make()


def run(seed: int) -> State:
    """Run one broken conversation and return its end; raise AssertionError if a promise is broken."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    refusal = chance.choice([None, None, Reason.UNKNOWN_CA, Reason.CERTIFICATE_EXPIRED])
    chain = chance.choice([(), (pki().a,), (pki().b, pki().a)])
    pair = chance.choice([pki().a_gateway, pki().a_expired_gateway, None])
    peer = Peer(pki(), pair, chance.choice(VERSIONS), chain if pair else ())
    connection, other = (server(pki(), Judge(refusal), optional=True) for _ in range(2))
    breaks_at = chance.randrange(5)
    to_client, sent = b"", 0
    for turn in range(5):
        to_server = peer.step(to_client)
        if turn >= _ESTABLISHED and connection.state is State.OPEN:
            to_server += peer.write(b"POST /update-info")
        if turn == breaks_at:
            to_server = _broken(to_server, chance)
        if turn == 0:
            # Only the first bytes mean the same to two servers: what follows answers one's random numbers.
            other.receive(to_server)
        to_client = b""
        for piece in _split(to_server, chance):
            connection.receive(piece)
            to_client += connection.data_to_send()
        if turn == 0:
            assert _outcome(connection) == _outcome(other)
        sent += len(to_client)
        assert sent <= MOST_SENT_BYTES
    connection.receive_end()
    assert (connection.failure is not None) == (connection.state is State.FAILED)
    connection.release()
    other.release()
    return connection.state


def _outcome(connection: TLSConnection) -> tuple[State, Reason | None]:
    return connection.state, connection.failure.reason if connection.failure else None


def _broken(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data or chance.randbytes(chance.randrange(1, 200)))
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(found)) if found else 0
        match chance.randrange(5):
            case 0:
                found[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del found[place : place + chance.randrange(1, 50)]
            case 2:
                found[place:place] = chance.randbytes(chance.randrange(1, 50))
            case 3:
                found = found[:place]
            case _:
                found += found[place:]
    return bytes(found)


def _split(data: bytes, chance: random.Random) -> list[bytes]:
    found = []
    while data:
        size = chance.choice([1, 2, 5, 50, 1000])
        found.append(data[:size])
        data = data[size:]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    states: dict[State, int] = {}
    for seed in range(options.seed, options.seed + options.inputs):
        try:
            state = run(seed)
        except BaseException:
            print(f"seed {seed}")
            raise
        states[state] = states.get(state, 0) + 1
    print({state.value: number for state, number in states.items()})


if __name__ == "__main__":
    main()
