"""The three sources of a server certificate: a Secret, cert-manager, or Helm, which makes one for a trial."""

import base64
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.contract.chart import CASES, CHART, NAMESPACE, Manifest, Values, pod_template, render, the

pytestmark = pytest.mark.usefixtures("helm")

TRIAL = CASES["trial"]
SERVICE = "stationkeeper-cups"


def secrets(values: Values) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in render(values) if each["kind"] == "Secret"}


def trial(values: Values = TRIAL) -> dict[str, bytes]:
    data = secrets(values)["stationkeeper-trial-tls"]["data"]
    return {name: base64.b64decode(value) for name, value in data.items()}


def mounted(values: Values) -> str:
    volumes = {each["name"]: each for each in pod_template(render(values), "cups")["spec"]["volumes"]}
    return str(volumes["server-tls"]["secret"]["secretName"])


def names(certificate: x509.Certificate) -> list[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


def test_by_default_a_person_makes_the_secret() -> None:
    assert secrets({}).keys().isdisjoint({"stationkeeper-server-tls", "stationkeeper-trial-tls"})
    assert mounted({}) == "stationkeeper-server-tls"


def test_a_trial_has_a_secret_of_its_own_so_that_no_certificate_in_use_is_written_over() -> None:
    assert mounted(TRIAL) == "stationkeeper-trial-tls"
    assert "stationkeeper-server-tls" not in secrets(TRIAL)


def test_a_trials_secret_is_made_by_a_hook_and_never_changed_by_an_upgrade() -> None:
    annotations = secrets(TRIAL)["stationkeeper-trial-tls"]["metadata"]["annotations"]
    assert annotations == {"helm.sh/hook": "pre-install,pre-upgrade"}


def test_a_trials_certificate_is_one_that_gateways_can_verify() -> None:
    data = trial()
    server, root = x509.load_pem_x509_certificates(data["tls.crt"])
    assert root == x509.load_pem_x509_certificate(data["ca.crt"])
    server.verify_directly_issued_by(root)
    assert isinstance(server.public_key(), ec.EllipticCurvePublicKey)
    assert server.public_key() == load_pem_private_key(data["tls.key"], None).public_key()
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert x509.oid.ExtendedKeyUsageOID.SERVER_AUTH in usage
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert names(server) == [SERVICE, f"{SERVICE}.{NAMESPACE}", f"{SERVICE}.{NAMESPACE}.svc",
                             f"{SERVICE}.{NAMESPACE}.svc.cluster.local", "localhost"]  # fmt: skip


def test_a_trials_certificate_is_for_the_names_that_are_given() -> None:
    values = {"server": {"certificate": {"source": "trial", "dnsNames": ["cups.example.com", "b.example.com"]}}}
    server, _ = x509.load_pem_x509_certificates(trial(values)["tls.crt"])
    assert names(server) == ["cups.example.com", "b.example.com"]


def test_cert_manager_writes_the_secret_that_cups_reads() -> None:
    certificate = the(render(CASES["cert-manager"]), "Certificate", "stationkeeper-server-tls")["spec"]
    assert certificate["secretName"] == mounted(CASES["cert-manager"]) == "stationkeeper-server-tls"
    assert certificate["dnsNames"] == ["cups.example.com"]
    assert certificate["issuerRef"] == {"name": "a", "kind": "Issuer", "group": "cert-manager.io"}
    assert certificate["privateKey"]["algorithm"] == "ECDSA"
    assert certificate["usages"] == ["digital signature", "key encipherment", "server auth"]


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        ({}, "stationkeeper-server-tls"),
        ({"source": "trial"}, "stationkeeper-trial-tls"),
        ({"secretName": "mine"}, "mine"),
    ],
)
def test_a_watching_cups_may_read_only_its_configured_secret(certificate: Any, name: str) -> None:
    values = {"cups": {"source": "watch"}, "server": {"certificate": certificate}}
    rule, other_counts = the(render(values), "Role", "stationkeeper-cups")["rules"]
    written = yaml.safe_load((CHART / "rbac/cups-release.yaml").read_text())[0]["resourceNames"]
    assert set(rule["resourceNames"]) == {*written} - {"stationkeeper-server-tls"} | {name}
    assert all(each.startswith("stationkeeper-registry-") for each in other_counts["resourceNames"])
    (container,) = pod_template(render(values), "cups")["spec"]["containers"]
    assert {"name": "STATIONKEEPER_SERVER_TLS_SECRET", "value": name} in container["env"]
