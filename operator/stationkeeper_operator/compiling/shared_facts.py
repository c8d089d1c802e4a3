"""What all Gateways are compiled in: few objects, compiled whole whenever one of them changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from stationkeeper_core.published.documents import Document, TrustDocument
from stationkeeper_operator.compiling.gateways.defaults_compiler import Defaults, compile_defaults
from stationkeeper_operator.compiling.resource_verdicts import LEAVING, trusted_ca_verdict
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
    """The TrustedCAs and GatewayDefaults, compiled.

    Attributes:
        world: they, without those that are being deleted, and what resources refer to.
        trust: what is to be trusted.
        before: the trust document in force, None where there is none that can be read.
        keys: of the TrustedCAs, which no gateway is given.
        defaults: the LNS of Gateways that have none of their own.
        vouching_cas: tell who could let a Gateway in.
        verdicts: on the TrustedCAs, and on what is being deleted.
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
        """When time alone changes something about what is to be trusted."""
        return (when for record in self.trust.records.values() for when in deadlines(record))


def compile_facts(  # noqa: PLR0913, PLR0917 - all that they depend on
    everything: World,
    trust: CompiledTrust,
    before: Document | None,
    owners: OwnersOfKeys,
    known: Known,
    now: datetime,
) -> SharedFacts:
    """Return what all Gateways are compiled in.

    Args:
        everything: all resources, those that are being deleted among them; Gateways do not count.
        trust: what is to be trusted.
        before: the trust document in force.
        owners: the namespaces whose gateways have each key.
        known: the certificates that gateways came with last.
        now: aware.
    """
    world = everything.without_deleted()
    verdicts: dict[Key, Verdict] = {each.key: LEAVING for each in everything.being_deleted}
    verdicts |= {
        each.key: trusted_ca_verdict(each, trust.records.get(each.key), known, world, now) for each in trust.candidates
    }
    verdicts |= dict(_still_trusted(everything, verdicts, trust.document))
    keys = authority_keys(everything, (trust.document, before), owners)
    return SharedFacts(
        world,
        trust,
        before if isinstance(before, TrustDocument) else None,
        keys,
        compile_defaults(world, now, keys),
        VouchingCAs(everything, verdicts, trust.records, now),
        verdicts,
    )


def _still_trusted(
    everything: World, verdicts: Mapping[Key, Verdict], trust: TrustDocument
) -> Iterator[tuple[Key, Verdict]]:
    """The verdicts on TrustedCAs that are suspended or being deleted, with who else holds what they would."""
    world = everything.without_deleted()
    for key, verdict in verdicts.items():
        resource = everything.resources[key]
        if isinstance(resource, TrustedCA) and (resource.suspended or resource.metadata.being_deleted):
            anchors = configured_anchors(resource, world)
            others = still_trusted_by(anchors, resource.metadata.uid, trust, key.namespace)
            yield key, replace(verdict, still_trusted_by=others)
