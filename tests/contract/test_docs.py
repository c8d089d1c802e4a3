"""The pages say the same as the code: metrics, conditions, reasons, events, examples, links."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from stationkeeper_core.errors import Reason
from stationkeeper_core.policy.token_authorization import MAX_TOKENS, MIN_SECRET_BYTES
from stationkeeper_core.protocol.credentials import MAX_TOKEN_BYTES
from stationkeeper_core.protocol.private_key import MAX_KEY_TEXT_BYTES
from stationkeeper_core.protocol.update_info import MAX_BODY_BYTES, MAX_CREDENTIALS_BYTES, MAX_URI_BYTES
from stationkeeper_core.published.documents import CONTRACT, MAX_AUTHORITIES, MAX_SECRET_BYTES
from stationkeeper_core.published.observation import MAX_PAGE, MAX_TEXT, DeliveryState
from stationkeeper_core.published.registry_layout import BUCKETS
from stationkeeper_core.x509.certificate import MAX_CERTIFICATE_BYTES
from stationkeeper_core.x509.client_certificate import MAX_PRESENTED
from stationkeeper_core.x509.crl import MAX_CRL_BYTES, MAX_CRLS
from stationkeeper_core.x509.der import element
from stationkeeper_core.x509.expiry import Stage
from stationkeeper_core.x509.pem import MAX_CERTIFICATES, MAX_PEM_BYTES
from stationkeeper_cups.in_force.waiting_notice import FIRST_SECONDS
from stationkeeper_cups.observations import MAX_REGISTERED, MAX_UNREGISTERED
from stationkeeper_operator.compiling.verdict import Use
from stationkeeper_operator.reporting.conditions import NO_OTHER_TRUSTED_CA, PUBLISHED, READY
from stationkeeper_operator.reporting.expiry import EXPIRING
from stationkeeper_operator.resources.fact import ENFORCED, STILL_TRUSTED_BY
from stationkeeper_operator.resources.records import GATEWAY, GATEWAY_DEFAULTS, TRUSTED_CA, decode_resource
from tests.bench.operator import BUCKETS_FOR_MORE, FEW_GATEWAYS

ROOT = Path()
OPERATOR = ROOT / "operator/stationkeeper_operator"
TELLING = ("reporting", "observing", "rollout")
FACTS = ast.parse((OPERATOR / "resources/fact.py").read_text())
CUPS = ROOT / "cups/stationkeeper_cups"
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}

SAID = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "crds/*", "helm/**/*.*", "tools/**/*.py", "operator/**/*.py", "cups/**/*.py")
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix != ".pyc"
)
SHORT_OF_A_GROUP = {
    *("gateway", "gateways", "gtw", "trustedca", "trustedcas", "tca", "gatewaydefaults", "gtwd"),
}

KUBECTL = re.compile(
    r"^[ $]*kubectl((?:\\\n|[^\n`|])+)|\bkubectl((?:\\\n|[^\n`|]|(?<![.:])\n(?=[a-z]))*)", re.MULTILINE
)
HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?\n.*?\n\s*\1\n", re.DOTALL)
CAMEL_CASE = re.compile(r"[A-Z][A-Za-z0-9]+")
EVENT_METHODS = {"warning": 1, "normal": 1, "assure": 2}


@cache
def trees(folder: Path) -> tuple[ast.Module, ...]:
    return tuple(ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py")))


@cache
def calls(folder: Path) -> tuple[ast.Call, ...]:
    return tuple(node for tree in trees(folder) for node in ast.walk(tree) if isinstance(node, ast.Call))


def rows_of(*pages: str) -> str:
    return "\n".join(line for page in pages for line in PAGES[page].splitlines() if line.startswith("|"))


def rows_below(heading: str) -> str:
    section = PAGES["operation.md"].partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return "\n".join(line for line in section.splitlines() if line.startswith("|"))


def words() -> dict[str, str]:
    """Return the words in the public constants of modules about resources, by the constants' names."""
    return {
        target.id: node.value.value
        for tree in (FACTS, *(tree for room in TELLING for tree in trees(OPERATOR / room)))
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name) and not target.id.startswith("_") and CAMEL_CASE.fullmatch(node.value.value)
    }


@cache
def told_reasons() -> tuple[tuple[str, ast.expr], ...]:
    """Return the reasons of all events and conditions in the code, and whether each is of an event or a condition."""
    return tuple(_told_reasons())


