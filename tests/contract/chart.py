"""The chart as helm renders it, and the values with which tests render it."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stationkeeper_tools.binaries import Surroundings, find_helm
from stationkeeper_tools.progress import Progress

CHART = Path(__file__).parents[2] / "helm/stationkeeper"
NAMESPACE = "lorawan"

Values = Mapping[str, Any]
Manifest = dict[str, Any]

CASES: dict[str, Values] = {
    "defaults": {},
    "namespaced": {"watchNamespaces": [NAMESPACE, "team-a"]},
    "watching": {"cups": {"source": "watch"}},
    "one pod on IPv6": {"listenAddress": "::", "cups": {"replicas": 1}},
    "cert-manager": {
        "cups": {
            "tls": {"certManager": {"enabled": True, "dnsNames": ["cups.example.com"], "issuerRef": {"name": "a"}}}
        }
    },
    "everything": {
        "watchNamespaces": ["team-a"],
        "logLevel": "DEBUG",
        "commonLabels": {"team": "radio"},
        "commonAnnotations": {"example.com/contact": "radio"},
        "imagePullSecrets": [{"name": "registry"}],
        "operator": {
            "replicas": 2,
            "image": {"repository": "registry.example.com/operator", "digest": f"sha256:{'ab' * 32}"},
            "podLabels": {"team": "operators"},
            "podAnnotations": {"example.com/pod": "yes"},
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
        },
        "cups": {
            "source": "watch",
            "replicas": 3,
            "image": {"tag": "next", "pullPolicy": "Always"},
            "tls": {
                "certManager": {
                    "enabled": True,
                    "dnsNames": ["cups.example.com"],
                    "issuerRef": {"name": "a", "kind": "ClusterIssuer"},
                    "duration": "2160h",
                    "renewBefore": "720h",
                }
            },
            "internalToken": {"existingSecret": "internal"},
            "service": {
                "type": "LoadBalancer",
                "port": 443,
                "nodePort": 30987,
                "annotations": {"example.com/pool": "edge"},
                "externalTrafficPolicy": "Local",
                "loadBalancerClass": "example.com/edge",
                "loadBalancerSourceRanges": ["192.0.2.0/24", "2001:db8::/32"],
                "ipFamilyPolicy": "PreferDualStack",
            },
            "topologySpreadConstraints": [{"topologyKey": "example.com/rack", "whenUnsatisfiable": "DoNotSchedule"}],
            "podAnnotations": {"example.com/pod": "yes"},
            "nodeSelector": {"kubernetes.io/os": "linux"},
        },
        "networkPolicy": {"enabled": True, "gatewaysFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
        "serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}},
    },
    "closed network, files": {"networkPolicy": {"enabled": True}, "cups": {"service": {"type": "NodePort"}}},
}


class RefusedValuesError(Exception):
    """helm does not render the chart with these values; the message is helm's."""


def run_helm(*arguments: str | Path, stdin: str | None = None) -> str:
    """What helm prints.

    Raises:
        RefusedValuesError: it failed.
    """
    done = subprocess.run([_helm(), *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RefusedValuesError(done.stderr)
    return done.stdout


def render(values: Values, *options: str) -> list[Manifest]:
    """The objects of a release named `stationkeeper` in `NAMESPACE`."""
    return [dict(manifest) for manifest in _rendered(json.dumps(values, sort_keys=True), options)]


@cache
def _helm() -> Path:
    return find_helm(Surroundings.of_this_process(), Progress())


@cache
def _rendered(values: str, options: tuple[str, ...]) -> tuple[Manifest, ...]:
    text = run_helm(
        "template", "stationkeeper", CHART, "--namespace", NAMESPACE, "--values", "-", *options, stdin=values
    )
    return tuple(manifest for manifest in yaml.safe_load_all(text) if manifest)


def the(manifests: list[Manifest], kind: str, name: str, namespace: str | None = NAMESPACE) -> Manifest:
    """The one object with that kind, name and namespace."""
    (found,) = (
        each
        for each in manifests
        if (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace")) == (kind, name, namespace)
    )
    return found


def pod_template(manifests: list[Manifest], component: str) -> Manifest:
    """The pod template of the Deployment of `component`."""
    template: Manifest = the(manifests, "Deployment", f"stationkeeper-{component}")["spec"]["template"]
    return template


def value_leaves(schema: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and description of each value that stands for itself in the chart's schema, `global` left out."""
    for name, child in schema["properties"].items():
        if any("description" in each for each in child.get("properties", {}).values()):
            yield from value_leaves(child, (*path, name))
        elif (*path, name) != ("global",):
            yield (*path, name), child["description"]
