"""A folder as a fleet, without a process that serves it: its resources, its edits, and its errors."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stationkeeper_tools.operating.fleet import Change, Edit, FleetError, FleetFault, ResourceName
from stationkeeper_tools.operating.folder_fleet import FolderFleet
from tests.tools.manifest_files import EUI, gateway, trusted_ca, write

ROOF = ResourceName("Gateway", "radio", "roof")
CELLAR = ResourceName("Gateway", "radio", "cellar")
SUSPEND = Edit(Change.SET, ("suspended",), value=True)
OTHER_EUI = "0123456789ABCDEE"


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    found = tmp_path / "manifests"
    found.mkdir()
    return found


@pytest.fixture
def fleet(manifests: Path, tmp_path: Path) -> FolderFleet:
    return FolderFleet(manifests, tmp_path / "state", "radio", None)


def fault(call: Callable[[], object]) -> tuple[FleetFault, str]:
    with pytest.raises(FleetError) as found:
        call()
    return found.value.fault, str(found.value)


def as_list(*objects: object) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}, indent=1)


def test_it_shows_the_resources_of_all_files_with_their_statuses(
    fleet: FolderFleet, manifests: Path, tmp_path: Path
) -> None:
    write(manifests / "a.yaml", trusted_ca(), gateway("roof"))
    (manifests / "b.json").write_text(as_list(gateway("cellar", OTHER_EUI)))
    (manifests / "c.yaml").write_text("kind: ConfigMap\n---\napiVersion: stationkeeper.io/v1alpha1\nkind: Gateway\n")
    (tmp_path / "state").mkdir()
    told = {"kind": "Gateway", "namespace": "radio", "name": "roof", "generation": 3, "status": {"observed": 1}}
    (tmp_path / "state/status.json").write_text(json.dumps({"resources": [told]}))

    found = {each.key: each for each in fleet.resources()}

    assert set(found) == {ROOF, CELLAR, ResourceName("TrustedCA", "radio", "vendor")}
    assert (found[ROOF].generation, found[ROOF].status) == (3, {"observed": 1})
    assert (found[CELLAR].generation, found[CELLAR].spec["eui"]) == (0, OTHER_EUI)
    assert found[CELLAR].location.startswith(f"{manifests / 'b.json'}:")


def test_one_namespace_may_be_in_view(manifests: Path, tmp_path: Path) -> None:
    write(manifests / "a.yaml", gateway("roof"), trusted_ca() | {"metadata": {"name": "vendor", "namespace": "other"}})
    assert [each.key for each in FolderFleet(manifests, tmp_path, "radio", "radio").resources()] == [ROOF]


def test_a_file_is_read_again_when_it_changes(fleet: FolderFleet, manifests: Path) -> None:
    write(manifests / "a.yaml", gateway("roof"))
    assert fleet.get(ROOF).spec["eui"] == EUI
    write(manifests / "a.yaml", gateway("roof", OTHER_EUI, suspended=False))
    assert fleet.get(ROOF).spec["eui"] == OTHER_EUI


def test_an_edit_keeps_the_file_s_mode_and_its_link(fleet: FolderFleet, manifests: Path, tmp_path: Path) -> None:
    real = write(tmp_path / "real.yaml", gateway("roof"))
    real.chmod(0o640)
    (manifests / "a.yaml").symlink_to(real)

    assert fleet.edit(ROOF, SUSPEND).spec["suspended"] is True

    assert (manifests / "a.yaml").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    before = real.stat().st_mtime_ns
    fleet.edit(ROOF, SUSPEND)
    assert real.stat().st_mtime_ns == before, "an edit that changes nothing writes nothing"


def test_a_resource_is_deleted_with_its_file_or_out_of_it(fleet: FolderFleet, manifests: Path) -> None:
    write(manifests / "a.yaml", trusted_ca(), gateway("roof"))
    write(manifests / "b.yaml", gateway("cellar", OTHER_EUI))

    fleet.delete(ROOF)
    fleet.delete(CELLAR)

    assert [each.key.kind for each in fleet.resources()] == ["TrustedCA"]
    assert not (manifests / "b.yaml").exists()


def test_what_cannot_be_edited_alone_is_left_to_a_person(fleet: FolderFleet, manifests: Path) -> None:
    (manifests / "a.yaml").write_text("{apiVersion: stationkeeper.io/v1alpha1, kind: Gateway, metadata: {name: roof}}")
    (manifests / "b.json").write_text(as_list(gateway("cellar", OTHER_EUI), trusted_ca()))

    assert fault(lambda: fleet.edit(ROOF, SUSPEND)) == (
        FleetFault.NOT_EDITABLE,
        f"{manifests / 'a.yaml'}:1: it has no spec; edit it by hand",
    )
    kind, detail = fault(lambda: fleet.delete(CELLAR))
    assert kind is FleetFault.NOT_EDITABLE
    assert detail.endswith("is an item of a List; delete it by hand")


def test_a_document_with_a_directive_before_it_is_left_to_a_person(fleet: FolderFleet, manifests: Path) -> None:
    file = manifests / "a.yaml"
    parts = [yaml.safe_dump(each) for each in (gateway("roof"), gateway("cellar", OTHER_EUI))]
    file.write_text("...\n%YAML 1.1\n---\n".join(parts))
    before = file.read_text()

    kind, detail = fault(lambda: fleet.delete(CELLAR))

    assert (kind, file.read_text()) == (FleetFault.NOT_EDITABLE, before)
    assert detail.endswith("; delete it by hand")


def test_a_resource_that_is_in_no_file_is_not_found(fleet: FolderFleet, manifests: Path) -> None:
    assert fault(lambda: fleet.get(ROOF)) == (FleetFault.NOT_FOUND, f"{manifests} holds no Gateway radio/roof")


def test_one_resource_in_two_files_is_ambiguous(fleet: FolderFleet, manifests: Path) -> None:
    write(manifests / "a.yaml", gateway("roof"))
    write(manifests / "b.yaml", gateway("roof", OTHER_EUI))
    kind, detail = fault(fleet.resources)
    assert kind is FleetFault.AMBIGUOUS
    assert f"Gateway radio/roof is at {manifests / 'a.yaml'}:1 too" in detail


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\xff"])
def test_a_file_that_cannot_be_read_hides_no_resource_silently(
    fleet: FolderFleet, manifests: Path, content: bytes
) -> None:
    write(manifests / "a.yaml", gateway("roof"))
    (manifests / "b.yaml").write_bytes(content)
    kind, detail = fault(fleet.resources)
    assert kind is FleetFault.UNREACHABLE
    assert detail.startswith(f"{manifests / 'b.yaml'}")


def test_what_is_no_file_hides_no_resource_silently(fleet: FolderFleet, manifests: Path) -> None:
    os.mkfifo(manifests / "b.yaml")
    kind, detail = fault(fleet.resources)
    assert kind is FleetFault.UNREACHABLE
    assert detail.startswith(f"{manifests / 'b.yaml'}: ")


@pytest.mark.parametrize("content", ["{", "[]", '{"resources": [{}]}', '{"resources": 1}'])
def test_statuses_that_cannot_be_read_are_said(
    fleet: FolderFleet, manifests: Path, tmp_path: Path, content: str
) -> None:
    write(manifests / "a.yaml", gateway("roof"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state/status.json").write_text(content)
    kind, detail = fault(fleet.resources)
    assert kind is FleetFault.UNREACHABLE
    assert "give the folder of `stationkeeper serve` by --state" in detail


def test_a_file_that_cannot_be_written_stays_as_it_was(fleet: FolderFleet, manifests: Path) -> None:
    file = write(manifests / "a.yaml", gateway("roof"))
    before = file.read_text()
    # The name of the new file is taken by a folder.
    (manifests / ".a.yaml.new").mkdir()
    kind, detail = fault(lambda: fleet.edit(ROOF, SUSPEND))
    assert (kind, file.read_text()) == (FleetFault.UNREACHABLE, before)
    assert detail.startswith(f"{file} cannot be written: ")
