import gc
import tracemalloc
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.in_force.judgement_memory import JudgementMemory
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.x509.openssl import load
from tests.core.certificates import NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.revocation_lists import revocation_list
from tests.core.states import authority, gateway, judged, presented, release_ca, snapshot
from tests.examples import examples

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
ROOT, OTHER = ca("Root", ends=NOW + 9 * DAY), ca("Other")
ISSUING = ca("Issuing", ROOT, begins=NOW - 2 * DAY, ends=NOW + 2 * DAY)
RENEWED = issue(Wish(name("Issuing"), ca=True, key=ISSUING.key, begins=NOW + DAY, ends=NOW + 5 * DAY), ROOT)
LEAVES = [
    leaf(ROOT),
    leaf(ISSUING, ends=NOW + 3 * DAY),
    leaf(OTHER, serial=7),
    leaf(ca("Nobody")),
    leaf(ROOT, "no EUI"),
]
CRL = revocation_list(OTHER.certificate, next_update=int((NOW + DAY).timestamp()), refuse_overdue=True)

STATES: list[Snapshot] = [
    snapshot([authority(ROOT, intermediates=(ISSUING.der,))], [gateway()]),
    snapshot([authority(ROOT, intermediates=(ISSUING.der, RENEWED.der)), authority(OTHER, "b")], []),
    snapshot([authority(ROOT, namespace="elsewhere"), authority(OTHER, "b", revocation_lists=(CRL,))], [gateway()]),
    snapshot([release_ca(ROOT), release_ca(OTHER, "b", "elsewhere")], [gateway(), gateway(namespace="elsewhere")]),
]
# One trust, two registries: the scope changes while the generation stays.
STATES.append(Snapshot(STATES[0].trust, STATES[3].registry))
BOUNDARIES = [NOW + days * DAY for days in (-10, -2, 1, 2, 3, 5, 9, 10)]
TIMES = st.builds(
    lambda at, offset: at + offset, st.sampled_from(BOUNDARIES), st.sampled_from([-SECOND, 0 * DAY, SECOND])
)
CHAINS = st.builds(
    lambda end_entity, sent: (end_entity, *sent),
    st.sampled_from(LEAVES),
    st.lists(st.sampled_from([ISSUING, RENEWED, ROOT, ca("Issuing")]), max_size=2, unique=True).map(tuple),
)


def _decided(judgement: Judgement) -> tuple[object, ...]:
    paths = [
        [(each.trusted_ca.reference, each.revocation, each.too_weak) for each in found]
        for found in (judgement.paths, judgement.elsewhere)
    ]
    misses = [(each.trusted_ca.reference, each.reason) for each in judgement.near_misses]
    return paths, misses, judgement.scope, judgement.is_final, judgement.budget_spent, judgement.handshake_refusal


def _said(judgement: Judgement) -> tuple[object, ...]:
    found = (*judgement.paths, *judgement.elsewhere)
    return *_decided(judgement), [each.certificates for each in found]


def _ders(chain: tuple[Signer, ...]) -> tuple[bytes, ...]:
    return tuple(each.der for each in chain)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(CHAINS, st.sampled_from(STATES), TIMES), min_size=2, max_size=12))
def test_with_and_without_the_memory_the_judgements_are_the_same(
    asked: list[tuple[tuple[Signer, ...], Snapshot, datetime]],
) -> None:
    memory = JudgementMemory(vouched=3, others=2)
    for chain, state, now in asked:
        assert _decided(memory.judge(_ders(chain), state, now)) == _decided(judged(presented(*chain), state, now))
        assert len(memory) <= 2 * (3 + 2)


@settings(max_examples=examples(60), deadline=None)
@given(CHAINS, st.sampled_from(STATES), TIMES)
def test_a_judgement_is_valid_to_the_last_second_of_its_interval(
    chain: tuple[Signer, ...], state: Snapshot, now: datetime
) -> None:
    found = judged(presented(*chain), state, now)

    assert found.is_valid_at(now)
    for seconds in (found.since, found.until - 1):
        if abs(seconds) < 2**40:
            there = datetime.fromtimestamp(seconds, NOW.tzinfo)
            assert _said(judged(presented(*chain), state, there)) == _said(found)
            assert found.is_valid_at(there)
    for seconds in (found.since - 1, found.until):
        if abs(seconds) < 2**40:
            assert not found.is_valid_at(datetime.fromtimestamp(seconds, NOW.tzinfo))


