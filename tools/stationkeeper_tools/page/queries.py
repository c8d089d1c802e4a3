"""Read a browser's query from the parameters of its address. Pure.

Everything is bounded. An invalid parameter is ignored, so a page is always shown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from stationkeeper_core.published.observation import clean
from stationkeeper_operator.resources.records import MAX_NAME
from stationkeeper_tools.operating.fleet_status import GatewayState

PAGE_SIZE = 100
MAX_PAGE = 100_000
MAX_SEARCH = 64
REFRESH_CHOICES = (0, 5, 30)
"""In seconds; 0 for never."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True)
class Query:
    """A query.

    Attributes:
        search: a part of an EUI, a name, a model or a version, in lower case; empty for all.
        state: only gateways in this state; None for all.
        namespace: only gateways of this namespace; empty for all.
        name: the name of a resource; empty for none.
        trusted_ca: `namespace/name` of the TrustedCA that vouched for gateways last; empty for all.
        page: the number of the page, from 1.
        refresh: the seconds until the browser asks again; 0 for never, None if the address does not say.
    """

    search: str = ""
    state: GatewayState | None = None
    namespace: str = ""
    name: str = ""
    trusted_ca: str = ""
    page: int = 1
    refresh: int | None = None

    @property
    def text(self) -> str:
        """The parameters in the form of an address; empty for an empty query."""
        fields = {
            "q": self.search,
            "state": self.state.value if self.state else "",
            "namespace": self.namespace,
            "name": self.name,
            "ca": self.trusted_ca,
            "page": str(self.page) if self.page > 1 else "",
            "refresh": "" if self.refresh is None else str(self.refresh),
        }
        return urlencode({name: each for name, each in fields.items() if each})

    def on_page(self, page: int) -> "Query":
        """Return a copy with another page."""
        return replace(self, page=page)

    def refreshed(self, seconds: int) -> "Query":
        """Return a copy with another refresh interval."""
        return replace(self, refresh=seconds)


def read_query(parameters: Mapping[str, str]) -> Query:
    """Return the query in the parameters of an address."""
    state = parameters.get("state", "")
    namespace, name = _name(parameters.get("namespace", "")), _name(parameters.get("name", ""))
    around, _, short = parameters.get("ca", "").partition("/")
    refresh = parameters.get("refresh", "")
    return Query(
        search=" ".join(clean(parameters.get("q", ""), MAX_SEARCH).lower().split()),
        state=GatewayState(state) if state in set(GatewayState) else None,
        namespace=namespace,
        name=name,
        trusted_ca=f"{around}/{short}" if _name(around) and _name(short) else "",
        page=_page(parameters.get("page", "")),
        refresh=int(refresh) if refresh in {str(each) for each in REFRESH_CHOICES} else None,
    )


def _name(text: str) -> str:
    return text if len(text) <= MAX_NAME and _NAME.fullmatch(text) else ""


def _page(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE))):
        return 1
    return min(max(int(text), 1), MAX_PAGE)
