"""The objects that a new spec names: their watch may be later than the watch of the spec."""

from stationkeeper_operator.resources.records import TRUSTED_CA, Resource, decode_resource
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.test_resource_store import TOKEN, gateway, read, secret


def ca(version: int, generation: int, *, suspended: bool = False, status: str = "") -> Resource:
    metadata = {"name": "ca", "namespace": "team", "uid": "u9", "resourceVersion": str(version)}
    source = {"secretKeyRef": {"name": "token", "key": "token"}}
    conditions = [{"type": "Accepted", "status": "True", "reason": status}] if status else []
    return decode_resource(
        TRUSTED_CA,
        {
            "metadata": {**metadata, "generation": generation},
            "spec": {"certificatesFrom": source, "suspended": suspended},
            "status": {"conditions": conditions},
        },
    )


def test_a_new_spec_of_a_trusted_ca_is_undecided_until_what_it_names_is_read_again() -> None:
    store = ResourceStore()
    store.put(gateway(1))
    read(store, secret(2))
    for resource in (ca(3, generation=1), ca(4, generation=2)):
        store.put(resource)
        found = store.snapshot()
        assert resource.key in found.undecided, "the Secret may have changed just before"
        assert found.referenced == {TOKEN: secret(2)}, "what is known stays in force"
        assert store.references.unresolved == {TOKEN}
        read(store, secret(2))
        assert store.snapshot().undecided == frozenset()
    for resource in (ca(5, generation=2, status="Accepted"), ca(6, generation=3, suspended=True)):
        store.put(resource)
        assert store.references.unresolved == frozenset(), "a reduction waits for nothing"
        assert store.snapshot().undecided == frozenset()
