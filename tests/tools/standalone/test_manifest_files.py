from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml

from stationkeeper_tools.checking.findings import Finding
from stationkeeper_tools.checking.manifests import Manifest
from stationkeeper_tools.checking.resource_schema import schema_findings
from stationkeeper_tools.standalone import manifest_files
from stationkeeper_tools.standalone.manifest_files import ManifestFile, ObjectKey, chosen, marked_as_kept, read_file
from tests.tools.manifest_files import REFUSED_BY_THE_SCHEMA, gateway, token_secret, trusted_ca

OTHER = "0123456789ABCDEE"


def text(*objects: Any) -> bytes:
    return yaml.safe_dump_all(objects, sort_keys=False).encode()


def read(content: bytes, before: ManifestFile | None = None) -> tuple[ManifestFile, list[str]]:
    found, findings = read_file("all.yaml", content, "radio", before)
    return found, [each.reason for each in findings]


def names(file: ManifestFile) -> dict[str, bool]:
    return {each.name: each.is_kept for each in file.objects}


BEFORE, _ = read(text(trusted_ca(), gateway("roof"), gateway("cellar", OTHER)))


def test_valid_objects_count_and_missing_ones_are_removed() -> None:
    found, reasons = read(text(trusted_ca(), gateway("roof")), BEFORE)

    assert (names(found), reasons) == ({"vendor": False, "roof": False}, [])


def test_an_unchanged_file_is_not_read_again() -> None:
    assert read(text(trusted_ca(), gateway("roof"), gateway("cellar", OTHER)), BEFORE)[0] is BEFORE


def test_only_the_changed_objects_of_a_file_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []

    def judge(manifest: Manifest) -> Iterator[Finding]:
        judged.append(manifest.name)
        return schema_findings(manifest)

    monkeypatch.setattr(manifest_files, "schema_findings", judge)

    found, _ = read(text(trusted_ca(), gateway("roof", suspended=True), gateway("cellar", OTHER)), BEFORE)

    assert judged == ["roof"]
    assert names(found).keys() == {"vendor", "roof", "cellar"}


@pytest.mark.parametrize("name", REFUSED_BY_THE_SCHEMA)
def test_an_invalid_object_leaves_everything_in_force(name: str) -> None:
    found, reasons = read(text(trusted_ca("other"), REFUSED_BY_THE_SCHEMA[name]), BEFORE)

    assert reasons
    assert names(found) == {"other": False, "vendor": True, "roof": True, "cellar": True}
    assert found.sha256 == "", "it is read again after a restart"


@pytest.mark.parametrize(
    "content",
    [b"kind: [", b"\xff\xfe", b"\x00", b"a: 1\na: 2\n", b"[" * 100, b" \n"],
    ids=["cut", "UTF-16", "zero", "doubled key", "deep", "blank"],
)
def test_a_file_that_cannot_be_read_keeps_all(content: bytes) -> None:
    found, reasons = read(content, BEFORE)

    assert reasons
    assert names(found) == {"vendor": True, "roof": True, "cellar": True}


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\nb", "a\u202eb", "a" * 254, "a" * 100_000])
def test_an_impossible_name_is_ignored_and_reported_briefly(name: str) -> None:
    unknown = {f"field{number}": 1 for number in range(100)}
    found, findings = read_file("all.yaml", text(trusted_ca(), gateway(name, **unknown)), "radio", BEFORE)

    assert names(found) == {"vendor": False, "roof": True, "cellar": True}
    assert findings
    assert all(len(each.subject) < 300 and each.subject.isprintable() for each in findings)


ODD = {
    "a number without end": gateway("roof", eui=10**40),
    "a number that is none": gateway("roof", eui=float("nan")),
    "bytes": gateway("roof", eui=b"x"),
    "a set": gateway("roof", eui={"x"}),
    "a date": "spec: {eui: 2026-01-01}",
    "a key that is not a text": gateway("roof", **{"client": {1: 2}}),
    "a name that is no text": {**gateway("roof"), "metadata": {"name": 1}},
    "labels that are no texts": {**gateway("roof"), "metadata": {"name": "roof", "labels": {1: [2]}}},
    "no mapping": [gateway("roof")],
    "metadata that is a list": {**gateway("roof"), "metadata": ["x"]},
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_any_file_gives_objects_that_can_be_stored(value: Any) -> None:
    found, _ = read(text(trusted_ca(), value, gateway("cellar", OTHER)), BEFORE)

    assert msgspec.json.decode(msgspec.json.encode(found), type=ManifestFile) == found
    assert names(found).keys() >= {"vendor", "cellar"}


def test_a_comment_alone_says_that_there_is_nothing() -> None:
    assert read(b"# nothing any more\n", BEFORE) == (read(b"# nothing any more\n")[0], [])
    assert read(b"# nothing any more\n", BEFORE)[0].objects == ()


@pytest.mark.parametrize(
    "change",
    [{"stringData": {"token": 1}}, {"data": ["x"]}, {"metadata": {"name": "lns", "labels": {"a": True}}}],
    ids=["a number", "a list", "a label that is no text"],
)
def test_a_secret_that_the_api_server_would_refuse_is_kept(change: dict[str, Any]) -> None:
    before, _ = read(text(token_secret("lns")))

    found, reasons = read(text({**token_secret("lns"), **change}), before)

    assert (len(reasons), names(found)) == (1, {"lns": True})
    assert found.objects[0].content == before.objects[0].content


def test_fields_that_only_an_api_server_writes_are_ignored() -> None:
    written = gateway(
        "roof",
    )
    written["metadata"] |= {"uid": "u", "resourceVersion": "5", "deletionTimestamp": "2026-01-01T00:00:00Z"}

    found, reasons = read(text({**written, "status": {"lastSeen": "x"}}))

    assert reasons == []
    assert found.objects[0].content["metadata"] == {"name": "roof", "namespace": "radio"}
    assert "status" not in found.objects[0].content


def test_an_object_in_two_files_stays_that_of_the_file_that_had_it() -> None:
    first, second = read(text(gateway("roof")))[0], read(text(gateway("roof", OTHER)))[0]
    key = ObjectKey("Gateway", "radio", "roof")

    new, findings = chosen({"a.yaml": second, "b.yaml": first}, {key: "b.yaml"})
    assert new[key][0] == "b.yaml"
    assert [(each.file, each.reason) for each in findings] == [("a.yaml", "DuplicateObject")]

    moved, findings = chosen({"a.yaml": second, "b.yaml": marked_as_kept(first)}, {key: "b.yaml"})
    assert (moved[key][0], findings) == ("a.yaml", ())
