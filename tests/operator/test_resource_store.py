import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stationkeeper_operator.resources.records import (
    GATEWAY,
    GATEWAY_DEFAULTS,
    SECRET,
    TAKES_OVER,
    TRUSTED_CA,
    Key,
    Reference,
    ReferencedObject,
    Resource,
    decode_referenced,
    decode_resource,
)
from stationkeeper_operator.watching.reference_budget import ReferenceBudget
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_operator.watching.store_results import Change, ListInProgress

TOKEN = Reference(SECRET, "team", "token")


def gateway(version: int, name: str = "one", *, uid: str = "u1", uri: str = "wss://a:1", **spec: object) -> Resource:
    auth = {"token": {"secretKeyRef": {"name": "token", "key": "token"}}}
    return decode_resource(
        GATEWAY,
        {
            "metadata": {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version)},
            "spec": {"eui": "0000000000000001", "lns": {"uri": uri, "auth": auth}, **spec},
        },
    )


def secret(version: int, content: str = "dA==", *, labelled: bool = True) -> ReferencedObject:
    labels = {"stationkeeper.io/credentials": "true"} if labelled else {}
    metadata = {"name": "token", "namespace": "team", "resourceVersion": str(version), "labels": labels}
    return decode_referenced(SECRET, {"metadata": metadata, "data": {"token": content}})


def defaults(version: int) -> Resource:
    auth = {"tokenByEUI": {"secretRef": {"name": "token"}}}
    metadata = {"name": "default", "namespace": "team", "uid": "d1", "resourceVersion": str(version)}
    return decode_resource(
        GATEWAY_DEFAULTS, {"metadata": metadata, "spec": {"lns": {"uri": "wss://a:1", "auth": auth}}}
    )


def tokens(version: int, **data: str) -> ReferencedObject:
    metadata = {"name": "token", "namespace": "team", "resourceVersion": str(version)}
    return decode_referenced(SECRET, {"metadata": metadata, "data": data})


def leaving(resource: Resource) -> Resource:
    return replace(resource, metadata=replace(resource.metadata, deletion_timestamp="2026-01-01T00:00:00Z"))


def annotated(resource: Resource, name: str) -> Resource:
    metadata = resource.metadata
    raw = {
        "name": metadata.name,
        "namespace": metadata.namespace,
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "annotations": {name: "some-uid"},
    }
    decoded = decode_resource(GATEWAY, {"metadata": raw, "spec": {"eui": "0000000000000001"}})
    return replace(resource, metadata=decoded.metadata)


def read(store: ResourceStore, found: ReferencedObject | None) -> bool:
    return store.references.take_in_answer(TOKEN, store.references.reports_on(TOKEN), found)


def listed(store: ResourceStore, version: int, *resources: Resource, namespace: str | None = None) -> Change:
    listing = store.begin_list(GATEWAY, namespace)
    for resource in resources:
        listing.add(resource)
    return merge_list(store, listing, str(version))


def merge_list(store: ResourceStore, listing: ListInProgress, version: str) -> Change:
    """Take in a whole LIST; return the gravest of its changes."""
    return max(store.merge_steps(listing, version), key=lambda change: change.value, default=Change.NOTHING)


def names(store: ResourceStore) -> set[str]:
    return {key.name for key in store.snapshot().resources}


@pytest.fixture
def store() -> ResourceStore:
    return ResourceStore()


