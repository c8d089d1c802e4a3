"""Decide the answer to an authorized gateway: only what differs from what it reports.

If an unchanged credential set is sent again, the gateway restarts its LNS link at every check. If an unchanged CUPS URI
is sent again, it asks again every minute. So all four segments are compared first.

One answer may change both CUPS and the LNS. The gateway stores all segments of an answer before it acts on any. Then it
restarts its LNS link if the LNS has changed, and asks CUPS again after a minute, at the new address, if CUPS has
changed. One answer is better than two: after a change of only CUPS, a gateway with an LNS link asks again only after 24
h. The URI and the credentials of one server are sent together too, since with half a change the gateway reaches neither
server.
Source: the CUPS protocol, how the client behaves; `cups_ondone` in src/cups.c of Basics Station 2.0.6.
"""

from stationkeeper_core.protocol.credentials import crc
from stationkeeper_core.protocol.update_info import UpdateInfoRequest, UpdateInfoResponse
from stationkeeper_core.published.documents import RegisteredGateway


def decide(request: UpdateInfoRequest, gateway: RegisteredGateway) -> UpdateInfoResponse:
    """Return the answer to `request` for the configuration of `gateway`."""
    return UpdateInfoResponse(
        cups_uri="" if gateway.cups_uri == request.cups_uri else gateway.cups_uri,
        tc_uri="" if gateway.lns_uri == request.tc_uri else gateway.lns_uri,
        cups_credentials=_credentials(gateway.cups_credentials, request.cups_credentials_crc),
        tc_credentials=_credentials(gateway.lns_credentials, request.tc_credentials_crc),
    )


def _credentials(configured: bytes, reported: int | None) -> bytes:
    return b"" if not configured or crc(configured) == reported else configured
