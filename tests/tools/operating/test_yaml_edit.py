"""Edits of texts: only the intended part changes, and no other byte."""

import json
from typing import Any

import pytest
import yaml

from stationkeeper_tools.operating.fleet import Change, Edit, edited, is_entry
from stationkeeper_tools.operating.yaml_edit import NotEditableError, cut_document, edit_text

SUSPEND = Edit(Change.SET, ("suspended",), value=True)
RESUME = Edit(Change.SET, ("suspended",), value=False)
ADD = Edit(Change.ADD, ("revocation", "sha256Fingerprints"), "ab" * 32)
REMOVE = Edit(Change.REMOVE, ("revocation", "sha256Fingerprints"), "ab" * 32)

GATEWAY = """\
# The roof.
apiVersion: stationkeeper.io/v1alpha1
kind: Gateway
metadata: {name: roof}   # a name
spec:
  # its EUI, as it stands on the label
  eui: "0123456789ABCDEF"
"""
CA = """\
kind: TrustedCA
spec:
    certificates: |   # a root
      -----BEGIN CERTIFICATE-----
      AAAA
      -----END CERTIFICATE-----
"""


def removed_lines(before: str, after: str) -> list[str]:
    return [line for line in before.splitlines() if line not in after.splitlines()]


TEXTS = {
    "block": (GATEWAY, SUSPEND),
    "block, there already": (GATEWAY + "  suspended: false  # since May\n", SUSPEND),
    "without a value": (GATEWAY + "  suspended:\n", SUSPEND),
    "flow": ('kind: Gateway\nspec: {eui: "0123456789ABCDEF"}  # short\n', SUSPEND),
    "JSON": ('{"kind": "Gateway", "spec": {"eui": "0123456789ABCDEF"}}', SUSPEND),
    "resume": (GATEWAY + "  suspended: true  # stolen\n", RESUME),
    "no revocation": (CA, ADD),
    "empty revocation": (CA + "    revocation: {}\n", ADD),
    "revocation without a value": (CA + "    revocation:\n", ADD),
    "other list": (CA + '    revocation:\n      serials: ["01"]  # lost\n', ADD),
    "block list": (CA + f"    revocation:\n      sha256Fingerprints:\n        - {'cd' * 32}  # lost\n", ADD),
    "block list at the key": (CA + f"    revocation:\n      sha256Fingerprints:\n      - {'cd' * 32}\n", ADD),
    "flow list": (CA + f"    revocation: {{sha256Fingerprints: [{'cd' * 32}]}}  # lost\n", ADD),
    "empty list": (CA + "    revocation: {sha256Fingerprints: []}\n", ADD),
    "JSON with a list": (json.dumps({"spec": {"revocation": {"sha256Fingerprints": ["cd" * 32]}}}, indent=1), ADD),
    "CRLF": (GATEWAY.replace("\n", "\r\n"), SUSPEND),
    "no end of the last line": (GATEWAY.rstrip("\n"), SUSPEND),
    "not ASCII": (GATEWAY.replace("The roof", "Das Dach, übermorgen 🏠"), SUSPEND),
}


@pytest.mark.parametrize(("text", "edit"), TEXTS.values(), ids=TEXTS)
def test_an_edit_changes_what_is_meant_and_leaves_the_rest(text: str, edit: Edit) -> None:
    before = yaml.safe_load(text)

    after = edit_text(text, 0, (), edit)

    assert yaml.safe_load(after) == {**before, "spec": edited(before["spec"], edit)}
    assert after != text
    assert [line for line in text.splitlines() if "#" in line and line not in after] == [
        line for line in removed_lines(text, after) if "#" in line
    ]
    assert len(removed_lines(text, after)) <= 1
    assert edit_text(after, 0, (), edit) == after


