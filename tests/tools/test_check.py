"""`stationkeeper check`: the findings in manifests, their places, and the reports."""

import io
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from stationkeeper_tools.checking.resource_schema import definition
from stationkeeper_tools.sample_pki import make_root
from tests.tools.command_line import Done, stationkeeper
from tests.tools.manifest_files import (
    ACCEPTED_BY_THE_SCHEMA,
    EUI,
    LNS_URI,
    REFUSED_BY_THE_SCHEMA,
    defaults,
    gateway,
    pem,
    resource,
    root,
    token_secret,
    trusted_ca,
    with_lns,
    write,
)


def checked(path: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    done = stationkeeper("check", str(path), "--output", "json", *options)
    return done.returncode, done.json["findings"]


def found(tmp_path: Path, *objects: Any) -> list[tuple[str, str]]:
    _, findings = checked(write(tmp_path / "all.yaml", *objects))
    return [(each["severity"], each["reason"]) for each in findings]


@pytest.mark.parametrize("name", REFUSED_BY_THE_SCHEMA)
def test_what_the_schema_refuses_is_an_error(tmp_path: Path, name: str) -> None:
    status, findings = checked(write(tmp_path / "all.yaml", REFUSED_BY_THE_SCHEMA[name]))

    assert status == 1
    assert {each["severity"] for each in findings} == {"error"}
    words = {"InvalidField", "UnknownField", "UnknownVersion", "InvalidMetadata"}
    assert {each["reason"] for each in findings} <= words


@pytest.mark.parametrize("name", ACCEPTED_BY_THE_SCHEMA)
def test_a_valid_manifest_has_no_finding_of_the_schema(tmp_path: Path, name: str) -> None:
    reasons = {reason for _, reason in found(tmp_path, ACCEPTED_BY_THE_SCHEMA[name])}

    assert reasons <= {"LNSMissing", "Suspended", "Note"}


def rules(schema: Any) -> Iterator[dict[str, str]]:
    yield from schema.get("x-kubernetes-validations", [])
    for child in schema.get("properties", {}).values():
        yield from rules(child)
    if "items" in schema:
        yield from rules(schema["items"])


@pytest.mark.slow
def test_each_rule_of_the_definitions_is_broken_by_an_example(tmp_path: Path) -> None:
    told = []
    for number, each in enumerate(REFUSED_BY_THE_SCHEMA.values()):
        told += [finding["message"] for finding in checked(write(tmp_path / f"{number}.yaml", each))[1]]
    all_rules = [rule for kind in ("TrustedCA", "Gateway", "GatewayDefaults") for rule in rules(definition(kind))]
    judged = [rule for rule in all_rules if "oldSelf" not in rule["rule"]]

    assert len(judged) > 10
    beginnings = {rule["rule"]: rule["message"].split(";")[0][:40] for rule in judged}
    assert [rule for rule, begin in beginnings.items() if not any(begin in text for text in told)] == []


def test_a_whole_release_without_a_fault_has_no_finding(tmp_path: Path) -> None:
    lns = {"uri": LNS_URI, "trust": pem(), "auth": {"token": {"secretKeyRef": {"name": "lns", "key": "token"}}}}
    objects = [trusted_ca(), resource("Gateway", "gateway-1", {"eui": EUI, "lns": lns}), token_secret("lns")]

    done = stationkeeper("check", str(write(tmp_path / "all.yaml", *objects)))

    assert (done.returncode, done.stdout) == (0, "2 resources: 0 errors, 0 warnings\n")


@pytest.mark.parametrize(
    ("objects", "finding"),
    [
        ([trusted_ca(), gateway(), gateway("gateway-2")], ("error", "EUIConflict")),
        ([resource("Gateway", "gateway-1", {"eui": EUI})], ("error", "LNSMissing")),
        ([with_lns(uri=LNS_URI)], ("error", "TrustMissing")),
        ([with_lns(uri=LNS_URI, trust=pem("a") + pem("b"))], ("error", "TrustAmbiguous")),
        ([with_lns(uri=LNS_URI, trust="text")], ("error", "NoCertificate")),
        ([trusted_ca(euiRanges=["01/40"])], ("error", "EUIRangeInvalid")),
        ([trusted_ca(certificates=root("x").key_pem.decode())], ("error", "PrivateKeyInTrustedCA")),
        ([gateway(), gateway()], ("error", "DuplicateObject")),
        ([gateway(suspended=True)], ("warning", "Suspended")),
        (
            [with_lns(uri=LNS_URI, trustFrom={"configMapKeyRef": {"name": "outside", "key": "ca.crt"}})],
            ("warning", "ReferenceNotFound"),
        ),
    ],
)
def test_the_operators_verdict_is_reported(tmp_path: Path, objects: list[Any], finding: tuple[str, str]) -> None:
    assert found(tmp_path, *objects) == [finding]


def test_a_missing_reference_next_to_another_fault_is_an_error(tmp_path: Path) -> None:
    client = {"tokens": [{"secretKeyRef": {"name": "outside", "key": "token"}}]}

    assert found(tmp_path, gateway(client=client, cups={"uri": "https://a:1", "trust": "text"}))[0][0] == "error"


def test_a_gateway_gets_its_lns_from_the_defaults_of_its_namespace(tmp_path: Path) -> None:
    assert found(tmp_path, trusted_ca(), defaults(), resource("Gateway", "gateway-1", {"eui": EUI})) == []


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path: Path) -> None:
    old = make_root("Old", datetime.now(UTC) - timedelta(days=195), days=200).certificate_pem.decode()

    assert ("warning", "ExpiresWithin7Days") in found(tmp_path, trusted_ca(certificates=old))


