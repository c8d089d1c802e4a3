"""The exact cost of the search for a path, in units."""

from stationkeeper_core.trust.budget import ASKED_UNITS, PATH_UNITS
from stationkeeper_core.trust.examination import Examination
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.path_search import PathSearch
from stationkeeper_core.x509.certificate import parse_certificate
from tests.core.certificates import NOW, ca, leaf
from tests.core.states import authority, gateway, presented, snapshot

LOOKED_AT = 2
"""The certificates that the names make possible issuers: the intermediate, and the anchor."""


def test_a_path_costs_the_signatures_of_all_its_issuers_and_is_left_out_where_they_do_not_fit() -> None:
    root = ca("Root")
    issuing, twin = ca("Issuing", root), ca("Root", key=root.key)
    both = [authority(anchor, name, intermediates=(issuing.der,)) for anchor, name in ((root, "a"), (twin, "b"))]
    trust = snapshot(both, [gateway()]).trust
    certificate = presented(leaf(issuing))

    def asked(units: int) -> tuple[int, bool]:
        examination = Examination(certificate, trust, NOW)
        search = PathSearch(examination, units)
        paths = search.ask(trust.named_in("radio", examination.names), list)
        return len(paths), search.is_spent

    signatures = sum(PathCertificate(parse_certificate(each.der)).verification_units for each in (issuing, root))
    enough = 2 * (ASKED_UNITS + LOOKED_AT + PATH_UNITS + signatures)
    assert asked(enough) == (2, False)
    assert asked(enough - 1) == (1, True)
