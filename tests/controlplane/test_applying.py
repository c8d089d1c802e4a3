"""The API server's answers to mistakes at `apply`, and how it merges the edits of several people."""

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.protocol.credentials import check_uri
from stationkeeper_tools.api_client import ApiClient, RequestError
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_resources import LNS_URI, gateway, root, trusted_ca

GROUP = "/apis/stationkeeper.io/v1alpha1"
PLURALS = {"Gateway": "gateways", "TrustedCA": "trustedcas", "GatewayDefaults": "gatewaydefaults"}
EUI = "00000000000000C1"


class Namespace:
    """A namespace in which several people work.

    Args:
        api: an API client of the cluster's administrator.
    """

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self.name = f"applying-{secrets.token_hex(3)}"
        api.create("/api/v1/namespaces", {"metadata": {"name": self.name}})

    def path(self, kind: str, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self.name}/{PLURALS[kind]}/{name}".rstrip("/")

    def create(self, kind: str, spec: Mapping[str, Any], name: str = "default") -> None:
        self._api.create(self.path(kind), {**_object(kind, name), "spec": spec})

    def apply(self, who: str, kind: str, spec: Mapping[str, Any], *, force: bool = False) -> None:
        """Apply on the server side as the field manager `who`; by force, take over fields of others."""
        path = f"{self.path(kind, 'shared')}?fieldManager={who}&force={str(force).lower()}"
        body = {**_object(kind, "shared"), "spec": spec}
        self._api.send("PATCH", path, body, "application/apply-patch+yaml")

    def patch(self, kind: str, operations: list[dict[str, Any]]) -> None:
        self._api.send("PATCH", self.path(kind, "shared"), operations, "application/json-patch+json")

    def spec(self, kind: str) -> Any:
        return self._api.get(self.path(kind, "shared"))["spec"]

    def clear(self) -> None:
        for kind in PLURALS:
            self._api.delete(self.path(kind))


def _object(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "stationkeeper.io/v1alpha1", "kind": kind, "metadata": {"name": name}}


@pytest.fixture(scope="module")
def made(control_plane: ControlPlane) -> Namespace:
    install_crds(control_plane.admin_kubeconfig)
    return Namespace(ApiClient(control_plane.admin_kubeconfig))


@pytest.fixture
def namespace(made: Namespace) -> Iterator[Namespace]:
    yield made
    made.clear()


def refusal(namespace: Namespace, kind: str, spec: Mapping[str, Any]) -> str:
    """Return the API server's message; empty if it accepts the object."""
    try:
        namespace.create(kind, spec)
    except RequestError as error:
        assert error.status == 422
        return str(error)
    return ""


# -- EUIs


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0123456789abcdef", 'write \\"0123456789ABCDEF\\"'),
        ("01-23-45-67-89-AB-CD-EF", 'write \\"0123456789ABCDEF\\"'),
        ("01:23:45:67:89:ab:cd:ef", 'write \\"0123456789ABCDEF\\"'),
        ("01-23-45-ab-cd-ef", 'a Basics Station turns this MAC into \\"012345FFFEABCDEF\\"'),
        ("012345ABCDEF", 'a Basics Station turns this MAC into \\"012345FFFEABCDEF\\"'),
        ("0x123456789ABCDEF", "16 upper-case hex digits, in quotes"),
        ("0123456789ABCDE", "16 upper-case hex digits, in quotes"),
        ("123:4567:89ab:cdef", "16 upper-case hex digits, in quotes"),
        ("", "16 upper-case hex digits, in quotes"),
    ],
)
def test_an_eui_that_is_written_in_another_way_is_refused_with_what_to_write(
    namespace: Namespace, written: str, said: str
) -> None:
    assert said in refusal(namespace, "Gateway", gateway(written))


@pytest.mark.parametrize("text", ["1234567890123456", "0016160000012E34", "0000000000000001", "1234567890123e45"])
def test_an_eui_that_yaml_reads_as_a_number_is_refused_as_it_must_be_a_string(namespace: Namespace, text: str) -> None:
    # PyYAML asks for a sign in the exponent; the YAML of kubectl does not.
    number = float(text) if "e" in text.lower() else yaml.safe_load(text)
    assert isinstance(number, int | float)
    found = refusal(namespace, "Gateway", {**gateway(EUI), "eui": number})
    assert "spec.eui in body must be of type string" in found


# -- URIs