def test_with_strict_warnings_count(tmp_path: Path) -> None:
    path = write(tmp_path / "all.yaml", gateway(suspended=True))

    assert (checked(path)[0], checked(path, "--strict")[0]) == (0, 1)


def test_each_finding_has_the_line_of_its_field(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(
        "# a comment\n"
        "apiVersion: stationkeeper.io/v1alpha1\n"
        "kind: Gateway\n"
        "metadata: {name: a, namespace: radio}\n"
        "spec:\n"
        '  eui: "0123456789abcdef"\n'
        "  lns:\n"
        "    uri: wss://lns\n"
        "    extra: 1\n"
        "---\n"
        "apiVersion: stationkeeper.io/v1alpha1\n"
        "kind: TrustedCA\n"
        "metadata: {name: b, namespace: radio}\n"
        "spec:\n"
        "  certificates: |\n"
        "    -----BEGIN CERTIFICATE-----\n"
        "    junk\n"
    )

    _, findings = checked(path)

    assert [(each["line"], each["object"]) for each in findings] == [
        (6, "Gateway radio/a"),
        (8, "Gateway radio/a"),
        (9, "Gateway radio/a"),
        (16, "TrustedCA radio/b"),
    ]


def test_no_finding_repeats_a_private_key(tmp_path: Path) -> None:
    key = root("secret").key_pem.decode()
    objects = [trusted_ca(certificates=key), gateway(eui=key), resource("Gateway", "c", {"eui": EUI, "suspended": key})]

    done = stationkeeper("check", str(write(tmp_path / "all.yaml", *objects)))

    assert done.returncode == 1
    assert not any(line in done.stdout for line in key.splitlines()[1:-1])


def test_an_eui_that_some_readers_take_for_a_number_has_to_be_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "all.yaml", gateway(eui="0123456789012348"))
    path.write_text(path.read_text().replace("'0123456789012348'", "0123456789012348"))

    assert [each["reason"] for each in checked(path)[1]] == ["InvalidField"]
    assert "in quotes" in checked(path)[1][0]["message"]


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("a: [1\nb: 2\n", "MalformedYAML", 2),
        ("a: 1\nb: 2\na: 3\n", "DuplicateKey", 3),
        ("a: &a [*a]\n", "MalformedYAML", 1),
        ("a: !!python/object:os.system x\n", "MalformedYAML", 1),
        ("[" * 5000, "MalformedYAML", 1),
        ("- " * 5000 + "x\n", "MalformedYAML", 1),
        ("a: \x01\n", "MalformedYAML", 1),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            + "".join(f"{y}: &{y} [{','.join([f'*{x}'] * 10)}]\n" for x, y in zip("bcdefg", "cdefgh", strict=True)),
            "MalformedYAML",
            7,
        ),
    ],
)
def test_unusable_yaml_is_refused_with_its_line(tmp_path: Path, text: str, reason: str, line: int) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(text)

    (finding,) = checked(path)[1]

    assert (finding["reason"], finding["line"]) == (reason, line)


def test_a_list_is_read_item_by_item(tmp_path: Path) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [gateway(), gateway("gateway-2")]}

    assert found(tmp_path, listed) == [("error", "EUIConflict")]


def test_folders_are_searched_and_other_objects_left_alone(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / ".git").mkdir()
    write(tmp_path / "below" / "a.yml", trusted_ca(), {"apiVersion": "apps/v1", "kind": "Deployment"})
    (tmp_path / "b.json").write_text(json.dumps(gateway()))
    (tmp_path / ".git" / "c.yaml").write_text("a: [")

    shown = stationkeeper("check", str(tmp_path)).stdout

    assert shown == "2 resources: 0 errors, 0 warnings; 1 objects of other kinds are not checked\n"


def test_a_path_without_a_resource_is_a_wrong_use(tmp_path: Path) -> None:
    done = stationkeeper("check", str(tmp_path))

    assert done.returncode == 2
    assert "check the path" in done.stderr


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = yaml.safe_dump(gateway(eui="0123456789abcdef"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    done = stationkeeper("check", "-")

    assert done.returncode == 1
    assert done.stdout.startswith("<stdin>:7: error InvalidField")


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    other = gateway("gateway-2", eui="0000000000000ABC", lns={"uri": "wss://lns"})
    return Path(os.path.relpath(write(tmp_path / "a b,c.yaml", gateway(suspended=True), other)))


def test_github_gets_annotations(faulty: Path) -> None:
    done: Done = stationkeeper("check", str(faulty), "--output", "github")

    warning, error = done.stdout.splitlines()
    assert warning.startswith("::warning file=a b%2Cc.yaml,line=")
    assert ",title=Suspended::Gateway radio/gateway-1: " in warning
    assert error.startswith("::error file=a b%2Cc.yaml,line=")
    assert ",title=InvalidField::Gateway radio/gateway-2: spec.lns.uri: " in error


def test_code_scanning_gets_sarif(faulty: Path) -> None:
    sarif = stationkeeper("check", str(faulty), "--output", "sarif").json

    (run,) = sarif["runs"]
    rules_told = {each["id"] for each in run["tool"]["driver"]["rules"]}
    assert sarif["version"] == "2.1.0"
    assert {each["ruleId"] for each in run["results"]} == rules_told
    for each in run["results"]:
        (location,) = each["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "a%20b%2Cc.yaml"
        assert location["physicalLocation"]["region"]["startLine"] >= 1
        assert each["level"] in {"error", "warning"}
        assert each["message"]["text"]
