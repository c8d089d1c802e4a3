"""Answer requests that a proxy forwards, and refuse a proxy's headers on other ports.

A client that a handshake would refuse gets no answer: the connection is closed. A request with an error of the proxy
gets no answer either, because a Basics Station drops its credentials at any status but 200. The proxy must close the
connection too, instead of sending an error status.
"""

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.unaccepted_connections import Refusal
from stationkeeper_cups.admission.admission import Admission, Judged
from stationkeeper_cups.admission.client import Client, ForwardedClient, ForwardedTLS
from stationkeeper_cups.forwarded.headers import Form, client_address, forwarded_names, presented
from stationkeeper_cups.http.handler import UpdateInfoHandler
from stationkeeper_cups.http.messages import Answer, Request
from stationkeeper_cups.http.refusals import Refusals


class ForwardedHandler:
    """Decides on requests of proxies, each by the certificates in its own header.

    Args:
        inner: decides on the request itself.
        admission: judges certificates.
        refusals: records clients that a handshake would refuse.
        form: the form of the proxies' header.
        token_authentication: whether a gateway without a certificate may authenticate by a token.
    """

    def __init__(
        self,
        inner: UpdateInfoHandler,
        admission: Admission,
        refusals: Refusals,
        form: Form,
        *,
        token_authentication: bool,
    ) -> None:
        self._inner = inner
        self._admission = admission
        self._refusals = refusals
        self._form = form
        self._token_authentication = token_authentication

    def answer(self, request: Request, client: Client) -> Answer | None:
        """Return the answer to `request`, which the proxy `client` forwards; None to close without an answer."""
        peer = client_address(request.headers, client.peer)
        try:
            chain = self._presented(request)
        except StationkeeperError as error:
            self._refusals.handshake(Refusal(peer, error.reason, error.detail))
            return None
        gateway = ForwardedClient(peer, ForwardedTLS(chain))
        if chain:
            gateway.tls.verdict = verdict = self._admission.judge(chain, None, peer)
            if verdict.refusal is not None:
                refusal, judgement = verdict.refusal, verdict.judgement
                self._refusals.handshake(Refusal(peer, refusal.reason, refusal.detail, chain, judgement))
                return None
        return self._inner.answer(request, gateway)

    def _presented(self, request: Request) -> tuple[bytes, ...]:
        chain = presented(self._form, request.headers)
        if not chain and not self._token_authentication:
            raise StationkeeperError(Reason.CLIENT_CERTIFICATE_MISSING, "the proxy forwards no certificate")
        return chain

    def malformed(self, detail: str, client: Client) -> Answer | None:
        """Return the answer to bytes that are not an HTTP request."""
        return self._inner.malformed(detail, client)

    def too_slow(self, seconds: float, client: Client) -> Answer | None:
        """Return the answer to a request whose body has not come in time."""
        return self._inner.too_slow(seconds, client)


class WithoutProxies:
    """Refuses, on the gateways' own port, the headers for the proxies' port.

    No Basics Station sends them. They mean that a proxy connects to the wrong port, or that a client forges them.

    Args:
        inner: decides on other requests.
        refusals: records refused requests.
    """

    def __init__(self, inner: UpdateInfoHandler, refusals: Refusals) -> None:
        self._inner = inner
        self._refusals = refusals

    def answer(self, request: Request, client: Client) -> Answer | None:
        """Return the answer to `request`; None to close without an answer."""
        names = forwarded_names(request.headers)
        if not names:
            return self._inner.answer(request, client)
        judged = client.tls.verdict.judgement if client.tls and client.tls.verdict else None
        certificate = judged.judgement.certificate if isinstance(judged, Judged) else None
        detail = f"the header {names[0]} on the port of gateways"
        error = StationkeeperError(Reason.FORWARDED_CERTIFICATE_NOT_ALLOWED, detail)
        return self._refusals.request(client.peer, error, certificate)

    def malformed(self, detail: str, client: Client) -> Answer | None:
        """Return the answer to bytes that are not an HTTP request."""
        return self._inner.malformed(detail, client)

    def too_slow(self, seconds: float, client: Client) -> Answer | None:
        """Return the answer to a request whose body has not come in time."""
        return self._inner.too_slow(seconds, client)
