"""The adapter from a TLS connection to the certificates that its client presented."""

import ssl

from stationkeeper_core.client_certificate import ClientCertificate, read_client_certificate


def peer_certificate(connection: ssl.SSLObject) -> ClientCertificate:
    """What the client of `connection` presented and proved to hold the key of.

    Raises:
        StationkeeperError: `MalformedCertificate`.
    """
    return read_client_certificate(_presented(connection))


def has_certificate(connection: ssl.SSLObject) -> bool:
    """Whether the client of `connection` presented a certificate; if so, TLS has verified it."""
    return connection.getpeercert(binary_form=True) is not None


def _presented(connection: ssl.SSLObject) -> tuple[bytes, ...]:
    leaf = connection.getpeercert(binary_form=True)
    if leaf is None:
        return ()
    others = [der for der in _unverified_chain(connection) if der != leaf]
    return (leaf, *others)


def _unverified_chain(connection: ssl.SSLObject) -> list[bytes]:
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    # Before Python 3.13 the chain is there, but without a public name.
    chain = connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain or ()]
