"""The certificates of the server's tests; keys are made once a run."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from stationkeeper_tools.sample_pki import KeyPair, make_gateway, make_intermediate, make_root, make_server


@dataclass(frozen=True)
class Pki:
    eui: str
    a: KeyPair
    a_gateway: KeyPair
    a_intermediate: KeyPair
    a_indirect_gateway: KeyPair
    a_expired_gateway: KeyPair
    a_future_gateway: KeyPair
    b: KeyPair
    b_gateway: KeyPair
    server_ca: KeyPair
    server: KeyPair
    other_server: KeyPair

    @classmethod
    def make(cls) -> "Pki":
        now = datetime.now(UTC)
        eui = "0102030405060708"
        a, b = make_root("Vendor A", now), make_root("Vendor B", now)
        intermediate = make_intermediate("Vendor A Issuing", a, now)
        server_ca = make_root("Operator", now)
        return cls(
            eui=eui,
            a=a,
            a_gateway=make_gateway(eui, a, now),
            a_intermediate=intermediate,
            a_indirect_gateway=make_gateway(eui, intermediate, now),
            a_expired_gateway=make_gateway(eui, a, now - timedelta(days=30), days=10),
            a_future_gateway=make_gateway(eui, a, now + timedelta(days=10), days=10),
            b=b,
            b_gateway=make_gateway(eui, b, now),
            server_ca=server_ca,
            server=make_server(["localhost"], ["127.0.0.1"], server_ca, now),
            other_server=make_server(["localhost"], ["127.0.0.1"], server_ca, now),
        )
