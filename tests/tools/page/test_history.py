from datetime import timedelta

from stationkeeper_tools.operating.fleet import ResourceName
from stationkeeper_tools.page.history import History
from stationkeeper_tools.page.status_changes import ChangeKind, StatusChange, changes_between, known_moments
from tests.tools.page.fleets import ENFORCED, NOW, ago, ca, condition, gateway, shown


def change(number: int = 0) -> StatusChange:
    return StatusChange(NOW + timedelta(seconds=number), ChangeKind.VISIT, f"{number}")


def key(name: str, namespace: str = "radio") -> ResourceName:
    return ResourceName("Gateway", namespace, name)


def test_of_one_resource_the_newest_changes_are_kept() -> None:
    history = History(of_one=3)
    history.add(key("a"), map(change, range(10)))
    assert [each.text for each in history.of(key("a"))] == ["7", "8", "9"]
    assert len(history) == 3


def test_a_namespace_that_changes_all_the_time_takes_no_other_s_history() -> None:
    history = History(of_all=10)
    history.add(key("quiet", "calm"), [change()])
    for number in range(100):
        history.add(key(f"loud-{number}", "noisy"), [change(number)])
    assert len(history) == 10
    assert history.of(key("quiet", "calm"))
    assert history.of(key("loud-99", "noisy"))


def test_what_is_forgotten_takes_no_room() -> None:
    history = History()
    history.add(key("a"), [change()])
    history.forget(key("a"))
    history.forget(key("never"))
    assert (len(history), history.of(key("a"))) == (0, ())


def told(before: dict[str, object] | None, after: dict[str, object]) -> list[tuple[ChangeKind, str]]:
    known = shown(before) if before is not None else None
    return [(each.kind, each.text) for each in changes_between(known, shown(after), NOW)]


def test_a_visit_a_refusal_and_a_delivery_are_changes() -> None:
    refusal = {"reason": "CertificateExpired", "time": ago(minutes=1)}
    after = gateway(
        lastSeen=ago(minutes=2),
        lastRefusal=refusal,
        delivery={"state": "Pending", "deliveries": 1, "outstanding": ["LNSURI"]},
    )
    assert told(gateway(), after) == [
        (ChangeKind.VISIT, "it came by radio/vendor with Station 2.0.6(linux/std)"),
        (ChangeKind.REFUSAL, "it was refused: CertificateExpired"),
        (ChangeKind.DELIVERY, "Pending, sent 1 time without a report; outstanding: LNSURI"),
    ]
    assert told(after, after) == []


def test_a_claimed_identity_is_marked_as_claimed() -> None:
    refusal = {"reason": "CertificateExpired", "time": ago(minutes=1), "claimed": True}
    assert told(gateway(), gateway(lastRefusal=refusal)) == [
        (ChangeKind.REFUSAL, "a client that claims to be it was refused: CertificateExpired")
    ]


def test_a_condition_that_is_only_written_again_is_not_a_change() -> None:
    again = [{**each, "message": "other words", "lastTransitionTime": ago(minutes=1)} for each in ENFORCED]
    assert told(gateway(), gateway(conditions=again)) == []
    assert told(gateway(), gateway(conditions=[condition("Ready", "False", "NotSeen", "")])) == [
        (ChangeKind.CONDITION, "Ready does not hold: NotSeen")
    ]


def test_what_a_person_does_is_a_change() -> None:
    edited = gateway()
    edited["metadata"]["generation"] = 2
    assert told(gateway(), gateway(spec={"suspended": True})) == [(ChangeKind.SPEC, "it was suspended")]
    assert told(gateway(spec={"suspended": True}), gateway()) == [(ChangeKind.SPEC, "it was resumed")]
    assert told(gateway(), edited) == [(ChangeKind.SPEC, "its spec was changed: generation 2")]
    assert told(None, gateway(conditions=[], lastSeen=None, delivery=None)) == [(ChangeKind.CREATED, "it was created")]


def test_a_certificate_that_comes_or_goes_is_a_change_of_its_ca() -> None:
    one = {"subject": "CN=New", "sha256": "c" * 64, "role": "Anchor"}
    assert told(ca(certificates=[one]), ca(certificates=[{**one, "sha256": "d" * 64}])) == [
        (ChangeKind.CERTIFICATES, "in force: Anchor CN=New"),
        (ChangeKind.CERTIFICATES, "not in force any more: Anchor CN=New"),
    ]


def test_a_status_alone_shows_the_last_visit_the_last_refusal_and_its_conditions() -> None:
    refusal = {"reason": "CertificateExpired", "time": ago(days=1)}
    kinds = [each.kind for each in known_moments(shown(gateway(lastRefusal=refusal)))]
    assert kinds.count(ChangeKind.CONDITION) == 4
    assert {ChangeKind.ENFORCEMENT, ChangeKind.VISIT, ChangeKind.REFUSAL} <= set(kinds)
