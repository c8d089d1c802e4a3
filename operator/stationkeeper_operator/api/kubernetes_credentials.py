"""The address of the API server and the credentials for it, always as fresh as their files.

This is the only module that uses the `kubernetes` package. Kubelets renew a ServiceAccount's token long before it
expires, and a kubeconfig may name a file or a plug-in that does the same. So credentials are read again after
`REFRESH_SECONDS`, and at once after the API server refused them.
"""

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

REFRESH_SECONDS = 60.0
_UNAUTHORIZED = 401


class CredentialsError(Exception):
    """There are no usable credentials; the message names the place."""


class Credentials:
    """The credentials of one process, for use in one event loop.

    Args:
        kubeconfig: the file with them; None for the pod's ServiceAccount.
        context: of the kubeconfig; None for its current one.
    """

    def __init__(self, kubeconfig: Path | None, context: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._configuration: Configuration | None = None
        self._read_at = 0.0

    async def load(self) -> None:
        """Read the credentials again.

        Raises:
            CredentialsError: they cannot be read.
        """
        # The package takes two seconds to load, and it is not needed if a folder replaces the API server.
        from kubernetes.aio import config  # noqa: PLC0415
        from kubernetes.aio.client import Configuration  # noqa: PLC0415

        fresh = Configuration()
        source = str(self._kubeconfig) if self._kubeconfig else "the ServiceAccount of the pod"
        try:
            if self._kubeconfig:
                await config.load_kube_config(  # type: ignore[no-untyped-call]  # the package has no types for it
                    str(self._kubeconfig), self._context, client_configuration=fresh, persist_config=False
                )
            else:
                config.load_incluster_config(  # type: ignore[no-untyped-call]  # the package has no types for it
                    fresh, try_refresh_token=False
                )
        except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
            raise CredentialsError(f"no credentials for the API server in {source}: {error}") from None
        self._configuration, self._read_at = fresh, time.monotonic()

    async def session(self, *middlewares: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        """Return a new session that authorizes each request with the present credentials; the caller closes it.

        Args:
            middlewares: run for each request before it is authorized.

        Raises:
            CredentialsError: they cannot be read.
        """
        await self.load()
        connector = aiohttp.TCPConnector(ssl=self._ssl_context(), limit=0)
        return aiohttp.ClientSession(
            connector=connector, middlewares=(*middlewares, self._authorize), proxy=self._loaded.proxy
        )

    @property
    def server(self) -> str:
        """The URL of the API server, without a trailing slash; known after the first session."""
        return str(self._loaded.host).rstrip("/")

    @property
    def _loaded(self) -> "Configuration":
        if self._configuration is None:
            raise CredentialsError("the credentials were not loaded yet")
        return self._configuration

    def _ssl_context(self) -> ssl.SSLContext:
        loaded = self._loaded
        if not self.server.lower().startswith("https:"):
            # No TLS, as behind `kubectl proxy`. This context trusts nobody, and reads no certificates of the machine,
            # which would take 30 ms and some megabytes.
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context = ssl.create_default_context(cafile=loaded.ssl_ca_cert)
        # The CA of many clusters does not pass the strict checks of newer Python versions.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if loaded.cert_file:
            context.load_cert_chain(loaded.cert_file, keyfile=loaded.key_file)
        if not loaded.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if time.monotonic() - self._read_at > REFRESH_SECONDS:
            await self.load()
        authorization = self._loaded.api_key.get("BearerToken")
        if authorization:
            request.headers["Authorization"] = authorization
        response = await handler(request)
        if response.status == _UNAUTHORIZED:
            self._read_at = 0.0
        return response
