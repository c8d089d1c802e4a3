"""How to reach the API server and who to be there, always as fresh as the files that say so.

The only module that knows the `kubernetes` package. Kubelets renew a ServiceAccount's token long before it expires, and
a kubeconfig may name a file or a plug-in that does the same: what was read is therefore read again after
`REFRESH_SECONDS`, and at once after the API server refused it.
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
    """There are no usable credentials; the message says where they were looked for."""


class Credentials:
    """The credentials of one process, for use in one event loop.

    Args:
        kubeconfig: the file to take them from; None takes those of the pod's ServiceAccount.
        context: of the kubeconfig; None for its current one.
    """

    def __init__(self, kubeconfig: Path | None, context: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._configuration: Configuration | None = None
        self._read_at = 0.0

    async def load(self) -> None:
        """Reads them anew.

        Raises:
            CredentialsError: they cannot be read.
        """
        # It takes two seconds to load, and where a folder takes the API server's place nothing of it is needed.
        from kubernetes.aio import config  # noqa: PLC0415
        from kubernetes.aio.client import Configuration  # noqa: PLC0415

        fresh = Configuration()
        where = str(self._kubeconfig) if self._kubeconfig else "the ServiceAccount of the pod"
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
            raise CredentialsError(f"no credentials for the API server in {where}: {error}") from None
        self._configuration, self._read_at = fresh, time.monotonic()

    async def session(self, *middlewares: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        """A new session, the caller's to close, that authorizes each request with what is valid then.

        Args:
            middlewares: what each request passes before it is authorized.

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
        """The URL of the API server, without a trailing slash; known once a session was made."""
        return str(self._loaded.host).rstrip("/")

    @property
    def _loaded(self) -> "Configuration":
        if self._configuration is None:
            raise CredentialsError("the credentials were not loaded yet")
        return self._configuration

    def _ssl_context(self) -> ssl.SSLContext:
        loaded = self._loaded
        context = ssl.create_default_context(cafile=loaded.ssl_ca_cert)
        # Many clusters' own CA lacks what the strict checks of newer Pythons ask for.
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
