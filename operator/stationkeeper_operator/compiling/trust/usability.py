"""Find why an anchor or intermediate in force cannot vouch for any gateway at a time.

CUPS refuses each path through such a certificate. The status says so before a gateway asks.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.verification import Verdict, verify
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.extensions import NAME_CONSTRAINTS
from stationkeeper_core.x509.strength import Strength, key_strength, signature_strength
from stationkeeper_operator.compiling.certificate_rules import certificate_of, show

_UNDERSTOOD = {"2.5.29.15", "2.5.29.19", "2.5.29.37"}
"""The extensions that need no probe: key usage, basic constraints and extended key usage."""
_PROBE_TIME = datetime(2020, 1, 1, tzinfo=UTC)
_EUI = "0123456789ABCDEF"
_KEY_IDENTIFIERS = {"2.5.29.14", "2.5.29.35"}
_MAX_PROBES = 8
_SHOWN = 3


def problem_of(certificate: Certificate, now: datetime, *, takes_weak: bool) -> str:
    """Return why CUPS accepts no chain with this certificate as a CA; empty if it can accept one.

    Args:
        certificate: an anchor or intermediate.
        now: the time, aware.
        takes_weak: whether its TrustedCA allows weak keys.
    """
    found = _time_problem(certificate, now) or _key_problem(certificate, takes_weak=takes_weak)
    if found:
        return found
    if not certificate.may_issue_to_clients:
        return "its extended key usage lacks clientAuth"
    return _extensions_problem(certificate)


def intermediate_problem_of(certificate: Certificate, now: datetime, *, takes_weak: bool) -> str:
    """Return the same as `problem_of`, for an intermediate: its signature counts too."""
    found = problem_of(certificate, now, takes_weak=takes_weak)
    strength = signature_strength(certificate)
    if found or strength is Strength.STRONG or (strength is Strength.WEAK and takes_weak):
        return found
    return "its signature is too weak; issue it again with SHA-256"


def anchors_problem(record: TrustedAuthority, now: datetime) -> str:
    """Return why no anchor in force can vouch (the problem of the first one); empty if at least one can."""
    first = ""
    for der in record.anchors:
        certificate = certificate_of(der)
        if certificate is None:
            continue
        found = problem_of(certificate, now, takes_weak=record.weak_signatures)
        if not found:
            return ""
        first = first or found
    return first or "no anchor can be read"


def unusable_note(record: TrustedAuthority, now: datetime) -> str:
    """Return a note on certificates in force that cannot vouch for any gateway; empty if there are none."""
    found = list(_problems(record, now))
    if not found:
        return ""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    shown = "; ".join(f"{show([certificate])} ({problem})" for certificate, problem in found[:_SHOWN])
    nobody = "no anchor can vouch for any gateway: " if anchors_problem(record, now) else ""
    return f"{nobody}cannot be used: {shown}{more}"


def _problems(record: TrustedAuthority, now: datetime) -> Iterator[tuple[Certificate, str]]:
    for ders, judge in ((record.anchors, problem_of), (record.intermediates, intermediate_problem_of)):
        for der in ders:
            certificate = certificate_of(der)
            problem = certificate and judge(certificate, now, takes_weak=record.weak_signatures)
            if certificate is not None and problem:
                yield certificate, problem


def _time_problem(certificate: Certificate, now: datetime) -> str:
    if certificate.not_before > certificate.not_after:
        return "never valid: its notBefore is after its notAfter"
    if certificate.not_before > now:
        return f"not valid before {rfc3339(certificate.not_before)}"
    return f"expired at {rfc3339(certificate.not_after)}" if certificate.not_after < now else ""


def _key_problem(certificate: Certificate, *, takes_weak: bool) -> str:
    strength = key_strength(certificate)
    if strength is Strength.BROKEN:
        return "its key is too weak; renew it with RSA 2048 or P-256"
    if strength is Strength.WEAK and not takes_weak:
        return "its key is too weak; renew it, or set weakSignatures: Allow until then"
    return ""


def _extensions_problem(certificate: Certificate) -> str:
    unknown = [each for each in certificate.critical_extensions if each not in _UNDERSTOOD]
    constrained = bool(certificate.extension_bytes(NAME_CONSTRAINTS))
    return _probed(certificate) if unknown or constrained else ""


@lru_cache(maxsize=2048)
def _probed(certificate: Certificate) -> str:
    """Return why OpenSSL accepts no certificate below a CA with these extensions; empty if it accepts one.

    The operator does not have the key of the CA. So it makes another CA with the same extensions, and signs
    certificates that a gateway could have: with only an EUI, and with names that the constraints allow.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    builder = _builder(name, name, key)
    for each in certificate.fields.extensions:
        if each.identifier not in _KEY_IDENTIFIERS:
            value = x509.UnrecognizedExtension(x509.ObjectIdentifier(each.identifier), each.value)
            try:
                builder = builder.add_extension(value, critical=each.is_critical)
            except ValueError:
                return "an extension is there twice"
    above = _path_certificate(builder.sign(key, hashes.SHA256()))
    detail = ""
    for subject, alternative in _candidates(certificate):
        leaf = _builder(subject, name, key)
        if alternative is not None:
            leaf = leaf.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        found = verify((_path_certificate(leaf.sign(key, hashes.SHA256())), above), int(_PROBE_TIME.timestamp()))
        if found.verdict is Verdict.VERIFIED:
            return ""
        detail = detail or found.detail
    constrained = bool(certificate.extension_bytes(NAME_CONSTRAINTS))
    return f"OpenSSL accepts no certificate below its {'name constraints' if constrained else 'extensions'}: {detail}"


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_PROBE_TIME - timedelta(days=1))
        .not_valid_after(_PROBE_TIME + timedelta(days=1))
    )


def _path_certificate(certificate: x509.Certificate) -> PathCertificate:
    return PathCertificate(parse_certificate(certificate.public_bytes(Encoding.DER)))


def _candidates(certificate: Certificate) -> Iterator[tuple[x509.Name, x509.GeneralName | None]]:
    """Yield the names that a gateway's certificate below this CA could have: its subject and its alternative name."""
    common_name = x509.NameAttribute(NameOID.COMMON_NAME, _EUI)
    alone = x509.Name([common_name])
    yield alone, None
    permitted = _permitted(certificate)
    bases = [each.value for each in permitted if isinstance(each, x509.DirectoryName)][:_MAX_PROBES]
    subjects = [alone, *(x509.Name([*base.rdns, x509.RelativeDistinguishedName([common_name])]) for base in bases)]
    names = [each for each in permitted if isinstance(each, x509.DNSName)][:_MAX_PROBES]
    alternatives = [None, *(x509.DNSName(f"gateway.{each.value.lstrip('.')}") for each in names)]
    # With an alternative name, the Common Name does not count as a host name.
    alternatives.append(x509.DNSName("gateway.invalid"))
    yield from ((subject, each) for subject in subjects for each in alternatives)


def _permitted(certificate: Certificate) -> Iterable[x509.GeneralName]:
    try:
        found = certificate.x509.extensions.get_extension_for_class(x509.NameConstraints).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return ()
    return tuple(found.permitted_subtrees or ())
