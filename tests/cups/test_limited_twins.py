"""Another tenant's certificate for a CA's key, with limits that the CA's own certificate does not have."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki

LIMITS: dict[str, x509.ExtensionType] = {
    "usage": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    "names": x509.NameConstraints(None, [x509.DirectoryName(x509.Name([]))]),
    "unknown": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
}


def twin(original: KeyPair, limit: x509.ExtensionType) -> KeyPair:
    """Return a certificate for the key and subject of `original`, by another issuer, and longer valid."""
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody else")])
    key, ends = original.x509.public_key(), original.x509.not_valid_after_utc + timedelta(days=3650)
    builder = (
        x509.CertificateBuilder(issuer, original.x509.subject, None, 7)
        .public_key(key)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(limit, critical=True)
    )
    made = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return KeyPair(b"", made.public_bytes(Encoding.PEM))


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_limit_in_another_tenants_certificate_of_a_key_blocks_no_gateway(
    cups: Cups, pki: Pki, limit: str
) -> None:
    other = Trusted("other", twin(pki.a, LIMITS[limit]), namespace="elsewhere")
    cups.publish([Trusted("a", pki.a), other], [Gateway(pki.eui)])
    await cups.loaded()
    assert (await cups.client(pki.a_gateway).ask()).status == 200


async def test_a_limit_binds_where_only_that_certificate_is_trusted(cups: Cups, pki: Pki) -> None:
    cups.publish([Trusted("other", twin(pki.a, LIMITS["usage"]))], [Gateway(pki.eui)])
    await cups.loaded()
    assert await cups.client(pki.a_gateway).alert() == "TLSV1_ALERT_UNKNOWN_CA"


async def test_a_client_of_another_tenants_certificate_is_refused_in_the_request(cups: Cups, pki: Pki) -> None:
    limited, free = Trusted("a", twin(pki.a, LIMITS["names"])), Trusted("other", pki.a, namespace="elsewhere")
    cups.publish([limited, free], [Gateway(pki.eui)])
    await cups.loaded()
    answer = await cups.client(pki.a_gateway).ask()
    assert (answer.status, answer.reason) == (403, "TrustedCAOfAnotherNamespace")
