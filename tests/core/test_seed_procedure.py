"""The exact openssl commands of the document, and the core's result for the files that they make."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stationkeeper_core.eui64 import format_id6, parse_hex, parse_router
from stationkeeper_core.in_force.snapshot import Holdings, Snapshot
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published.documents import (
    BUCKETS,
    REGISTRY,
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
    bucket_of,
    encode,
    encode_payload,
)
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.x509.client_certificate import read_client_certificate
from stationkeeper_core.x509.pem import parse_certificates

DOCUMENTED_EUI = "0123456789ABCDEF"
PASSPHRASE = "a-passphrase"


def _openssl(folder: Path, command: str, answers: str = "") -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, input=answers.encode(), check=True, capture_output=True)


def _subject(common_name: str) -> str:
    """Return a person's answers to the questions of `openssl req`: defaults, and a Common Name."""
    return "\n\n\n\n\n" + common_name + "\n\n\n\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("procedure")
    _openssl(folder, "genrsa -out gateway.key 2048")
    _openssl(
        folder,
        "req -x509 -sha256 -days 1825 -newkey rsa:2048 -keyout root-ca.key -out root-ca.crt"
        f" -passout pass:{PASSPHRASE}",
        _subject("Gateway vendor"),
    )
    _openssl(folder, "req -key gateway.key -new -out gateway.csr", _subject(DOCUMENTED_EUI))
    _openssl(
        folder,
        "x509 -req -CA root-ca.crt -CAkey root-ca.key -in gateway.csr -out gateway.crt -days 365"
        f" -CAcreateserial -sha256 -days 365 -passin pass:{PASSPHRASE}",
    )
    return folder


def _snapshot(anchor: bytes) -> Snapshot:
    eui = parse_hex(DOCUMENTED_EUI)
    assert eui is not None
    authority = TrustedAuthority(namespace="n", name="vendor", uid="1", anchors=(anchor,))
    gateway = RegisteredGateway(eui=DOCUMENTED_EUI, namespace="n", name="gateway", uid="2")
    trust = TrustDocument(release_namespace="stationkeeper", authorities=(authority,))
    holdings = Holdings().accept(TRUST, encode(TRUST, 1, encode_payload(trust)))
    for bucket in range(BUCKETS):
        mine = (gateway,) if bucket_of(eui) == bucket else ()
        payload = encode_payload(RegistryDocument(bucket=bucket, gateways=mine))
        holdings = holdings.accept(REGISTRY[bucket], encode(REGISTRY[bucket], 1, payload))
    assert holdings.snapshot is not None
    return holdings.snapshot


@pytest.mark.slow
def test_the_certificate_of_the_documents_commands_opens_its_gateway(folder: Path) -> None:
    (root,) = parse_certificates((folder / "root-ca.crt").read_text())
    (leaf,) = parse_certificates((folder / "gateway.crt").read_text())
    eui = parse_hex(DOCUMENTED_EUI)
    assert eui is not None
    state, certificate = _snapshot(root.der), read_client_certificate((leaf.der,))
    judgement = judge(certificate, state.trust, state.registry.scope(certificate.eui), datetime.now(UTC))
    claim = Claim(judgement, parse_router(format_id6(eui)))

    gateway = authorize(claim, state).registered

    assert gateway.eui == DOCUMENTED_EUI
    assert root.is_authority
