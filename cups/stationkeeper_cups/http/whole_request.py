"""The request of a gateway that came in one piece, read at a glance.

A Basics Station sends its request line, three or four header fields and the body in one write. Where all of that is
there, in just the form that no reader of HTTP could take in two ways, there is nothing to be parsed. Whatever differs
from that form by a single byte is aiohttp's parser's.
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
    """Return the request that `data` is, no more and no less; None where a parser has to look at it."""
    head = _WHOLE_HEAD.match(data)
    if head is None:
        return None
    begin = head.end()
    size = int(head[2])
    if len(data) - begin != size or size > MAX_BODY_BYTES:
        return None
    authorization = head[3]
    return Request("POST", PATH, head[1].decode("ascii"), (authorization,) if authorization else (), data[begin:])
