from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from stationkeeper_core.published.documents import (
    TRUST,
    RevocationList,
    ServedNamespace,
    TrustDocument,
    TrustedAuthority,
)
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_core.x509.serial_numbers import pack_serials
from stationkeeper_operator.compiling.retention.document_changes import document_changes
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.rollout.removal_events import RemovalEvent, RemovalEvents
from tests.operator.resource_building import der, make_ca, make_gateway, make_pem, plan_of

ROOT, NEW = make_pem("root", key="old"), make_pem("root", key="new")
RENEWED = make_pem("root", key="old", end=700)
GATEWAYS = [make_gateway({"eui": f"{number:016X}"}, name=f"gw-{number:03}") for number in range(299)]
KEYS = {each.metadata.uid: each.key for each in GATEWAYS}


class Told:
    """The recorded events."""

    def __init__(self, events: Iterable[RemovalEvent | None]) -> None:
        told = [each for each in events if each is not None]
        assert all(each.kind == "Warning" for each in told)
        self.events = [(each.resource.key.name, each.reason, each.message) for each in told]

    def on(self, name: str, reason: str) -> list[str]:
        return [message for told, why, message in self.events if (told, why) == (name, reason)]


def record(**more: Any) -> TrustedAuthority:
    fields = {"namespace": "lorawan", "name": "acme", "uid": "uid-lorawan-acme", "anchors": (der(ROOT),)}
    return TrustedAuthority(**{**fields, **more})


def told(
    before: TrustedAuthority,
    after: TrustedAuthority | None,
    resource: Resource | None = None,
    *others: TrustedAuthority,
    used: bool = True,
) -> Told:
    users = frozenset(KEYS) if used else frozenset[str]()
    removal_events = RemovalEvents(lambda key: users if key.name == "acme" else (), KEYS.get, lambda _: False)
    old = TrustDocument(release_namespace="stationkeeper", authorities=(before, *others))
    new = TrustDocument(
        release_namespace="stationkeeper", authorities=tuple(each for each in (after, *others) if each is not None)
    )
    present: Mapping[Key, Resource] = {
        each.key: each for each in (resource or make_ca({"certificates": ROOT}), *GATEWAYS)
    }
    return Told(removal_events.announce(document_changes(old, new), new, present))


def test_a_suspension_reports_how_many_gateways_use_the_ca() -> None:
    events = told(record(), None, make_ca({"certificates": ROOT, "suspended": True}))
    (message,) = events.on("acme", "InUse")
    assert message == "it was suspended while in use; gateways that it vouched for in the last 25 h: 299"


@pytest.mark.parametrize("field", ["anchors", "intermediates"])
def test_a_certificate_that_leaves_reports_how_many(field: str) -> None:
    old, new = (der(make_pem("signs", key=key)) for key in ("old", "new"))
    events = told(record(**{field: (old,)}), record(**{field: (new,)}))
    (message,) = events.on("acme", "InUse")
    assert "gateways that this TrustedCA vouched for in the last 25 h: 299" in message
    assert f"{field.removesuffix('s')} 'CN=signs'" in message


def test_a_bounded_number_of_gateways_get_an_event() -> None:
    events = told(record(), record(anchors=(der(NEW),)))
    gateways = [name for name, reason, _ in events.events if name.startswith("gw-") and reason == "InUse"]
    assert gateways == [f"gw-{number:03}" for number in range(20)]
    (message,) = events.on("gw-000", "InUse")
    assert message.startswith("TrustedCA lorawan/acme, which vouched for it last: it no longer has the anchor")


def test_a_renewed_certificate_of_the_same_name_and_key_removes_nothing() -> None:
    assert told(record(), record(anchors=(der(RENEWED),))).on("acme", "InUse") == []


def test_an_unused_ca_is_removed_without_an_event() -> None:
    assert told(record(), record(anchors=(der(NEW),)), used=False).events == []


def test_narrower_ranges_report_the_number_of_excluded_gateways() -> None:
    events = told(record(), record(eui_ranges=("0000000000000000/56",)))
    (message,) = events.on("acme", "InUse")
    assert message.endswith("and cannot any more: 43")
    assert events.on("gw-255", "InUse") == []
    assert events.on("gw-256", "InUse")


def test_a_removed_served_namespace_is_reported_too() -> None:
    release = record(namespace="stationkeeper", serves=(ServedNamespace(namespace="*"),))
    resource = make_ca({"certificates": ROOT}, namespace="stationkeeper")
    events = told(release, replace(release, serves=()), resource)
    (message,) = events.on("acme", "InUse")
    assert message.endswith("and cannot any more: 299")


def test_wider_ranges_cause_no_event() -> None:
    assert told(record(eui_ranges=("0000000000000000/56",)), record()).events == []


KEY = parse_certificate(der(ROOT)).key_sha256 or ""


def crl(*serials: int) -> RevocationList:
    return RevocationList(issuer_key=KEY, serials=pack_serials(serials))


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ({"revoked_serials": ("1", "2")}, {"revoked_serials": ("2",)}, "serial numbers: 1, 1."),
        ({"revoked_sha256": ("ab" * 32,)}, {}, f"fingerprints: 1, {'ab' * 32}."),
        ({"revocation_lists": (crl(1, 0xBEEF),)}, {"revocation_lists": (crl(1),)}, "entries of CRLs: 1, BEEF."),
        ({"revocation_lists": (crl(1, 0xBEEF),)}, {}, "entries of CRLs: 2, 1, BEEF."),
        (
            {"revoked_serials": tuple(f"{number:X}" for number in range(1, 4001))},
            {},
            "serial numbers: 4000, such as 1, 10, 100, 101, 102, 103, 104, 105, 106, 107.",
        ),
    ],
)
def test_entries_that_are_no_longer_revoked_are_reported_and_counted(
    before: dict[str, Any], after: dict[str, Any], what: str
) -> None:
    (message,) = told(record(**before), record(**after)).on("acme", "RevokedNoMore")
    assert what in message
    assert len(message) < 1024


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"revoked_serials": ("1",)}, {"revoked_serials": ("1", "2")}),
        ({"revocation_lists": (crl(1),)}, {"revocation_lists": (crl(1, 2),)}),
        ({"revocation_lists": (crl(1),)}, {"anchors": (der(NEW),)}),
    ],
)
def test_equal_revocations_or_an_untrusted_issuer_cause_no_event(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert told(record(**before), record(**after)).on("acme", "RevokedNoMore") == []


def test_lost_revocations_are_reported_if_another_ca_trusts_the_issuer() -> None:
    twin = record(name="twin", uid="twin")
    suspended = make_ca({"certificates": ROOT, "suspended": True})
    revoking = record(revoked_serials=("BEEF",))
    assert told(revoking, None, suspended, twin).on("acme", "RevokedNoMore")
    assert told(revoking, None, suspended).on("acme", "RevokedNoMore") == []


def test_a_source_that_was_renewed_without_the_old_ca_is_such_a_change() -> None:
    before = plan_of(make_ca({"certificates": ROOT})).documents
    resource = make_ca({"certificates": NEW})
    after = plan_of(resource, in_force=before).documents
    removal_events = RemovalEvents(lambda _: {GATEWAYS[0].metadata.uid}, KEYS.get, lambda _: False)
    new = after[TRUST]
    assert isinstance(new, TrustDocument)
    present: Mapping[Key, Resource] = {resource.key: resource, GATEWAYS[0].key: GATEWAYS[0]}
    events = Told(removal_events.announce(document_changes(before[TRUST], new), new, present))
    assert events.on("acme", "InUse")
