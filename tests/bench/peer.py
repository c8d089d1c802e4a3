"""The peer of the benchmark: aiohttp as it comes, mutual TLS, one answer for everybody and no decision at all."""

import os
import ssl
from pathlib import Path

from aiohttp import web


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=bytes(200))


def main() -> None:
    folder = Path(os.environ["PEER_FOLDER"])
    host, _, port = os.environ["STATIONKEEPER_CUPS_ADDRESS"].rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server-tls" / "tls.crt", folder / "server-tls" / "tls.key")
    context.load_verify_locations(folder / "clients-ca.pem")
    application = web.Application()
    application.router.add_post("/update-info", _answer)
    web.run_app(application, host=host, port=int(port), ssl_context=context, access_log=None, print=None)


main()
