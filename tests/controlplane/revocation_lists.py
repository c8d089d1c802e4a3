"""CRLs of the roots of `operator_resources`, and the part of them that is in force."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from stationkeeper_core.published.documents import TrustDocument
from stationkeeper_core.x509.serial_numbers import unpack_serials
from tests.controlplane.operator_release import Release
from tests.controlplane.operator_resources import root


def crl(name: str, *serials: int, seconds: float = 3600) -> bytes:
    """Return DER of a CRL of the root of that name; its next update is due in `seconds`."""
    pair, now = root(name), datetime.now(UTC)
    key = load_pem_private_key(pair.key_pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    begins, ends = now - timedelta(minutes=1), now + timedelta(seconds=seconds)
    entries = [x509.RevokedCertificateBuilder(serial, begins).build() for serial in serials]
    builder = x509.CertificateRevocationListBuilder(pair.x509.subject, begins, ends, [], entries)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def pem(der: bytes) -> str:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM).decode()


def revoked(cluster: Release, name: str) -> set[int] | None:
    found = cluster.published("trust")
    assert found is not None
    assert isinstance(found.content, TrustDocument)
    for authority in found.content.authorities:
        if (authority.namespace, authority.name) == (cluster.team, name):
            return {serial for each in authority.revocation_lists for serial in unpack_serials(each.serials)}
    return None
