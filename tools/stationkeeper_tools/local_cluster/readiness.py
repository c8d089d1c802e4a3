"""Ask a server on this machine whether it is ready."""

import http.client
import ssl
from urllib.parse import urlsplit

_SECONDS = 2.0
"""The longest wait for each step of an answer."""


def is_ready(url: str) -> bool:
    """Return whether `/readyz` of a server answers with status 200 now.

    Args:
        url: of the server, by HTTP or HTTPS. The server's certificate is not verified: the answer proves nothing.
    """
    parts = urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.netloc, context=context, timeout=_SECONDS
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
