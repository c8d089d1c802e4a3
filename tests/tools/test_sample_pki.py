import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from stationkeeper_core.x509.client_certificate import read_client_certificate
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_tools import sample_pki
from stationkeeper_tools.sample_pki import KeyPair, make_gateway, make_intermediate, make_root, make_server
from tests.sample_keys import MADE_ANEW, SampleKeys

EUI = "0102030405060708"
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _keys_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_pki, "_rsa_key", MADE_ANEW)


def test_no_key_of_the_tests_comes_twice_and_each_has_2048_bits() -> None:
    keys = SampleKeys()
    moduli = [keys().public_key().public_numbers().n for _ in range(67)]
    assert len(set(moduli)) == 67
    assert {each.bit_length() for each in moduli} == {2048}


def _verifies(folder: Path, leaf: KeyPair, anchor: KeyPair, *helpers: KeyPair) -> bool:
    certificate, _ = leaf.write(folder, "leaf")
    trusted, _ = anchor.write(folder, "anchor")
    untrusted = folder / "untrusted.pem"
    untrusted.write_bytes(b"".join(each.certificate_pem for each in helpers))
    command: list[str | Path] = ["openssl", "verify", "-partial_chain", "-no-CApath", "-no-CAstore", "-CAfile", trusted]
    if helpers:
        command += ["-untrusted", untrusted]
    return subprocess.run([*command, certificate], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_openssl_verifies_a_gateways_certificate(tmp_path: Path) -> None:
    root, stranger = make_root("Vendor", NOW), make_root("Stranger", NOW)

    assert _verifies(tmp_path, make_gateway(EUI, root, NOW - timedelta(minutes=1)), root)
    assert not _verifies(tmp_path, make_gateway(EUI, root, NOW - timedelta(minutes=1)), stranger)


@pytest.mark.slow
def test_openssl_verifies_over_an_intermediate_and_with_it_alone(tmp_path: Path) -> None:
    root = make_root("Vendor", NOW)
    intermediate = make_intermediate("Vendor Issuing", root, NOW)
    gateway = make_gateway(EUI, intermediate, NOW - timedelta(minutes=1))

    assert not _verifies(tmp_path, gateway, root)
    assert _verifies(tmp_path, gateway, root, intermediate)
    assert _verifies(tmp_path, gateway, intermediate)


@pytest.mark.slow
def test_a_gateways_certificate_is_version_1_with_the_eui_as_its_only_name() -> None:
    gateway = make_gateway(EUI, make_root("Vendor", NOW), NOW)

    assert gateway.x509.version is x509.Version.v1
    certificate = parse_certificates(gateway.certificate_pem.decode())[0]
    assert read_client_certificate((certificate.der,)).common_names == (EUI,)


def test_a_server_proves_its_names_and_addresses() -> None:
    root = make_root("Operator", NOW)
    server = make_server(["cups.example.org"], ["127.0.0.1"], root, NOW)

    names = server.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cups.example.org"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_keys_are_written_for_their_owner_only(tmp_path: Path) -> None:
    certificate, key = make_root("Vendor", NOW).write(tmp_path, "root-ca")

    assert key.stat().st_mode & 0o777 == 0o600
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)


@pytest.mark.parametrize("days", [1, 365])
def test_certificates_are_valid_for_as_long_as_said(days: int) -> None:
    gateway = make_gateway(EUI, make_root("Vendor", NOW), NOW, days)

    assert gateway.x509.not_valid_after_utc == (NOW + timedelta(days=days)).replace(microsecond=0)
