"""Serve the page on an address, with few connections, until a stop."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from stationkeeper_core.setting_values import Address
from stationkeeper_cups.log_budget import LogBudget
from stationkeeper_operator.process.limited_server import ServerLimits, serve_limited
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.page.access import Access, is_loopback

MAX_CONNECTIONS = 128
IDLE_SECONDS = 15.0
LIFETIME_SECONDS = 300.0
HANDSHAKE_SECONDS = 10.0

_RELOAD_SECONDS = 10.0
_log = logging.getLogger("stationkeeper.page")


@dataclass(frozen=True)
class PageAddress:
    """The address of the page.

    Attributes:
        host: an IP address or a name.
        port: the TCP port.
        certificate, key: PEM files for TLS; None for none.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


def check_address(address: PageAddress, access: Access) -> None:
    """Refuse an address at which everybody could see the page.

    Raises:
        InputError: everybody could see it; the message says what to do.
    """
    if access.is_open and not is_loopback(address.host):
        raise InputError(
            f"the page on {address.host} would be open to everybody who reaches it: listen on 127.0.0.1, "
            "or give a token file, or a proxy that authenticates people"
        )


@contextlib.asynccontextmanager
async def serve_page(application: web.Application, address: PageAddress) -> AsyncIterator[None]:
    """Serve an application while the context is open.

    Args:
        application: the application.
        address: the address; see `check_address`.

    Raises:
        OSError: the address cannot be bound, or the certificate cannot be read.
    """
    logger, budget = logging.getLogger("stationkeeper.page.http"), LogBudget(time.monotonic)
    # aiohttp logs a traceback for each request that is not HTTP.
    logger.filters[:] = [lambda _record: budget.take() is not None]
    limits = ServerLimits(MAX_CONNECTIONS, LIFETIME_SECONDS, IDLE_SECONDS, 1.0, HANDSHAKE_SECONDS)
    context = _context(address)
    async with serve_limited(application, Address(address.host, address.port), limits, logger, context):
        reloading = asyncio.create_task(_reload(context, address))
        try:
            yield
        finally:
            reloading.cancel()
            await asyncio.wait([reloading])


def _context(address: PageAddress) -> ssl.SSLContext | None:
    if address.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(address.certificate, address.key)
    return context


async def _reload(context: ssl.SSLContext | None, address: PageAddress) -> None:
    """Load a renewed certificate for new connections."""
    if context is None or address.certificate is None:
        return
    loaded = address.certificate.stat().st_mtime_ns
    while True:
        await asyncio.sleep(_RELOAD_SECONDS)
        try:
            changed = address.certificate.stat().st_mtime_ns
            if changed != loaded:
                context.load_cert_chain(address.certificate, address.key)
                loaded = changed
        except (OSError, ssl.SSLError) as error:
            fields = {"detail": str(error)}
            _log.warning("the page's certificate stays as it was", extra={"fields": fields})
