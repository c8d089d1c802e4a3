"""Random decisions of the core, each compared with what `openssl verify` and the plain rules say."""

import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from stationkeeper_core.client_certificate import read_client_certificate
from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.gateway_registry import GatewayRegistry, RegistryBucket
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published import REGISTRY, RegisteredGateway
from stationkeeper_core.snapshot import Snapshot
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.trust.memory import JudgementMemory
from tests.core.states import registry_document, trust_document
from tests.oracle.model import GOOD, NONE, REFUSED, Model, World, serves
from tests.oracle.openssl_verify import Verdicts
from tests.oracle.random_pki import TIMES, Issued, Pki, make_pki

DECISIONS_A_PKI = 4_000
DECISIONS_A_WORLD = 100


@dataclass
class Report:
    """What came out.

    Attributes:
        seed: of the PKI.
        decisions: how many were compared.
        wrong: the first that differ, in words.
        kinds: how many of each kind there were.
    """

    seed: int = 0
    decisions: int = 0
    wrong: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Report") -> None:
        """Count `other` in."""
        self.decisions += other.decisions
        self.wrong += other.wrong
        self.kinds += other.kinds


def compare(seed: int, decisions: int = DECISIONS_A_PKI) -> Report:
    """Compare so many decisions over one random PKI.

    Args:
        seed: gives the PKI and all that is decided over it.
        decisions: how many.
    """
    chance, report = random.Random(seed), Report(seed)  # noqa: S311 - repeatable
    pki = make_pki(chance)
    with tempfile.TemporaryDirectory() as folder:
        model = Model(pki, verdicts := Verdicts(pki, Path(folder)))
        report.kinds["runs of openssl"] += verdicts.runs
        memory = JudgementMemory(vouched=8, others=4)
        worlds: list[tuple[World, Snapshot]] = []
        while report.decisions < decisions:
            world = model.make_world(chance)
            state = _state(world, worlds[-1][1] if worlds else None)
            worlds = [*worlds[-1:], (world, state)]
            for _ in range(min(DECISIONS_A_WORLD, decisions - report.decisions)):
                _decide(chance, model, pki, chance.choice((*worlds, worlds[-1])), memory, report)
    return report


def _state(world: World, before: Snapshot | None) -> Snapshot:
    trust = trust_document(*(each.record for each in world.trusted))
    buckets = (RegistryBucket(registry_document(each, world.holders), 1, "") for each in REGISTRY)
    return Snapshot(TrustGeneration(trust, 1, "", before.trust if before else None), GatewayRegistry(tuple(buckets)))


def _decide(
    chance: random.Random,
    model: Model,
    pki: Pki,
    state: tuple[World, Snapshot],
    memory: JudgementMemory,
    report: Report,
) -> None:
    world, now_in_force = state
    time = chance.choice(TIMES)
    # Most leave something to decide: their chain ends in an anchor of somebody's.
    leaf = chance.choice((chance.random() < 0.7 and model.vouchable(world, time)) or pki.leaves)
    presented = chance.sample(pki.cas, chance.choice((0, 0, 1, 2, 3, 5)))
    now = time + timedelta(seconds=chance.choice((0.0, 0.5)))
    chain = tuple(each.der for each in (leaf, *presented))
    remembered = memory.judge(chain, now_in_force, now)
    fresh = _fresh(chain, now_in_force, now)
    report.decisions += 1
    case = _Case(model, world, now_in_force, leaf, presented, time, fresh)
    wrong = _differences(case) or _opening(case)
    if _said(fresh) != _said(remembered):
        wrong.append(f"remembered {_said(remembered)}, fresh {_said(fresh)}")
    case_named = f"{report.seed}: {leaf.subject} of {leaf.issuer} at {time:%F}, {len(presented)} sent"
    report.wrong += [f"{case_named}: {each}" for each in wrong]
    report.kinds["vouched" if fresh.paths else "not vouched"] += 1
    report.kinds["budget spent"] += fresh.budget_spent
    report.kinds["presented left out"] += fresh.left_out_presented


@dataclass(frozen=True)
class _Case:
    model: Model
    world: World
    state: Snapshot
    leaf: Issued
    presented: list[Issued]
    time: datetime
    judgement: Judgement


def _differences(case: _Case) -> list[str]:
    found: list[str] = []
    said = {each.trusted_ca.record.name: GOOD if each.is_sound else REFUSED for each in case.judgement.paths}
    for trusted in case.world.trusted:
        if any(serves(trusted.record, each, case.leaf.subject) for each in case.judgement.scope.namespaces):
            expected = case.model.outcome(trusted, case.leaf, case.presented, case.time)
            got = said.get(trusted.record.name, NONE)
            if got != expected and not (expected != NONE and _is_cut(case.judgement)):
                found.append(f"{trusted.record.name} says {got}, openssl {expected}")
    return found


def _opening(case: _Case) -> list[str]:
    expected = case.model.opened(case.world, case.leaf, case.presented, case.time)
    try:
        gateway = authorize(Claim(case.judgement, EUI64(int(case.leaf.subject, 16))), case.state).registered
    except StationkeeperError as error:
        opened, reason = None, str(error.reason)
    else:
        opened, reason = gateway.uid, "accepted"
        assert isinstance(gateway, RegisteredGateway)
    if opened == expected or (opened is None and _is_cut(case.judgement)):
        return []
    return [f"opens {opened} ({reason}), expected {expected}"]


def _is_cut(judgement: Judgement) -> bool:
    return judgement.budget_spent or judgement.left_out_presented


def _fresh(chain: tuple[bytes, ...], state: Snapshot, now: datetime) -> Judgement:
    certificate = read_client_certificate(chain)
    return judge(certificate, state.trust, state.registry.scope(certificate.eui_or_none), now)


def _said(judgement: Judgement) -> tuple[object, ...]:
    return (
        [(each.trusted_ca.reference, each.revocation, each.too_weak) for each in judgement.paths],
        [(each.trusted_ca.reference, each.revocation) for each in judgement.elsewhere],
        [(each.trusted_ca.reference, each.reason) for each in judgement.near_misses],
        judgement.budget_spent,
        judgement.is_final,
    )
