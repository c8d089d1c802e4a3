from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_tools.operating.fleet import ResourceName
from stationkeeper_tools.operating.fleet_status import GatewayState, fleet_status
from stationkeeper_tools.page.fleet_view import FleetView, Phase
from stationkeeper_tools.page.history import History
from stationkeeper_tools.page.queries import Query
from stationkeeper_tools.page.sorted_names import ObjectName
from tests.examples import examples
from tests.tools.page.fleets import NOW, ago, ahead, ca, condition, gateway, item, shown, view_of

STATUSES = st.fixed_dictionaries(
    {
        "lastSeen": st.sampled_from([None, ago(hours=1), ago(hours=47), ago(hours=49), ago(days=30)]),
        "lastRefusal": st.sampled_from([None, {"reason": "CertificateExpired", "time": ago(minutes=1)}]),
        "delivery": st.sampled_from([None, {"state": "FellBack"}, {"state": "NotConverging"}]),
        "conditions": st.sampled_from([[], [condition("Accepted", "False")], [condition("Enforced")]]),
    }
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("gateway"), st.integers(0, 5), st.sampled_from(["radio", "a"]), STATUSES),
        st.tuples(st.just("ca"), st.sampled_from(["vendor", "other"]), st.booleans()),
        st.tuples(st.just("remove"), st.integers(0, 5), st.sampled_from(["radio", "a"])),
        st.tuples(st.just("wait"), st.integers(1, 60) | st.sampled_from([24, 24 * 24, 24 * 31])),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=examples(150))
@given(STEPS)
def test_after_any_changes_the_view_says_what_the_judgement_of_all_says(steps: list[tuple[object, ...]]) -> None:
    view, now, known = FleetView(2, History()), NOW, {}
    for step in steps:
        match step:
            case "gateway", int(number), str(namespace), dict(status):
                each = shown(gateway(number, namespace, **status))
                known[each.key] = each
                view.put(each, "1", now)
            case "ca", str(name), bool(suspended):
                ends = [{"sha256": "a", "notAfter": ahead(days=days)} for days in (40, 31)]
                each = shown(ca(name, spec={"suspended": suspended}, certificates=ends))
                known[each.key] = each
                view.put(each, "1", now)
            case "remove", int(number), str(namespace):
                key = shown(gateway(number, namespace)).key
                known.pop(key, None)
                view.remove(key, now)
            case "wait", int(hours):
                now += timedelta(hours=hours)
        while view.tick(now, most=3):
            pass
    judged = fleet_status(known.values(), now, 2)
    assert list(view.gateways(Query()).lines) == list(judged.gateways)
    assert {state: count for state, count in view.counts().items() if count} == dict(judged.counts)
    assert view.cas() == list(judged.cas)
    assert view.unregistered() == list(judged.unregistered)
    assert len(view) == len(known)
    for key, each in known.items():
        assert view.resource(key) == each


def test_a_gateway_becomes_silent_by_time_alone() -> None:
    view = view_of([gateway(lastSeen=ago(hours=47))])
    for hours, state in ((0.9, GatewayState.FINE), (1.1, GatewayState.SILENT)):
        view.tick(NOW + timedelta(hours=hours))
        assert view.counts()[state] == 1


def test_a_page_of_a_list_is_the_same_part_of_it_however_it_is_found() -> None:
    view = view_of(gateway(each, ("a", "radio")[each % 2], model=("x", "y")[each % 3 == 0]) for each in range(50))
    of_all = [line.name for line in view.gateways(Query(), size=1000).lines]
    pages = [[line.name for line in view.gateways(Query(page=page), size=7).lines] for page in range(1, 10)]
    assert [name for page in pages for name in page] == of_all
    for query in (
        Query(namespace="a"),
        Query(search="roof"),
        Query(state=GatewayState.FINE, trusted_ca="radio/vendor"),
    ):
        whole = view.gateways(query, size=1000)
        part = view.gateways(Query(**{**query.__dict__, "page": 2}), size=7)
        assert list(part.lines) == list(whole.lines)[7:14]
        assert (part.total, part.pages) == (len(whole.lines), -(-len(whole.lines) // 7))


def test_a_search_looks_at_eui_name_model_and_version_in_any_case() -> None:
    view = view_of([gateway(171, model="Kerlink iBTS"), gateway(1)])
    for text in ("ab", "roof-000171", "kerlink", "ibts"):
        assert [line.name for line in view.gateways(Query(search=text)).lines] == ["roof-000171"]


def test_a_namespace_whose_name_another_one_begins_with_is_not_that_one() -> None:
    view = view_of([gateway(1, "a"), gateway(2, "a-b"), gateway(3, "ab"), gateway(4, "a.b")])
    assert [line.name for line in view.gateways(Query(namespace="a")).lines] == ["roof-000001"]


def test_how_far_a_resource_is_on_its_way_is_reported_by_its_conditions() -> None:
    phases = {
        Phase.WAITING: [condition("Accepted")],
        Phase.PUBLISHED: [condition("Accepted"), condition("Published")],
        Phase.ENFORCED: [condition("Accepted"), condition("Published"), condition("Enforced")],
        Phase.NOT_ACCEPTED: [condition("Accepted", "False"), condition("Enforced")],
    }
    for phase, conditions in phases.items():
        view = view_of([gateway(conditions=conditions)])
        assert {each: count for each, count in view.phases("Gateway").items() if count} == {phase: 1}
        assert view.in_phase("Gateway", phase, 5) == [ResourceName("Gateway", "radio", "roof-000000")]


def test_what_was_enforced_is_in_the_history_and_among_what_is_recent() -> None:
    view = view_of([gateway(conditions=[condition("Accepted")])])
    view.put(shown(gateway(conditions=[condition("Accepted"), condition("Enforced")])), "2", NOW)
    (key, change), *_ = view.recent
    assert (key.name, change.text) == ("roof-000000", "Enforced holds: Reason, why")
    assert change in view.history.of(key)


def test_what_the_page_finds_when_it_starts_is_not_new() -> None:
    view = view_of([gateway(), ca()])
    assert (view.recent, len(view.history)) == ([], 0)


def test_a_deleted_resource_leaves_only_a_history_line() -> None:
    view = view_of([gateway(), ca()])
    view.put(shown(gateway(lastSeen=ago(minutes=1))), "2", NOW)
    for each in (gateway(), ca()):
        view.remove(shown(each).key, NOW)
    assert (len(view), len(view.history), view.unregistered(), view.cas()) == (0, 0, [], [])
    assert [change.text for _, change in view.recent] == ["it was deleted"] * 2
    assert view.gateway(ObjectName("radio", "roof-000000")) is None


def test_constant_creation_and_deletion_uses_bounded_memory() -> None:
    view = FleetView(2, History())
    for number in range(5000):
        each = shown(gateway(number))
        view.put(each, "1", NOW)
        view.remove(each.key, NOW)
    assert len(view.recent) <= 100
    assert len(view.history) == 0
    assert len(view._due) <= 1001


def test_an_eui_and_a_name_of_a_tenant_may_be_anything_that_kubernetes_takes() -> None:
    odd = item("Gateway", "x", "y", {"eui": ["list"]}, {"conditions": "none"})
    assert view_of([odd]).gateways(Query()).lines[0].eui == ""
