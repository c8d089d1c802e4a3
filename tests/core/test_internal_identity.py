import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from stationkeeper_core.published.internal_identity import derive_identity

TOKEN = b"a-token-of-some-length"


def test_the_same_token_gives_the_same_certificate_byte_for_byte() -> None:
    assert derive_identity(TOKEN) == derive_identity(TOKEN + b"\n")


def test_another_token_gives_another_certificate() -> None:
    assert derive_identity(TOKEN).sha256 != derive_identity(TOKEN + b"x").sha256


def test_the_fingerprint_and_the_key_are_those_of_the_certificate() -> None:
    identity = derive_identity(TOKEN)
    certificate = x509.load_pem_x509_certificate(identity.certificate_pem)

    assert hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest() == identity.sha256
    assert load_pem_private_key(identity.key_pem, None).public_key() == certificate.public_key()


def test_a_token_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        derive_identity(b"short")


def test_the_key_is_not_shown() -> None:
    assert b"PRIVATE" not in repr(derive_identity(TOKEN)).encode()
