"""The demo: show the whole procedure on a real API server on this machine.

It starts etcd and kube-apiserver on loopback, installs Stationkeeper with its real rights, makes a PKI by the
document's procedure, applies a TrustedCA and a Gateway, asks as that gateway, then removes the CA and shows the
refusal. When it ends, it has ended all that it started; with `keep`, it waits for a signal first.
"""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.protocol.credentials import ABSENT
from stationkeeper_core.protocol.update_info import UpdateInfoResponse
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_tools.gateway_client import Identity, RefusedError, curl_command, update_info
from stationkeeper_tools.local_cluster.cluster import CREDENTIALS_LABEL, Cluster, wait_until
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.local_cluster.release_processes import ReleaseProcesses
from stationkeeper_tools.sample_pki import KeyPair, make_gateway, make_root, make_server
from stationkeeper_tools.steps import Steps

NAMESPACE = "stationkeeper"
EUI = EUI64(0x0123456789ABCDEF)
LNS_URI = "wss://lns.example.org:8887"
TOKEN = b"Bearer NNSXS.DEMO-TOKEN-THAT-OPENS-NOTHING"

CA, GATEWAY, TOKEN_SECRET = "demo-ca", "demo-gateway", "demo-gateway-lns"


@dataclass(frozen=True)
class DemoPki:
    """The files that the procedure makes.

    Attributes:
        root: the CA that signs the gateways' certificates.
        gateway: the gateway's certificate and key.
        server_ca: the CA of the CUPS server and, here, of the LNS.
    """

    root: KeyPair
    gateway: Identity
    server_ca: KeyPair


def run_demo(keep: bool, as_json: bool) -> int:
    """Run the demo and return its exit status: 0 only if each step succeeded.

    Args:
        keep: leave all running until SIGTERM or SIGINT.
        as_json: print one JSON object a line.
    """
    steps = Steps(as_json)
    try:
        with _signals_end_it(), tempfile.TemporaryDirectory(prefix="stationkeeper-demo-") as folder:
            _run(Path(folder), steps, keep)
    except _SignalledError:
        steps.say("Stopped; nothing is left running.")
        return 0 if steps.is_ready else 1
    except Exception as error:
        steps.say(f"The demo failed: {error}")
        return 1
    return 0


def _run(folder: Path, steps: Steps, keep: bool) -> None:
    with ExitStack() as running:
        with steps.step("control-plane", "Starting a real etcd and kube-apiserver on loopback"):
            control_plane = running.enter_context(ControlPlane.start(folder / "control-plane", say=steps.say))
        cluster = Cluster(control_plane.admin_kubeconfig, NAMESPACE)
        with steps.step("install", "Installing the definitions, the ServiceAccounts and their rights"):
            cluster.install_crds()
            cluster.install_release()
        with steps.step("pki", "Making a PKI by the procedure: RSA 2048 root, X.509 v1 certificate with CN = EUI"):
            pki = _make_pki(folder / "pki", cluster)
        release = running.enter_context(ReleaseProcesses(folder / "release", control_plane, NAMESPACE))
        with steps.step("operator", "Starting the operator, with its own rights only"):
            release.start_operator()
        with steps.step("cups", "Starting CUPS, with its own rights only"):
            release.start_cups()
        with steps.step("apply", "Applying the TrustedCA, the token's Secret and the Gateway"):
            _apply(cluster, pki)
        with steps.step("update-info", f"Asking as the gateway: {curl_command(release.cups_url, pki.gateway, EUI)}"):
            answer = update_info(release.cups_url, pki.gateway, EUI)
            _check(answer)
        _show(steps, answer)
        with steps.step("observed", "Waiting until the Gateway's status shows that visit"):
            wait_until(lambda: "lastSeen" in cluster.status("Gateway", GATEWAY), "the visit is observed")
        _show_status(steps, cluster)
        with steps.step("remove-ca", "Deleting the TrustedCA and waiting for the refusal"):
            cluster.delete("TrustedCA", CA)
            refusal = _refusal(release.cups_url, pki.gateway)
        steps.say(f"    the same request now: {refusal}")
        if keep:
            with steps.step("restore-ca", "Applying the TrustedCA again"):
                _apply(cluster, pki)
            _wait_for_a_signal(steps, control_plane, release, pki)


