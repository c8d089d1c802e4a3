"""The effects of a full document on tenants, as properties of any history."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.document_segments import compress, segment_bytes, segments
from stationkeeper_core.published.documents import (
    REGISTRY,
    TRUST,
    Document,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
    bucket_of,
    decode,
    encode,
    encode_payload,
)
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.fitting.capacity import Contents, Fitted, fit
from stationkeeper_operator.compiling.fitting.document_space import BYTES, TRUST_BOUNDS, Bound
from tests.examples import examples
from tests.operator.resource_building import make_ca, make_gateway, make_pem, plan_of, verdict_on
from tests.operator.test_capacity import document_of
from tests.operator.test_gateway_compiler import gateways, spec

SMALL = Bound(100_000, share=4_000, shares=24_000, release_share=6_000, reserve=12_000)
BOUNDS = (SMALL, *TRUST_BOUNDS[1:])
RELEASE = "release"
MODEST = ("a", "b", "c")
GREEDY = ("x", "y")


@dataclass(frozen=True)
class Wish:
    """The content of a TrustedCA: an anchor, that many bytes of intermediates, and revoked serial numbers.

    Attributes:
        namespace, name: of the resource.
        content: the number of the intermediates' content; another number is another content.
        size: of it, in bytes.
        revoked: the number of serial numbers.
        repeats: whether the content compresses well.
    """

    namespace: str
    name: str
    content: int
    size: int
    revoked: int
    repeats: bool = False

    @property
    def desired(self) -> TrustedAuthority:
        chance = random.Random(f"{self.namespace}/{self.name}/{self.content}/{self.size}")  # noqa: S311 - no secret
        seed = b"same" * self.size if self.repeats else chance.randbytes(self.size)
        return TrustedAuthority(
            namespace=self.namespace,
            name=self.name,
            uid=f"{self.namespace}/{self.name}",
            anchors=(f"anchor {self.namespace} {self.name}".encode(),),
            intermediates=(seed[: self.size],) if self.size else (),
            revoked_serials=serials(f"{self.namespace}/{self.name}", self.revoked),
        )


def serials(of: str, count: int) -> tuple[str, ...]:
    chance = random.Random(of)  # noqa: S311 - no secret
    return tuple(sorted(f"{chance.getrandbits(128):X}" for _ in range(count)))


def candidates_of(wishes: Iterable[Wish], in_force: TrustDocument | None) -> list[Candidate[TrustedAuthority]]:
    """Return the candidates as the compiler of a TrustedCA makes them."""
    held = {each.uid: each for each in in_force.authorities} if in_force else {}
    found = []
    for number, wish in enumerate(wishes):
        desired = wish.desired
        previous, kept, minimal = held.get(desired.uid), None, None
        if previous is not None:
            common = tuple(each for each in previous.intermediates if each in desired.intermediates)
            revoked = tuple(sorted({*previous.revoked_serials, *desired.revoked_serials}))
            kept = replace(previous, intermediates=common, revoked_serials=revoked)
            minimal = replace(kept, revoked_serials=previous.revoked_serials)
            minimal = None if minimal == kept else minimal
        resource = make_ca({}, wish.name, wish.namespace, age=1000 - number, uid=desired.uid)
        found.append(Candidate(resource, desired, kept, None, minimal=minimal))
    return found


def fitted(wishes: Sequence[Wish], in_force: TrustDocument | None) -> Fitted[TrustedAuthority]:
    return fit(Contents(candidates_of(wishes, in_force), document_of, RELEASE, BOUNDS), in_force)


def trust(found: Fitted[TrustedAuthority]) -> TrustDocument:
    assert isinstance(found.document, TrustDocument)
    return found.document


def by_uid(document: TrustDocument | None) -> dict[str, TrustedAuthority]:
    return {each.uid: each for each in document.authorities} if document else {}


modest = st.builds(
    Wish,
    st.sampled_from([*MODEST, RELEASE]),
    st.sampled_from(["one", "two"]),
    st.integers(0, 2),
    st.integers(0, 1_200),
    st.integers(0, 12),
)
greedy = st.builds(
    Wish,
    st.sampled_from(GREEDY),
    st.sampled_from([f"ca{number}" for number in range(6)]),
    st.integers(0, 2),
    st.sampled_from([0, 500, 9_000, 20_000, 40_000, 80_000]),
    st.integers(0, 60),
    st.booleans(),
)
wishes_of_a_world = st.lists(modest | greedy, max_size=14, unique_by=lambda each: (each.namespace, each.name))


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(wishes_of_a_world, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_tenants_result_is_independent_of_other_tenants(history: list[list[Wish]], chance: random.Random) -> None:
    in_force: TrustDocument | None = None
    for wishes in history:
        found = fitted(wishes, in_force)
        now, before = by_uid(trust(found)), by_uid(in_force)
        assert len(compress(found.payload)) <= SMALL.most + 16
        assert found.payload == encode_payload(found.document)
        for wish in wishes:
            desired = wish.desired
            record, held = now.get(desired.uid), before.get(desired.uid)
            # An unchanged record in force stays in force.
            if held == desired:
                assert record == desired
            # A removal of trust always acts.
            if record is not None and held is not None:
                assert set(record.intermediates) <= set(desired.intermediates)
                assert set(desired.revoked_serials) <= set(record.revoked_serials)
            # A namespace within its share gets everything that it asks for.
            if wish.namespace in {*MODEST, RELEASE}:
                assert record == desired
        gone = set(before) - {each.desired.uid for each in wishes}
        assert not gone & set(now)
        mixed = candidates_of(wishes, in_force)
        chance.shuffle(mixed)
        assert fit(Contents(mixed, document_of, RELEASE, BOUNDS), in_force).payload == found.payload
        in_force = trust(found)
        again = fitted(wishes, in_force)
        assert all(by_uid(trust(again)).get(uid) == record for uid, record in by_uid(in_force).items() if uid in now)


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(wishes_of_a_world, min_size=1, max_size=4))
def test_a_tenant_within_its_share_is_independent_of_others(history: list[list[Wish]]) -> None:
    together: TrustDocument | None = None
    alone: dict[str, TrustDocument | None] = dict.fromkeys(MODEST)
    for wishes in history:
        together = trust(fitted(wishes, together))
        for namespace in MODEST:
            own = [each for each in wishes if each.namespace == namespace]
            mine = trust(fitted(own, alone[namespace]))
            alone[namespace] = mine
            found = {uid: each for uid, each in by_uid(together).items() if each.namespace == namespace}
            assert found == by_uid(mine)


def test_a_revocation_fits_although_others_have_filled_the_document() -> None:
    hogs = [Wish("x", f"ca{number}", 0, 9_000, 0) for number in range(20)]
    mine = Wish("a", "one", 0, 500, 0)
    full = trust(fitted([mine, *hogs], None))
    assert len(full.authorities) < len(hogs) + 1
    revoking = Wish("a", "one", 0, 500, 100)
    found = by_uid(trust(fitted([revoking, *hogs], full)))
    assert found["a/one"] == revoking.desired
    hog = Wish("x", "ca0", 0, 9_000, 100)
    found = by_uid(trust(fitted([mine, hog, *hogs[1:]], full)))
    assert found["x/ca0"] == hog.desired
    assert set(found) == set(by_uid(full))


def test_one_large_record_that_does_not_fit_keeps_no_later_one_out() -> None:
    wishes = [Wish("x", "huge", 0, 99_000, 0), Wish("x", "ca1", 0, 9_000, 0), Wish("y", "ca2", 0, 9_000, 0)]
    assert set(by_uid(trust(fitted(wishes, None)))) == {"x/ca1", "y/ca2"}


def test_records_that_stop_being_similar_displace_no_other_record() -> None:
    alike = [Wish("x", f"ca{number}", 0, 8_000, 0, repeats=True) for number in range(30)]
    other = Wish("y", "ca", 0, 30_000, 0)
    before = trust(fitted([*alike, other], None))
    assert len(before.authorities) == 31
    unlike = [Wish("x", f"ca{number}", 1, 5, 0) for number in range(30)]
    large = [Wish("x", f"ca{number}", 1, 8_000, 0) for number in range(30)]
    for changed in (unlike, large):
        found = fitted([*changed, other], before)
        assert by_uid(trust(found))["y/ca"] == other.desired
        assert len(compress(found.payload)) <= SMALL.most + 16


def test_the_size_of_a_document_is_the_sum_of_its_namespaces() -> None:
    chance = random.Random(3)  # noqa: S311 - no secret
    names = ["a", "a-b", "b", RELEASE]
    wishes = [Wish(chance.choice(names), f"ca{number}", number, 700, 3, number % 2 == 0) for number in range(60)]
    document = document_of(each.desired for each in wishes)
    payload = encode_payload(document)
    parts = list(segments(payload))
    assert b"".join(part for _, part in parts) == payload
    assert [name for name, _ in parts] == ["", *sorted({each.namespace for each in wishes})]
    stream = compress(payload)
    assert decode(TRUST, encode(TRUST, 1, payload)).content == replace(
        document, authorities=tuple(sorted(document.authorities, key=lambda each: (each.namespace, each.name)))
    )
    measured = sum(segment_bytes(part) for _, part in parts)
    assert len(stream) <= measured + 16 <= len(stream) + 16 * len(parts) + 16


def test_the_size_of_a_namespace_does_not_depend_on_others() -> None:
    mine = [Wish("m", f"ca{number}", number, 300, 2).desired for number in range(9)]
    sizes = set()
    for others in ([], ["a"], ["z"], ["a", "b", "z"]):
        more = [Wish(name, "ca", 0, 900, 1).desired for name in others]
        payload = encode_payload(document_of([*mine, *more]))
        sizes.add(Counter({name: segment_bytes(part) for name, part in segments(payload)})["m"])
    assert len(sizes) == 1


def bucket_document(records: Iterable[RegisteredGateway], _omission: int = 0) -> Document:
    ordered = sorted(records, key=lambda each: (each.eui, each.rank, each.namespace))
    return RegistryDocument(bucket=0, gateways=tuple(ordered))


@pytest.mark.slow
def test_thousands_of_records_at_the_bound_are_fitted_within_seconds() -> None:
    euis = [f"{number:016X}" for number in range(200_000) if bucket_of(EUI64(number)) == 0][:6_000]
    chance = random.Random(5)  # noqa: S311 - no secret
    candidates: list[Candidate[RegisteredGateway]] = []
    for number, eui in enumerate(euis):
        namespace = f"n{number % 7}"
        record = RegisteredGateway(
            eui=eui, namespace=namespace, name=f"g{number}", uid=eui, lns_credentials=chance.randbytes(400)
        )
        resource = make_gateway({}, f"g{number}", namespace, age=9_000 - number, uid=eui)
        candidates.append(Candidate(resource, record, None, None))
    contents = Contents(candidates, bucket_document, RELEASE, (BYTES,))
    began = time.process_time()
    found = fit(contents, None)
    assert time.process_time() - began < 20
    assert 800_000 < len(encode(REGISTRY[0], 1, found.payload)) <= 1_000_000
    held = [Candidate(each.resource, each.desired, found.records.get(each.key), None) for each in candidates]
    again = fit(Contents(held, bucket_document, RELEASE, (BYTES,)), found.document)
    assert again.records.items() >= found.records.items()


@pytest.mark.slow
def test_a_tenant_that_fills_a_registry_document_leaves_others_their_share() -> None:
    euis = [f"{number:016X}" for number in range(60_000) if bucket_of(EUI64(number)) == 3][:1_500]
    chance = random.Random(7)  # noqa: S311 - no secret
    hogs = [
        make_gateway(spec({"uri": f"ws://h{chance.randbytes(55).hex()}:1"}, eui=eui), f"g{number}", "hog", age=99)
        for number, eui in enumerate(euis[:-1])
    ]
    mine = make_gateway(spec(eui=euis[-1]), "mine", "team", age=1)
    plan = plan_of(*hogs, mine)
    assert verdict_on(mine, plan).accepted
    assert len(gateways(plan)) == len(euis)


def test_the_contract_bounds_certificates_per_namespace_and_release() -> None:
    def document(*counts: int) -> bytes:
        authorities = [
            TrustedAuthority(namespace=f"n{number}", name=f"ca{part}", uid="", anchors=(b"x",) * min(100, count - part))
            for number, count in enumerate(counts)
            for part in range(0, count, 100)
        ]
        return encode(TRUST, 1, encode_payload(TrustDocument(release_namespace="r", authorities=tuple(authorities))))

    decode(TRUST, document(1_000, 1_000, 1_000, 1_000))
    for counts in ((1_001,), (1_000, 1_000, 1_000, 1_000, 1)):
        with pytest.raises(StationkeeperError) as refusal:
            decode(TRUST, document(*counts))
        assert refusal.value.reason == Reason.MALFORMED_DOCUMENT


def test_certificates_above_a_namespaces_limit_are_refused_only_there() -> None:
    bundle = "".join(make_pem(f"root {number}") for number in range(100))
    cas = [make_ca({"certificates": bundle}, f"ca-{number:02}", "hog", age=99 - number) for number in range(11)]
    other = make_ca({"certificates": make_pem("root")}, "mine", "team", age=1)
    plan = plan_of(*cas, other)
    refused = [each.metadata.name for each in (*cas, other) if not verdict_on(each, plan).accepted]
    assert refused == ["ca-10"]
    assert verdict_on(cas[10], plan).reason == Reason.CAPACITY_EXCEEDED


def filled_by(*namespaces: str) -> list[Wish]:
    """Return so many small TrustedCAs that no more of these namespaces fit."""
    return [Wish(name, f"ca{number:03}", 0, 1_500, 0) for number in range(80) for name in namespaces]


def test_a_full_document_still_has_space_for_each_new_tenants_share() -> None:
    hogs = filled_by("x", "y")
    full = trust(fitted(hogs, None))
    assert len(full.authorities) < len(hogs)
    newcomers = [Wish(name, "ca", 0, 3_000, 3) for name in (*MODEST, RELEASE)]
    found = by_uid(trust(fitted([*hogs, *newcomers], full)))
    assert all(found[each.desired.uid] == each.desired for each in newcomers)
    assert set(by_uid(full)) <= set(found)
    # No number of tenants can use the share of the release.
    tenants = [Wish(f"t{number}", "ca", 0, 3_500, 0) for number in range(30)]
    crowded = trust(fitted([*hogs, *tenants], full))
    assert len(crowded.authorities) < len(full.authorities) + len(tenants)
    own = Wish(RELEASE, "ca", 0, 5_000, 3)
    assert by_uid(trust(fitted([*hogs, *tenants, own], crowded)))[own.desired.uid] == own.desired


def narrowing(held: TrustedAuthority, ranges: int, namespace: str) -> Candidate[TrustedAuthority]:
    """Return the candidate of a refused spec that leaves `ranges` ranges, more than `held` has."""
    chance = random.Random(f"{held.uid}-{ranges}")  # noqa: S311 - no secret
    kept = replace(held, eui_ranges=tuple(sorted(f"{chance.getrandbits(64):016X}/64" for _ in range(ranges))))
    return Candidate(make_ca({}, held.name, namespace, uid=held.uid), None, kept, None)


def test_a_narrowing_that_needs_more_space_acts_and_displaces_no_record() -> None:
    hogs = filled_by("x")
    full = trust(fitted([Wish("a", "one", 0, 100, 0), *hogs], None))
    held = by_uid(full)
    others = [each for each in candidates_of(hogs, full) if each.resource.metadata.uid in held]
    for namespace, name in (("a", "one"), ("x", "ca000")):
        record = held[f"{namespace}/{name}"]
        for ranges in (200, 9_000):
            narrowed = narrowing(record, ranges, namespace)
            rest = [each for each in others if each.key != narrowed.key]
            found = by_uid(trust(fit(Contents([narrowed, *rest], document_of, RELEASE, BOUNDS), full)))
            # Without any space, the record is removed, because it must not keep its wider range.
            assert found.get(record.uid) == (narrowed.fallback if ranges == 200 else None)
            assert all(found[each.resource.metadata.uid] == each.desired for each in rest)


def test_gateways_that_stop_being_similar_displace_no_other_gateway() -> None:
    chance = random.Random(11)  # noqa: S311 - no secret
    same = chance.randbytes(2_000)

    def registered(namespace: str, number: int, credentials: bytes) -> RegisteredGateway:
        name = f"g{number}"
        eui = f"{number:016X}"
        return RegisteredGateway(eui=eui, namespace=namespace, name=name, uid=eui, lns_credentials=credentials)

    def asked(desired: RegisteredGateway, kept: RegisteredGateway | None, age: int) -> Candidate[RegisteredGateway]:
        resource = make_gateway({}, desired.name, desired.namespace, age=age, uid=desired.uid)
        return Candidate(resource, desired, kept, None)

    def document(candidates: list[Candidate[RegisteredGateway]], in_force: Document | None) -> RegistryDocument:
        found = fit(Contents(candidates, bucket_document, RELEASE, (SMALL,)), in_force)
        assert len(compress(found.payload)) <= SMALL.most + 16
        assert isinstance(found.document, RegistryDocument)
        return found.document

    alike = [registered("x", number, same) for number in range(100)]
    other = registered("y", 200, chance.randbytes(30_000))
    before = document([asked(each, None, 99) for each in (*alike, other)], None)
    assert len(before.gateways) == 101
    unlike = [registered("x", number, chance.randbytes(2_000)) for number in range(100)]
    newcomer = registered("a", 300, chance.randbytes(2_000))
    candidates = [asked(new, old, 99) for new, old in zip(unlike, alike, strict=True)]
    after = document([*candidates, asked(other, other, 99), asked(newcomer, None, 1)], before)
    found = {each.uid: each for each in after.gateways}
    assert found[other.uid] == other
    assert found[newcomer.uid] == newcomer
    # The changes that fit are in force; all other records are in force as before.
    assert {each.uid for each in alike} <= set(found)
    changed = [each for each in unlike if found[each.uid] == each]
    assert 0 < len(changed) < 30
