"""Measure the space of gateways in the Secrets, and in a CUPS process that loads them; and its longest stall.

For each kind of gateway, a separate process loads all documents from files, as a pod does, and its event loop is
watched. The certificates are those of a few real gateways with other keys, serial numbers and signatures: they have the
same form and size, and are as hard to compress.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.protocol.credentials import client_authentication, token_authentication
from stationkeeper_core.published.document_segments import segment_bytes, segments
from stationkeeper_core.published.documents import (
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    encode,
    encode_payload,
)
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, bucket_of, layout_of
from stationkeeper_cups import main  # noqa: F401 - what a pod imports, so that the memory is that of a pod
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.observations import Observations

ROOM_BYTES = 829_000
"""The common space of a Secret for all namespaces, without the shares and the reserve of `document_space`."""

_TENANTS = 20
_LOOKED_UP = 2_000
_PROBE_SECONDS = 0.001
_FILL = 0.8
"""The filled part of a Secret for a proposed count: hashes spread the gateways a little unevenly."""


@dataclass(frozen=True)
class Figures:
    """The figures of one kind of gateway, as `registry --json` gives them.

    Attributes:
        kind: what each gateway has.
        gateways: how many.
        buckets: the least count of Secrets that holds them.
        bytes_per_gateway: in a Secret, compressed.
        fit_in_16, fit_in_256, fit_in_1024: how many there is room for.
        rss_mb: of the process that has loaded all.
        rss_empty_mb: before it loaded any.
        memory_per_gateway: bytes of the difference.
        load_s: until all were loaded.
        longest_stall_ms: for which the event loop did not run meanwhile.
        longest_stall_cpu_ms: likewise, of the CPU that the process had then: what other processes took is left out.
        lookup_us: to find a gateway that was not asked for before.
    """

    kind: str
    gateways: int
    buckets: int
    bytes_per_gateway: float
    fit_in_16: int
    fit_in_256: int
    fit_in_1024: int
    rss_mb: float
    rss_empty_mb: float
    memory_per_gateway: float
    load_s: float
    longest_stall_ms: float
    longest_stall_cpu_ms: float
    lookup_us: float


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=100_000)
    parser.add_argument(
        "--buckets", type=int, choices=BUCKET_COUNTS, help="the count; default: the least that holds all"
    )
    parser.add_argument(
        "--kind", choices=tuple(KINDS), action="append", help="may be given more than once; default: all"
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    found = [_measure(kind, options.gateways, options.buckets) for kind in options.kind or KINDS]
    if options.json:
        print(json.dumps([asdict(each) for each in found]))


class Maker:
    """Makes records of gateways."""

    def __init__(self) -> None:
        self._random = random.Random(12)  # noqa: S311 - the same figures again, no secret
        self._issuer = ec.generate_private_key(ec.SECP256R1())
        self._root = self._certificate("LNS Root CA", self._issuer, None)
        key = ec.generate_private_key(ec.SECP256R1())
        self._client = self._certificate("0" * 16, key, ec.generate_private_key(ec.SECP256R1()))
        self._key = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    def record(self, number: int, **fields: object) -> RegisteredGateway:
        return RegisteredGateway(
            eui=format_hex(EUI64(0xB827EB0000000000 + 7919 * number)),
            namespace=f"tenant-{number % _TENANTS:02d}",
            name=f"gateway-{number:06d}",
            uid=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            lns_uri="wss://lns.example.org:8887",
            **fields,  # type: ignore[arg-type]
        )

    def by_default(self, number: int) -> RegisteredGateway:
        shared = b"Authorization: Bearer NNSXS.SHAREDBYALLGATEWAYS.0123456789\r\n"
        return self.record(number, lns_credentials=token_authentication(self._root, shared))

    def with_token(self, number: int) -> RegisteredGateway:
        own = f"Authorization: Bearer NNSXS.{self._random.randbytes(40).hex().upper()}\r\n".encode()
        return self.record(number, lns_credentials=token_authentication(self._root, own))

    def with_certificate(self, number: int) -> RegisteredGateway:
        return self.record(number, lns_credentials=self._own(number))

    def with_two_certificates(self, number: int) -> RegisteredGateway:
        cups = {"cups_uri": "https://cups.example.org:443", "cups_credentials": self._own(number)}
        return self.record(number, lns_credentials=self._own(number), **cups)

    def _own(self, number: int) -> bytes:
        """Return credentials with a certificate and key of this gateway only."""
        eui = format_hex(EUI64(0xB827EB0000000000 + 7919 * number)).encode()
        public, scalar = self._random.randbytes(64), self._random.randbytes(32)
        certificate = bytearray(self._client.replace(b"0" * 16, eui))
        certificate[15:34] = self._random.randbytes(19)
        point = certificate.index(b"\x03\x42\x00\x04") + 4
        certificate[point : point + 64] = public
        identifier = certificate.index(b"\x55\x1d\x0e\x04\x16\x04\x14") + 7
        certificate[identifier : identifier + 20] = self._random.randbytes(20)
        certificate[-64:] = self._random.randbytes(64)
        key = bytearray(self._key)
        key[7:39] = scalar
        key[-64:] = public
        return client_authentication(self._root, bytes(certificate), bytes(key))

    def _certificate(
        self, name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey | None
    ) -> bytes:
        now, signer = datetime(2026, 1, 1, tzinfo=UTC), issuer or key
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "LNS Root CA")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=365))
            .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if issuer is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)


KINDS: dict[str, Callable[[Maker, int], RegisteredGateway]] = {
    "default LNS": Maker.by_default,
    "own token": Maker.with_token,
    "own client certificate": Maker.with_certificate,
    "own client certificates for LNS and CUPS": Maker.with_two_certificates,
}


def _measure(kind: str, gateways: int, buckets: int | None) -> Figures:
    make, maker = KINDS[kind], Maker()
    each = _bytes_each(make(maker, number) for number in range(2_000))
    least = next((count for count in BUCKET_COUNTS if gateways * each <= _FILL * ROOM_BYTES * count), BUCKET_COUNTS[-1])
    with tempfile.TemporaryDirectory() as folder:
        _lay(Path(folder), buckets or least, (make(maker, number) for number in range(gateways)))
        told = json.loads(
            subprocess.run(
                [sys.executable, "-m", "tests.bench.registry", folder, str(buckets or least)],
                check=True,
                capture_output=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            ).stdout
        )
    found = Figures(
        kind=kind,
        gateways=gateways,
        buckets=buckets or least,
        bytes_per_gateway=round(each, 1),
        fit_in_16=int(16 * ROOM_BYTES / each),
        fit_in_256=int(256 * ROOM_BYTES / each),
        fit_in_1024=int(1024 * ROOM_BYTES / each),
        memory_per_gateway=round((told["rss_mb"] - told["rss_empty_mb"]) * 1e6 / gateways, 1),
        **told,
    )
    print(
        f"{kind}: {gateways} gateways in {found.buckets} Secrets, {found.bytes_per_gateway} bytes each, room for"
        f" {found.fit_in_16} in 16, {found.fit_in_256} in 256, {found.fit_in_1024} in 1,024;"
        f" CUPS {found.rss_mb} MB ({found.rss_empty_mb} without any, {found.memory_per_gateway} bytes a gateway),"
        f" loaded in {found.load_s} s, longest stall {found.longest_stall_ms} ms"
        f" ({found.longest_stall_cpu_ms} ms of its CPU), look-up {found.lookup_us} us",
        flush=True,
    )
    return found


def _bytes_each(gateways: Iterable[RegisteredGateway]) -> float:
    listed = tuple(gateways)
    parts = segments(encode_payload(RegistryDocument(bucket=0, gateways=listed)))
    return sum(segment_bytes(segment) for _, segment in parts) / len(listed)


def _lay(folder: Path, buckets: int, gateways: Iterable[RegisteredGateway]) -> None:
    layout = layout_of(buckets)
    held: list[list[RegisteredGateway]] = [[] for _ in range(buckets)]
    for each in gateways:
        held[bucket_of(EUI64(int(each.eui, 16)), buckets)].append(each)
    for number, name in enumerate(layout.registry):
        payload = encode_payload(RegistryDocument(bucket=number, gateways=tuple(held[number])))
        (folder / name).write_bytes(encode(name, 1, payload))
    trust = encode_payload(TrustDocument(release_namespace="stationkeeper"))
    (folder / TRUST).write_bytes(encode(TRUST, 1, trust))


async def _load(folder: Path, buckets: int) -> dict[str, float]:
    metrics = Metrics()
    state = ServingState(metrics, buckets=buckets)
    observations = Observations(metrics)
    state.on_gateways_loaded, state.is_remembered = observations.reconfigured, observations.remembers
    empty, stalls = _rss_mb(), _Stalls()
    probe = asyncio.create_task(_watch_the_loop(stalls))
    begun = time.monotonic()
    for document in state.documents:
        await state.load_document(document, await asyncio.to_thread((folder / document).read_bytes))
    seconds = time.monotonic() - begun
    probe.cancel()
    loaded = _rss_mb()
    assert state.snapshot is not None or state.missing == ("server-certificate",), state.refused
    return {
        "rss_mb": loaded,
        "rss_empty_mb": empty,
        "load_s": round(seconds, 2),
        "longest_stall_ms": round(1000 * stalls.wall, 1),
        "longest_stall_cpu_ms": round(1000 * stalls.cpu, 1),
        "lookup_us": _lookup_us(state),
    }


def _lookup_us(state: ServingState) -> float:
    snapshot = state.snapshot
    assert snapshot is not None
    euis = [EUI64(0xB827EB0000000000 + 7919 * number) for number in range(_LOOKED_UP)]
    begun = time.perf_counter()
    found = sum(len(snapshot.registry.holders(each)) for each in euis)
    seconds = time.perf_counter() - begun
    assert found, "no gateway is found"
    return round(1e6 * seconds / len(euis), 2)


@dataclass
class _Stalls:
    """The longest time between two runs of the loop, in seconds of the clock and of this process' CPU."""

    wall: float = 0.0
    cpu: float = 0.0


async def _watch_the_loop(stalls: _Stalls) -> None:
    while True:
        wall, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(_PROBE_SECONDS)
        stalls.wall = max(stalls.wall, time.monotonic() - wall - _PROBE_SECONDS)
        stalls.cpu = max(stalls.cpu, time.process_time() - cpu)


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(kilobytes) * 1024 / 1e6, 1)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_load(Path(sys.argv[1]), int(sys.argv[2])))))
