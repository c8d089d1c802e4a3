from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from stationkeeper_core.published.documents import TrustDocument, TrustedAuthority
from stationkeeper_operator.compiling.retention.document_changes import document_changes
from stationkeeper_operator.compiling.retention.still_trusted import still_trusted_by
from tests.operator.resource_building import NOW, make_ca, plan_of, verdict_on

_SHARED, _OWN = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def certificate(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=30))
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )


def der(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    return certificate(name, key).public_bytes(Encoding.DER)


def pem(name: str, key: ec.EllipticCurvePrivateKey) -> str:
    return certificate(name, key).public_bytes(Encoding.PEM).decode()


ROOT, RENEWED, OTHER = der("root", _SHARED), der("renewed", _SHARED), der("other", _OWN)


def authority(name: str, anchors: tuple[bytes, ...], intermediates: tuple[bytes, ...] = ()) -> TrustedAuthority:
    return TrustedAuthority(namespace="team", name=name, uid=name, anchors=anchors, intermediates=intermediates)


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ([], ()),
        ([authority("stranger", (OTHER,))], ()),
        ([authority("same", (ROOT,))], ("team/same",)),
        ([authority("same-key", (RENEWED,))], ("team/same-key",)),
        ([authority("as-intermediate", (OTHER,), (RENEWED,))], ("team/as-intermediate",)),
        ([authority("b", (ROOT,)), authority("a", (OTHER, ROOT))], ("team/a", "team/b")),
        ([authority("itself", (ROOT,))], ("team/itself",)),
        ([authority("gone", (ROOT,))], ()),
    ],
)
def test_cas_with_the_same_certificate_or_key_are_named(others: list[TrustedAuthority], named: tuple[str, ...]) -> None:
    trust = TrustDocument(release_namespace="release", authorities=tuple(others))
    assert still_trusted_by([ROOT], "gone", trust, "team") == named


def test_an_empty_ca_matches_none_and_unreadable_certificates_compare_by_bytes() -> None:
    trust = TrustDocument(release_namespace="release", authorities=(authority("odd", (b"odd",)),))
    assert still_trusted_by([], "gone", trust, "team") == ()
    assert still_trusted_by([b"odd"], "gone", trust, "team") == ("team/odd",)


def test_a_tenant_learns_only_the_number_of_other_tenants_and_the_release_learns_all() -> None:
    others = [replace(authority(name, (ROOT,)), namespace=name) for name in ("release", "team", "secret-a", "secret-b")]
    trust = TrustDocument(release_namespace="release", authorities=tuple(others))
    assert still_trusted_by([ROOT], "gone", trust, "team") == ("release/release", "team/team", "2 of other namespaces")
    assert still_trusted_by([ROOT], "gone", trust, "release")[1:3] == ("secret-a/secret-a", "secret-b/secret-b")


def test_only_the_verdict_on_a_suspended_ca_names_cas_with_its_key() -> None:
    suspended = make_ca({"certificates": pem("root", _SHARED), "suspended": True}, "suspended")
    twin = make_ca({"certificates": pem("renewed", _SHARED)}, "twin")
    plan = plan_of(suspended, twin)
    assert verdict_on(suspended, plan).still_trusted_by == ("lorawan/twin",)
    assert verdict_on(twin, plan).still_trusted_by is None
    assert verdict_on(suspended, plan_of(suspended)).still_trusted_by == ()


@pytest.mark.parametrize("spec", [{"certificates": "nonsense"}, {"certificatesFrom": {}}, {"certificates": 7}])
def test_a_suspended_ca_that_cannot_be_read_names_nobody(spec: dict[str, object]) -> None:
    broken = make_ca({**spec, "suspended": True})
    assert verdict_on(broken, plan_of(broken)).still_trusted_by == ()


def test_the_changes_of_a_document_are_its_new_changed_and_removed_records() -> None:
    kept, old, gone = authority("kept", (ROOT,)), authority("changed", (ROOT,)), authority("gone", (ROOT,))
    new, added = authority("changed", (OTHER,)), authority("added", (OTHER,))
    before = TrustDocument(release_namespace="release", authorities=(kept, old, gone))
    after = TrustDocument(release_namespace="release", authorities=(kept, new, added))
    found = document_changes(before, after)
    assert (found.changed, found.removed, found.before) == ((new, added), (gone,), {"changed": old})
    assert document_changes(None, after).changed == (kept, new, added)
    assert document_changes(after, after).changed == ()
