"""Try the commands of `docs/chart.md`, and the commands that the chart prints, on a cluster."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from stationkeeper_tools.ports import free_port
from stationkeeper_tools.sample_pki import make_gateway, make_root, make_server
from tests.cluster.clusters import Cluster
from tests.contract.chart import commands
from tests.pages.blocks import blocks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/chart.md"
NAMESPACE, EUI = "stationkeeper", "0123456789ABCDEF"
CA, GATEWAY = "trustedcas.stationkeeper.io/acme", "gateways.stationkeeper.io/rooftop-1"
ASK = (
    "curl --silent --show-error --max-time 5 --output /dev/null --write-out %{{http_code}} --cert gateway.crt "
    "--key gateway.key --cacert server-ca.crt --resolve localhost:{port}:127.0.0.1 "
    """--data '{{"router":"123:4567:89ab:cdef"}}' https://localhost:{port}/update-info 2>&1"""
)
ANSWERED, REFUSED = "200", "unknown ca"
"""The results of curl: the status of the answer, or the alert of a refused handshake."""
PATIENCE_SECONDS = 300.0
OF_OTHERS = {
    "configmap/kube-root-ca.crt",
    *(f"secret/{name}" for name in ("stationkeeper-server-tls", "test-gateway", "lns-token")),
}
"""The objects that Kubernetes creates in every namespace, and those that a person made."""


class TrialError(AssertionError):
    """Something is wrong; the message says what, with the printed output."""


