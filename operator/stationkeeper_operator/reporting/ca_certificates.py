"""What a status says of gateways' certificates that are CAs, as `openssl req -x509 -CA` makes them by default. Pure.

Such a certificate is one more intermediate: its key can make a certificate for any other gateway of the CA, which comes
in where the intermediate is presented along.
"""

from collections.abc import Mapping

from stationkeeper_operator.resources.records import Gateway, Resource, TrustedCA

_DANGER = "(CA:TRUE), so that its key can make certificates for other gateways: issue it anew with CA:FALSE"
_SWITCH = "presentedIntermediates: Refuse"


def ca_certificate_note(resource: Resource, status: Mapping[str, object]) -> str:
    """Return the note for `Accepted`; empty where there is nothing to say.

    Args:
        resource: a Gateway, or a TrustedCA by which Gateways came in.
        status: what its status will show of visits.
    """
    if isinstance(resource, Gateway):
        shown = status.get("certificate")
        is_ca = isinstance(shown, dict) and shown.get("isCA") is True
        return f"the gateway came with a certificate that is a CA {_DANGER}" if is_ca else ""
    if not isinstance(resource, TrustedCA) or resource.spec is None:
        return ""
    seen = status.get("caCertificatesSeen")
    if not isinstance(seen, int) or seen <= 0 or resource.spec.presented_intermediates == "Refuse":
        return ""
    return f"{seen} gateways came with a certificate that is a CA {_DANGER}, and set {_SWITCH} until then"