REMOVED = {
    "alone": (CA + f"    revocation:\n      sha256Fingerprints:\n        - {'ab' * 32}\n", CA),
    "one of a block": (
        CA + f"    revocation:\n      sha256Fingerprints:\n        - {'cd' * 32}  # lost\n        - {'ab' * 32}\n",
        CA + f"    revocation:\n      sha256Fingerprints:\n        - {'cd' * 32}  # lost\n",
    ),
    "beside serials": (
        CA + f'    revocation:\n      serials: ["01"]\n      sha256Fingerprints: [{"ab" * 32}]\n',
        CA + '    revocation:\n      serials: ["01"]\n',
    ),
    "first of a flow": (f"spec: {{revocation: {{sha256Fingerprints: [{'ab' * 32}, x]}}}}\n", None),
    "last of a flow": (f"spec: {{revocation: {{sha256Fingerprints: [x, {'ab' * 32}]}}}}\n", None),
    "last field of a flow": (f"spec: {{a: 1, revocation: {{sha256Fingerprints: [{'ab' * 32}]}}}}\n", "spec: {a: 1}\n"),
    "first field of a flow": (f"spec: {{revocation: {{sha256Fingerprints: [{'ab' * 32}]}}, a: 1}}\n", "spec: {a: 1}\n"),
}


@pytest.mark.parametrize(("text", "expected"), REMOVED.values(), ids=REMOVED)
def test_an_entry_is_removed_and_no_other(text: str, expected: str | None) -> None:
    before = yaml.safe_load(text)

    after = edit_text(text, 0, (), REMOVE)

    assert yaml.safe_load(after) == {**before, "spec": edited(before["spec"], REMOVE)}
    assert expected is None or after == expected


def test_an_entry_is_known_however_it_is_written() -> None:
    written = "SHA256 Fingerprint=" + ":".join(["AB"] * 32)
    text = CA + f'    revocation: {{sha256Fingerprints: ["{written}"]}}\n'

    assert edit_text(text, 0, (), ADD) == text
    assert edit_text(text, 0, (), REMOVE) == CA
    assert is_entry("serial=0x01AB", "1ab")
    assert not is_entry("dec:10", "10")


def test_an_undone_addition_leaves_no_trace() -> None:
    assert edit_text(edit_text(CA, 0, (), ADD), 0, (), REMOVE) == CA


def test_the_other_documents_and_items_stay() -> None:
    text = f"{CA}---\n{GATEWAY}---\nkind: GatewayList\nitems:\n  - spec: {{eui: a}}\n  - spec: {{eui: b}}\n"
    documents = list(yaml.safe_load_all(text))

    second = list(yaml.safe_load_all(edit_text(text, 1, (), SUSPEND)))
    item = list(yaml.safe_load_all(edit_text(text, 2, ("items", 1), SUSPEND)))

    assert second == [documents[0], {**documents[1], "spec": {**documents[1]["spec"], "suspended": True}}, documents[2]]
    assert item[2]["items"] == [{"spec": {"eui": "a"}}, {"spec": {"eui": "b", "suspended": True}}]


@pytest.mark.parametrize(
    "text",
    ["a: &x {eui: b}\nspec: *x\n", "spec: [a]\n", "kind: Gateway\n", "spec: {<<: {revocation: {}}}\n"],
    ids=["an alias", "a list", "no spec", "a merge"],
)
def test_what_cannot_be_edited_safely_is_refused(text: str) -> None:
    try:
        after = edit_text(text, 0, (), ADD)
    except NotEditableError:
        return
    before: dict[str, Any] = yaml.safe_load(text)
    assert yaml.safe_load(after)["spec"] == edited(before["spec"], ADD)
    assert {**yaml.safe_load(after), "spec": 0} == {**before, "spec": 0}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_document_is_cut_out_of_a_file(number: int) -> None:
    text = f"# all\n{CA}---\n{GATEWAY}---\nkind: Gateway\n"
    documents = list(yaml.safe_load_all(text))

    after = list(yaml.safe_load_all(cut_document(text, number)))

    assert [each for each in after if each] == [each for place, each in enumerate(documents) if place != number]
