"""Read the pages of a built site, and find errors in them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_LOADING_RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "manifest", "preconnect", "dns-prefetch"}
# The remains in a text if Markdown was not read as a list, a table, a note or a block of code.
_LEFT_OVER = ("\n- ", "\n1. ", "\n| ", "|-|", "[!", "```")
_FENCE_AS_TEXT = re.compile(r"(?:sh|console|text|yaml|json|toml|nginx)\b[^\n]*\n")
_HOST, _PREFIX = "site.invalid", "/site/"


@dataclass
class Page:
    """The links and anchors of a page.

    Attributes:
        links: the targets of its links, as written.
        loaded: the files that the browser fetches to show the page.
        anchors: the ids and names of its elements.
        left_over: texts of paragraphs that still contain Markdown.
    """

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    left_over: list[str] = field(default_factory=list)


def problems(site: Path) -> list[str]:
    """Return what is wrong with a built site, one line each.

    Args:
        site: its folder.

    Returns:
        Links and anchors that lead nowhere, files that are loaded from other servers, and text that is still
        Markdown.
    """
    found = {path.relative_to(site).as_posix(): _read(path) for path in sorted(site.rglob("*.html"))}
    if "index.html" not in found:
        return [f"{site} has no index.html"]
    return [f"{name}: {each}" for name, page in found.items() for each in _problems_of(site, found, name, page)]


def _problems_of(site: Path, found: Mapping[str, Page], name: str, page: Page) -> Iterator[str]:
    yield from (f"loads {each} from elsewhere" for each in page.loaded if urlsplit(each).netloc)
    yield from (f"Markdown is left over in: {each[:200]!a}" for each in page.left_over)
    for link in [*page.links, *page.loaded]:
        parts = urlsplit(urljoin(f"http://{_HOST}{_PREFIX}{name}", link))
        if parts.netloc != _HOST or name == "404.html":  # that one has links as the public site has them
            continue
        path = unquote(parts.path)
        path = (f"{path}index.html" if path.endswith("/") else path).removeprefix(_PREFIX)
        if path.startswith("/") or not (site / path).is_file():
            yield f"{link} leads nowhere"
        elif parts.fragment and path in found and unquote(parts.fragment) not in found[path].anchors:
            yield f"{link} leads to no anchor"


def _read(path: Path) -> Page:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader.page


class _Reader(HTMLParser):
    """Collects a `Page`."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._paragraph: list[str] | None = None
        self._code: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.page.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        elif tag in _LOADED and _LOADED[tag] in given and (tag != "link" or _is_loading(given)):
            self.page.loaded.append(given[_LOADED[tag]])
        elif tag == "p":
            self._paragraph = []
        elif tag == "code":
            self._code = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "code" and self._code is not None:
            text = "".join(self._code)
            if self._paragraph is not None and _FENCE_AS_TEXT.match(text):
                self.page.left_over.append(text)
            self._code = None
        elif tag == "p" and self._paragraph is not None:
            text = "".join(self._paragraph)
            if any(each in f"\n{text}" for each in _LEFT_OVER):
                self.page.left_over.append(text)
            self._paragraph = None

    def handle_data(self, data: str) -> None:
        if self._code is not None:
            self._code.append(data)
        elif self._paragraph is not None:
            self._paragraph.append(data)


def _is_loading(link: Mapping[str, str]) -> bool:
    return bool(_LOADING_RELATIONS & set(link.get("rel", "").split()))
