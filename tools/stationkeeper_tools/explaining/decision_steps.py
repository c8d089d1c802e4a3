"""Decide on one gateway by CUPS' own steps, and record each step. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.policy.authorization import STEPS, Claim
from stationkeeper_core.policy.token_authorization import STEPS as TOKEN_STEPS
from stationkeeper_core.policy.token_authorization import TokenClaim
from stationkeeper_core.protocol.credentials import parse_token
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.trust.trusted_ca import TrustedCA
from stationkeeper_core.x509.client_certificate import ClientCertificate

HANDSHAKE = "the TLS handshake accepts the certificate"
_MAX_NAMED = 5


class StepState(StrEnum):
    """The result of a step."""

    PASSED = "Passed"
    FAILED = "Failed"
    NOT_REACHED = "NotReached"


@dataclass(frozen=True)
class StepResult:
    """One step of the decision.

    Attributes:
        name: what the step requires.
        state: the result.
        reason: of the refusal; None if it passed or was not reached.
        detail: what exactly was found; may be empty.
    """

    name: str
    state: StepState
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True)
class Decision:
    """The decision that CUPS would make.

    Attributes:
        steps: in their order.
        gateway: the Gateway that the request means; None if there is none.
        trusted_cas: `namespace/name` of those that vouch or, without a certificate, could vouch.
    """

    steps: tuple[StepResult, ...]
    gateway: RegisteredGateway | None
    trusted_cas: tuple[str, ...]

    @property
    def refusal(self) -> StepResult | None:
        """The step that fails; None if the gateway is accepted."""
        return next((each for each in self.steps if each.state is StepState.FAILED), None)


def decide_by_certificate(eui: EUI64, certificate: ClientCertificate, snapshot: Snapshot, now: datetime) -> Decision:
    """Return the decision of CUPS on a gateway with this certificate.

    Args:
        eui: the EUI that the gateway asks with.
        certificate: the certificate that it presents; it has the private key.
        snapshot: what CUPS has loaded.
        now: the time, aware.

    Raises:
        StationkeeperError: `MalformedCertificate`.
    """
    judgement = judge(certificate, snapshot.trust, snapshot.registry.scope(certificate.eui_or_none), now)
    results = [_handshake(judgement)]
    claim = Claim(judgement, eui)
    for step in STEPS:
        name = step.__name__.replace("_", " ")
        if results[-1].state is not StepState.PASSED:
            results.append(StepResult(name, StepState.NOT_REACHED))
            continue
        try:
            claim = step(claim, snapshot)
        except StationkeeperError as error:
            results.append(StepResult(name, StepState.FAILED, error.reason, error.detail))
        else:
            results.append(StepResult(name, StepState.PASSED))
    vouching = claim.paths or judgement.paths or judgement.elsewhere
    return Decision(tuple(results), claim.gateway, tuple(each.trusted_ca.reference for each in vouching))


def decide_by_token(eui: EUI64, token: bytes, snapshot: Snapshot) -> Decision:
    """Return the decision of CUPS on a gateway without a certificate, if token authentication is on.

    Args:
        eui: the EUI that the gateway asks with.
        token: the content of its `cups.key`, a header line.
        snapshot: what CUPS has loaded.

    Raises:
        StationkeeperError: `TokenInvalid`: it is no token.
    """
    value = parse_token(token).partition(b": ")[2].partition(b"\r\n")[0]
    results: list[StepResult] = []
    claim = TokenClaim((value,), eui)
    for step in TOKEN_STEPS:
        name = step.__name__.replace("_", " ")
        if results and results[-1].state is not StepState.PASSED:
            results.append(StepResult(name, StepState.NOT_REACHED))
            continue
        try:
            claim = step(claim, snapshot)
        except StationkeeperError as error:
            results.append(StepResult(name, StepState.FAILED, error.reason, error.detail))
        else:
            results.append(StepResult(name, StepState.PASSED))
    return Decision(tuple(results), claim.gateway, ())


def decide_without_certificate(eui: EUI64, snapshot: Snapshot) -> Decision:
    """Return the decision as far as it is known without the gateway's certificate.

    Args:
        eui: of the gateway.
        snapshot: what CUPS has loaded.
    """
    gateways = [each for each in snapshot.registry.holders(eui) if isinstance(each, RegisteredGateway)]
    vouched = (each for each in gateways if any(_may_vouch(eui, each, snapshot.trust.trusted_cas)))
    gateway = next(vouched, None) or next(iter(gateways), None)
    if gateway is None:
        detail = f"there is no accepted Gateway with EUI {format_hex(eui)}"
        failed = StepResult("gateway is registered", StepState.FAILED, Reason.GATEWAY_NOT_REGISTERED, detail)
        rest = ("gateway is not suspended", "a trusted ca may vouch for it")
        return Decision((failed, *(StepResult(each, StepState.NOT_REACHED) for each in rest)), None, ())
    named = f"Gateway {gateway.namespace}/{gateway.name}"
    registered = StepResult("gateway is registered", StepState.PASSED, detail=named)
    scope = tuple(_may_vouch(eui, gateway, snapshot.trust.trusted_cas))
    if gateway.suspended:
        steps = (
            registered,
            StepResult("gateway is not suspended", StepState.FAILED, Reason.GATEWAY_SUSPENDED, f"{named} is suspended"),
            StepResult("a trusted ca may vouch for it", StepState.NOT_REACHED),
        )
        return Decision(steps, gateway, scope)
    not_suspended = StepResult("gateway is not suspended", StepState.PASSED)
    return Decision((registered, not_suspended, _vouching(named, scope, gateway)), gateway, scope)


def _vouching(named: str, scope: Sequence[str], gateway: RegisteredGateway) -> StepResult:
    name = "a trusted ca may vouch for it"
    if not scope:
        tokens = len(gateway.token_sha256s)
        beside = f"; CUPS accepts its {tokens} tokens if token authentication is switched on" if tokens else ""
        detail = f"no TrustedCA in force may vouch for {named}{beside}"
        return StepResult(name, StepState.FAILED, Reason.NO_TRUSTED_CA, detail)
    more = f" and {len(scope) - _MAX_NAMED} more" if len(scope) > _MAX_NAMED else ""
    return StepResult(name, StepState.PASSED, detail=f"TrustedCA {', '.join(scope[:_MAX_NAMED])}{more}")


def _may_vouch(eui: EUI64, gateway: RegisteredGateway, trusted_cas: Sequence[TrustedCA]) -> Iterator[str]:
    for each in trusted_cas:
        is_allowed = gateway.trusted_cas is None or each.reference in gateway.trusted_cas
        if is_allowed and each.serves(gateway.namespace, eui) and each.may_speak_for(eui):
            yield each.reference


def _handshake(judgement: Judgement) -> StepResult:
    refusal = judgement.handshake_refusal
    if refusal is None:
        return StepResult(HANDSHAKE, StepState.PASSED)
    return StepResult(HANDSHAKE, StepState.FAILED, *refusal)
