from pathlib import Path

import pytest

from stationkeeper_tools.shipped_manifests import crd_files, load, rbac_files
from stationkeeper_tools.tool_errors import ToolError, ToolFault

RULES = {"operator-resources", "operator-release", "cups-release"}


def test_the_definitions_are_found() -> None:
    kinds = {document["spec"]["names"]["kind"] for path in crd_files() for document in load(path)}

    assert kinds == {"TrustedCA", "Gateway", "GatewayDefaults"}


def test_the_rights_are_found_as_lists_of_rules() -> None:
    rules = {path.stem: load(path) for path in rbac_files()}

    assert set(rules) >= RULES
    assert all(rule["verbs"] for documents in rules.values() for rule in documents[0])


def test_an_installed_package_has_them_next_to_its_modules(tmp_path: Path) -> None:
    packaged = tmp_path / "package" / "manifests" / "crds"
    packaged.mkdir(parents=True)
    (packaged / "b.yaml").write_text("{}")
    (packaged / "a.yaml").write_text("{}")

    assert crd_files(tmp_path / "package", tmp_path) == [packaged / "a.yaml", packaged / "b.yaml"]


def test_a_package_without_them_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="install stationkeeper again") as caught:
        crd_files(tmp_path, tmp_path)
    assert caught.value.fault is ToolFault.MANIFESTS_MISSING


def test_a_file_of_several_documents_is_loaded_without_the_empty_ones(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("---\na: 1\n---\n---\n- 2\n")

    assert load(file) == [{"a": 1}, [2]]
