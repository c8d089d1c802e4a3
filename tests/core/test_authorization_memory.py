from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64, parse_hex
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.policy.authorization_memory import AuthorizationMemory
from stationkeeper_core.policy.refused_client import seen_certificate
from stationkeeper_core.trust.judgement import Judgement
from tests.core.certificates import EUI, NOW, ca, leaf
from tests.core.states import authority, gateway, judged, presented, release_ca, snapshot
from tests.examples import examples

ROOT, OTHER = ca("Root"), ca("Other")
LEAVES = (leaf(ROOT), leaf(OTHER), leaf(ROOT, "no EUI"), leaf(ROOT, "0102030405060709"))
STATES = (
    snapshot([authority(ROOT)], [gateway()]),
    snapshot([authority(ROOT)], [gateway(suspended=True)]),
    snapshot(
        [release_ca(ROOT), authority(OTHER, "b", "elsewhere")], [gateway(), gateway(namespace="elsewhere", rank=1)]
    ),
    snapshot([authority(ROOT)], []),
)
JUDGEMENTS = {
    (chain, state): judged(presented(LEAVES[chain]), STATES[state], NOW)
    for chain in range(len(LEAVES))
    for state in range(len(STATES))
}


def _eui(text: str) -> EUI64:
    found = parse_hex(text)
    assert found is not None
    return found


def _plain(judgement: Judgement, router: EUI64, state: Snapshot) -> object:
    try:
        return authorize(Claim(judgement, router), state).registered, seen_certificate(judgement)
    except StationkeeperError as error:
        return str(error)


def _remembered(memory: AuthorizationMemory, judgement: Judgement, router: EUI64, state: Snapshot) -> object:
    try:
        found = memory.authorize(judgement, router, state)
    except StationkeeperError as error:
        return str(error)
    return found.gateway, found.certificate


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([EUI, "0102030405060709"])),
        min_size=2,
        max_size=20,
    )
)
def test_with_and_without_the_memory_the_same_are_accepted(asked: list[tuple[int, int, str]]) -> None:
    memory = AuthorizationMemory(most=2)
    for chain, state, router in asked:
        judgement = JUDGEMENTS[chain, state]
        plain = _plain(judgement, _eui(router), STATES[state])
        assert _remembered(memory, judgement, _eui(router), STATES[state]) == plain
        assert len(memory) <= 2


def test_a_known_client_is_not_looked_up_again_until_the_next_snapshot() -> None:
    memory, judgement = AuthorizationMemory(), JUDGEMENTS[0, 0]
    first = memory.authorize(judgement, _eui(EUI), STATES[0])

    assert memory.authorize(judgement, _eui(EUI), STATES[0]) is first
    # A twin of the judgement is another one, even if it is equal.
    assert memory.authorize(judged(presented(LEAVES[0]), STATES[0], NOW), _eui(EUI), STATES[0]) is not first
    same = Snapshot(STATES[0].trust, STATES[0].registry)
    assert memory.authorize(judgement, _eui(EUI), same) is not first
    assert len(memory) == 1


def test_above_its_limit_it_drops_the_first_entry() -> None:
    memory = AuthorizationMemory(most=2)
    judgements = [judged(presented(LEAVES[0]), STATES[0], NOW) for _ in range(3)]
    first, _, last = (memory.authorize(each, _eui(EUI), STATES[0]) for each in judgements)

    assert len(memory) == 2
    assert memory.authorize(judgements[2], _eui(EUI), STATES[0]) is last
    assert memory.authorize(judgements[0], _eui(EUI), STATES[0]) is not first
