"""The manifest that registers an unregistered gateway. Pure."""

import re

from stationkeeper_operator.api.resource_paths import GROUP_VERSION
from stationkeeper_operator.resources.records import GATEWAY
from stationkeeper_tools.operating.fleet_status import UnregisteredGateway
from stationkeeper_tools.registering.manifest_text import manifest_text

_EUI = re.compile(r"[0-9A-F]{16}")


def registration_manifest(gateway: UnregisteredGateway) -> str:
    """Return a Gateway for an unregistered gateway, as YAML, in the namespace of the TrustedCA that vouches for it.

    It has no LNS, so the Gateway gets the one of the GatewayDefaults.

    Args:
        gateway: the unregistered gateway. If its EUI is invalid, it cannot be registered, and the text is empty.
    """
    if not _EUI.fullmatch(gateway.eui):
        return ""
    namespace = gateway.trusted_ca.partition("/")[0]
    return manifest_text(
        {
            "apiVersion": GROUP_VERSION,
            "kind": GATEWAY,
            "metadata": {"name": f"gateway-{gateway.eui.lower()}", "namespace": namespace},
            "spec": {"eui": gateway.eui},
        }
    )