def test_a_cached_judgement_is_the_same_object_until_the_next_generation() -> None:
    memory, chain = JudgementMemory(), (LEAVES[0].der,)
    first = memory.judge(chain, STATES[0], NOW)

    assert memory.judge(chain, STATES[0], NOW + SECOND) is first
    assert memory.judge(chain, STATES[2], NOW) is not first
    assert memory.judge(chain, STATES[0], NOW) is not first
    assert len(memory) == 1


def test_junk_next_to_a_known_certificate_takes_the_place_of_no_other() -> None:
    memory = JudgementMemory(vouched=2, others=2)
    known = memory.judge((LEAVES[1].der,), STATES[0], NOW)
    for _ in range(5):
        memory.judge((LEAVES[0].der, ca("Junk").der), STATES[0], NOW)
        memory.judge((leaf(ca("Nobody")).der,), STATES[0], NOW)

    assert memory.judge((LEAVES[1].der,), STATES[0], NOW) is known
    assert len(memory) <= 1 + 2 + 2


def _heavy(number: int) -> Signer:
    extensions = tuple(x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.{each}"), b"") for each in range(200))
    return issue(Wish(name(f"Heavy {number}"), ca=True, extensions=extensions), ROOT)


@pytest.mark.slow
def test_additional_certificates_of_a_client_are_not_kept() -> None:
    memory = JudgementMemory()
    others = [_heavy(number) for number in range(10)]
    chains = [_ders((leaf(others[0]), *others)) for _ in range(20)]
    memory.judge(chains[0], STATES[0], NOW)
    tracemalloc.start()
    kept = [memory.judge(tuple(bytes(bytearray(der)) for der in chain), STATES[0], NOW) for chain in chains]
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert all(each.paths for each in kept)
    assert taken / len(chains) < 16 * 1024


def test_the_end_entity_certificates_that_are_kept_are_bounded_in_bytes() -> None:
    memory, chains = JudgementMemory(size=2000), [(leaf(ROOT).der,) for _ in range(20)]
    for chain in chains:
        memory.judge(chain, STATES[0], NOW)
    assert 2 <= len(memory) <= 2000 // min(len(chain[0]) for chain in chains)
    assert memory.has(chains[-1], STATES[0])
    memory.judge((leaf(ROOT, "x" * 60, extensions=_padding(3000)).der,), STATES[0], NOW)
    assert len(memory) == 0


def _padding(size: int) -> tuple[x509.ExtensionType, ...]:
    return (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(size)),)


def test_a_cached_judgement_belongs_to_its_trust_and_time() -> None:
    memory, chain = JudgementMemory(), (LEAVES[0].der,)
    assert memory.cached(chain, STATES[0], NOW) is None
    found = memory.judge(chain, STATES[0], NOW)

    assert memory.cached(chain, STATES[0], NOW) is found
    assert memory.cached(chain, STATES[2], NOW) is None
    assert memory.cached(chain, STATES[0], NOW + 20 * DAY) is None
    assert memory.cached((LEAVES[1].der,), STATES[0], NOW) is None


def test_on_another_registry_with_another_scope_a_judgement_is_made_again() -> None:
    memory, chain = JudgementMemory(), (LEAVES[0].der,)
    before = memory.judge(chain, STATES[0], NOW)
    same = Snapshot(STATES[0].trust, STATES[0].registry)

    assert memory.cached(chain, same, NOW) is before
    assert memory.cached(chain, STATES[4], NOW) is None
    after = memory.judge(chain, STATES[4], NOW)
    assert after.scope != before.scope
    assert memory.judge(chain, STATES[0], NOW) == before


def test_unsigned_parts_may_be_unusual_in_a_certificate_loaded_by_openssl() -> None:
    plain = LEAVES[0].der
    signed, signature = plain[4:-74], plain[-74:]
    assert plain[:2] == b"\x30\x82"
    written_oddly = b"\x30\x84" + len(signed + signature).to_bytes(4, "big") + signed + signature
    loaded = load(plain)

    found = JudgementMemory().judge((written_oddly,), STATES[0], NOW, loaded)

    assert [each.trusted_ca.reference for each in found.paths] == ["radio/ca"]
    assert found.certificate.leaf.der == plain
