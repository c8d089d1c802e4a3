"""What is tried on a cluster: the commands of `docs/chart.md` and those that the chart prints, and an outage."""

import json
import os
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stationkeeper_tools.ports import free_port
from stationkeeper_tools.sample_pki import make_gateway, make_root
from tests.cluster.clusters import Cluster
from tests.contract.chart import commands

ROOT = Path(__file__).parents[2]
NAMESPACE, EUI = "stationkeeper", "0123456789ABCDEF"
CA, GATEWAY = "trustedcas.stationkeeper.io/acme", "gateways.stationkeeper.io/rooftop-1"
ASK = (
    "curl --silent --show-error --max-time 5 --output /dev/null --write-out %{{http_code}} --cert gateway.crt "
    "--key gateway.key --cacert server-ca.crt --resolve localhost:{port}:127.0.0.1 "
    """--data '{{"router":"123:4567:89ab:cdef"}}' https://localhost:{port}/update-info 2>&1"""
)
ANSWERED, REFUSED = "200", "unknown ca"
"""What curl says: the status of the answer, or the alert of a refused handshake."""
OUTAGE_SECONDS = 30.0
PATIENCE_SECONDS = 300.0


class TrialError(AssertionError):
    """Something is not as it should be; the message says what, and what was printed."""


class Trial:
    """One installation on one cluster.

    Args:
        cluster: that runs.
        folder: exists; commands run in it.
        registry: takes the place of `registry.example.com` in the commands of the page.
        say: told how far it is.
    """

    def __init__(self, cluster: Cluster, folder: Path, registry: str, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._folder = folder
        self._registry = registry
        self._say = say
        self._ca: dict[str, Any] = {}

    def install(self) -> None:
        """Run what the page and the chart print, as a newcomer does, to the gateway's 200."""
        (self._folder / "helm").symlink_to(ROOT / "helm")
        now = datetime.now(UTC)
        root = make_root("Gateways", now)
        gateway = make_gateway(EUI, root, now)
        files = {"root-ca.crt": root.certificate_pem, "lns-ca.crt": root.certificate_pem}
        files |= {"gateway.crt": gateway.certificate_pem, "gateway.key": gateway.key_pem}
        for name, content in files.items():
            (self._folder / name).write_bytes(content)
        began = time.monotonic()
        printed = self.run(self._of_the_page("helm install "))
        self._say(f"helm install --wait: {time.monotonic() - began:.1f} s")
        answer = self.run(commands(printed.partition("\nNOTES:\n")[2]))
        if answer.splitlines()[-1] != "200":
            raise TrialError(f"the gateway is not answered:\n{answer}")
        self._say(f"from nothing to a gateway's 200: {time.monotonic() - began:.1f} s")
        self._ca = json.loads(self.run(f"kubectl --namespace {NAMESPACE} get {CA} --output json"))

    def helm_test(self) -> None:
        """Run `helm test` as the page has it."""
        self.run(self._of_the_page("helm test ", inline=True))
        self._say("helm test: passed")

    def upgrade(self) -> None:
        """Upgrade as the page has it; gateways are answered as before."""
        self.run(self._of_the_page("helm upgrade stationkeeper", last="--values values.yaml"))
        self.expect(ANSWERED)
        self._say("helm upgrade: passed")

    def outage(self, rounds: int) -> list[float]:
        """Return how long a removal took after each outage of the API server, until every pod refused, in seconds."""
        return [self._outage() for _ in range(rounds)]

    def _outage(self) -> float:
        self.trust()
        self._cluster.stop_api()
        time.sleep(OUTAGE_SECONDS)
        self._cluster.start_api()
        self._until("the API server is back", lambda: self._status("kubectl get --raw /readyz") == 0)
        took = self.removal()
        self._say(f"refused by every pod {took:.2f} s after a removal, when the API server was back")
        return took

    def removal(self) -> float:
        """Delete the CA; in how many seconds every pod refuses its gateway."""
        self.run(f"kubectl --namespace {NAMESPACE} delete {CA}")
        began = time.monotonic()
        self.expect(REFUSED)
        return time.monotonic() - began

    def trust(self) -> None:
        """Have the CA be trusted by every pod."""
        manifest = {each: self._ca[each] for each in ("apiVersion", "kind", "spec")}
        metadata = {"name": "acme", "namespace": NAMESPACE}
        self.run("kubectl apply --filename -", stdin=json.dumps({**manifest, "metadata": metadata}))
        self.run(f"kubectl --namespace {NAMESPACE} wait {CA} {GATEWAY} --for=condition=Ready --timeout=120s")
        self.expect(ANSWERED)

    def expect(self, said: str) -> None:
        """Wait until of every CUPS pod curl, with the gateway's certificate, says so."""
        selector = "app.kubernetes.io/component=cups"
        listed = self.run(f"kubectl --namespace {NAMESPACE} get pods --selector {selector} --output name").split()
        for pod in listed:
            with self._forwarded(pod) as port:
                self._until(f"{pod}: {said}", lambda: said in self._ask(port))

    def run(self, script: str, stdin: str = "") -> str:
        """Return what a shell prints.

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

    def _status(self, script: str) -> int:
        return subprocess.run(
            self._command(script), cwd=self._folder, env=self._cluster.environment, capture_output=True, check=False
        ).returncode

    def _ask(self, port: int) -> str:
        done = subprocess.run(
            self._command(ASK.format(port=port)), cwd=self._folder, env=self._cluster.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.lower()

    @contextmanager
    def _forwarded(self, pod: str) -> Iterator[int]:
        """A port of this machine that leads to the gateways' port of the pod."""
        port = free_port()
        command = self._command(f"exec kubectl --namespace {NAMESPACE} port-forward {pod} {port}:8987")
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

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TrialError(f"not within {PATIENCE_SECONDS:g} s: {what}")
            time.sleep(0.05)

    def _of_the_page(self, command: str, *, inline: bool = False, last: str = "") -> str:
        """The block of `docs/chart.md` that has the command, or the command that stands in a sentence."""
        page = (ROOT / "docs/chart.md").read_text()
        pattern = rf"`({re.escape(command)}[^`]*)`" if inline else r"```sh\n(.*?)```"
        found = [each for each in re.findall(pattern, page, re.DOTALL) if command in each]
        fitting = [each for each in found if each.rstrip().endswith(last)]
        if not fitting:
            raise TrialError(f"docs/chart.md has no {command}")
        text: str = fitting[-1 if last else 0]
        return text.replace("registry.example.com", self._registry)


def described(seconds: Sequence[float]) -> str:
    """The median and the longest, for people."""
    return f"median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s of {len(seconds)}"
