"""The shared facts for compiling Gateways: few objects, compiled again as a whole when one of them changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from stationkeeper_core.published.documents import Document, TrustDocument
from stationkeeper_operator.compiling.gateways.defaults_compiler import Defaults, compile_defaults
from stationkeeper_operator.compiling.resource_verdicts import BEING_DELETED, trusted_ca_verdict
from stationkeeper_operator.compiling.retention.still_trusted import still_trusted_by
from stationkeeper_operator.compiling.trust.authority_keys import AuthorityKeys, OwnersOfKeys, authority_keys
from stationkeeper_operator.compiling.trust.revocation_entries import Known
from stationkeeper_operator.compiling.trust.trust_compiler import CompiledTrust
from stationkeeper_operator.compiling.trust.trusted_ca_compiler import configured_anchors, deadlines
from stationkeeper_operator.compiling.trust.vouching import VouchingCAs
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import Key, TrustedCA


@dataclass(frozen=True)
class SharedFacts:
    """The compiled TrustedCAs and GatewayDefaults.

    Attributes:
        world: these resources, without those that are being deleted, and all references.
        trust: the trust that will be in force.
        before: the trust document in force; None if there is no readable one.
        keys: the keys of the TrustedCAs, which no gateway may get.
        defaults: the LNS of Gateways without one of their own.
        vouching_cas: the TrustedCAs that can vouch for Gateways.
        verdicts: on the TrustedCAs, and on resources that are being deleted.
    """

    world: World
    trust: CompiledTrust
    before: TrustDocument | None
    keys: AuthorityKeys
    defaults: Defaults
    vouching_cas: VouchingCAs
    verdicts: Mapping[Key, Verdict]

    @property
    def deadlines(self) -> Iterator[datetime]:
        """The times at which the trust changes only because time passes."""
        return (when for record in self.trust.records.values() for when in deadlines(record))


def compile_facts(  # noqa: PLR0913, PLR0917 - all that they depend on
    all_resources: World,
    trust: CompiledTrust,
    before: Document | None,
    owners: OwnersOfKeys,
    known: Known,
    now: datetime,
) -> SharedFacts:
    """Compile the shared facts.

    Args:
        all_resources: all resources, with those that are being deleted; Gateways do not count.
        trust: the trust that will be in force.
        before: the trust document in force.
        owners: the namespaces with gateways that have each key.
        known: the certificates that gateways used last.
        now: the time, aware.
    """
    world = all_resources.without_deleted()
    verdicts: dict[Key, Verdict] = {each.key: BEING_DELETED for each in all_resources.being_deleted}
    verdicts |= {
        each.key: trusted_ca_verdict(each, trust.records.get(each.key), known, world, now) for each in trust.candidates
    }
    verdicts |= dict(_still_trusted(all_resources, verdicts, trust.document))
    keys = authority_keys(all_resources, (trust.document, before), owners)
    return SharedFacts(
        world,
        trust,
        before if isinstance(before, TrustDocument) else None,
        keys,
        compile_defaults(world, now, keys),
        VouchingCAs(all_resources, verdicts, trust.records, now),
        verdicts,
    )


def _still_trusted(
    all_resources: World, verdicts: Mapping[Key, Verdict], trust: TrustDocument
) -> Iterator[tuple[Key, Verdict]]:
    """Yield the verdicts on suspended or deleted TrustedCAs, with the others that hold their certificates or keys."""
    world = all_resources.without_deleted()
    for key, verdict in verdicts.items():
        resource = all_resources.resources[key]
        if isinstance(resource, TrustedCA) and (resource.suspended or resource.metadata.being_deleted):
            anchors = configured_anchors(resource, world)
            others = still_trusted_by(anchors, resource.metadata.uid, trust, key.namespace)
            yield key, replace(verdict, still_trusted_by=others)
