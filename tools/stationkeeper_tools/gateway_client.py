"""One `/update-info` request as a gateway makes it, over mutual TLS."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stationkeeper_core.eui64 import EUI64, format_id6
from stationkeeper_core.protocol.update_info import UpdateInfoResponse, decode_response

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Identity:
    """A gateway's certificate and key, and the CA that it trusts.

    Attributes:
        certificate, key: paths of PEM files.
        server_ca: path of the PEM file that verifies the CUPS server.
    """

    certificate: Path
    key: Path
    server_ca: Path


class RefusedError(Exception):
    """The server did not answer with status 200; the message is the server's, or the TLS alert."""


def update_info(url: str, identity: Identity, eui: EUI64) -> UpdateInfoResponse:
    """Ask the CUPS server at `url` as the gateway with `eui`, and return its answer.

    Args:
        url: `https://host:port`.
        identity: of the gateway.
        eui: sent as ID6.

    Raises:
        RefusedError: the server refused, by an alert or by a status.
        OSError: the server cannot be reached.
        ValueError: the answer cannot be decoded.
    """
    context = ssl.create_default_context(cafile=str(identity.server_ca))
    context.load_cert_chain(identity.certificate, identity.key)
    connection = http.client.HTTPSConnection(urlsplit(url).netloc, context=context, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", "/update-info", body=json.dumps({"router": format_id6(eui)}))
        response = connection.getresponse()
        body = response.read()
    except ssl.SSLError as error:
        raise RefusedError(f"TLS: {error.reason}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise RefusedError(f"HTTP {response.status}: {body[:500].decode('ascii', 'replace').strip()}")
    return decode_response(body)


def curl_command(url: str, identity: Identity, eui: EUI64) -> str:
    """Return a curl command that makes the same request."""
    return (
        f"curl -v --cert {identity.certificate} --key {identity.key} --cacert {identity.server_ca} "
        f'{url}/update-info -d \'{{"router":"{format_id6(eui)}"}}\' --output -'
    )
