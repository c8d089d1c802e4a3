from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.server_certificate import check_server_certificate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(
    common_name: str,
    names: list[str] | None = None,
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None = None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    if names is not None:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


@pytest.mark.parametrize(
    ("common_name", "names", "host"),
    [
        ("cups.example.org", None, "CUPS.example.org"),
        ("other", ["cups.example.org"], "cups.example.org"),
        ("other", ["*.example.org"], "cups.example.org"),
        ("other", ["10.0.0.1"], "10.0.0.1"),
    ],
)
def test_a_name_matches_as_a_station_compares_it(common_name: str, names: list[str] | None, host: str) -> None:
    check_server_certificate([certificate(common_name, names)], host)


@pytest.mark.parametrize(
    ("common_name", "names", "host"),
    [
        ("cups.example.org", ["other.example.org"], "cups.example.org"),
        ("cups.example.org", ["*.example.org"], "a.cups.example.org"),
        ("other", ["*.org"], "org"),
        ("other", ["*"], "localhost"),
        ("other", None, "cups.example.org"),
    ],
)
def test_other_names_do_not_match(common_name: str, names: list[str] | None, host: str) -> None:
    with pytest.raises(StationError) as refused:
        check_server_certificate([certificate(common_name, names)], host)

    assert refused.value.fault is StationFault.TLS_FAILED


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())])
def test_a_key_of_a_kind_that_a_station_does_not_know_is_refused(
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
) -> None:
    with pytest.raises(StationError) as refused:
        check_server_certificate([certificate("cups", key=key)], "cups")

    assert "P-256, P-384 or P-521" in refused.value.detail or "neither RSA" in refused.value.detail
