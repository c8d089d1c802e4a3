"""A few of the decisions that `python -m tests.oracle` compares by the million."""

import pytest

from tests.oracle.decisions import compare


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_random_decisions_are_those_of_openssl_verify_and_the_plain_rules(seed: int) -> None:
    report = compare(seed, decisions=150)

    assert report.wrong == []
    assert report.decisions == 150
    assert report.kinds["vouched"] > 10
