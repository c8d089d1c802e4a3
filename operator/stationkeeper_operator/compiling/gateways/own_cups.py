"""Check that a gateway that is moved to this release's own CUPS can authenticate there with its new credentials.

The check is the normal decision on a request, with the trust that is about to be published. A Basics Station presents
only its own certificate. Credentials that CUPS would refuse are not delivered, since the gateway could not come back
for a correction.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.in_force.gateway_registry import GatewayRegistry, RegistryBucket
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.policy.token_authorization import token_sha256
from stationkeeper_core.protocol.station_preflight import preflight
from stationkeeper_core.published.documents import (
    BUCKETS,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    bucket_of,
)
from stationkeeper_core.reason_table import REASONS
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import FOR_EVER, Judgement
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.trust.scope import Scope
from stationkeeper_core.x509.client_certificate import read_client_certificate

_MAX_REMEMBERED = 32_768
# This namespace must not learn that a TrustedCA of another namespace would vouch.
_SHOWN_REASONS = {Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE: Reason.NO_TRUSTED_CA}


class OwnCUPS:
    """The CUPS of this release, for one compile.

    Args:
        names: its names for gateways, lower-case: a host (for every port) or `host:port`.
        trust: the trust that is about to be published.
        now: the time, aware.
    """

    def __init__(self, names: Iterable[str], trust: TrustDocument, now: datetime) -> None:
        self._names = frozenset(names)
        self._trust = trust
        self._now = now
        self._until: list[int] = []

    @property
    def deadlines(self) -> tuple[datetime, ...]:
        """The times at which a result changes only because time passes."""
        longest = datetime.max.replace(tzinfo=UTC).timestamp()
        return tuple(datetime.fromtimestamp(each, UTC) for each in self._until if each < min(FOR_EVER, longest))

    @property
    def was_used(self) -> bool:
        """Whether any result depends on the trust."""
        return bool(self._until)

    def clear_dependencies(self) -> None:
        """Clear the recorded dependencies, for another Gateway."""
        self._until.clear()

    def has_uri(self, uri: str) -> bool:
        """Return whether `uri`, `https://host:port`, is a URI of this CUPS."""
        host, _, port = uri.partition("://")[2].lower().rpartition(":")
        return bool(self._names) and not self._names.isdisjoint({host, f"{host}:{port}"})

    @cached_property
    def _judge_of(self) -> "_TrustJudge":
        return _judge_of(self._trust)

    def check(self, record: RegisteredGateway) -> None:
        """Refuse a Gateway with CUPS credentials that this CUPS would refuse.

        Args:
            record: the record that will be published.

        Raises:
            StationkeeperError: `WouldBeRefused`; the detail names nothing of other tenants.
        """
        if record.suspended or not record.cups_credentials or not self.has_uri(record.cups_uri):
            return
        found = preflight(record.cups_credentials)
        if found.certificate:
            self._check_certificate(record, found.certificate)
        elif not found.key:
            raise _refused("cups leads to this CUPS and has no auth, so CUPS would refuse the gateway; give cups.auth")
        elif token_sha256(found.key) not in record.token_sha256s:
            raise _refused("cups leads to this CUPS, and client.tokens does not list the token of cups.auth")

    def _check_certificate(self, record: RegisteredGateway, der: bytes) -> None:
        trust_judge, eui = self._judge_of, parse_hex(record.eui)
        assert eui is not None, record.eui  # noqa: S101 - the compiler wrote it
        try:
            judgement = trust_judge.judge(der, record, self._now)
            self._until.append(judgement.until)
            authorize(Claim(judgement, eui), trust_judge.snapshot(record))
        except StationkeeperError as error:
            reason = _SHOWN_REASONS.get(error.reason, error.reason)
            raise _refused(
                "cups leads to this CUPS, which would refuse the certificate of cups.auth as"
                f" {reason}: {REASONS[reason].meaning}"
            ) from None


class _TrustJudge:
    """Judge by one trust document, and cache the judgements.

    Args:
        trust: the trust that is about to be published.
    """

    def __init__(self, trust: TrustDocument) -> None:
        self._document = trust
        self._known: dict[tuple[bytes, str, str], Judgement] = {}

    @cached_property
    def _trust(self) -> TrustGeneration:
        return TrustGeneration(self._document, 0, "")

    def judge(self, der: bytes, record: RegisteredGateway, now: datetime) -> Judgement:
        """Judge a certificate that is presented alone, by the TrustedCAs in the Gateway's scope."""
        key = (der, record.namespace, record.eui)
        known = self._known.get(key)
        if known is not None and known.is_valid_at(now):
            return known
        certificate = read_client_certificate((der,))
        scope = Scope(certificate.eui_or_none, (record.namespace,))
        found = judge(certificate, self._trust, scope, now)
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = found
        return found

    def snapshot(self, record: RegisteredGateway) -> Snapshot:
        """Return a snapshot of the trust with a registry of only that Gateway."""
        eui = parse_hex(record.eui)
        number = bucket_of(eui) if eui is not None else 0
        buckets = (
            RegistryBucket.of_document(RegistryDocument(bucket=number, gateways=(record,)), 0, "")
            if each == number
            else _EMPTY[each]
            for each in range(BUCKETS)
        )
        return Snapshot(self._trust, GatewayRegistry(tuple(buckets)))


_EMPTY: Mapping[int, RegistryBucket] = {
    number: RegistryBucket.of_document(RegistryDocument(bucket=number), 0, "") for number in range(BUCKETS)
}


@lru_cache(maxsize=1)
def _judge_of(trust: TrustDocument) -> _TrustJudge:
    return _TrustJudge(trust)


def _refused(detail: str) -> StationkeeperError:
    return StationkeeperError(Reason.WOULD_BE_REFUSED, detail)
