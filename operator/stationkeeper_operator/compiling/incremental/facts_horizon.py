"""The times at which TrustedCAs and GatewayDefaults change only because time passes."""

from collections.abc import Iterator
from datetime import datetime

from stationkeeper_core.published.documents import Document, TrustDocument
from stationkeeper_operator.compiling.shared_facts import SharedFacts
from stationkeeper_operator.compiling.trust.revocation_lists import crl_start_times
from stationkeeper_operator.compiling.trust.trusted_ca_compiler import deadlines
from stationkeeper_operator.compiling.trust.validities import validities_of
from stationkeeper_operator.resources.records import GatewayDefaults, TrustedCA


def change_times(facts: SharedFacts, before: Document | None) -> Iterator[datetime]:
    """Yield the times at which the facts may change although no object changes.

    Args:
        facts: the last compiled facts.
        before: the trust document in force.
    """
    authorities = before.authorities if isinstance(before, TrustDocument) else ()
    records = [*authorities, *facts.trust.records.values()]
    for candidate in facts.trust.candidates:
        records += filter(None, (candidate.desired, candidate.fallback, candidate.minimal))
        # A CRL that is not valid yet makes its TrustedCA refused, so it is in no record.
        if candidate.refusal is not None and isinstance(candidate.resource, TrustedCA):
            yield from crl_start_times(candidate.resource, facts.world)
    for record in records:
        yield from deadlines(record)
    for resource in facts.world.resources.values():
        if isinstance(resource, TrustedCA | GatewayDefaults):
            # Only a record, above, depends on the start of a certificate.
            yield from (each.not_after for each in validities_of(resource, facts.world))
