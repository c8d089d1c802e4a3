"""Random decisions of the core, each compared with `openssl verify` and the plain rules."""

import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.in_force.gateway_registry import GatewayRegistry, RegistryBucket
from stationkeeper_core.in_force.judgement_memory import JudgementMemory
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published.documents import REGISTRY
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.x509.client_certificate import read_client_certificate
from tests.core.states import registry_document, trust_document
from tests.oracle.model import GOOD, NONE, REFUSED, Model, Question, Trusted, World, make_world, serves
from tests.oracle.openssl_verify import Chain, Verdicts
from tests.oracle.random_pki import TIMES, Pki, make_pki
from tests.oracle.reuse import kept_answers

DECISIONS_A_PKI = 2_000
DECISIONS_A_WORLD = 100
_SHARE_ASKED_AGAIN = 0.2


@dataclass
class Report:
    """The result of the comparisons.

    Attributes:
        seed: of the PKI.
        decisions: the number of comparisons.
        wrong: the first differences, in words.
        kinds: the number of decisions of each kind.
    """

    seed: int = 0
    decisions: int = 0
    wrong: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Report") -> None:
        """Add the counts of `other`."""
        self.decisions += other.decisions
        self.wrong += other.wrong
        self.kinds += other.kinds


def compare(seed: int, decisions: int = DECISIONS_A_PKI) -> Report:
    """Compare decisions over one random PKI.

    Args:
        seed: gives the PKI and all questions.
        decisions: the number of decisions.
    """
    chance, report = random.Random(seed), Report(seed)  # noqa: S311 - repeatable
    pki = make_pki(chance)
    with tempfile.TemporaryDirectory() as folder, kept_answers():
        model = Model(pki, verdicts := Verdicts(pki, Path(folder)))
        report.kinds["runs of openssl"] += verdicts.runs
        _Comparison(chance, model, pki, report).run(decisions)
    return report


class _Comparison:
    """The decisions over one PKI, one after another; the trust changes between them."""

    def __init__(self, chance: random.Random, model: Model, pki: Pki, report: Report) -> None:
        self._chance = chance
        self._model = model
        self._pki = pki
        self._report = report
        self._memory = JudgementMemory(vouched=8, others=4)
        self._last: Question | None = None

    def run(self, decisions: int) -> None:
        """Compare that many."""
        states: list[_State] = []
        while self._report.decisions < decisions:
            states = [*states[-1:], self._change(states[-1] if states else None)]
            for _ in range(min(DECISIONS_A_WORLD, decisions - self._report.decisions)):
                self._decide(self._chance.choice((*states, states[-1])))

    def _change(self, before: "_State | None") -> "_State":
        world = make_world(self._chance, self._pki)
        trust = trust_document(*(each.record for each in world.trusted))
        buckets = (RegistryBucket.of_document(registry_document(each, world.holders), 1, "") for each in REGISTRY)
        generation = TrustGeneration(trust, 1, "", before.snapshot.trust if before else None)
        unknown = [(each,) for each in self._pki.leaves]
        vouchable = {time: self._model.vouchable(world, time) or unknown for time in TIMES}
        return _State(world, Snapshot(generation, GatewayRegistry(tuple(buckets))), vouchable)

    def _ask(self, state: "_State") -> Question:
        chance, time = self._chance, self._chance.choice(TIMES)
        if self._last is not None and chance.random() < _SHARE_ASKED_AGAIN:
            return replace(self._last, time=time)
        # Most need a decision: a chain ends in an anchor of a TrustedCA, and the client may present the rest.
        chain = chance.choice(state.vouchable[time]) if chance.random() < 0.8 else (chance.choice(self._pki.leaves),)
        needed = chain[1:-1] if chance.random() < 0.6 else ()
        sent = [*needed, *chance.sample(self._pki.cas, chance.choice((0, 0, 0, 1, 2, 4)))]
        chance.shuffle(sent)
        return Question(chain[0], tuple(dict.fromkeys(sent)), time)

    def _decide(self, state: "_State") -> None:
        question = self._last = self._ask(state)
        now = question.time + timedelta(seconds=self._chance.choice((0.0, 0.5)))
        chain = tuple(each.der for each in (question.leaf, *question.presented))
        is_known = self._memory.has(chain, state.snapshot)
        judgement = self._memory.judge(chain, state.snapshot, now)
        case = _Case(self._model, state, question, judgement)
        wrong = case.differences()
        if is_known:
            fresh = _fresh(chain, state.snapshot, now)
            if _said(fresh) != _said(judgement):
                wrong.append(f"remembered {_said(judgement)}, fresh {_said(fresh)}")
        leaf = question.leaf
        named = f"{leaf.subject} of {leaf.issuer} at {now:%F}, {len(question.presented)} sent"
        report = self._report
        report.wrong += [f"PKI {report.seed}, decision {report.decisions}: {named}: {each}" for each in wrong]
        report.decisions += 1
        report.kinds["vouched" if judgement.paths else "not vouched"] += 1
        report.kinds["remembered"] += is_known
        report.kinds["budget spent"] += judgement.budget_spent
        report.kinds["presented left out"] += judgement.left_out_presented
        report.kinds["another answer for want of a path"] += case.is_cut and not case.is_exact


@dataclass(frozen=True)
class _State:
    """The configuration in force, for the model and for the core, and the chains that end in an anchor at each time."""

    world: World
    snapshot: Snapshot
    vouchable: Mapping[datetime, Sequence[Chain]]


@dataclass(frozen=True)
class _Case:
    model: Model
    state: _State
    question: Question
    judgement: Judgement

    @property
    def is_cut(self) -> bool:
        """Whether the core says that it left a path out."""
        return self.judgement.budget_spent or self.judgement.left_out_presented

    @property
    def is_exact(self) -> bool:
        """Whether each TrustedCA decides as it would if no path were left out."""
        return all(self._said(each) == self.model.outcome(each, self.question) for each in self._asked())

    def differences(self) -> list[str]:
        """Return the differences between the core and `openssl verify` with the rules."""
        found = []
        expected = {}
        for trusted in self._asked():
            name = trusted.record.name
            expected[name] = self._expected(trusted)
            if self._said(trusted) not in expected[name]:
                found.append(f"{name} says {self._said(trusted)}, openssl {sorted(expected[name])}")
        openings = Model.openings(self.state.world, self.question.leaf, expected)
        opened, reason = self._opened()
        if opened not in openings:
            found.append(f"opens {opened} ({reason}), expected {openings}")
        return found

    def _asked(self) -> list[Trusted]:
        namespaces, eui = self.judgement.scope.namespaces, self.question.leaf.subject
        return [
            trusted
            for trusted in self.state.world.trusted
            if any(serves(trusted.record, each, eui) for each in namespaces)
        ]

    def _said(self, trusted: Trusted) -> str:
        paths = (each for each in self.judgement.paths if each.trusted_ca.record.name == trusted.record.name)
        return next((GOOD if each.is_sound else REFUSED for each in paths), NONE)

    def _expected(self, trusted: Trusted) -> frozenset[str]:
        """Return the expected answer; several if the core says that it left paths out."""
        if self.is_cut:
            return self.model.outcomes(trusted, self.question, all_configured=not self.judgement.budget_spent)
        return frozenset((self.model.outcome(trusted, self.question),))

    def _opened(self) -> tuple[str | None, str]:
        claim = Claim(self.judgement, EUI64(int(self.question.leaf.subject, 16)))
        try:
            return authorize(claim, self.state.snapshot).registered.uid, "accepted"
        except StationkeeperError as error:
            return None, str(error.reason)


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
