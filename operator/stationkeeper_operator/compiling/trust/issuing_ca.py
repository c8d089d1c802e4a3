"""Recognise a spec that names the root in a Secret instead of the CA that signs.

cert-manager writes a CA into `tls.crt` and its issuer's certificate into `ca.crt`; for an intermediate, that is the
root. A gateway sends only its own certificate, so the root without the intermediate can vouch for no gateway.
"""

from collections.abc import Collection

from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_operator.compiling.candidate import Problems
from stationkeeper_operator.compiling.certificate_rules import read_content, show
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.named_references import OWN_CERTIFICATE, own_certificate
from stationkeeper_operator.resources.specs import KeySource, TrustedCASpec


def issuing_ca_note(spec: TrustedCASpec, namespace: str, world: World, known: Collection[Certificate]) -> str:
    """Return a note on a CA in `tls.crt` next to a named `ca.crt`; empty if there is none.

    Args:
        spec: of the TrustedCA.
        namespace: of the TrustedCA.
        world: holds its references.
        known: the anchors and intermediates of the spec.
    """
    for field, source in (
        ("certificatesFrom", spec.certificates_from),
        ("intermediatesFrom", spec.intermediates_from),
    ):
        found = _ca_beside(source, namespace, world)
        if found is not None and found not in known:
            return (
                f"{field} names ca.crt, which holds the issuer of the CA {show([found])} in {OWN_CERTIFICATE} of the "
                f"same Secret: name {OWN_CERTIFICATE} in certificatesFrom or intermediatesFrom, if that CA signs the "
                "gateways' certificates"
            )
    return ""


def _ca_beside(source: KeySource | None, namespace: str, world: World) -> Certificate | None:
    beside = own_certificate(source)
    if beside is None:
        return None
    found = Problems().attempt(lambda: read_content(world.read(namespace, beside, ""), ""))
    return found[0] if found and found[0].is_authority else None