def _told_reasons() -> Iterator[tuple[str, ast.expr]]:
    """Yield the reasons of all events and conditions in the code, and whether each is of an event or a condition."""
    for call in calls(OPERATOR):
        if isinstance(call.func, ast.Name) and call.func.id == "Fact" and len(call.args) > 1:
            yield "condition", call.args[1]
        elif isinstance(call.func, ast.Name) and call.func.id == "RemovalEvent":
            yield "event", call.args[2]
        elif isinstance(call.func, ast.Attribute) and call.func.attr == "_tell" and len(call.args) > 1:
            yield "event", call.args[1]
        elif (
            isinstance(call.func, ast.Attribute)
            and ast.unparse(call.func.value).endswith("_events")
            and call.func.attr in EVENT_METHODS
        ):
            yield "event", call.args[EVENT_METHODS[call.func.attr]]


def kubectl_commands(text: str) -> Iterator[list[str]]:
    """Return the words after each `kubectl`: to the end of the line for a command, else to the end of the code span.

    A here-document is not part of a command.
    """
    for found in KUBECTL.finditer(HERE_DOCUMENT.sub("\n\n", text)):
        yield re.split(r"[\s,]+", found[1] or found[2])


def ambiguous(text: str) -> list[str]:
    """Return the resources that kubectl commands name without their group."""
    return [
        word
        for command in kubectl_commands(text)
        for word in command
        if re.split(r"[/.](?!stationkeeper\.io)", word)[0].lower() in SHORT_OF_A_GROUP
    ]


def missing(wanted: set[str], text: str) -> list[str]:
    return sorted(each for each in wanted if f"`{each}`" not in text)


def test_each_use_of_a_certificate_that_a_metric_counts_is_explained() -> None:
    assert missing({each.value for each in Use}, PAGES["metrics.md"]) == []


def test_each_condition_and_reason_of_the_operator_stands_in_a_table() -> None:
    found = set(words().values())
    assert {PUBLISHED, ENFORCED, READY, STILL_TRUSTED_BY, EXPIRING, NO_OTHER_TRUSTED_CA} <= found
    wanted = found | {each.value for each in (*Stage, *DeliveryState)}
    assert missing(wanted, rows_of("resources.md", "operation.md")) == []


def test_each_reason_of_a_refusal_stands_in_a_table() -> None:
    assert missing({each.value for each in Reason}, rows_of("reasons.md")) == []


def test_each_event_is_explained_with_what_to_do() -> None:
    constants = words()
    told = {ast.unparse(each) for kind, each in told_reasons() if kind == "event"}
    named = {constants[each] for each in told & constants.keys()}
    assert {ENFORCED, STILL_TRUSTED_BY} <= named
    others = {Reason.CRL_EXPIRED.value, DeliveryState.NOT_CONVERGING.value, *(each.value for each in Stage)}
    assert missing(named | others, rows_below("## Events")) == []


def test_each_reason_of_an_event_or_condition_is_a_constant() -> None:
    told = list(told_reasons())
    assert {kind for kind, _ in told} == {"condition", "event"}
    assert [ast.unparse(each) for _, each in told if isinstance(each, ast.Constant)] == []


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, page in PAGES.items():
        for block in re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
            for document in yaml.load_all(block, yaml.CSafeLoader):
                if document and document.get("apiVersion", "").startswith("stationkeeper.io/"):
                    yield f"{name}: {document['kind']} {document['metadata']['name']}", document


EXAMPLES = dict(examples())


