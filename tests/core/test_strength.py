from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.client_certificate import read_client_certificate
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_core.x509.strength import Strength, key_strength, signature_strength
from stationkeeper_tools.sample_pki import KeyPair
from tests.core.certificates import EUI, ca
from tests.core.states import gateway, judged, snapshot
from tests.weak_pki import WeakPki


def _later() -> datetime:
    """Return a time at which the certificates are valid, by the clock of the openssl program."""
    return datetime.now(UTC) + timedelta(minutes=5)


@dataclass(frozen=True)
class Corpus:
    """Roots, and end-entity certificates by their weakness."""

    root: Certificate
    small_root: Certificate
    leaves: dict[str, tuple[Certificate, ...]]


def _certificate(pair: KeyPair) -> Certificate:
    (found,) = parse_certificates(pair.certificate_pem.decode())
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    pki = WeakPki(tmp_path_factory.mktemp("weak") / "pki")
    root, small_root = _certificate(pki.root("root")), _certificate(pki.root("small-root", 1024))
    sha1_ca = _certificate(pki.issue("sha1-ca", "Issuing", "root", digest="sha1"))
    leaves = {
        "strong": (_certificate(pki.issue("strong", EUI, "root")),),
        "p256": (_certificate(pki.issue("p256", EUI, "root", "ec:P-256")),),
        "sha1": (_certificate(pki.issue("sha1", EUI, "root", digest="sha1")),),
        "rsa1024": (_certificate(pki.issue("rsa1024", EUI, "root", "rsa:1024")),),
        "rsa512": (_certificate(pki.issue("rsa512", EUI, "root", "rsa:512")),),
        "p192": (_certificate(pki.issue("p192", EUI, "root", "ec:P-192")),),
        "md5": (_certificate(pki.issue("md5", EUI, "root", digest="md5")),),
        "below sha1": (_certificate(pki.issue("below", EUI, "sha1-ca")), sha1_ca),
        "below rsa1024": (_certificate(pki.issue("small", EUI, "small-root")),),
    }
    yield Corpus(root, small_root, leaves)


def _authority(corpus: Corpus, name: str = "ca", **options: object) -> TrustedAuthority:
    anchors = (corpus.root.der, corpus.small_root.der)
    return TrustedAuthority(namespace="radio", name=name, uid=name, anchors=anchors, **options)  # type: ignore[arg-type]


def _outcome(corpus: Corpus, kind: str, *authorities: TrustedAuthority) -> str:
    certificate = read_client_certificate(tuple(each.der for each in corpus.leaves[kind]))
    state = snapshot(authorities, [gateway()])
    try:
        authorize(Claim(judged(certificate, state, _later()), EUI64(int(EUI, 16))), state)
    except StationkeeperError as error:
        return error.reason
    return "accepted"


TOO_WEAK = Reason.CERTIFICATE_TOO_WEAK


@pytest.mark.parametrize(
    ("kind", "refusing", "allowing"),
    [
        ("strong", "accepted", "accepted"),
        ("p256", "accepted", "accepted"),
        ("sha1", TOO_WEAK, "accepted"),
        ("rsa1024", TOO_WEAK, "accepted"),
        ("below sha1", TOO_WEAK, "accepted"),
        ("below rsa1024", TOO_WEAK, "accepted"),
        ("rsa512", TOO_WEAK, TOO_WEAK),
        ("p192", TOO_WEAK, TOO_WEAK),
        ("md5", TOO_WEAK, TOO_WEAK),
    ],
)
def test_a_weak_chain_is_taken_only_by_a_ca_that_allows_it_and_a_broken_one_never(
    corpus: Corpus, kind: str, refusing: str, allowing: str
) -> None:
    assert _outcome(corpus, kind, _authority(corpus)) == refusing
    assert _outcome(corpus, kind, _authority(corpus, weak_signatures=True)) == allowing


def test_each_ca_decides_for_itself(corpus: Corpus) -> None:
    strict, lenient = _authority(corpus, "strict"), _authority(corpus, "lenient", weak_signatures=True)
    assert _outcome(corpus, "sha1", strict, lenient) == "accepted"
    elsewhere = TrustedAuthority(
        namespace="elsewhere", name="x", uid="x", anchors=(corpus.root.der,), weak_signatures=True
    )
    assert _outcome(corpus, "sha1", strict, elsewhere) == TOO_WEAK


def test_a_ca_that_finds_a_chain_too_weak_still_revokes_for_all(corpus: Corpus) -> None:
    leaf = corpus.leaves["sha1"][0]
    strict = _authority(corpus, "strict", revoked_sha256=(leaf.sha256,))
    lenient = _authority(corpus, "lenient", weak_signatures=True)
    assert _outcome(corpus, "sha1", strict, lenient) == Reason.CERTIFICATE_REVOKED


def test_the_signer_of_an_anchor_does_not_matter(corpus: Corpus) -> None:
    (below, sha1_ca) = corpus.leaves["below sha1"]
    record = TrustedAuthority(namespace="radio", name="ca", uid="ca", anchors=(sha1_ca.der,))
    assert signature_strength(sha1_ca) is Strength.WEAK
    assert key_strength(below) is Strength.STRONG
    assert _outcome(corpus, "below sha1", record) == "accepted"


def test_todays_certificates_are_strong() -> None:
    root = ca("Root").certificate
    assert (key_strength(root), signature_strength(root)) == (Strength.STRONG, Strength.STRONG)
