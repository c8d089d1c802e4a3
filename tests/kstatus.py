"""The verdict of kstatus on an object, by which Flux and kpt wait: its rules for custom resources.

Source: sigs.k8s.io/cli-utils, pkg/kstatus/status: `Compute`, `checkGenericProperties`, `checkGeneration` (generic.go)
and `checkReadyCondition` (core.go), in the same order.
"""

from collections.abc import Mapping
from typing import Any

IN_PROGRESS, FAILED, CURRENT, TERMINATING = "InProgress", "Failed", "Current", "Terminating"


def kstatus(obj: Mapping[str, Any]) -> str:
    """Return the status of an object in the form of the API server."""
    metadata, status = obj["metadata"], obj.get("status", {})
    if metadata.get("deletionTimestamp"):
        return TERMINATING
    if "generation" in metadata and status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return IN_PROGRESS
    for condition in status.get("conditions", []):
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return IN_PROGRESS
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return FAILED
    ready = next((each["status"] for each in status.get("conditions", []) if each["type"] == "Ready"), None)
    return CURRENT if ready in {None, "True"} else IN_PROGRESS
