"""Intermediates from a reference, and the root in `ca.crt` of an intermediate's Secret."""

import base64
from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TRUST, TrustDocument, TrustedAuthority
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.verdict import Use, Verdict
from stationkeeper_operator.resources.named_references import reference_keys
from stationkeeper_operator.resources.records import SECRET, Reference, ReferencedObject, decode_referenced
from tests.operator.resource_building import PRIVATE_KEY, der, make_ca, make_pem, metadata, plan_of, verdict_on

ROOT = make_pem("root")
ISSUING = make_pem("issuing", key="issuing", issuer=("root", ""))
OTHER = make_pem("other", key="other", issuer=("root", ""))
LEAF = make_pem("leaf", authority=None, key="leaf", issuer=("root", ""))
FROM_CA_CRT = {"secretKeyRef": {"name": "issuing", "key": "ca.crt"}}
FROM_TLS_CRT = {"secretKeyRef": {"name": "issuing", "key": "tls.crt"}}
NOTE = "name tls.crt"


def secret(label: str = "stationkeeper.io/trust", **data: bytes | str) -> dict[Reference, ReferencedObject]:
    texts = {name.replace("_", "."): text.encode() if isinstance(text, str) else text for name, text in data.items()}
    encoded = {name: base64.b64encode(text).decode() for name, text in texts.items()}
    meta = metadata("issuing", "lorawan", labels={label: "true"})
    meta["annotations"] = {"cert-manager.io/certificate-name": "issuing"}
    return {Reference(SECRET, "lorawan", "issuing"): decode_referenced(SECRET, {"metadata": meta, "data": encoded})}


def compiled(spec: dict[str, Any], held: dict[Reference, ReferencedObject]) -> tuple[PublishPlan, Verdict]:
    resource = make_ca(spec)
    plan = plan_of(resource, referenced=held)
    return plan, verdict_on(resource, plan)


def authority(plan: PublishPlan) -> TrustedAuthority:
    document = plan.documents[TRUST]
    assert isinstance(document, TrustDocument)
    return document.authorities[0]


def test_intermediates_come_from_the_spec_and_from_what_it_refers_to() -> None:
    spec = {"certificates": ROOT, "intermediates": OTHER, "intermediatesFrom": FROM_TLS_CRT}
    for content in (ISSUING.encode(), der(ISSUING), (OTHER + ISSUING).encode()):
        plan, verdict = compiled(spec, secret(tls_crt=content))
        assert verdict.accepted
        assert set(authority(plan).intermediates) == {der(OTHER), der(ISSUING)}
        assert authority(plan).anchors == (der(ROOT),)
    found = {each.renewed_by for each in verdict.validities if each.use is Use.INTERMEDIATE}
    assert found == {"issuing"}


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ({}, Reason.REFERENCE_NOT_FOUND),
        (secret(other=ISSUING), Reason.REFERENCE_KEY_MISSING),
        (secret("stationkeeper.io/credentials", tls_crt=ISSUING), Reason.REFERENCE_NOT_LABELLED),
        (secret(tls_crt=LEAF), Reason.NOT_A_CERTIFICATE_AUTHORITY),
        (secret(tls_crt=ISSUING + PRIVATE_KEY), Reason.PRIVATE_KEY_IN_TRUSTED_CA),
        (secret(tls_crt=""), Reason.NO_CERTIFICATE),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_field_and_what_is_in_force_stays(
    held: dict[Reference, ReferencedObject], reason: Reason
) -> None:
    spec = {"certificates": ROOT, "intermediatesFrom": FROM_TLS_CRT}
    verdict = compiled(spec, held)[1]
    assert verdict.reason == reason
    assert "intermediatesFrom" in verdict.message
    before = compiled(spec, secret(tls_crt=ISSUING))[0]
    after = plan_of(make_ca(spec), referenced=held, in_force=before.documents)
    assert authority(after).intermediates == (der(ISSUING),)


@pytest.mark.parametrize(
    ("spec", "data", "told"),
    [
        ({"certificatesFrom": FROM_CA_CRT}, {"tls_crt": ISSUING}, True),
        ({"certificatesFrom": FROM_CA_CRT}, {"tls_crt": ISSUING + ROOT}, True),
        ({"certificatesFrom": FROM_CA_CRT}, {"tls_crt": der(ISSUING)}, True),
        ({"certificates": ROOT, "intermediatesFrom": FROM_CA_CRT}, {"tls_crt": ISSUING}, True),
        ({"certificatesFrom": FROM_CA_CRT, "intermediates": OTHER}, {"tls_crt": ISSUING}, True),
        ({"certificatesFrom": FROM_CA_CRT, "intermediates": ISSUING}, {"tls_crt": ISSUING}, False),
        ({"certificatesFrom": FROM_CA_CRT, "intermediatesFrom": FROM_TLS_CRT}, {"tls_crt": ISSUING}, False),
        ({"certificatesFrom": FROM_TLS_CRT}, {"tls_crt": ISSUING}, False),
        ({"certificatesFrom": FROM_CA_CRT}, {"tls_crt": ROOT}, False),
        ({"certificatesFrom": FROM_CA_CRT}, {"tls_crt": LEAF}, False),
        ({"certificatesFrom": FROM_CA_CRT}, {"tls_crt": "junk"}, False),
        ({"certificatesFrom": FROM_CA_CRT}, {"tls_crt": PRIVATE_KEY}, False),
        ({"certificatesFrom": FROM_CA_CRT}, {}, False),
    ],
)
def test_a_ca_crt_next_to_another_ca_is_reported(spec: dict[str, Any], data: dict[str, Any], told: bool) -> None:
    verdict = compiled(spec, secret(ca_crt=ROOT, **data))[1]
    assert verdict.accepted
    assert (NOTE in verdict.message) is told


def test_only_the_used_keys_of_a_secret_are_kept() -> None:
    issuing = Reference(SECRET, "lorawan", "issuing")
    assert reference_keys(make_ca({"certificatesFrom": FROM_CA_CRT})) == {(issuing, "ca.crt"), (issuing, "tls.crt")}
    assert reference_keys(make_ca({"certificates": ROOT, "intermediatesFrom": FROM_TLS_CRT})) == {(issuing, "tls.crt")}
    config_map = {"configMapKeyRef": {"name": "x", "key": "ca.crt"}}
    assert {key for _, key in reference_keys(make_ca({"certificatesFrom": config_map}))} == {"ca.crt"}
