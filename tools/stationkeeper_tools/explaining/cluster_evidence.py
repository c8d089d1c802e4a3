"""What a cluster knows of one gateway: the Secrets that CUPS loads, and the status of the Gateways with its EUI."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published import REGISTRY, TRUST, Document, bucket_of, decode, secret_name
from stationkeeper_tools.cluster_access import BOUNDED, NOT_FOUND, ClusterError, connect, list_gateways
from stationkeeper_tools.explaining.evidence import Evidence, GatewayRecord, snapshot_of


def evidence_of_cluster(
    eui: EUI64, kubeconfig: Path | None, context: str | None, release_namespace: str, namespace: str | None
) -> Evidence:
    """Return what a cluster knows of a gateway.

    Args:
        eui: of the gateway.
        kubeconfig: its file; None for the usual one.
        context: in it; None for the current one.
        release_namespace: where Stationkeeper is installed; its Secrets are read.
        namespace: where Gateways are looked for; None for all.

    Raises:
        ClusterError: it cannot be reached, refuses, or has nothing published.
    """
    api = connect(kubeconfig, context)
    try:
        listed = list_gateways(client.CustomObjectsApi(api), namespace)
        records = tuple(_record(each) for each in listed if (each.get("spec") or {}).get("eui") == format_hex(eui))
        core = client.CoreV1Api(api)
        names = (TRUST, REGISTRY[bucket_of(eui)])
        documents = {name: _document(core, name, release_namespace) for name in names}
        return Evidence(snapshot_of(documents), records)
    except ApiException as error:
        hint = "it takes the right to read Gateways, and Secrets of the release's namespace; or give --manifests"
        detail = f"the API server answers {error.status} ({error.reason}): {hint}"
        raise ClusterError(detail, is_refusal=True) from None
    except (HTTPError, OSError) as error:
        raise ClusterError(f"the API server is not reached: {error}", is_refusal=False) from None
    except StationkeeperError as error:
        detail = f"what is published cannot be read: {error}; is the operator of this version?"
        raise ClusterError(detail, is_refusal=True) from None


def _document(core: client.CoreV1Api, name: str, namespace: str) -> Document:
    missing = (
        f"the Secret {namespace}/{secret_name(name)} holds no document: is --release-namespace right, and does the"
        " operator run?"
    )
    try:
        secret = core.read_namespaced_secret(secret_name(name), namespace, **BOUNDED)
        value = base64.b64decode((secret.data or {})[name], validate=True)
    except (KeyError, binascii.Error):
        raise ClusterError(missing, is_refusal=True) from None
    except ApiException as error:
        if error.status == NOT_FOUND:
            raise ClusterError(missing, is_refusal=True) from None
        raise
    return decode(name, value).content


def _record(item: Mapping[str, Any]) -> GatewayRecord:
    status = item.get("status") or {}
    accepted: Mapping[str, Any] = next(
        (each for each in status.get("conditions", ()) if each.get("type") == "Accepted"), {}
    )
    return GatewayRecord(
        item["metadata"]["namespace"],
        item["metadata"]["name"],
        accepted["status"] == "True" if accepted else None,
        accepted.get("reason", ""),
        accepted.get("message", ""),
        status,
    )
