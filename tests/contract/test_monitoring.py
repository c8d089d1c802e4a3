"""Alerts, runbooks and the dashboard: their queries run on a real Prometheus over a scripted hour."""

import contextlib
import json
import math
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stationkeeper_cups.metrics import Metrics as CupsMetrics
from stationkeeper_operator.metrics import Metrics as OperatorMetrics
from stationkeeper_tools.ports import free_port
from tests.contract.chart import CHART, Manifest, Values, render
from tests.contract.scripted_hour import MINUTES, NAMESPACE, STEP_SECONDS, Sample, open_metrics, samples

pytestmark = pytest.mark.usefixtures("helm")

ROOT = CHART.parents[1]
RUNBOOKS = ROOT / "docs/runbooks"
ALERTS = CHART / "files/alerts.yaml"
DASHBOARD = json.loads((CHART / "files/dashboard.json").read_text())
ALL = {
    "monitoring": {
        "serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "runbookURL": "https://example.com/runbooks/"},
        "dashboard": {"enabled": True},
    }
}

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="prometheus and promtool are not installed: apt-get install prometheus",
)


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


RULES = {each["alert"]: each for each in rules()}


def queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]


QUERIES = dict(queries())


def of_kind(values: Values, kind: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in render(values) if each["kind"] == kind}


