"""Stations for the tests of TLS: a gateway with a PKI, its state in memory or in a folder, and LNS blobs."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_tools.sample_pki import KeyPair
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.files import Files, MemoryFiles
from stationkeeper_tools.station.state import StationState
from stationkeeper_tools.station.state_machine import Behaviour, Station
from tests.tools.station.blobs import ABSENT, TOKEN

QUICK = Behaviour(retry_seconds=0.01, interval_seconds=0.01)


def credentials(pair: KeyPair | None, server_ca: KeyPair) -> CredentialSet:
    """Return PEM files."""
    if pair is None:
        return CredentialSet(server_ca.certificate_pem)
    return CredentialSet(server_ca.certificate_pem, pair.certificate_pem, pair.key_pem)


def station(
    eui: str,
    uri: str,
    boot: CredentialSet,
    behaviour: Behaviour = QUICK,
    files: Files | None = None,
) -> Station:
    """Return a Station with a BOOT set."""
    number = parse_hex(eui)
    assert number is not None
    state = StationState(MemoryFiles() if files is None else files)
    state.seed(uri, boot)
    return Station(number, state, behaviour)


def token_blob(trust: KeyPair) -> bytes:
    """Return LNS credentials with a token, in the form of an answer."""
    return trust.x509.public_bytes(Encoding.DER) + ABSENT + TOKEN


def written(folder: Path, boot: CredentialSet) -> list[str]:
    """Write the set's parts into the files `trust`, `cert` and `key`; return the options that name them."""
    options = []
    for name, content in (("trust", boot.trust), ("cert", boot.certificate), ("key", boot.key)):
        if content:
            (folder / name).write_bytes(content)
            options += [f"--{name}", str(folder / name)]
    return options
