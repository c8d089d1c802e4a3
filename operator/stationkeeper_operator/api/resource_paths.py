"""The paths of the kinds that the operator uses."""

from stationkeeper_operator.api.kubernetes_api import path_of
from stationkeeper_operator.resources.records import CONFIG_MAP, GATEWAY, GATEWAY_DEFAULTS, SECRET, TRUSTED_CA

GROUP = "stationkeeper.io"
VERSION = "v1alpha1"
GROUP_VERSION = f"{GROUP}/{VERSION}"
RESOURCES = {TRUSTED_CA: "trustedcas", GATEWAY: "gateways", GATEWAY_DEFAULTS: "gatewaydefaults"}
NO_OBJECT = "metadata.namespace=default,metadata.name=-"
"""A field selector that matches no object, since a name has at least one letter or digit.

With a namespace in it, the API server looks up one object; otherwise it would compare each one of the collection.
"""
REFERENCED = {SECRET: "secrets", CONFIG_MAP: "configmaps"}


def resource_path(kind: str, namespace: str | None, name: str = "", subresource: str = "") -> str:
    """Return the path of a TrustedCA, Gateway or GatewayDefaults, or of their collection."""
    return path_of(GROUP_VERSION, namespace, RESOURCES[kind], name, subresource)


def referenced_path(kind: str, namespace: str | None, name: str = "") -> str:
    """Return the path of a Secret or ConfigMap, or of their collection."""
    return path_of("v1", namespace, REFERENCED[kind], name)
