"""The note on gateway certificates that are CAs, as `openssl req -x509 -CA` makes them by default. Pure.

Such a certificate works as an intermediate: its key can issue a certificate for any other gateway of the CA, and that
certificate is accepted together with the intermediate.
"""

from collections.abc import Mapping

from stationkeeper_operator.resources.records import Gateway, Resource, TrustedCA

_DANGER = "(CA:TRUE), so its key can issue certificates for other gateways: issue it again with CA:FALSE"
_SWITCH = "presentedIntermediates: Refuse"


def ca_certificate_note(resource: Resource, status: Mapping[str, object]) -> str:
    """Return the note for the condition `Accepted`; empty if there is none.

    Args:
        resource: a Gateway, or a TrustedCA that vouched for Gateways.
        status: the status fields about visits.
    """
    if isinstance(resource, Gateway):
        shown = status.get("certificate")
        is_ca = isinstance(shown, dict) and shown.get("isCA") is True
        return f"the gateway presented a certificate that is a CA {_DANGER}" if is_ca else ""
    if not isinstance(resource, TrustedCA) or resource.spec is None:
        return ""
    seen = status.get("caCertificatesSeen")
    if not isinstance(seen, int) or seen <= 0 or resource.spec.presented_intermediates == "Refuse":
        return ""
    return f"{seen} gateways presented a certificate that is a CA {_DANGER}, and set {_SWITCH} until then"
