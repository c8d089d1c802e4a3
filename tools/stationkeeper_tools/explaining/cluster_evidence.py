"""Read what a cluster knows of one gateway: the Secrets that CUPS loads, and the Gateways with its EUI."""

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
from stationkeeper_core.published.documents import TRUST, Published, decode, secret_name
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, BUCKETS, layout_of
from stationkeeper_tools.cluster_access import BOUNDED, NOT_FOUND, ClusterError, connect, list_gateways
from stationkeeper_tools.explaining.evidence import Evidence, GatewayRecord, snapshot_of


def evidence_of_cluster(
    eui: EUI64, kubeconfig: Path | None, context: str | None, release_namespace: str, namespace: str | None
) -> Evidence:
    """Return the evidence on a gateway in a cluster.

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
        trust = _document(core, TRUST, release_namespace)
        if trust is None:
            raise _missing(TRUST, release_namespace)
        registry = _registry(core, eui, release_namespace)
        documents = {each.header.document: each.content for each in (trust, registry)}
        return Evidence(snapshot_of(documents), records)
    except ApiException as error:
        hint = "you need the right to read Gateways, and Secrets of the release's namespace; or give --manifests"
        detail = f"the API server answers {error.status} ({error.reason}): {hint}"
        raise ClusterError(detail, is_refusal=True) from None
    except (HTTPError, OSError) as error:
        raise ClusterError(f"the API server cannot be reached: {error}", is_refusal=False) from None
    except StationkeeperError as error:
        detail = f"the published Secrets cannot be read: {error}; use the version of this program that the operator has"
        raise ClusterError(detail, is_refusal=True) from None


def _registry(core: client.CoreV1Api, eui: EUI64, namespace: str) -> Published:
    """Return the document that the EUI belongs to; of two, while the number of documents changes, the newer one."""
    names = [layout_of(count).document_of(eui) for count in BUCKET_COUNTS]
    found = [each for name in names if (each := _document(core, name, namespace)) is not None]
    if not found:
        raise _missing(layout_of(BUCKETS).document_of(eui), namespace)
    return max(found, key=lambda each: each.header.generation)


def _document(core: client.CoreV1Api, name: str, namespace: str) -> Published | None:
    """Return the content of a document's Secret; None if there is none, or it is empty."""
    try:
        secret = core.read_namespaced_secret(secret_name(name), namespace, **BOUNDED)
        value = base64.b64decode((secret.data or {})[name], validate=True)
    except (KeyError, binascii.Error):
        return None
    except ApiException as error:
        if error.status == NOT_FOUND:
            return None
        raise
    return decode(name, value)


def _missing(name: str, namespace: str) -> ClusterError:
    detail = (
        f"the Secret {namespace}/{secret_name(name)} holds no document: is --release-namespace right, and does the"
        " operator run?"
    )
    return ClusterError(detail, is_refusal=True)


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