def _make_pki(folder: Path, cluster: Cluster) -> DemoPki:
    folder.mkdir()
    now = datetime.now(UTC)
    root, server_ca = make_root("Demo gateway vendor", now), make_root("Demo operator", now)
    root.write(folder, "root-ca")
    certificate, key = make_gateway(format_hex(EUI), root, now).write(folder, "gateway")
    server_ca_path, _ = server_ca.write(folder, "server-ca")
    server = make_server(["localhost"], ["127.0.0.1"], server_ca, now)
    chain = server.certificate_pem + server_ca.certificate_pem
    data = {"tls.crt": chain, "tls.key": server.key_pem}
    cluster.apply_secret("stationkeeper-server-tls", data, kind="kubernetes.io/tls")
    return DemoPki(root, Identity(certificate, key, server_ca_path), server_ca)


def _apply(cluster: Cluster, pki: DemoPki) -> None:
    cluster.apply("TrustedCA", CA, {"certificates": pki.root.certificate_pem.decode()})
    cluster.apply_secret(TOKEN_SECRET, {"token": TOKEN}, {CREDENTIALS_LABEL: "true"})
    lns = {
        "uri": LNS_URI,
        "trust": pki.server_ca.certificate_pem.decode(),
        "auth": {"token": {"secretKeyRef": {"name": TOKEN_SECRET, "key": "token"}}},
    }
    cluster.apply("Gateway", GATEWAY, {"eui": format_hex(EUI), "lns": lns})
    cluster.wait_ready("TrustedCA", CA)
    cluster.wait_ready("Gateway", GATEWAY)


class _SignalledError(BaseException):
    """A signal asked for the end."""


@contextmanager
def _signals_end_it() -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        # A second signal must not cut the cleaning up short.
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise _SignalledError("stopped by a signal")

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(answer: UpdateInfoResponse) -> None:
    if answer.tc_uri != LNS_URI or not answer.tc_credentials.endswith(b"Authorization: " + TOKEN + b"\r\n"):
        raise ValueError(f"the answer is not what was applied: {answer.tc_uri}")


def _show(steps: Steps, answer: UpdateInfoResponse) -> None:
    trust, _, header = answer.tc_credentials.partition(ABSENT + b"Authorization: ")
    steps.say(f"    LNS URI:   {answer.tc_uri}")
    steps.say(f"    LNS trust: {parse_certificate(trust).subject} ({len(trust)} bytes of DER)")
    steps.say(f"    LNS auth:  Authorization: {header.decode().strip()}")


def _show_status(steps: Steps, cluster: Cluster) -> None:
    """Print the fields that `kubectl get gateways.stationkeeper.io` shows."""
    gateway, authority = cluster.status("Gateway", GATEWAY), cluster.status("TrustedCA", CA)
    conditions: list[dict[str, str]] = authority.get("conditions", [])
    enforced = next((each for each in conditions if each["type"] == "Enforced"), {})
    steps.say(f"    Last seen: {gateway['lastSeen']}")
    steps.say(f"    Let in by: {gateway.get('certificate', {}).get('trustedCA', '')}")
    steps.say(f"    {CA}: {enforced.get('message', '')}")


def _refusal(url: str, identity: Identity) -> str:
    refusals: list[str] = []

    def refused() -> bool:
        try:
            update_info(url, identity, EUI)
        except RefusedError as error:
            refusals.append(str(error))
        except ConnectionError:
            # The request was under way when its connection was closed for lack of trust: the next one shows why.
            return False
        return bool(refusals)

    wait_until(refused, "the gateway is refused")
    return refusals[-1]


def _wait_for_a_signal(steps: Steps, control_plane: ControlPlane, release: ReleaseProcesses, pki: DemoPki) -> None:
    steps.ready(
        {
            "kubeconfig": str(control_plane.admin_kubeconfig),
            "namespace": NAMESPACE,
            "cupsUrl": release.cups_url,
            "serverCa": str(pki.gateway.server_ca),
            "internalUrl": release.internal_url,
        }
    )
    steps.say(
        f"""
All is up. In another terminal:

  export KUBECONFIG={control_plane.admin_kubeconfig}
  kubectl -n {NAMESPACE} get trustedcas.stationkeeper.io,gateways.stationkeeper.io
  {curl_command(release.cups_url, pki.gateway, EUI)} | xxd
  curl --cacert {pki.gateway.server_ca} {release.internal_url}/metrics
  less {release.log_folder}/*.log

Stop it with Ctrl-C or SIGTERM; all of it is gone then.
"""
    )
    signal.pause()
