"""When time alone changes something about TrustedCAs and GatewayDefaults."""

from collections.abc import Iterator
from datetime import datetime

from stationkeeper_core.published.documents import Document, TrustDocument
from stationkeeper_operator.compiling.shared_facts import SharedFacts
from stationkeeper_operator.compiling.trust.revocation_lists import beginnings
from stationkeeper_operator.compiling.trust.trusted_ca_compiler import deadlines
from stationkeeper_operator.compiling.trust.validities import validities_of
from stationkeeper_operator.resources.records import GatewayDefaults, TrustedCA


def moments(facts: SharedFacts, before: Document | None) -> Iterator[datetime]:
    """The times that anything is compared with: at all others, the same facts are compiled of the same objects.

    Args:
        facts: as they were compiled last.
        before: the trust document in force.
    """
    held = before.authorities if isinstance(before, TrustDocument) else ()
    records = [*held, *facts.trust.records.values()]
    for candidate in facts.trust.candidates:
        records += filter(None, (candidate.desired, candidate.fallback, candidate.minimal))
        # A CRL that is not valid yet refuses its TrustedCA, and so is in no record.
        if candidate.refusal is not None and isinstance(candidate.resource, TrustedCA):
            yield from beginnings(candidate.resource, facts.world)
    for record in records:
        yield from deadlines(record)
    for resource in facts.world.resources.values():
        if isinstance(resource, TrustedCA | GatewayDefaults):
            for each in validities_of(resource, facts.world):
                yield each.not_after
                if each.not_before is not None:
                    yield each.not_before
