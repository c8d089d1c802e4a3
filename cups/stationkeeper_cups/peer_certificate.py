"""The adapter from a TLS transport to what its client presented."""

import asyncio

from stationkeeper_core.client_certificate import ClientCertificate
from stationkeeper_cups.admission import Judgement
from stationkeeper_cups.tls.transport import TLSTransport


def gateway_transport(transport: asyncio.BaseTransport | None) -> TLSTransport | None:
    """Return the transport of a gateway's connection; None once it is gone."""
    return transport if isinstance(transport, TLSTransport) else None


def peer_certificate(transport: TLSTransport) -> ClientCertificate | None:
    """Return what the client presented and proved to hold the key of; None where it came without a certificate."""
    verdict = transport.tls.verdict if transport.tls else None
    return verdict.judgement.certificate if verdict and isinstance(verdict.judgement, Judgement) else None
