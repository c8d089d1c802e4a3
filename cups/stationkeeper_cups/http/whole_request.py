"""Read a request that came in one piece, without a parser.

A Basics Station sends its request line, three or four header fields and the body in one write. If all of that is there,
in a form with only one possible meaning in HTTP, no parser is needed. A request that differs from this form by a single
byte goes to aiohttp's parser.
Source: RFC 9112, sections 3, 5 and 6; the CUPS protocol, request.
"""

import re

from stationkeeper_core.protocol.update_info import MAX_BODY_BYTES
from stationkeeper_cups.http.messages import Request

PATH = "/update-info"

_WHOLE_HEAD = re.compile(
    rb"POST " + PATH.encode() + rb" HTTP/1\.1\r\n"
    rb"Host: ([A-Za-z0-9.:_-]{1,255})\r\n"
    rb"(?:Content-Type: [A-Za-z0-9!#$&^_.+/;= -]{1,100}\r\n)?"
    rb"Content-Length: {1,11}([0-9]{1,5})\r\n"
    rb"(?:Authorization: ([!-~](?:[ -~]{0,1022}[!-~])?)\r\n)?"
    rb"\r\n"
)


def whole_request(data: bytes) -> Request | None:
    """Return the request if `data` is exactly one; None if a parser must read it."""
    head = _WHOLE_HEAD.match(data)
    if head is None:
        return None
    begin = head.end()
    size = int(head[2])
    if len(data) - begin != size or size > MAX_BODY_BYTES:
        return None
    authorization = head[3]
    return Request("POST", PATH, head[1].decode("ascii"), (authorization,) if authorization else (), data[begin:])
