"""Certificate revocation lists from short descriptions; they may be odd."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from stationkeeper_core.published.documents import RevocationList
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.serial_numbers import pack_serials
from tests.core.certificates import NOW, Signer

Extension = tuple[x509.ExtensionType, bool]

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


@dataclass(frozen=True)
class CrlWish:
    """The properties of a list to make.

    Attributes:
        serials: of the certificates that it revokes.
        begins, ends: this and next update.
        number: its CRL number, None for none.
        extensions: more of them, each with whether it is critical.
        entry_extensions: the same for every entry.
    """

    serials: Sequence[int] = ()
    begins: datetime = NOW - timedelta(days=1)
    ends: datetime = NOW + timedelta(days=1)
    number: int | None = None
    extensions: Sequence[Extension] = ()
    entry_extensions: Sequence[Extension] = field(default_factory=tuple)


def make_crl(issuer: Signer, *serials: int, wish: CrlWish | None = None) -> bytes:
    """Return DER of a list that `issuer` signs."""
    wish = wish or CrlWish(serials)
    entries = [_entry(serial, wish) for serial in wish.serials]
    builder = x509.CertificateRevocationListBuilder(issuer.subject, wish.begins, wish.ends, [], entries)
    extensions = list(wish.extensions)
    if wish.number is not None:
        extensions.append((x509.CRLNumber(wish.number), False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def crl_pem(*ders: bytes) -> str:
    """Return PEM text of lists."""
    lists = (x509.load_der_x509_crl(der) for der in ders)
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in lists)


def distribution_point(**options: object) -> x509.IssuingDistributionPoint:
    """Return an issuing distribution point with only `options`."""
    fields: dict[str, object] = dict.fromkeys(
        ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs"), False
    )
    fields |= {"full_name": None, "relative_name": None, "only_some_reasons": None}
    return x509.IssuingDistributionPoint(**fields | options)  # type: ignore[arg-type]


def revocation_list(issuer: Certificate, *serials: int, **options: object) -> RevocationList:
    """Return the published form of a list."""
    assert issuer.key_sha256 is not None
    return RevocationList(issuer_key=issuer.key_sha256, serials=pack_serials(serials), **options)  # type: ignore[arg-type]


def _entry(serial: int, wish: CrlWish) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(serial, wish.begins)
    for extension, critical in wish.entry_extensions:
        builder = builder.add_extension(extension, critical)
    return builder.build()