class Trial:
    """One installation on one cluster.

    Args:
        cluster: that runs.
        folder: exists; commands run in it.
        registry: takes the place of `registry.example.com` in the commands of the page.
        say: called with each step.
    """

    def __init__(self, cluster: Cluster, folder: Path, registry: str, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._folder = folder
        self._registry = registry
        self._say = say
        self._ca: dict[str, Any] = {}
        self._to_follow = [each for each in blocks(PAGE) if each.is_run]

    def install(self) -> None:
        """Run the commands of the page and of the chart, as a newcomer does, until the gateway gets its 200."""
        (self._folder / "helm").symlink_to(ROOT / "helm")
        now = datetime.now(UTC)
        root, self._server_root = make_root("Gateways", now), make_root("CUPS", now)
        gateway = make_gateway(EUI, root, now)
        server = make_server(["localhost"], [], self._server_root, now)
        files = {"root-ca.crt": root.certificate_pem, "lns-ca.crt": root.certificate_pem}
        files |= {"gateway.crt": gateway.certificate_pem, "gateway.key": gateway.key_pem}
        files |= {
            "server.pem": server.certificate_pem + self._server_root.certificate_pem,
            "server.key": server.key_pem,
        }
        for name, content in files.items():
            (self._folder / name).write_bytes(content)
        # An existing Secret of a person is not changed, also if the values ask for a trial's certificate.
        self._follow("kubectl create namespace ")
        began = time.monotonic()
        printed = self._follow("helm install ")
        # The rule also holds for pods that start later: with each upgrade, and after each crash.
        self.run(f"kubectl label namespace {NAMESPACE} pod-security.kubernetes.io/enforce=restricted")
        self._say(f"helm install --wait: {time.monotonic() - began:.1f} s")
        answer = self.run(commands(printed.partition("\nNOTES:\n")[2]))
        if answer.splitlines()[-1] != "200":
            raise TrialError(f"the gateway is not answered:\n{answer}")
        self._say(f"from nothing to a gateway's 200: {time.monotonic() - began:.1f} s")
        self._ca = json.loads(self.run(f"kubectl --namespace {NAMESPACE} get {CA} --output json"))

    def helm_test(self) -> None:
        """Run `helm test` as the page says, without and with a gateway's certificate."""
        self.run(self._inline("helm test "))
        key = "--cert=gateway.crt --key=gateway.key"
        self.run(f"kubectl --namespace {NAMESPACE} create secret tls test-gateway {key}")
        self._follow("helmTest:")
        self.run(self._inline("helm test "))
        self._say("helm test: passed")

    def upgrade(self) -> None:
        """Upgrade as the page says, finally to a certificate of the user; gateways are answered as before."""
        for command in ("--wait --values values.yaml\n", "--take-ownership"):
            self._follow(command)
            self.expect(ANSWERED)
        self._upgrade("server.certificate.source=secret")
        (self._folder / "server-ca.crt").write_bytes(self._server_root.certificate_pem)
        self.expect(ANSWERED)
        self._say("helm upgrade: passed")

    def use_source(self, source: str) -> None:
        """Configure CUPS to read its documents from `files`, or by `watch`."""
        self._upgrade(f"cups.source={source}")

    def _upgrade(self, value: str) -> None:
        where = f"helm/stationkeeper --namespace {NAMESPACE}"
        self.run(f"helm upgrade stationkeeper {where} --reuse-values --wait --set {value}")

    def remove(self) -> None:
        """Uninstall the release, and remove what it leaves behind according to the page; nothing of it remains.

        Raises:
            TrialError: something remains, or the page has commands that did not run.
        """
        self.run(f"helm uninstall stationkeeper --namespace {NAMESPACE} --wait")
        self._follow("kubectl delete customresourcedefinition")
        if self._to_follow:
            raise TrialError(f"nothing runs these commands: {[each.place for each in self._to_follow]}")
        kinds = "customresourcedefinitions,clusterroles,clusterrolebindings"
        left = self.run(f"kubectl get {kinds} --output name | grep stationkeeper || true").split()
        left += self.run(f"kubectl --namespace {NAMESPACE} get secrets,configmaps,leases --output name").split()
        if left := [each for each in left if each not in OF_OTHERS]:
            raise TrialError(f"left behind: {left}")
        self.run(f"kubectl delete namespace {NAMESPACE} --timeout=300s")
        self._say("helm uninstall: nothing is left")

    def trust(self) -> None:
        """Apply the CA, and wait until every pod trusts it."""
        manifest = {each: self._ca[each] for each in ("apiVersion", "kind", "spec")}
        metadata = {"name": "acme", "namespace": NAMESPACE}
        self.run("kubectl apply --filename -", stdin=json.dumps({**manifest, "metadata": metadata}))
        self.run(f"kubectl --namespace {NAMESPACE} wait {CA} {GATEWAY} --for=condition=Ready --timeout=120s")
        self.expect(ANSWERED)

    def distrust(self) -> None:
        """Delete the CA."""
        self.run(f"kubectl --namespace {NAMESPACE} delete {CA} --wait=false")

    def expect(self, said: str) -> None:
        """Wait until curl, with the gateway's certificate, gets this result from every CUPS pod."""
        with self.asking() as expect:
            expect(said)

    @contextmanager
    def asking(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that waits until curl gets a result from every CUPS pod; the ports are already forwarded."""
        selector = "app.kubernetes.io/component=cups"
        names = "{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}"
        command = f"kubectl --namespace {NAMESPACE} get pods --selector {selector}"
        listed = self.run(f"{command} --output 'go-template={names}'").split()
        with ExitStack() as opened:
            ports = {pod: opened.enter_context(self._forwarded(pod)) for pod in listed}

            def expect(said: str) -> None:
                for pod, port in ports.items():
                    self.until(f"{pod}: {said}", partial(self._says, said, port))

            yield expect

    def run(self, script: str, stdin: str = "") -> str:
        """Run a shell command and return its output.

        Raises:
            TrialError: it failed.
        """
        done = subprocess.run(
            self._command(script), cwd=self._folder, env=self._cluster.environment, input=stdin,
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        if done.returncode:
            raise TrialError(f"{script}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _command(self, script: str) -> Sequence[str]:
        return [*self._cluster.prefix, "bash", "-euo", "pipefail", "-c", script]

    def succeeds(self, script: str) -> bool:
        """Return whether a shell command succeeds."""
        done = subprocess.run(
            self._command(script), cwd=self._folder, env=self._cluster.environment, capture_output=True, check=False
        )
        return done.returncode == 0

    def _says(self, what: str, port: int) -> bool:
        done = subprocess.run(
            self._command(ASK.format(port=port)), cwd=self._folder, env=self._cluster.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return what in done.stdout.lower()

    @contextmanager
    def _forwarded(self, pod: str) -> Iterator[int]:
        """Yield a local port that is forwarded to the gateways' port of the pod."""
        port = free_port()
        command = self._command(f"exec kubectl --namespace {NAMESPACE} port-forward pod/{pod} {port}:8987")
        with subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._cluster.environment,
            stdout=subprocess.PIPE,
            # A refused gateway ends its connection in a way that kubectl takes for an error.
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as forwarding:
            assert forwarding.stdout is not None
            try:
                forwarding.stdout.readline()
                yield port
            finally:
                os.killpg(forwarding.pid, signal.SIGTERM)

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds.

        Raises:
            TrialError: it did not hold for minutes.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TrialError(f"not within {PATIENCE_SECONDS:g} s: {what}")
            time.sleep(0.05)

    def _follow(self, command: str) -> str:
        """Run the next block of the page with this command; return its output."""
        found = next((each for each in self._to_follow if command in each.text), None)
        if found is None:
            raise TrialError(f"{PAGE.name} has no {command!r} that was not run")
        self._to_follow.remove(found)
        return self.run(found.text.replace("registry.example.com", self._registry))

    def _inline(self, command: str) -> str:
        """Return the command in a sentence of the page."""
        found = re.search(rf"`({re.escape(command)}[^`]*)`", PAGE.read_text())
        if found is None:
            raise TrialError(f"{PAGE.name} has no {command!r} in a sentence")
        return found[1]
