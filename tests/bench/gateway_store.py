"""Write many Gateways into etcd in the form of the API server, a hundred in each transaction.

Through the API, a hundred thousand Gateways take an hour on a busy machine, and that is not what is measured.
"""

import base64
import json
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from stationkeeper_operator.api.resource_paths import resource_path
from stationkeeper_operator.resources.records import GATEWAY
from stationkeeper_tools.local_cluster.loopback_client import LoopbackClient

_PREFIX = "/registry/stationkeeper.io/gateways"
_IN_ONE = 100
_AT_ONCE = 4


@dataclass(frozen=True)
class Member:
    """A Gateway: its namespace, name and EUI."""

    namespace: str
    name: str
    eui: str

    @property
    def path(self) -> str:
        return resource_path(GATEWAY, self.namespace, self.name)


def lay(etcd: LoopbackClient, model: Member, members: Sequence[Member]) -> None:
    """Write `members` into etcd in the form of `model`, which the API server created."""
    found = _post(etcd, "range", {"key": _encoded(_key(model))})
    stored = json.loads(base64.b64decode(found["kvs"][0]["value"]))
    batches = [members[first : first + _IN_ONE] for first in range(0, len(members), _IN_ONE)]

    def lay_one(batch: Sequence[Member]) -> None:
        puts = [{"requestPut": {"key": _encoded(_key(each)), "value": _encoded(_like(stored, each))}} for each in batch]
        _post(etcd, "txn", {"success": puts})

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lay_one, batches))


def _like(stored: dict[str, Any], member: Member) -> str:
    metadata = {**stored["metadata"], "name": member.name, "namespace": member.namespace, "uid": str(uuid.uuid4())}
    return json.dumps({**stored, "metadata": metadata, "spec": {**stored["spec"], "eui": member.eui}})


def _post(etcd: LoopbackClient, what: str, body: object) -> dict[str, Any]:
    status, answer = etcd.post(f"/v3/kv/{what}", body)
    if status != HTTPStatus.OK:
        raise RuntimeError(f"etcd answers {status}: {answer}")
    return dict(answer)


def _key(member: Member) -> str:
    return f"{_PREFIX}/{member.namespace}/{member.name}"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