LABEL = "a" * 50
URIS = [
    LNS_URI,
    "ws://lns.example.com:1887",
    "wss://10.0.0.1:443",
    "wss://lns:1",
    "wss://lns:65535",
    "wss://lns.example.com",
    "wss://lns.example.com:",
    "wss://lns.example.com:0",
    "wss://lns.example.com:08887",
    "wss://lns.example.com:65536",
    "wss://lns.example.com:88870",
    "wss://lns.example.com:8887/",
    "wss://lns.example.com:8887/router",
    "wss://lns.example.com/router:8887",
    "wss://lns.example.com:8887?a=b",
    "wss://lns_1.example.com:8887",
    "wss://[2001:db8::1]:8887",
    "wss://user:word@lns.example.com:8887",
    "wss://-lns.example.com:8887",
    "wss://:8887",
    "wss:/lns.example.com:8887",
    "wss//lns.example.com:8887",
    "wws://lns.example.com:8887",
    "WSS://lns.example.com:8887",
    "https://lns.example.com:8887",
    "lns.example.com:8887",
    "wss://lns.example.com:8887 ",
    f"wss://{LABEL}.{LABEL}.example.org.example:8887",
    f"wss://{LABEL}.{LABEL}.example.org.example.org:8887",
]


def is_usable(uri: str) -> bool:
    try:
        check_uri(uri, ("wss", "ws"))
    except StationkeeperError:
        return False
    return True


@pytest.mark.parametrize("uri", URIS)
def test_the_api_server_takes_those_uris_that_the_operator_takes(namespace: Namespace, uri: str) -> None:
    said = refusal(namespace, "Gateway", {"eui": EUI, "lns": {"uri": uri}})
    assert (said == "") == is_usable(uri), said
    said = refusal(namespace, "GatewayDefaults", {"lns": {"uri": uri}})
    assert (said == "") == is_usable(uri), said


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("wss://lns.example.com", "must end with its port"),
        ("wss://lns.example.com:8887/router", "without a path or a slash after it"),
        ("wss://lns_1.example.com:8887", "no underscore"),
        ("wss://[2001:db8::1]:8887", "no IPv6 address"),
        ("wws://lns.example.com:8887", "must begin with wss://"),
        (f"wss://{LABEL}.{LABEL}.example.org.example.org:8887", "more than 127 characters"),
    ],
)
def test_a_refused_uri_is_reported_with_its_fault_and_the_form_to_write(
    namespace: Namespace, uri: str, said: str
) -> None:
    found = refusal(namespace, "Gateway", {"eui": EUI, "lns": {"uri": uri}})
    assert "spec.lns.uri" in found
    assert said in found
    found = refusal(namespace, "Gateway", {"eui": EUI, "cups": {"uri": uri.replace("wss", "https")}})
    assert "spec.cups.uri" in found
    assert said.replace("wss", "https") in found


@pytest.mark.parametrize(
    "more",
    [
        {"trust": "-----BEGIN CERTIFICATE-----"},
        {"trustFrom": {"configMapKeyRef": {"name": "root", "key": "ca.crt"}}},
        {"auth": {"token": {"secretKeyRef": {"name": "token", "key": "token"}}}},
    ],
)
@pytest.mark.parametrize("kind", ["Gateway", "GatewayDefaults"])
def test_ws_where_wss_is_meant_is_refused(namespace: Namespace, kind: str, more: dict[str, Any]) -> None:
    lns = {"uri": "ws://lns.example.com:8887", **more}
    spec = {"lns": lns} if kind == "GatewayDefaults" else {"eui": EUI, "lns": lns}
    assert "uri is ws://, a link without TLS" in refusal(namespace, kind, spec)
    assert "uri is ws://" not in refusal(namespace, kind, {**spec, "lns": {**lns, "uri": LNS_URI}})


# -- several who edit one resource

CONFIG_MAP = {"configMapKeyRef": {"name": "one", "key": "ca.crt"}}
SECRET = {"secretKeyRef": {"name": "two", "key": "ca.crt"}}
TOKEN = {"token": {"secretKeyRef": {"name": "two", "key": "token"}}}
CERTIFICATE = {"clientCertificate": {"secretRef": {"name": "two"}}}


def _holds(found: Any, wanted: Any) -> bool:
    """Return whether `found` has everything of `wanted`; it may also have defaults, but not in a reference."""
    if isinstance(wanted, dict) and "name" not in wanted and isinstance(found, dict):
        return all(key in found and _holds(found[key], value) for key, value in wanted.items())
    return bool(found == wanted)


