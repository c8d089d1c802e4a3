import random
from collections.abc import Iterable
from typing import ClassVar

import pytest
from msgspec.structs import replace

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import (
    MAX_AUTHORITIES,
    MAX_NAMESPACE_CERTIFICATES,
    MAX_SECRET_BYTES,
    TRUST,
    TrustDocument,
    TrustedAuthority,
    encode,
    encode_payload,
)
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.fitting.capacity import Contents, Fitted, fit
from stationkeeper_operator.compiling.fitting.document_space import AUTHORITIES, TRUST_BOUNDS, Bound
from stationkeeper_operator.resources.records import TrustedCA
from tests.operator.resource_building import make_ca, make_pem, plan_of, verdict_on

KILOBYTE = 1000


def document_of(records: Iterable[TrustedAuthority], _omission: int = 0) -> TrustDocument:
    return TrustDocument(release_namespace="r", authorities=tuple(sorted(records, key=lambda each: each.name)))


def candidate(name: str, age: int, desired: int = 0, kept: int = 0, minimal: int = 0) -> Candidate[TrustedAuthority]:
    """Return a candidate whose records have that many kilobytes, which cannot be compressed."""
    records = [record(name, each) for each in (desired, kept, minimal)]
    return Candidate(make_ca({}, name, age=age), records[0], records[1], None, minimal=records[2])


def record(name: str, kilobytes: int) -> TrustedAuthority | None:
    content = random.Random(f"{name}-{kilobytes}").randbytes(kilobytes * KILOBYTE)  # noqa: S311 - no secret
    return TrustedAuthority(namespace="n", name=name, uid=name, anchors=(content,)) if kilobytes else None


def sizes(fitted: Fitted[TrustedAuthority]) -> dict[str, int]:
    return {each.name: len(each.anchors[0]) // KILOBYTE for each in fitted.records.values()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([candidate("old", 9, 400), candidate("new", 1, 400)], {"old": 400, "new": 400}),
        ([candidate("old", 9, 600), candidate("new", 1, 600)], {"old": 600}),
        ([candidate("old", 1, 600), candidate("new", 9, 600)], {"new": 600}),
        ([candidate("old", 9, 600), candidate("in-force", 1, 600, 600)], {"in-force": 600}),
        ([candidate("grown", 9, 700, 100), candidate("in-force", 1, 600, 600)], {"grown": 100, "in-force": 600}),
        (
            [candidate("grown", 9, 900, 300), candidate("minimal", 1, 100, 600)],
            {"grown": 300, "minimal": 100},
        ),
        ([candidate("huge", 9, 2000)], {}),
        (
            [candidate("revoking", 9, 0, 700, 100), candidate("in-force", 1, 600, 600)],
            {"revoking": 100, "in-force": 600},
        ),
        (
            [candidate("revoking", 9, 800, 700, 100), candidate("in-force", 1, 200, 200)],
            {"revoking": 700, "in-force": 200},
        ),
        (
            [candidate("grown", 9, 900, 100), candidate("revoking", 8, 0, 700, 300), candidate("smaller", 1, 100, 500)],
            {"grown": 100, "revoking": 700, "smaller": 100},
        ),
        ([candidate("both", 9, 200, 900, 300), candidate("huge", 1, 900)], {"both": 200}),
    ],
)
def test_the_newest_resource_that_does_not_fit_is_refused(
    candidates: list[Candidate[TrustedAuthority]], expected: dict[str, int]
) -> None:
    for ordered in (candidates, candidates[::-1]):
        fitted = fit(Contents(ordered, document_of, "r", TRUST_BOUNDS), None)
        assert sizes(fitted) == expected
        assert len(encode(TRUST, 1, fitted.payload)) <= MAX_SECRET_BYTES
        assert fitted.payload == encode_payload(fitted.document)


def test_the_number_of_authorities_is_bounded_and_so_are_the_certificates_of_a_namespace() -> None:
    small = [
        Candidate(
            make_ca({}, f"ca-{n:04}", f"n{n % 4}", age=9999 - n),
            TrustedAuthority(namespace=f"n{n % 4}", name=f"ca-{n:04}", uid="", anchors=(b"",)),
            None,
            None,
        )
        for n in range(MAX_AUTHORITIES + 100)
    ]
    fitted = fit(Contents(small, document_of, "r", TRUST_BOUNDS), None)
    common = AUTHORITIES.most - AUTHORITIES.shares - AUTHORITIES.release_share
    assert {each.key for each in small} - set(fitted.records) == {each.key for each in small[common:]}
    alone = [
        Candidate(each.resource, replace(record, namespace="n0"), None, None)
        for each in small
        if (record := each.desired)
    ]
    assert len(fit(Contents(alone, document_of, "r", TRUST_BOUNDS), None).records) == MAX_NAMESPACE_CERTIFICATES


class Counted(TrustedAuthority, frozen=True, kw_only=True):
    """A record that counts how often it is compared."""

    compared: ClassVar[int] = 0
    __hash__ = TrustedAuthority.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return TrustedAuthority.__eq__(self, other)


def test_a_full_document_compares_each_record_a_few_times() -> None:
    def comparisons(number: int) -> int:
        records = [Counted(namespace="n", name=f"{each:04}", uid=f"{each}", anchors=()) for each in range(number)]
        authorities = [make_ca({}, each.name, uid=each.uid, age=int(each.uid)) for each in records]
        candidates = [Candidate(one, each, each, None) for one, each in zip(authorities, records, strict=True)]
        bounds = (Bound(1_000_000, share=900_000, shares=900_000, release_share=90_000, reserve=10_000),)
        Counted.compared = 0
        fitted = fit(Contents(candidates, document_of, "release", bounds), document_of(records[1:]))
        assert len(fitted.records) == number
        assert not fitted.fits_without_shares
        return Counted.compared

    assert comparisons(400) < 10 * comparisons(80)


def many(count: int) -> list[TrustedCA]:
    """Return TrustedCAs with 400 revoked fingerprints each, about 13 kB compressed, the oldest first."""
    chance = random.Random(1)  # noqa: S311 - no secret
    root = make_pem("root")
    return [
        make_ca(
            {
                "certificates": root,
                "revocation": {"sha256Fingerprints": [chance.randbytes(32).hex() for _ in range(400)]},
            },
            f"ca-{number:03}",
            age=1000 - number,
        )
        for number in range(count)
    ]


def in_force(plan: PublishPlan) -> set[str]:
    return {key.name for key, verdict in plan.verdicts.items() if verdict.document == TRUST}


@pytest.mark.slow
def test_a_plan_refuses_the_newest_with_a_verdict_and_stays_as_it_is() -> None:
    resources = many(90)
    plan = plan_of(*resources)
    refused = [each for each in resources if not verdict_on(each, plan).accepted]
    assert refused
    assert refused == resources[-len(refused) :]
    assert {verdict_on(each, plan).reason for each in refused} == {Reason.CAPACITY_EXCEEDED}
    assert in_force(plan_of(*resources[::-1], in_force=plan.documents)) == in_force(plan)
    assert in_force(plan_of(*resources[5:], in_force=plan.documents)) > in_force(plan) - {
        each.metadata.name for each in resources[:5]
    }
