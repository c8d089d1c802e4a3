"""A few of the decisions that `python -m tests.oracle` compares by the million."""

import pytest

from tests.oracle.decisions import Report, compare


@pytest.mark.slow
def test_random_decisions_are_those_of_openssl_verify_and_the_plain_rules() -> None:
    total = Report()
    for seed in (11, 12, 14):
        total.add(compare(seed, decisions=120))

    assert total.wrong == []
    assert total.decisions == 360
    assert total.kinds["vouched"] > 30