def _with_trust_from(source: dict[str, Any]) -> dict[str, Any]:
    return {"eui": EUI, "lns": {"uri": LNS_URI, "trustFrom": source}}


def _with_auth(auth: dict[str, Any]) -> dict[str, Any]:
    return {"eui": EUI, "lns": {"uri": LNS_URI, "auth": auth}}


def _with_crl_from(source: dict[str, Any]) -> dict[str, Any]:
    return trusted_ca(revocation={"crlFrom": source})


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("TrustedCA", {"certificatesFrom": CONFIG_MAP}, {"certificatesFrom": SECRET}),
        ("TrustedCA", _with_crl_from(CONFIG_MAP), _with_crl_from(SECRET)),
        ("Gateway", _with_trust_from(CONFIG_MAP), _with_trust_from(SECRET)),
        ("Gateway", _with_auth(TOKEN), _with_auth(CERTIFICATE)),
        ("Gateway", _with_auth(CERTIFICATE), _with_auth(TOKEN)),
        ("Gateway", {"eui": EUI, "cups": _with_auth(TOKEN)["lns"] | {"uri": "https://a:1", "trustFrom": SECRET}},
         {"eui": EUI, "cups": _with_auth(CERTIFICATE)["lns"] | {"uri": "https://a:1", "trustFrom": CONFIG_MAP}}),
    ],
)  # fmt: skip
def test_another_field_manager_can_replace_one_kind_of_reference_by_the_other(
    namespace: Namespace, kind: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    namespace.apply("first", kind, before)
    with pytest.raises(RequestError, match="conflict"):
        namespace.apply("second", kind, after)
    namespace.apply("second", kind, after, force=True)
    assert _holds(namespace.spec(kind), after)


def test_the_revocations_of_two_field_managers_add_up(namespace: Namespace) -> None:
    namespace.apply("owner", "TrustedCA", trusted_ca())
    namespace.apply("alice", "TrustedCA", {"revocation": {"serials": ["0A"], "sha256Fingerprints": ["AA" * 32]}})
    namespace.apply("bob", "TrustedCA", {"revocation": {"serials": ["0B"], "sha256Fingerprints": ["BB" * 32]}})
    revocation = namespace.spec("TrustedCA")["revocation"]
    assert sorted(revocation["serials"]) == ["0A", "0B"]
    assert sorted(revocation["sha256Fingerprints"]) == ["AA" * 32, "BB" * 32]
    namespace.apply("bob", "TrustedCA", {"revocation": {"serials": ["0C"], "sha256Fingerprints": ["BB" * 32]}})
    assert sorted(namespace.spec("TrustedCA")["revocation"]["serials"]) == ["0A", "0C"], "a manager edits its own"


def test_two_field_managers_add_eui_ranges(namespace: Namespace) -> None:
    namespace.apply("owner", "TrustedCA", trusted_ca(euiRanges=["0100000000000000/8"]))
    namespace.apply("alice", "TrustedCA", {"euiRanges": ["0200000000000000/8"]})
    assert sorted(namespace.spec("TrustedCA")["euiRanges"]) == ["0100000000000000/8", "0200000000000000/8"]


def test_a_json_patch_adds_to_a_list_and_keeps_what_is_there(namespace: Namespace) -> None:
    namespace.apply("owner", "TrustedCA", trusted_ca(revocation={"serials": ["0A"]}))
    namespace.patch("TrustedCA", [{"op": "add", "path": "/spec/revocation/serials/-", "value": "0B"}])
    assert namespace.spec("TrustedCA")["revocation"]["serials"] == ["0A", "0B"]


def test_a_large_inline_spec_fits_with_server_side_apply(
    namespace: Namespace, control_plane: ControlPlane, kubectl: Path, tmp_path: Path
) -> None:
    many = "".join(root(f"large {number}").certificate_pem.decode() for number in range(3)) + "\n" * 262_000
    spec = {"certificates": many[:262_144]}
    body = {"apiVersion": "stationkeeper.io/v1alpha1", "kind": "TrustedCA", "metadata": {"name": "large"}, "spec": spec}
    file = tmp_path / "large.json"
    file.write_text(json.dumps(body))
    command = [str(kubectl), "--kubeconfig", str(control_plane.admin_kubeconfig), "-n", namespace.name, "apply"]
    plain = subprocess.run([*command, "-f", str(file)], capture_output=True, text=True, check=False, timeout=60)
    assert "Too long" in plain.stderr
    done = subprocess.run(
        [*command, "--server-side", "-f", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
