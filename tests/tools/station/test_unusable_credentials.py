"""Credentials with which a Station cannot open a connection, and the reasons."""

import dataclasses
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stationkeeper_tools.sample_pki import KeyPair, make_gateway, make_root
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.tls_client import tls_client
from tests.tools.station.gateways import credentials

NOW = datetime.now(UTC)
ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="module")
def root() -> KeyPair:
    return make_root("Vendor", NOW)


@pytest.fixture(scope="module")
def usable(root: KeyPair) -> CredentialSet:
    return credentials(make_gateway("0123456789ABCDEF", root, NOW), root)


def test_usable_ones_open_one(usable: CredentialSet) -> None:
    assert tls_client("localhost", usable)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trust": b"none"}, "the trust cannot be read"),
        ({"certificate": b"none"}, "the certificate cannot be used"),
        ({"key": b"\x30\x03none"}, "the key cannot be used"),
        ({"key": ED25519}, "the key cannot be used: neither an RSA nor an EC key"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(usable: CredentialSet, changed: dict[str, bytes], said: str) -> None:
    with pytest.raises(StationError, match=said) as found:
        tls_client("localhost", dataclasses.replace(usable, **changed))
    assert found.value.fault is StationFault.CREDENTIALS_UNUSABLE


def test_a_key_of_another_certificate_is_said(usable: CredentialSet, root: KeyPair) -> None:
    with pytest.raises(StationError, match="the key does not fit the certificate"):
        tls_client("localhost", dataclasses.replace(usable, key=root.key_pem))


def test_a_host_that_dns_does_not_know_is_a_bad_uri(usable: CredentialSet) -> None:
    with pytest.raises(StationError) as found:
        tls_client("caf\N{LATIN SMALL LETTER E WITH ACUTE}", usable)
    assert found.value.fault is StationFault.BAD_URI