# -- what is installed


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_both_are_monitored_at_a_port_that_is_there(kind: str) -> None:
    values = {"monitoring": {f"{kind[0].lower()}{kind[1:]}": {"enabled": True}}}
    monitors = of_kind(values, kind)
    assert monitors.keys() == {"stationkeeper-cups", "stationkeeper-operator"}
    for name, monitor in monitors.items():
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        (endpoint,) = monitor["spec"]["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
        if kind == "ServiceMonitor":
            (service,) = [
                each for each in of_kind({}, "Service").values() if selector <= each["metadata"]["labels"].items()
            ]
            (port,) = service["spec"]["ports"]
            selector, target = service["spec"]["selector"].items(), port["targetPort"]
            assert port["name"] == endpoint["port"]
        else:
            target = endpoint["port"]
        template = of_kind({}, "Deployment")[name]["spec"]["template"]
        assert selector <= template["metadata"]["labels"].items()
        assert target in {each["name"] for each in template["spec"]["containers"][0]["ports"]}
        assert endpoint["scheme"] == ("https" if name == "stationkeeper-cups" else "http")
        assert ("tlsConfig" in endpoint) == (endpoint["scheme"] == "https")


def test_nothing_of_monitoring_is_installed_unless_it_is_asked_for() -> None:
    assert {"ServiceMonitor", "PodMonitor", "PrometheusRule"}.isdisjoint({each["kind"] for each in render({})})


def test_the_rules_that_are_installed_are_the_files_with_a_runbook_each() -> None:
    (installed,) = of_kind(ALL, "PrometheusRule").values()
    (group,) = installed["spec"]["groups"]
    for rule in group["rules"]:
        assert rule["annotations"].pop("runbook_url") == f"https://example.com/runbooks/{rule['alert']}.md"
    assert group["rules"] == rules()


def test_the_dashboard_that_is_installed_is_the_file() -> None:
    dashboard = of_kind(ALL, "ConfigMap")["stationkeeper-dashboard"]
    assert json.loads(dashboard["data"]["stationkeeper.json"]) == DASHBOARD
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


# -- what is written


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == RULES.keys()


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_how_bad_it_is_and_what_it_means(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert "\n## Look\n" in page
    assert "\n## Do\n" in page


@pytest.mark.parametrize("name", RULES)
def test_a_link_of_a_runbook_leads_somewhere(name: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", (RUNBOOKS / f"{name}.md").read_text()):
        page = (RUNBOOKS / target).read_text()
        titles = {
            re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
        }
        assert not anchor or anchor in titles, f"{target}#{anchor}"


def table_of_metrics() -> dict[str, set[str]]:
    """Return the metrics of the page with their labels; another test compares the page with the code."""
    found = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        if line.startswith("| `stationkeeper_"):
            names, _, labels = line.split("|")[1:4]
            for name in re.findall(r"`(\w+)`", names):
                found[name] = set(re.findall(r"`(\w+)`", labels))
    return found


def of_metric(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name)


def all_samples() -> Iterator[Sample]:
    for minute in range(MINUTES):
        yield from samples(minute, 0)


def test_the_scripted_hour_has_every_metric_with_its_labels() -> None:
    told: dict[str, set[str]] = {}
    for name, labels, _ in all_samples():
        told.setdefault(of_metric(name), set()).update(labels.keys() - {"namespace", "pod", "le"})
    assert told == table_of_metrics()


@pytest.mark.parametrize("query", [*(each["expr"] for each in RULES.values()), *QUERIES.values()])
def test_a_query_asks_for_metrics_that_there_are(query: str) -> None:
    assert {of_metric(each) for each in re.findall(r"stationkeeper_\w+", query)} <= table_of_metrics().keys()


# -- on a real Prometheus

# When each alert holds, from and to which minute, its `for` left out.
HOLDS = {
    "StationkeeperCUPSDown": (53, 60),
    "StationkeeperNoOperatorLeads": (15, 23),
    "StationkeeperOperatorCannotPublish": (36, 60),
    "StationkeeperDocumentRefused": (6, 15),
    "StationkeeperPodsDiffer": (6, 13),
    "StationkeeperServerCertificateExpiresSoon": (35, 51),
    "StationkeeperServerCertificateEnds": (35, 51),
    "StationkeeperGatewaysRefused": (30, 40),
    "StationkeeperHandshakesRefused": (28, 40),
    "StationkeeperInternalErrors": (16, 30),
    "StationkeeperAnswersSlow": (40, 50),
    "StationkeeperOverloaded": (21, 34),
    "StationkeeperConnectionsNearlyExhausted": (35, 51),
    "StationkeeperGatewaysNotConverging": (30, 51),
    "StationkeeperResourcesNotAccepted": (30, 60),
    "StationkeeperCertificatesExpire": (1, 14),
}
QUIET = dict.fromkeys(RULES, range(6)) | {"StationkeeperCertificatesExpire": range(17, 23)}


class Prometheus:
    """A real Prometheus with the scripted hour in its database."""

    def __init__(self, port: int, start: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self.start = start

    def ask(self, path: str, **query: object) -> Any:
        text = urllib.parse.urlencode(query)
        with urllib.request.urlopen(f"{self._url}/{path}?{text}", timeout=20) as answer:  # noqa: S310 - loopback
            return json.load(answer)["data"]["result"]

    def holds(self, query: str) -> set[int]:
        """Return the minutes of the hour at which `query` has a result."""
        begin, end = self.start, self.start + MINUTES * 60
        found = self.ask("query_range", query=query, start=begin, end=end, step=60)
        return {int(at - begin) // 60 for series in found for at, _ in series["values"]}

    def values(self, query: str) -> list[float]:
        begin, end = self.start, self.start + MINUTES * 60
        found = self.ask("query_range", query=query, start=begin, end=end, step=60)
        return [float(value) for series in found for _, value in series["values"]]


@contextlib.contextmanager
def running(folder: Path, start: int) -> Iterator[Prometheus]:
    hour, data, config = folder / "hour.txt", folder / "data", folder / "prometheus.yml"
    hour.write_text(open_metrics(start))
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", hour, data],
        check=True,
        capture_output=True,
        timeout=120,
    )
    config.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)]}))
    port = free_port()
    command = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}", "--query.lookback-delta=1m", "--storage.tsdb.retention.time=10y",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until_ready(port, process, folder / "log")
            yield Prometheus(port, start)
        finally:
            process.terminate()


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
            return
        time.sleep(0.1)
    pytest.fail(f"Prometheus does not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    start = int(time.time()) // 7200 * 7200 - 4 * 7200
    with running(tmp_path_factory.mktemp("prometheus"), start) as found:
        yield found


@needs_prometheus
@pytest.mark.parametrize("name", RULES)
def test_an_alert_holds_when_it_should_and_not_before(prometheus: Prometheus, name: str) -> None:
    expression = RULES[name]["expr"].replace("time()", f"{prometheus.start}")
    minutes = prometheus.holds(expression)
    begin, end = HOLDS[name]
    assert set(range(begin, end + 1)) <= minutes
    assert not set(QUIET[name]) & minutes


@needs_prometheus
@pytest.mark.parametrize("name", QUERIES)
def test_a_query_of_the_dashboard_has_an_answer(prometheus: Prometheus, name: str) -> None:
    query = QUERIES[name].replace("$namespace", ".*").replace("$__rate_interval", "4m")
    assert [value for value in prometheus.values(query) if not math.isnan(value)]


@needs_prometheus
def test_a_query_of_the_dashboard_keeps_to_the_namespace_that_is_chosen(prometheus: Prometheus) -> None:
    for query in QUERIES.values():
        if "vector(0)" not in query:
            filled = query.replace("$__rate_interval", "4m")
            assert prometheus.values(filled.replace("$namespace", NAMESPACE))
            assert prometheus.values(filled.replace("$namespace", "elsewhere")) == []


@needs_prometheus
def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", ALERTS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, f"{len(RULES)} rules found" in done.stdout) == (0, True)


@needs_prometheus
def test_the_alerts_fire_after_their_time_with_their_texts() -> None:
    tests = Path(__file__).parent / "alert_tests.yaml"
    done = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, f"Unit Testing:  {tests}\n  SUCCESS\n\n")
    fired = {
        each["alertname"] for case in yaml.safe_load(tests.read_text())["tests"] for each in case["alert_rule_test"]
    }
    assert fired == RULES.keys()


@needs_prometheus
@pytest.mark.parametrize("metrics", [CupsMetrics, OperatorMetrics])
def test_metrics_are_named_by_the_rules_of_prometheus(metrics: Any) -> None:
    text = metrics().exposition()
    assert text.startswith(b"# HELP stationkeeper_")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_the_hour_is_sampled_as_often_as_prometheus_looks_back() -> None:
    assert STEP_SECONDS * 2 < 60