def unknown_fields(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in value.items():
            if name not in schema.get("properties", {}):
                yield f"{path}.{name}"
            else:
                yield from unknown_fields(child, schema["properties"][name], f"{path}.{name}")
    elif isinstance(value, list):
        for child in value:
            yield from unknown_fields(child, schema["items"], path)


@cache
def spec_schema(kind: str) -> dict[str, Any]:
    crds = (yaml.load(path.read_text(), yaml.CSafeLoader) for path in (ROOT / "crds").glob("*.yaml"))
    crd = next(each for each in crds if each["spec"]["names"]["kind"] == kind)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert isinstance(schema, dict)
    return schema


def test_there_is_an_example_of_each_kind() -> None:
    assert {each["kind"] for each in EXAMPLES.values()} == {TRUSTED_CA, GATEWAY, GATEWAY_DEFAULTS}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_of_the_schema_and_can_be_decoded(name: str) -> None:
    document = EXAMPLES[name]
    assert list(unknown_fields(document["spec"], spec_schema(document["kind"]), "spec")) == []
    assert decode_resource(document["kind"], document).problem == ""


def anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_a_link_within_the_documentation_leads_somewhere(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]+))?\)", PAGES[name].replace("\n", " ")):
        path = folder / target if target else None
        page = PAGES[name] if path is None else path.read_text() if path.is_file() else ""
        if not page or (anchor and anchor not in anchors(page)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


def test_each_variable_that_a_page_names_is_read_somewhere() -> None:
    named = {each for page in PAGES.values() for each in re.findall(r"STATIONKEEPER_[A-Z_]+", page)}
    read = "".join((folder / "settings.py").read_text() for folder in (CUPS, OPERATOR))
    assert [each for each in sorted(named) if f'"{each}"' not in read] == []


@pytest.mark.parametrize("path", SAID, ids=str)
def test_each_kubectl_command_names_resources_with_their_group(path: Path) -> None:
    assert ambiguous(path.read_text()) == []


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get gateways",
        "kubectl -n radio get trustedcas.stationkeeper.io,gateways",
        "kubectl wait gateway/roof --for=condition=Ready",
        "kubectl explain gateway.spec",
        "kubectl -n radio delete \\\n  Gateway roof",
        "see `kubectl describe\ntrustedca vendor-a`",
        "kubectl apply -f - <<EOF\nkind: Gateway\nEOF\nkubectl get gateway",
    ],
)
def test_a_resource_without_its_group_is_found(command: str) -> None:
    assert len(ambiguous(command)) == 1


KIB, MIB = 1024, 1024 * 1024
NUMBERS = {
    "operation.md": (
        f"| body | {MAX_BODY_BYTES // KIB} KiB, ",
        f"| certificates besides the client's own that are looked at | {MAX_PRESENTED} |",
        f"| PEM text | {MAX_PEM_BYTES // KIB} KiB, {MAX_CERTIFICATES} certificates of at most "
        f"{MAX_CERTIFICATE_BYTES // KIB} KiB;",
        f"| CRLs of a TrustedCA | {MAX_CRL_BYTES // MIB} MiB (inline {MAX_PEM_BYTES // KIB} KiB), {MAX_CRLS} CRLs: ",
        f"| tokens of a gateway | {MAX_TOKENS}, each of at most {MAX_TOKEN_BYTES // KIB} KiB |",
        f"| a URI | {MAX_URI_BYTES} characters |",
        f"| a private key | {MAX_KEY_TEXT_BYTES // KIB} KiB of text |",
        f"| credentials, put together | {MAX_CREDENTIALS_BYTES:,} bytes |",
        f"| TrustedCAs in force | {MAX_AUTHORITIES:,} |",
        f"| a published Secret | {MAX_SECRET_BYTES:,} bytes",
        f"| EUIs that a pod remembers | {MAX_REGISTERED:,} registered, {MAX_UNREGISTERED:,} unregistered;",
        f"| a text that a gateway reports, as remembered | {MAX_TEXT} characters |",
        f"| a page of `/observations` | {MAX_PAGE:,} records |",
        f"the version in the header of each published Secret, now {CONTRACT}.",
        f"after {FIRST_SECONDS:g} s, then every five minutes",
        f"With more than some {FEW_GATEWAYS:,} gateways, use {BUCKETS_FOR_MORE} even if {BUCKETS} have room",
    ),
    "resources.md": (
        f"at most {MAX_URI_BYTES} characters",
        f"Up to {MAX_CRLS} CRLs within {MAX_CRL_BYTES // MIB} MiB",
        f"at least {MIN_SECRET_BYTES} bytes",
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_on_a_page_are_those_of_the_code(name: str) -> None:
    page = " ".join(PAGES[name].split())
    assert [each for each in NUMBERS[name] if " ".join(each.split()) not in page] == []


def test_as_many_entries_of_a_crl_fit_as_the_pages_say() -> None:
    revoked = element(0x30, element(0x02, bytes([0x7F] * 16)) + element(0x17, b"260101000000Z"))
    in_der = MAX_CRL_BYTES // len(revoked)
    in_pem = in_der * 48 // 65
    assert (28_000 <= in_der < 31_000, 21_000 <= in_pem < 23_000) == (True, True)
    for name in ("operation.md", "resources.md"):
        assert re.search(r"about 28,000 entries in DER(?:,| and) 21,000 in PEM", PAGES[name])
