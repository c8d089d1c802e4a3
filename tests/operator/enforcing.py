"""TrustedCAs, Gateways, pods' reports and an `Enforcement` that has published them."""

from stationkeeper_core.published.documents import TRUST
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Resource, decode_resource
from stationkeeper_operator.rollout.enforcement import Enforcement
from stationkeeper_operator.rollout.generation_report import LoadRefusal
from stationkeeper_operator.rollout.resource_steps import ResourceRef, ResourceSteps
from stationkeeper_operator.rollout.step_fact import PodReport, Step
from tests.operator.resource_building import metadata

HERE, THERE = "registry-00", "registry-01"
GOOD = Verdict(True, "Accepted", "fine", TRUST)
REFUSAL = LoadRefusal("DigestMismatch", "trust is not what its header says")


def ca(name: str = "acme", status: dict[str, object] | None = None) -> Resource:
    raw = {"metadata": metadata(name, "lorawan", generation=1), "spec": {}, "status": status or {}}
    return decode_resource(TRUSTED_CA, raw)


def ref(resource: Resource) -> ResourceRef:
    return ResourceRef(resource.key, resource.metadata.uid)


def resources_in(steps: ResourceSteps) -> list[ResourceRef]:
    return [each for key in steps.keys for each in steps.of_one_name(key)]


def pod(generation: int, name: str = "cups-0", *, refuses: bool = False, problem: str = "") -> PodReport:
    return PodReport(name, {TRUST: generation}, {TRUST: REFUSAL} if refuses else {}, problem)


def gateway() -> Resource:
    return decode_resource(GATEWAY, {"metadata": metadata("roof", "lorawan", generation=2)})


def holder(here: int, there: int) -> PodReport:
    return PodReport("cups-0", {HERE: here, THERE: there})


def published(*resources: Resource, generation: int = 5, since: float = 100.0) -> Enforcement:
    made = Enforcement()
    made.begin_turn({TRUST: 4})
    list(made.published(Step(TRUST, generation, since), [ref(each) for each in resources]))
    return made
