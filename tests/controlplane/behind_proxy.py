"""An operator that reaches the API server only by a proxy; a test tells the proxy what to do with requests."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml

from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.sample_pki import make_root
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.operator_release import Release
from tests.perturbation.proxy import Proxy


@contextmanager
def proxy_of(control_plane: ControlPlane, folder: Path) -> Iterator[Proxy]:
    """Yield a proxy that lets everything pass until a plan begins."""
    authority = make_root("proxy", datetime.now(UTC))
    made = Proxy(control_plane.url, control_plane.ca_file, authority, folder, lambda: None)
    made.start()
    yield made
    made.stop()


def start_behind(proxy: Proxy, cluster: Release, folder: Path) -> OperatorProcess:
    """Start an operator behind the proxy; the caller ends it."""
    environment = cluster.environment("behind")
    content = yaml.safe_load(Path(environment["KUBECONFIG"]).read_text())
    authority = base64.b64encode(proxy.authority_pem).decode()
    content["clusters"][0]["cluster"] = {"server": proxy.url, "certificate-authority-data": authority}
    kubeconfig = folder / "behind.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))
    return OperatorProcess(environment | {"KUBECONFIG": str(kubeconfig)}, folder / "behind.log")
