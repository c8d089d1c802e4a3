from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_tools.page.rendering import (
    ca_page,
    cas_page,
    enforcement_page,
    gateway_page,
    gateways_page,
    overview_page,
    unregistered_page,
)
from stationkeeper_tools.page.shown_fields import NOT_SHOWN, shown_resource
from tests.examples import examples
from tests.tools.page.fleets import NOW, Item, ahead, ca, gateway, request, shown, view_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.just("2026-05-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = {
    "Gateway": {
        "status": [*gateway()["status"], "lastRefusal", "package"],
        "spec": ["eui", "suspended", "lns", "cups"],
    },
    "TrustedCA": {"status": [*ca()["status"], "caCertificatesSeen"], "spec": ["suspended"]},
}
INNER = ["type", "status", "reason", "message", "lastTransitionTime", "subject", "sha256", "notAfter", "role", "eui"]


def odd(data: st.DataObject, make: Callable[[], Item]) -> Item:
    """Return a resource whose fields may have any values."""
    one = make()
    for part, names in FIELDS[one["kind"]].items():
        for name in data.draw(st.sets(st.sampled_from(names))):
            one[part][name] = data.draw(JSON)
    deep = data.draw(st.sampled_from(["certificates", "unregistered", "conditions", "revocationLists", "outstanding"]))
    one["status"][deep] = data.draw(st.lists(JSON | st.dictionaries(st.sampled_from(INNER), JSON), max_size=3))
    return one


@settings(deadline=None, max_examples=examples(200))
@given(st.data())
def test_any_resource_can_be_shown(data: st.DataObject) -> None:
    for make in (gateway, ca):
        one = odd(data, make)
        view = view_of([one])
        view.put(shown(odd(data, make)), "2", NOW)
        view.tick(NOW)
        query: dict[str, Any] = {"namespace": "radio", "name": one["metadata"]["name"]}
        for draw in (overview_page, gateways_page, cas_page, unregistered_page, enforcement_page):
            assert draw(view, request())
        assert (gateway_page if one["kind"] == "Gateway" else ca_page)(view, request(**query))


@given(JSON)
def test_a_value_that_is_not_a_named_object_is_ignored(value: object) -> None:
    for kind in ("Gateway", "TrustedCA"):
        found = shown_resource(kind, value)
        assert found is None or found.key.name


def test_a_field_that_is_not_named_is_not_kept() -> None:
    token = "Bearer NNSXS.SECRET"
    one = gateway(spec={"lns": {"uri": f"wss://user:{token}@lns:8887", "auth": {"token": token}}, "token": token})
    one["status"]["other"] = one["metadata"]["annotations"] = {"token": token}
    one["status"]["lnsURI"] = f"wss://lns:8887/?token={token}"
    kept = shown(one)
    assert token not in msgspec.json.encode((kept.spec, kept.status)).decode()
    assert kept.status["lnsURI"] == kept.spec["lns"]["uri"] == NOT_SHOWN


def test_what_is_kept_is_bounded() -> None:
    many = [{"subject": "CN=" + "x" * 10_000, "sha256": "a", "notAfter": ahead(days=1)}] * 10_000
    message = {"type": "Ready", "message": "m\n" * 50_000}
    one = ca(certificates=many, unregistered=[{"eui": "0" * 10_000}] * 1000, conditions=[message] * 1000)
    kept = shown(one)
    assert len(kept.status["certificates"]) == 200
    assert len(kept.status["unregistered"]) == 50
    assert len(kept.status["conditions"]) == 16
    assert len(msgspec.json.encode(kept.status)) < 100_000


def test_a_character_that_turns_text_around_or_ends_a_line_is_not_kept() -> None:
    kept = shown(gateway(model="a\u202eb\x1b[31m", station="a\nb"))
    assert kept.status["model"] == "a?b?[31m"
    assert kept.status["station"] == "a b"


def test_a_time_out_of_range_counts_as_none() -> None:
    for text in ("9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+05:00", "2026-01-01\u202e00:00:00+00:00", "soon"):
        assert "lastSeen" not in shown(gateway(lastSeen=text)).status
