"""The judgement of a TrustedCA does not depend on other TrustedCAs, of its own tenant or of another one."""

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.in_force.gateway_registry import GatewayRegistry, Holder, RegistryBucket
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.published.documents import REGISTRY, TrustedAuthority
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.x509.client_certificate import read_client_certificate
from tests.core.states import RELEASE, judged, registry_document, trust_document
from tests.examples import examples
from tests.oracle.model import NAMESPACES, make_world
from tests.oracle.random_pki import TIMES, make_pki

TENANTS = tuple(each for each in NAMESPACES if each != RELEASE)
QUESTIONS = 10


def _state(records: Iterable[TrustedAuthority], holders: Sequence[Holder]) -> Snapshot:
    buckets = (RegistryBucket.of_document(registry_document(each, holders), 1, "") for each in REGISTRY)
    return Snapshot(TrustGeneration(trust_document(*records), 1, "", None), GatewayRegistry(tuple(buckets)))


def _said(judgement: Judgement, *namespaces: str) -> list[tuple[object, ...]]:
    return [
        (each.trusted_ca.reference, each.revocation, each.too_weak, [part.sha256 for part in each.certificates])
        for each in judgement.paths
        if each.trusted_ca.record.namespace in namespaces
    ]


def _is_whole(*judgements: Judgement) -> bool:
    return not any(each.budget_spent or each.left_out_presented for each in judgements)


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 2**64))
def test_other_tenants_do_not_change_a_tenants_judgements(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    pki = make_pki(chance)
    world = make_world(chance, pki)
    records = [each.record for each in world.trusted]
    whole = _state(records, world.holders)
    singles = {f"{each.namespace}/{each.name}": _state([each], world.holders) for each in records}
    tenants = {tenant: _without_others(tenant, records, world.holders) for tenant in TENANTS}
    for _ in range(QUESTIONS):
        presented = [chance.choice(pki.leaves), *chance.sample(pki.cas, chance.choice((0, 1, 2, 4)))]
        client = read_client_certificate(tuple(each.der for each in presented))
        now = chance.choice(TIMES)
        full = judged(client, whole, now)
        for tenant, (without_trust, without_gateways) in tenants.items():
            # The scope stays the same, and so does the budget: even if it is spent, nothing changes.
            assert _said(full, tenant) == _said(judged(client, without_trust, now), tenant)
            deserted = judged(client, without_gateways, now)
            if tenant in deserted.scope.namespaces and _is_whole(full, deserted):
                assert _said(full, tenant) == _said(deserted, tenant)
        for reference, state in singles.items():
            single = judged(client, state, now)
            if _is_whole(full, single):
                said = [each for each in _said(full, *NAMESPACES) if each[0] == reference]
                assert said == _said(single, *NAMESPACES)


def _without_others(
    tenant: str, records: Iterable[TrustedAuthority], holders: Iterable[Holder]
) -> tuple[Snapshot, Snapshot]:
    """Return a state without the TrustedCAs of other tenants, and one also without their Gateways."""
    held = list(holders)
    kept = [each for each in records if each.namespace in {tenant, RELEASE}]
    return _state(kept, held), _state(kept, [each for each in held if each.namespace == tenant])
