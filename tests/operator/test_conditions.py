from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_operator.compiling.compile import CertificateStatus, Verdict
from stationkeeper_operator.compiling.verdict import Role
from stationkeeper_operator.reporting.conditions import status_of
from stationkeeper_operator.resources.fact import NOT_OBSERVED, Fact
from stationkeeper_operator.resources.records import GATEWAY, GATEWAY_DEFAULTS, TRUSTED_CA, Resource, decode_resource
from stationkeeper_operator.resources.resource_status import Status
from tests.kstatus import CURRENT, FAILED, IN_PROGRESS, kstatus
from tests.operator.resource_building import NOW

LATER = NOW + timedelta(hours=1)
ACCEPTED = Verdict(True, "Accepted", "fine", "registry-03")
REFUSED = Verdict(False, Reason.URI_INVALID, "bad uri", None)


def resource(kind: str = GATEWAY, generation: int = 3) -> Resource:
    return decode_resource(kind, {"metadata": {"name": "a", "generation": generation}, "spec": {}})


def with_status(status: dict[str, Any], kind: str = GATEWAY, generation: int = 3) -> Resource:
    return msgspec.structs.replace(resource(kind, generation), status=Status(msgspec.json.encode(status)))


def facts(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def test_accepted_and_published_is_ready() -> None:
    status = status_of(resource(), ACCEPTED, True, "", NOW)
    assert facts(status) == {
        "Accepted": ("True", "Accepted"),
        "Published": ("True", "Published"),
        "Ready": ("True", "Ready"),
    }
    assert status["observedGeneration"] == 3
    assert all(each["observedGeneration"] == 3 for each in status["conditions"])
    assert "stationkeeper-registry-03" in status["conditions"][1]["message"]


def test_refused_is_not_ready_for_the_same_reason() -> None:
    status = status_of(resource(), REFUSED, True, "", NOW)
    assert facts(status) == {
        "Accepted": ("False", "URIInvalid"),
        "Published": ("False", "NotPublished"),
        "Ready": ("False", "URIInvalid"),
        "Stalled": ("True", "URIInvalid"),
    }
    assert status["conditions"][2]["message"] == "bad uri"


def test_accepted_but_not_written_yet_is_not_ready() -> None:
    status = status_of(resource(), ACCEPTED, False, "the Secret cannot be written: Forbidden", NOW)
    assert facts(status)["Published"] == ("False", "PublishPending")
    assert facts(status)["Ready"] == ("False", "PublishPending")
    assert status["conditions"][1]["message"] == "the Secret cannot be written: Forbidden"


def test_the_last_accepted_version_is_published_although_the_spec_is_refused() -> None:
    verdict = Verdict(False, Reason.URI_INVALID, "bad uri", "registry-03")
    assert facts(status_of(resource(), verdict, True, "", NOW))["Published"] == ("True", "Published")


def test_nothing_changed_gives_the_present_status() -> None:
    first = status_of(resource(), ACCEPTED, True, "", NOW)
    assert status_of(with_status(first), ACCEPTED, True, "", LATER) == first


def test_the_time_of_the_transition_moves_with_the_status_alone() -> None:
    first = status_of(resource(), ACCEPTED, True, "", NOW)
    other_message = status_of(with_status(first), Verdict(True, "Accepted", "finer", "registry-03"), True, "", LATER)
    assert {each["lastTransitionTime"] for each in other_message["conditions"]} == {"2026-06-01T00:00:00Z"}
    refused = status_of(with_status(first), REFUSED, True, "", LATER)
    assert {each["lastTransitionTime"] for each in refused["conditions"]} == {"2026-06-01T01:00:00Z"}


def test_another_generation_is_observed_without_a_transition() -> None:
    first = status_of(resource(), ACCEPTED, True, "", NOW)
    second = status_of(with_status(first, generation=4), ACCEPTED, True, "", LATER)
    assert second["observedGeneration"] == 4
    assert second["conditions"][0]["lastTransitionTime"] == "2026-06-01T00:00:00Z"


def test_fields_of_other_writers_stay() -> None:
    enforced = {"type": "Enforced", "status": "True"}
    status = status_of(with_status({"lastSeen": "x", "conditions": [enforced, 7]}), ACCEPTED, True, "", NOW)
    assert status["lastSeen"] == "x"
    assert enforced in status["conditions"]
    assert len(status["conditions"]) == 4


def test_a_status_that_cannot_be_read_is_replaced() -> None:
    for raw in (b"null", b"[]", b'{"conditions":{}}', b'{"conditions":[{"type":"Ready"},{}]}'):
        broken = msgspec.structs.replace(resource(), status=Status(raw))
        assert len(status_of(broken, ACCEPTED, True, "", NOW)["conditions"]) == 3


def test_a_trusted_ca_shows_its_certificates_and_their_number() -> None:
    certificate = CertificateStatus("CN=root", "ab" * 32, "2027-01-01T00:00:00Z", Role.ANCHOR)
    verdict = Verdict(True, "Accepted", "fine", "trust", (certificate,))
    status = status_of(resource(TRUSTED_CA), verdict, True, "", NOW)
    assert status["certificateCount"] == 1
    assert status["certificates"] == [
        {"subject": "CN=root", "sha256": "ab" * 32, "notAfter": "2027-01-01T00:00:00Z", "role": "Anchor"}
    ]


def test_a_gateway_defaults_is_never_published_by_itself_and_shows_how_many_look_to_it() -> None:
    accepted = status_of(
        resource(GATEWAY_DEFAULTS), Verdict(True, "Accepted", "fine", None, gateways=7), False, "", NOW
    )
    assert facts(accepted) == {"Accepted": ("True", "Accepted"), "Ready": ("True", "Ready")}
    assert accepted["gateways"] == 7
    refused = status_of(with_status(accepted, GATEWAY_DEFAULTS), REFUSED, False, "", NOW)
    assert facts(refused) == {
        "Accepted": ("False", "URIInvalid"),
        "Ready": ("False", "URIInvalid"),
        "Stalled": ("True", "URIInvalid"),
    }
    assert refused["gateways"] == 0


def test_messages_are_bounded() -> None:
    status = status_of(resource(), ACCEPTED, False, "x" * 5000, NOW)
    assert all(len(each["message"]) <= 1024 for each in status["conditions"])


@pytest.mark.parametrize(
    ("enforced", "ready"),
    [
        (Fact("True", "Enforced", "by all"), ("True", "Ready")),
        (Fact("False", "Pending", "not yet"), ("False", "Pending")),
        (Fact("Unknown", "NoCUPSPod", "none"), ("False", "NoCUPSPod")),
        (Fact("Unknown", NOT_OBSERVED, "no token"), ("True", "Ready")),
    ],
)
def test_ready_requires_enforced_if_that_is_observed(enforced: Fact, ready: tuple[str, str]) -> None:
    status = status_of(resource(), ACCEPTED, True, "", NOW, enforced)
    assert facts(status)["Enforced"] == enforced[:2]
    assert facts(status)["Ready"] == ready
    assert status_of(with_status(status), ACCEPTED, True, "", LATER, enforced) == status


def test_a_suspended_ca_names_the_cas_that_trust_its_certificates() -> None:
    suspended = Verdict(False, Reason.SUSPENDED, "by its spec", None, still_trusted_by=("team/twin",))
    status = status_of(resource(TRUSTED_CA), suspended, False, "", NOW)
    assert facts(status)["StillTrustedBy"] == ("True", "StillTrustedBy")
    status = status_of(with_status(status, TRUSTED_CA), replace(suspended, still_trusted_by=()), False, "", NOW)
    assert facts(status)["StillTrustedBy"] == ("False", "NoOtherTrustedCA")
    status = status_of(with_status(status, TRUSTED_CA), Verdict(True, "Accepted", "fine", "trust"), True, "", NOW)
    assert "StillTrustedBy" not in facts(status)


def test_observed_fields_are_set_and_none_removes_a_field() -> None:
    before = with_status({"certificate": {"serial": "1"}, "station": "old"})
    status = status_of(before, ACCEPTED, True, "", NOW, None, {"certificate": None, "station": "new"})
    assert "certificate" not in status
    assert status["station"] == "new"


BY_SPEC = "by its spec"
LOADED, PENDING = Fact("True", "Enforced", "by all"), Fact("False", "Pending", "not yet")
TELLS_NOTHING = Fact("Unknown", NOT_OBSERVED, "no token")


def object_with(verdict: Verdict, enforced: Fact | None, kind: str, published: bool = True) -> dict[str, Any]:
    status = status_of(resource(kind), verdict, published, "", NOW, enforced)
    return {"metadata": {"generation": 3}, "status": status}


@pytest.mark.parametrize(
    ("kind", "document"), [(TRUSTED_CA, None), (GATEWAY, "registry-03")], ids=["TrustedCA", "Gateway"]
)
@pytest.mark.parametrize(
    ("enforced", "expected"), [(LOADED, CURRENT), (PENDING, IN_PROGRESS), (None, CURRENT), (TELLS_NOTHING, CURRENT)]
)
def test_a_suspended_resource_is_current_after_the_suspension_is_in_force(
    kind: str, document: str | None, enforced: Fact | None, expected: str
) -> None:
    suspended = Verdict(False, Reason.SUSPENDED, BY_SPEC, document)
    found = object_with(suspended, enforced, kind)
    assert kstatus(found) == expected
    ready = facts(found["status"])["Ready"]
    assert ready == (("True", "Suspended") if expected == CURRENT else ("False", "Pending"))
    assert facts(found["status"])["Accepted"] == ("False", "Suspended")


def test_a_suspended_gateway_is_in_progress_until_it_is_published() -> None:
    suspended = Verdict(False, Reason.SUSPENDED, BY_SPEC, "registry-03")
    assert kstatus(object_with(suspended, None, GATEWAY, published=False)) == IN_PROGRESS


@pytest.mark.parametrize("kind", [TRUSTED_CA, GATEWAY, GATEWAY_DEFAULTS])
@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.URI_INVALID, FAILED),
        (Reason.MALFORMED_PEM, FAILED),
        (Reason.EUI_CONFLICT, FAILED),
        (Reason.REFERENCE_NOT_LABELLED, FAILED),
        (Reason.REFERENCE_NOT_FOUND, IN_PROGRESS),
        (Reason.REFERENCE_KEY_MISSING, IN_PROGRESS),
        (Reason.LNS_MISSING, IN_PROGRESS),
    ],
)
def test_a_refused_resource_has_failed_unless_a_reference_may_still_appear(
    kind: str, reason: Reason, expected: str
) -> None:
    assert kstatus(object_with(Verdict(False, reason, "why", None), None, kind)) == expected


@pytest.mark.parametrize("kind", [TRUSTED_CA, GATEWAY, GATEWAY_DEFAULTS])
def test_an_accepted_resource_is_current_after_it_is_in_force(kind: str) -> None:
    assert kstatus(object_with(ACCEPTED, LOADED, kind)) == CURRENT
    assert kstatus(object_with(ACCEPTED, PENDING, kind)) == (CURRENT if kind == GATEWAY_DEFAULTS else IN_PROGRESS)


def test_a_corrected_resource_is_no_longer_stalled() -> None:
    refused = status_of(resource(), REFUSED, True, "", NOW)
    assert "Stalled" not in facts(status_of(with_status(refused), ACCEPTED, True, "", LATER))


def test_the_lns_that_a_gateway_is_sent_to_is_shown_and_goes_with_it() -> None:
    sent = status_of(resource(), replace(ACCEPTED, lns_uri="wss://lns:8887"), True, "", NOW)
    assert sent["lnsURI"] == "wss://lns:8887"
    assert "lnsURI" not in status_of(with_status(sent), ACCEPTED, True, "", NOW)
