"""The manifest by which a gateway that is not registered could be. Pure."""

import re

from stationkeeper_operator.api.resource_paths import GROUP_VERSION
from stationkeeper_operator.resources.records import GATEWAY
from stationkeeper_tools.operating.fleet_status import Stranger
from stationkeeper_tools.registering.manifest_text import manifest_text

_EUI = re.compile(r"[0-9A-F]{16}")


def registration_manifest(stranger: Stranger) -> str:
    """Return a Gateway for a stranger, as YAML, in the namespace of the TrustedCA that vouches for it.

    It has no LNS: without one of its own a Gateway gets that of the GatewayDefaults.

    Args:
        stranger: whose EUI; where that is none, nothing can be registered, and the text is empty.
    """
    if not _EUI.fullmatch(stranger.eui):
        return ""
    namespace = stranger.trusted_ca.partition("/")[0]
    return manifest_text(
        {
            "apiVersion": GROUP_VERSION,
            "kind": GATEWAY,
            "metadata": {"name": f"gateway-{stranger.eui.lower()}", "namespace": namespace},
            "spec": {"eui": stranger.eui},
        }
    )
