from datetime import UTC, datetime

from stationkeeper_operator.resources.records import decode_resource
from stationkeeper_tools.standalone.identities import Identities
from stationkeeper_tools.standalone.manifest_files import ObjectKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOF, CELLAR = ObjectKey("Gateway", "radio", "roof"), ObjectKey("Gateway", "radio", "cellar")


def test_the_generation_counts_changes_of_the_spec_alone() -> None:
    identities = Identities()
    first = identities.of(ROOF, {"spec": {"a": 1, "b": 2}}, "a.yaml", NOW)
    same = identities.of(ROOF, {"spec": {"b": 2, "a": 1}, "metadata": {"labels": {}}}, "b.yaml", NOW)
    changed = identities.of(ROOF, {"spec": {"a": 2}}, "b.yaml", NOW)

    assert (first.generation, same.generation, changed.generation) == (1, 1, 2)
    assert first.uid == changed.uid


def test_a_new_object_of_an_old_name_is_another_one() -> None:
    identities = Identities()
    first = identities.of(ROOF, {}, "a.yaml", NOW)
    identities.forget(ROOF)

    assert identities.of(ROOF, {}, "a.yaml", NOW).uid != first.uid


def test_a_later_object_is_younger_even_if_the_clock_went_back() -> None:
    identities = Identities()
    first = identities.of(ROOF, {}, "a.yaml", NOW)
    again = Identities(identities.all, identities.last)
    second = again.of(CELLAR, {}, "a.yaml", datetime(1970, 1, 1, tzinfo=UTC))

    seniorities = [
        decode_resource("Gateway", {"metadata": {"name": "x", **each.metadata}}).metadata.seniority
        for each in (first, second)
    ]
    assert seniorities[0] < seniorities[1]
