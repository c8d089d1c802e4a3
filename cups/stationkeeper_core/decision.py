"""What an authorized gateway is told: what differs from what it reports, and nothing else.

An unchanged credential set sent again restarts the gateway's LNS link at every check, so it is compared first.
Source: the CUPS protocol, how the client behaves.
"""

from stationkeeper_core.credentials import crc
from stationkeeper_core.published import RegisteredGateway
from stationkeeper_core.update_info import UpdateInfoRequest, UpdateInfoResponse


def decide(request: UpdateInfoRequest, gateway: RegisteredGateway) -> UpdateInfoResponse:
    """The answer to `request` of a gateway that may have the configuration of `gateway`."""
    credentials = gateway.lns_credentials
    holds_credentials = not credentials or request.tc_credentials_crc == crc(credentials)
    return UpdateInfoResponse(
        tc_uri="" if request.tc_uri == gateway.lns_uri else gateway.lns_uri,
        tc_credentials=b"" if holds_credentials else credentials,
    )