class TestEvents:
    def test_a_new_version_uses_the_equal_parts_of_the_one_before(self, store: ResourceStore) -> None:
        before, after = gateway(10), gateway(11, suspended=False)
        store.put(before)
        store.put(after)
        assert after.metadata.uid is before.metadata.uid
        assert after.key is before.key
        assert after.spec != before.spec
        again = gateway(12, suspended=False)
        store.put(again)
        assert again.spec is after.spec
        assert store.get(again.key) is again
        assert again.metadata.resource_version == "12"

    def test_the_newer_version_wins_whatever_the_order(self, store: ResourceStore) -> None:
        store.put(gateway(10, uri="wss://new:1"))
        assert store.put(gateway(9, uri="wss://old:1")) is Change.NOTHING
        assert store.get(Key(GATEWAY, "team", "one")) == gateway(10, uri="wss://new:1")

    def test_versions_are_compared_as_numbers(self, store: ResourceStore) -> None:
        store.put(gateway(9))
        assert store.put(gateway(10, uri="wss://new:1")) is Change.SPEC

    def test_a_change_of_the_status_alone_is_distinguished(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        assert store.put(gateway(2)) is Change.STATUS

    def test_a_recreation_is_a_change_although_the_spec_is_the_same(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        assert store.put(gateway(2, uid="u2")) is Change.REDUCTION

    def test_a_deletion_that_a_finalizer_delays_is_a_reduction(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        assert store.put(leaving(gateway(2))) is Change.REDUCTION
        assert store.put(leaving(gateway(3))) is Change.STATUS

    def test_a_hand_over_is_a_change_and_another_annotation_is_not(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        assert store.put(annotated(gateway(2), "another")) is Change.STATUS
        assert store.put(annotated(gateway(3), TAKES_OVER)) is Change.SPEC

    def test_a_secret_that_is_being_deleted_is_another_one(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        read(store, secret(5))
        held = secret(6)
        assert read(store, replace(held, metadata=replace(held.metadata, deletion_timestamp="2026-01-01")))

    def test_deletion_and_suspension_are_reductions(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        assert store.put(gateway(2, suspended=True)) is Change.REDUCTION
        assert store.remove(gateway(3)) is Change.REDUCTION

    def test_a_late_event_does_not_bring_back_what_was_deleted(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        store.remove(gateway(5))
        assert store.put(gateway(4)) is Change.NOTHING
        assert names(store) == set()

    def test_a_late_deletion_does_not_remove_what_was_created_again(self, store: ResourceStore) -> None:
        store.put(gateway(7, uid="u2"))
        assert store.remove(gateway(5)) is Change.NOTHING
        assert names(store) == {"one"}


class TestLists:
    def test_a_resource_missing_from_a_list_is_removed(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        assert listed(store, 5) is Change.REDUCTION
        assert names(store) == set()

    def test_a_resource_newer_than_the_list_stays(self, store: ResourceStore) -> None:
        store.put(gateway(6))
        assert listed(store, 5) is Change.NOTHING
        assert names(store) == {"one"}

    def test_a_deletion_while_the_list_ran_stays_one(self, store: ResourceStore) -> None:
        listing = store.begin_list(GATEWAY, None)
        listing.add(gateway(3))
        store.remove(gateway(6))
        merge_list(store, listing, "5")
        assert names(store) == set()

    def test_an_unmerged_list_changes_nothing(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        store.begin_list(GATEWAY, None).add(gateway(2, "two"))
        assert names(store) == {"one"}

    def test_a_late_event_does_not_bring_back_what_the_list_lacked(self, store: ResourceStore) -> None:
        listed(store, 5)
        assert store.put(gateway(4)) is Change.NOTHING
        assert store.put(gateway(6)) is Change.SPEC

    def test_a_list_of_one_namespace_says_nothing_about_another(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        listed(store, 5, namespace="other")
        assert names(store) == {"one"}

    def test_a_cluster_restored_from_a_backup_is_accepted(self, store: ResourceStore) -> None:
        listed(store, 50, gateway(40), gateway(41, "two"))
        assert listed(store, 20, gateway(10, uri="wss://old:1")) is Change.REDUCTION
        assert store.get(Key(GATEWAY, "team", "one")) == gateway(10, uri="wss://old:1")
        assert names(store) == {"one"}
        assert store.put(gateway(21, "three")) is Change.SPEC

    @given(st.permutations(range(6)), st.integers(0, 5))
    def test_a_list_in_between_and_any_order_of_events_end_in_the_truth(self, order: list[int], at: int) -> None:
        # The history: created at 1, changed at 2, deleted at 3, created again at 4, changed at 5, deleted at 6.
        history = [gateway(version, uid="u1" if version < 4 else "u2") for version in range(1, 7)]
        deletions, truth = {3, 6}, {1: 1, 2: 2, 4: 4, 5: 5}
        store = ResourceStore()
        for step, index in enumerate(order):
            if step == at:
                version = at + 1
                listed(store, version, *([history[version - 1]] if version in truth else []))
            event = history[index]
            if index + 1 in deletions:
                store.remove(event)
            else:
                store.put(event)
        assert names(store) == set()


class TestReferences:
    def test_a_named_object_is_unresolved_until_it_is_known(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        assert store.references.unresolved == {TOKEN}
        assert store.snapshot().undecided == {Key(GATEWAY, "team", "one")}
        assert store.references.take_in_answer(TOKEN, store.references.reports_on(TOKEN), secret(1))
        assert store.references.unresolved == frozenset()
        assert store.snapshot().referenced == {TOKEN: secret(1)}

    def test_a_missing_object_is_decided(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        store.references.take_in_answer(TOKEN, store.references.reports_on(TOKEN), None)
        assert store.snapshot().undecided == frozenset()
        assert store.references.unwatched == {TOKEN}

    def test_an_unnamed_object_is_not_kept(self, store: ResourceStore) -> None:
        assert not read(store, secret(1))
        store.put(gateway(1))
        read(store, secret(1))
        store.remove(gateway(2))
        assert store.snapshot().referenced == {}
        assert store.references.named == frozenset()

    def test_an_object_is_kept_as_long_as_one_resource_names_it(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        store.put(gateway(2, "two"))
        read(store, secret(1))
        store.remove(gateway(3))
        assert store.snapshot().referenced == {TOKEN: secret(1)}

    def test_an_answer_older_than_an_event_is_ignored(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        reports = store.references.reports_on(TOKEN)
        assert store.references.note_change(TOKEN, "7", deleted=False)
        read(store, secret(7))
        assert not store.references.take_in_answer(TOKEN, reports, None)
        assert not store.references.take_in_answer(TOKEN, reports, secret(6))
        assert store.snapshot().referenced == {TOKEN: secret(7)}

    def test_an_unresolved_object_is_read_again_and_used_until_then(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        read(store, secret(1))
        store.references.mark_unresolved(TOKEN)
        assert store.references.unresolved == {TOKEN}
        assert store.snapshot().referenced == {TOKEN: secret(1)}
        assert store.snapshot().undecided == frozenset()

    def test_references_that_decide_acceptance_are_distinguished(self, store: ResourceStore) -> None:
        source = {"secretKeyRef": {"name": "token", "key": "token"}}
        store.put(gateway(1, "one"))
        assert not store.references.admits(TOKEN)
        store.put(gateway(2, "two", client={"tokens": [source]}))
        assert store.references.admits(TOKEN)
        store.put(gateway(3, "two"))
        assert not store.references.admits(TOKEN)
        for version, spec in enumerate(({"revocation": {"crlFrom": source}}, {"certificatesFrom": source}), 4):
            metadata = {"name": "ca", "namespace": "team", "uid": "u", "resourceVersion": str(version)}
            store.put(decode_resource(TRUSTED_CA, {"metadata": metadata, "spec": spec}))
            assert store.references.admits(TOKEN)

    def test_only_a_change_of_content_or_labels_matters(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        read(store, secret(1))
        assert not read(store, secret(2))
        assert read(store, secret(3, labelled=False))
        assert read(store, secret(4, "eA=="))

    def test_a_missing_object_is_looked_for_again_when_another_resource_names_it(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        store.references.take_in_answer(TOKEN, store.references.reports_on(TOKEN), None)
        store.put(gateway(2, "two"))
        assert store.references.unresolved == {TOKEN}

    def test_only_named_objects_in_a_new_version_are_read(self, store: ResourceStore) -> None:
        assert not store.references.note_change(TOKEN, "1", deleted=False)
        store.put(gateway(1))
        assert store.references.note_change(TOKEN, "1", deleted=False)
        read(store, secret(1))
        assert not store.references.note_change(TOKEN, "1", deleted=False)
        assert store.references.note_change(TOKEN, "2", deleted=False)
        assert store.references.note_change(TOKEN, "1", deleted=True)

    def test_only_the_keys_and_labels_are_kept_that_are_used(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        labels = {"stationkeeper.io/credentials": "true", "app": "x" * 1000}
        metadata = {"name": "token", "namespace": "team", "resourceVersion": "1", "labels": labels}
        data = {"token": "dA==", "other": "eA=="}
        assert read(store, decode_referenced(SECRET, {"metadata": metadata, "data": data}))
        kept = store.snapshot().referenced[TOKEN]
        assert (kept.data, kept.metadata.labels) == ({"token": b"t"}, {"stationkeeper.io/credentials": "true"})

    def test_every_key_of_a_secret_with_tokens_by_eui_is_kept_and_each_change_matters(
        self, store: ResourceStore
    ) -> None:
        store.put(gateway(1))
        assert read(store, tokens(1, token="dA==", other="eA=="))
        store.put(defaults(2))
        assert store.references.unresolved == {TOKEN}
        assert store.snapshot().undecided == {Key(GATEWAY_DEFAULTS, "team", "default")}
        assert read(store, tokens(1, token="dA==", other="eA=="))
        assert store.snapshot().undecided == frozenset()
        assert store.snapshot().referenced[TOKEN].data == {"token": b"t", "other": b"x"}
        assert not read(store, tokens(2, token="dA==", other="eA=="))
        assert read(store, tokens(3, token="dA==", other="dA=="))
        assert read(store, tokens(4, token="dA==", other="dA==", third="dA=="))
        assert read(store, tokens(5, token="dA=="))
        store.remove(defaults(6))
        read(store, tokens(7, token="dA==", other="eA=="))
        assert store.snapshot().referenced[TOKEN].data == {"token": b"t"}

    def test_tokens_by_eui_count_whole_in_the_budget_of_their_namespace(self) -> None:
        store = ResourceStore(ReferenceBudget(objects=10, size=5))
        store.put(defaults(1))
        read(store, tokens(1, one="aaaa", two="aaaa"))
        kept = store.snapshot().referenced[TOKEN]
        assert (kept.data, bool(kept.problem)) == ({}, True)
        assert read(store, tokens(2, one="aaaa"))
        assert store.snapshot().referenced[TOKEN].problem == ""

    def test_a_key_that_is_named_later_is_read_and_undecided_until_then(self, store: ResourceStore) -> None:
        store.put(gateway(1))
        read(store, secret(1))
        auth = {"token": {"secretKeyRef": {"name": "token", "key": "other"}}}
        spec = {"eui": "0000000000000002", "lns": {"uri": "wss://a:1", "auth": auth}}
        metadata = {"name": "two", "namespace": "team", "uid": "two", "resourceVersion": "2"}
        store.put(decode_resource(GATEWAY, {"metadata": metadata, "spec": spec}))
        assert store.references.unresolved == {TOKEN}
        assert store.snapshot().undecided == {Key(GATEWAY, "team", "two")}
        assert read(store, secret(1))
        assert store.snapshot().undecided == frozenset()

    def test_an_object_over_the_budget_is_left_out_until_there_is_space(self) -> None:
        store = ResourceStore(ReferenceBudget(objects=10, size=5))
        references = {name: Reference(SECRET, "team", name) for name in ("a", "b", "c")}
        for version, name in enumerate(references, 1):
            auth = {"token": {"secretKeyRef": {"name": name, "key": "token"}}}
            spec = {"eui": f"000000000000000{version}", "lns": {"uri": "wss://a:1", "auth": auth}}
            metadata = {"name": name, "namespace": "team", "uid": name, "resourceVersion": str(version)}
            store.put(decode_resource(GATEWAY, {"metadata": metadata, "spec": spec}))
        for name, content in (("a", "aaa="), ("b", "aaaaaaaa"), ("c", "aaa=")):
            found = decode_referenced(SECRET, {"metadata": {"resourceVersion": "1"}, "data": {"token": content}})
            store.references.take_in_answer(references[name], 0, found)
        known = store.snapshot().referenced
        assert [bool(known[each].problem) for each in references.values()] == [False, True, False]
        assert known[references["b"]].data == {}
        assert store.references.unresolved == frozenset()

        gone = {"name": "a", "namespace": "team", "uid": "a", "resourceVersion": "9"}
        store.remove(decode_resource(GATEWAY, {"metadata": gone}))
        assert store.references.unresolved == {references["b"]}


class TestAListThatIsTakenInStepByStep:
    def test_reports_between_the_steps_count_if_they_are_newer(self, store: ResourceStore) -> None:
        store.put(gateway(1, "gone"))
        listing = store.begin_list(GATEWAY, None)
        for name in ("first", "second", "third"):
            listing.add(gateway(2, name))

        steps = store.merge_steps(listing, "10")
        next(steps)
        assert store.put(gateway(5, "deleted-before-the-list")) is Change.NOTHING
        assert store.put(gateway(11, "created-after-the-list")) is Change.SPEC
        assert store.remove(gateway(12, "second")) is Change.NOTHING
        store.put(gateway(13, "third", uri="wss://new:1"))
        list(steps)

        assert names(store) == {"first", "third", "created-after-the-list"}
        assert store.get(Key(GATEWAY, "team", "third")) == gateway(13, "third", uri="wss://new:1")

    def test_listed_items_of_a_known_version_are_kept(self, store: ResourceStore) -> None:
        store.put(gateway(3))
        listing = store.begin_list(GATEWAY, None)
        assert listing.is_known(Key(GATEWAY, "team", "one"), "3")
        assert not listing.is_known(Key(GATEWAY, "team", "one"), "4")
        listing.add_known([Key(GATEWAY, "team", "one")])
        assert merge_list(store, listing, "10") is Change.NOTHING
        assert names(store) == {"one"}
