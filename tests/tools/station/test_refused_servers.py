"""Server certificates that the real client 2.0.6 accepts and refuses, each in a real handshake."""

import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from stationkeeper_tools.sample_pki import KeyPair, make_gateway
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.faults import StationFault
from stationkeeper_tools.station.runner import ask_once
from stationkeeper_tools.station.state_machine import Result
from tests.core.slow_keys import rsa_key
from tests.cups.certificate_corpus import Party, ca, leaf, name
from tests.cups.pki import Pki
from tests.tools.station.gateways import station
from tests.tools.station.test_wire import OK, answering, listening, server_context

ROOT = ca("Root")
LOCALHOST = x509.SubjectAlternativeName([x509.DNSName("localhost")])
ADDRESS = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
CLIENT_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
NAMES = x509.NameConstraints([x509.DNSName("localhost")], None)
POLICIES = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)])
RSA_4096 = rsa_key(4096)


def usage(**given: bool) -> x509.KeyUsage:
    return x509.KeyUsage(**{each: given.get(each, False) for each in USAGES})


def server(issuer: Party, *extensions: x509.ExtensionType, **options: Any) -> Party:
    return leaf(issuer, name("localhost"), LOCALHOST, *extensions, **options)


def issuing(*extensions: tuple[x509.ExtensionType, bool], key: Any = None) -> Party:
    return ca("Issuing", ROOT, extensions=extensions, key=key)


def below(issuer: Party, **options: Any) -> tuple[Party, ...]:
    return (server(issuer, **options), issuer)


def pair(*sent: Party) -> KeyPair:
    return KeyPair(sent[0].pair.key_pem, b"".join(each.pem for each in sent))


REFUSED: dict[str, Callable[[], tuple[Party, ...]]] = {
    "clientAuth only": lambda: (server(ROOT, CLIENT_ONLY),),
    "keyEncipherment only": lambda: (server(ROOT, usage(key_encipherment=True)),),
    "keyCertSign only": lambda: (server(ROOT, usage(key_cert_sign=True)),),
    "an intermediate with critical name constraints": lambda: below(issuing((NAMES, True))),
    "an intermediate with critical policies": lambda: below(issuing((POLICIES, True))),
    "a missing intermediate": lambda: (server(issuing()),),
    "an Ed25519 key": lambda: (server(ROOT, key=ed25519.Ed25519PrivateKey.generate()),),
    "an Ed25519 intermediate": lambda: below(issuing(key=ed25519.Ed25519PrivateKey.generate())),
    "an address among the names": lambda: (leaf(ROOT, name("other"), ADDRESS),),
}
TAKEN: dict[str, Callable[[], tuple[Party, ...]]] = {
    "P-256": lambda: (server(ROOT),),
    "P-384": lambda: (server(ROOT, key=ec.generate_private_key(ec.SECP384R1())),),
    "P-521": lambda: (server(ROOT, key=ec.generate_private_key(ec.SECP521R1())),),
    "RSA 2048": lambda: (server(ROOT, key=rsa_key(2048)),),
    "RSA 4096 below P-256": lambda: below(issuing(key=RSA_4096), key=RSA_4096),
    "wrong order, with the root": lambda: ((issuer := issuing()), (server(issuer), ROOT, issuer))[1],
    "a Common Name alone": lambda: (leaf(ROOT, name("localhost")),),
    "digitalSignature alone": lambda: (server(ROOT, usage(digital_signature=True)),),
    "name constraints that are not critical": lambda: below(issuing((NAMES, False))),
}


async def outcome_with(shown: KeyPair, pki: Pki, folder: Path, trust: bytes = ROOT.pem) -> tuple[Result, list[str]]:
    context = server_context(shown, folder)
    context.verify_mode = ssl.CERT_NONE
    async with listening(answering(OK), context) as port:
        boot = CredentialSet(trust, pki.a_gateway.certificate_pem, pki.a_gateway.key_pem)
        outcome = await ask_once(station(pki.eui, f"https://localhost:{port}", boot))
    return outcome.result, [str(each.fault) for each in outcome.faults]


@pytest.mark.parametrize("case", REFUSED)
async def test_a_server_that_the_real_client_refuses_is_refused(case: str, pki: Pki, tmp_path: Path) -> None:
    found = await outcome_with(pair(*REFUSED[case]()), pki, tmp_path)
    assert found == (Result.FAILED, [StationFault.TLS_FAILED])


@pytest.mark.parametrize("case", TAKEN)
async def test_a_server_that_the_real_client_takes_is_taken(case: str, pki: Pki, tmp_path: Path) -> None:
    assert await outcome_with(pair(*TAKEN[case]()), pki, tmp_path) == (Result.ANSWERED, [])


async def test_a_certificate_of_version_1_is_taken(pki: Pki, tmp_path: Path) -> None:
    shown = make_gateway("localhost", pki.server_ca, pki.server_ca.x509.not_valid_before_utc)
    found = await outcome_with(shown, pki, tmp_path, pki.server_ca.certificate_pem)
    assert found == (Result.ANSWERED, [])


async def test_a_trust_that_the_real_client_cannot_parse_is_unusable(pki: Pki, tmp_path: Path) -> None:
    root = ca("Root", extensions=((NAMES, True),))
    found = await outcome_with(pair(server(root)), pki, tmp_path, root.pem)
    assert found == (Result.FAILED, [StationFault.CREDENTIALS_UNUSABLE])
