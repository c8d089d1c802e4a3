"""Deliberate bugs of the operator that the perturbation must find; each is a change of one function."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bug:
    """One bug.

    Attributes:
        what: what the operator does wrong.
        plant: makes this process' operator do it.
    """

    what: str
    plant: Callable[[], None]


def _cut_lists_count() -> None:
    from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi, Page  # noqa: PLC0415 - see `BUGS`

    original = KubernetesApi.pages

    async def pages(self: KubernetesApi, *arguments: Any, **options: Any) -> Any:
        try:
            async for page in original(self, *arguments, **options):
                yield page
        except ApiError:
            yield Page("", ())

    KubernetesApi.pages = pages  # type: ignore[method-assign]


def _lists_may_be_old() -> None:
    from stationkeeper_operator.api.kubernetes_api import KubernetesApi  # noqa: PLC0415 - see `BUGS`

    original = KubernetesApi.pages

    def pages(self: KubernetesApi, path: str, query: Any = None, *arguments: Any, **options: Any) -> Any:
        return original(self, path, {"resourceVersion": "0", **(query or {})}, *arguments, **options)

    KubernetesApi.pages = pages  # type: ignore[method-assign]


def _nothing_after_410() -> None:
    from stationkeeper_operator.runtime import Operator  # noqa: PLC0415 - see `BUGS`
    from stationkeeper_operator.watching.reports import RelistReport  # noqa: PLC0415 - see `BUGS`

    original = Operator._take_in

    def take_in(self: Operator, report: Any) -> None:
        if not isinstance(report, RelistReport):
            original(self, report)

    Operator._take_in = take_in  # type: ignore[method-assign]


def _proof_of_nothing() -> None:
    from dataclasses import replace  # noqa: PLC0415 - see `BUGS`

    from stationkeeper_operator.rollout.enforcement import Enforcement  # noqa: PLC0415 - see `BUGS`

    original = Enforcement.published

    def published(self: Enforcement, step: Any, changed: Any, removed: Any = ()) -> Iterator[None]:
        return original(self, replace(step, generation=0), changed, removed)

    Enforcement.published = published  # type: ignore[method-assign]


# The operator is imported only when a bug is planted: to list the names, it need not be loaded.
BUGS = {
    "cut-lists": Bug("takes a LIST that was cut for a whole one", _cut_lists_count),
    "old-lists": Bug("asks for LISTs that may be old", _lists_may_be_old),
    "deaf-after-410": Bug("lists nothing after a watch began anew", _nothing_after_410),
    "proof-of-nothing": Bug("takes any generation for proof", _proof_of_nothing),
}
