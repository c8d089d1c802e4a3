"""The chart as helm renders it, and the values with which tests render it."""

import json
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stationkeeper_tools.programs.binaries import ProgramPlaces, find_helm
from stationkeeper_tools.progress import Progress

CHART = Path(__file__).parents[2] / "helm/stationkeeper"
NAMESPACE = "lorawan"

Values = Mapping[str, Any]
Manifest = dict[str, Any]

FORWARDED: dict[str, Any] = {
    "enabled": True,
    "form": "envoy",
    "trustedCIDRs": ["10.0.3.0/24"],
    "caSecretName": "proxies",
    "proxyNames": ["envoy.ingress.svc", "spiffe://example.com/envoy"],
}

PAGE_PROXY: dict[str, Any] = {
    "userHeader": "X-Forwarded-User",
    "trustedCIDRs": ["10.0.3.0/24", "2001:db8::/56"],
    "existingSecret": "page-proxy",
}

CASES: dict[str, Values] = {
    "defaults": {},
    "namespaced": {"watchNamespaces": [NAMESPACE, "team-a"]},
    "all namespaces": {"watchAllNamespaces": True},
    "watching": {"cups": {"source": "watch"}},
    "many Secrets": {"registry": {"buckets": 64}},
    "one pod on IPv6": {"listenAddress": "::", "cups": {"replicas": 1}},
    "cert-manager": {
        "server": {
            "certificate": {
                "source": "cert-manager",
                "dnsNames": ["cups.example.com"],
                "certManager": {"issuerRef": {"name": "a"}},
            }
        }
    },
    "trial": {"server": {"certificate": {"source": "trial"}}},
    "other names": {"nameOverride": "cups", "namespace": "team-a", "crds": {"install": False}},
    "everything": {
        "watchNamespaces": ["team-a"],
        "logLevel": "DEBUG",
        "fullnameOverride": "sk",
        "commonLabels": {"team": "radio"},
        "commonAnnotations": {"example.com/contact": "radio"},
        "imagePullSecrets": [{"name": "registry"}],
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "more", "namespace": "{{ .Release.Namespace }}"},
            },
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: text, namespace: '{{ .Release.Namespace }}'}",
        ],
        "crds": {"keep": False},
        "server": {
            "certificate": {
                "source": "cert-manager",
                "secretName": "mine",
                "dnsNames": ["cups.example.com", "*.example.com"],
                "certManager": {
                    "issuerRef": {"name": "a", "kind": "ClusterIssuer"},
                    "privateKey": {"algorithm": "RSA", "size": 2048},
                    "duration": "2160h",
                    "renewBefore": "720h",
                },
            }
        },
        "helmTest": {"gatewaySecret": "rooftop", "eui": "0123456789ABCDEF"},
        "page": {
            "enabled": True,
            "replicas": 2,
            "token": {"existingSecret": "page-token"},
            "proxy": PAGE_PROXY,
            "tls": {"secretName": "page-tls"},
            "service": {"port": 443, "annotations": {"example.com/pool": "office"}},
            "serviceAccount": {"create": False, "name": "showing"},
            "extraEnv": [{"name": "EXTRA", "value": "yes"}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        },
        "operator": {
            "replicas": 3,
            "signingKey": {"existingSecret": "signing"},
            "serviceAccount": {"create": False, "name": "publishing"},
            "extraEnv": [{"name": "EXTRA", "value": "yes"}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
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
            "autoscaling": {
                "enabled": True,
                "minReplicas": 3,
                "metrics": [
                    {
                        "type": "Pods",
                        "pods": {
                            "metric": {"name": "stationkeeper_requests_per_second"},
                            "target": {"type": "AverageValue", "averageValue": "50"},
                        },
                    }
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
            },
            "serviceAccount": {"name": "answering", "annotations": {"example.com/role": "none"}},
            "extraEnv": [{"name": "EXTRA", "value": "yes"}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
            "internalToken": {"existingSecret": "internal"},
            "forwarded": FORWARDED,
            "proxyProtocol": {"trustedCIDRs": ["10.0.0.0/16", "2001:db8::/56"]},
            "service": {
                "type": "LoadBalancer",
                "port": 443,
                "nodePort": 30987,
                "clusterIP": "",
                "loadBalancerIP": "192.0.2.7",
                "ipFamilies": ["IPv4"],
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
        "networkPolicy": {
            "enabled": True,
            "gatewaysFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
            "prometheusFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        },
        "monitoring": {
            "serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": True},
        },
    },
    "page": {"page": {"enabled": True, "token": {"existingSecret": "page-token"}}},
    "page in a closed network": {
        "page": {"enabled": True, "proxy": PAGE_PROXY},
        "networkPolicy": {"enabled": True},
        "watchNamespaces": ["team-a", "team-b"],
    },
    "closed network, files": {"networkPolicy": {"enabled": True}, "cups": {"service": {"type": "NodePort"}}},
}


class RefusedValuesError(Exception):
    """helm does not render the chart with these values; the message is helm's."""


def run_helm(*arguments: str | Path, stdin: str | None = None, seconds: float = 60, program: Path | None = None) -> str:
    """Return the output of helm.

    Args:
        arguments: its command line.
        stdin: what it reads.
        seconds: for how long it may run.
        program: another helm than that of the tests.

    Raises:
        RefusedValuesError: it failed.
    """
    done = subprocess.run(
        [program or _helm(), *arguments], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise RefusedValuesError(done.stderr)
    return done.stdout


def render(values: Values, *options: str, program: Path | None = None) -> list[Manifest]:
    """Return the objects of a release named `stationkeeper` in `NAMESPACE`."""
    return [dict(manifest) for manifest in _rendered(json.dumps(values, sort_keys=True), options, program)]


@cache
def _helm() -> Path:
    return find_helm(ProgramPlaces.of_this_process(), Progress())


@cache
def _rendered(values: str, options: tuple[str, ...], program: Path | None) -> tuple[Manifest, ...]:
    text = run_helm(
        "template", "stationkeeper", CHART, "--namespace", NAMESPACE, "--values", "-", *options,
        stdin=values, program=program,
    )  # fmt: skip
    return tuple(manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest)


def the(manifests: list[Manifest], kind: str, name: str, namespace: str | None = NAMESPACE) -> Manifest:
    """Return the only object with that kind, name and namespace."""
    (found,) = (
        each
        for each in manifests
        if (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace")) == (kind, name, namespace)
    )
    return found


def notes(values: Values, *options: str, program: Path | None = None) -> str:
    """Return the text that `helm install` prints for a release in `NAMESPACE`."""
    text = run_helm(
        "install", "stationkeeper", CHART, "--namespace", NAMESPACE, "--dry-run=client", "--values", "-", *options,
        stdin=json.dumps(values), program=program,
    )  # fmt: skip
    return text.partition("\nNOTES:\n")[2]


def commands(text: str) -> str:
    """Return the shell commands in a printed text: all except numbered paragraphs and the text indented below them."""
    blocks = re.split(r"\n(?=\d\. )", text)[1:]
    return "\n".join(block.partition("\n\n")[2].partition("\nThe namespace ")[0] for block in blocks)


def pod_template(manifests: list[Manifest], component: str) -> Manifest:
    """Return the pod template of the Deployment of `component`; it does not depend on their names."""
    (deployment,) = (
        each
        for each in manifests
        if each["kind"] == "Deployment" and each["metadata"]["labels"]["app.kubernetes.io/component"] == component
    )
    template: Manifest = deployment["spec"]["template"]
    return template
