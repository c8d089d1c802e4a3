from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from stationkeeper_core.published.documents import TRUST, Document, TrustDocument, TrustedAuthority
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.resources.records import TrustedCA
from tests.operator.resource_building import NOW, der, make_ca, make_pem, make_secret, plan_of, verdict_on

OLD, NEW, NEWER = (make_pem("root", key=key) for key in ("old", "new", "newer"))
HOUR = timedelta(hours=1)


def source(retain: str | None = "2h", name: str = "ca") -> dict[str, Any]:
    found: dict[str, Any] = {"secretKeyRef": {"name": name, "key": "ca.crt"}}
    return {"certificatesFrom": found | ({"retain": retain} if retain else {})}


def plan(
    content: str | None,
    in_force: Mapping[str, Document] | None = None,
    now: datetime = NOW,
    spec: dict[str, Any] | None = None,
    name: str = "ca",
) -> tuple[PublishPlan, TrustedCA]:
    resource = make_ca(spec or source())
    data = {} if content is None else {"ca.crt": b64encode(content.encode()).decode()}
    return plan_of(resource, referenced=make_secret(data, name, label="trust"), in_force=in_force, now=now), resource


def record(made: PublishPlan) -> TrustedAuthority:
    document = made.documents[TRUST]
    assert isinstance(document, TrustDocument)
    return document.authorities[0]


def trusted(made: PublishPlan) -> set[bytes]:
    return set(record(made).anchors)


BEFORE = plan(OLD)[0].documents


def test_a_renewed_source_keeps_the_old_anchor_for_the_stated_time_and_no_longer() -> None:
    made, resource = plan(NEW, BEFORE, NOW + HOUR)
    assert trusted(made) == {der(OLD), der(NEW)}
    assert made.deadline == NOW + 3 * HOUR
    shown = {each.sha256: each.retained_until for each in verdict_on(resource, made).certificates}
    assert sorted(shown.values()) == ["", "2026-06-01T03:00:00Z"]
    assert "until 2026-06-01T03:00:00Z" in verdict_on(resource, made).message
    again, _ = plan(NEW, made.documents, NOW + 2 * HOUR)
    assert again.payloads == made.payloads, "the time does not begin anew"
    assert trusted(plan(NEW, again.documents, NOW + 3 * HOUR)[0]) == {der(NEW)}


def test_without_it_the_old_anchor_goes_at_once() -> None:
    before = plan(OLD, spec=source(None))[0].documents
    assert trusted(plan(NEW, before, spec=source(None))[0]) == {der(NEW)}


def test_each_renewal_has_its_own_time() -> None:
    first, _ = plan(NEW, BEFORE, NOW + HOUR)
    second, _ = plan(NEWER, first.documents, NOW + 2 * HOUR)
    assert trusted(second) == {der(OLD), der(NEW), der(NEWER)}
    third, _ = plan(NEWER, second.documents, NOW + 3 * HOUR)
    assert trusted(third) == {der(NEW), der(NEWER)}


def test_an_anchor_that_returns_is_no_longer_marked_as_retained() -> None:
    first, _ = plan(NEW, BEFORE, NOW + HOUR)
    back, _ = plan(OLD + NEW, first.documents, NOW + 2 * HOUR)
    assert (trusted(back), record(back).retained) == ({der(OLD), der(NEW)}, ())


@pytest.mark.parametrize("spec", [source(None), {"certificates": NEW}, source(name="other")])
def test_an_edit_of_the_spec_acts_at_once(spec: dict[str, Any]) -> None:
    first, _ = plan(NEW, BEFORE, NOW + HOUR)
    name = "other" if "other" in str(spec) else "ca"
    assert trusted(plan(NEW, first.documents, NOW + HOUR, spec, name)[0]) == {der(NEW)}


def test_suspension_acts_at_once() -> None:
    made, _ = plan(NEW, BEFORE, spec={**source(), "suspended": True})
    document = made.documents[TRUST]
    assert isinstance(document, TrustDocument)
    assert document.authorities == ()


def test_a_shorter_time_counts_from_the_renewal() -> None:
    first, _ = plan(NEW, BEFORE, NOW)
    assert trusted(plan(NEW, first.documents, NOW + HOUR, source("30m"))[0]) == {der(NEW)}


def test_the_retain_time_runs_while_the_source_cannot_be_read() -> None:
    first, _ = plan(NEW, BEFORE, NOW)
    assert trusted(plan(None, first.documents, NOW + HOUR)[0]) == {der(OLD), der(NEW)}
    assert trusted(plan(None, first.documents, NOW + 2 * HOUR)[0]) == {der(NEW)}


def test_revocation_acts_on_retained_anchors() -> None:
    first, _ = plan(NEW, BEFORE, NOW)
    made, _ = plan(NEW, first.documents, NOW, {**source(), "revocation": {"serials": ["0xBEEF"]}})
    assert record(made).revoked_serials == ("BEEF",)
    assert trusted(made) == {der(OLD), der(NEW)}


def test_an_expired_anchor_is_not_kept() -> None:
    ends = make_pem("root", key="ends", end=1)
    first, _ = plan(NEW, plan(ends, spec=source("30d"))[0].documents, NOW, source("30d"))
    assert der(ends) in trusted(first)
    assert trusted(plan(NEW, first.documents, NOW + timedelta(days=1, seconds=1), source("30d"))[0]) == {der(NEW)}


@pytest.mark.parametrize("text", ["2", "h", "-1h", "0h", "1w", "400d", "1h30m", "٣h"])
def test_an_invalid_retain_time_is_refused(text: str) -> None:
    made, resource = plan(OLD, spec=source(text))
    assert verdict_on(resource, made).reason == "InvalidSpec"
    assert "certificatesFrom.retain" in verdict_on(resource, made).message


def test_a_time_that_cannot_be_read_takes_nothing_away_that_is_kept() -> None:
    first, _ = plan(NEW, BEFORE, NOW)
    assert trusted(plan(NEW, first.documents, NOW + HOUR, source("1w"))[0]) == {der(OLD), der(NEW)}
    assert trusted(plan(NEW, first.documents, NOW + 2 * HOUR, source("1w"))[0]) == {der(NEW)}
