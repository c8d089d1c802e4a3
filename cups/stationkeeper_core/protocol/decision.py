"""What an authorized gateway is told: what differs from what it reports, and nothing else.

An unchanged credential set sent again restarts the gateway's LNS link at every check, and an unchanged CUPS URI has it
come back every minute, so all four segments are compared first.

A change of CUPS and one of the LNS may go in one answer, and do. The gateway stores all segments of an answer before it
acts on any; then it restarts its LNS link if that has changed, and asks CUPS again after a minute, at the new address,
if that has changed. One answer is the better way: after a change of CUPS alone, a gateway whose LNS link is up asks
again only after 24 h. Nor are URI and credentials of one server sent apart: with half of a change it reaches neither.
Source: the CUPS protocol, how the client behaves; `cups_ondone` in src/cups.c of Basics Station 2.0.6.
"""

from stationkeeper_core.protocol.credentials import crc
from stationkeeper_core.protocol.update_info import UpdateInfoRequest, UpdateInfoResponse
from stationkeeper_core.published.documents import RegisteredGateway


def decide(request: UpdateInfoRequest, gateway: RegisteredGateway) -> UpdateInfoResponse:
    """The answer to `request` of a gateway that may have the configuration of `gateway`."""
    return UpdateInfoResponse(
        cups_uri="" if gateway.cups_uri == request.cups_uri else gateway.cups_uri,
        tc_uri="" if gateway.lns_uri == request.tc_uri else gateway.lns_uri,
        cups_credentials=_credentials(gateway.cups_credentials, request.cups_credentials_crc),
        tc_credentials=_credentials(gateway.lns_credentials, request.tc_credentials_crc),
    )


def _credentials(configured: bytes, reported: int | None) -> bytes:
    return b"" if not configured or crc(configured) == reported else configured
