"""The documentation builds as a site, all its links lead somewhere, and each page can be found."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from website.build import SiteError, build, pages
from website.built_pages import problems

DOCS = Path("docs")
WORKFLOW = Path(".github/workflows/site.yml")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site"))


def entries(nav: list[Any]) -> Iterator[str]:
    """Yield the pages of a navigation in order."""
    for each in nav:
        if isinstance(each, str):
            yield each
            continue
        for value in each.values():
            yield from entries([value] if isinstance(value, str) else value)


@pytest.mark.slow
def test_it_builds_and_no_link_leads_nowhere(site: Path) -> None:
    assert (site / "index.html").is_file()
    assert (site / "search.json").is_file()


@pytest.mark.slow
def test_each_page_of_the_documentation_is_there(site: Path) -> None:
    lacking = [path for path, _ in pages(Path.cwd()) if not list(site.glob(f"{path.with_suffix('')}*"))]
    assert [each for each in lacking if each.name not in {"index.md", "README.md"}] == []


def test_the_navigation_has_each_page_once() -> None:
    config = tomllib.loads(Path("website/zensical.toml").read_text())
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    named = list(entries(config["project"]["nav"]))

    assert sorted(named) == sorted(there)


@pytest.mark.slow
def test_each_page_forbids_the_browser_to_load_from_other_sites(site: Path) -> None:
    policy = "default-src &#x27;self&#x27;", "default-src 'self'"
    lacking = [path for path in site.rglob("*.html") if not any(each in path.read_text() for each in policy)]
    assert lacking == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="../other/">x</a>', "index.html: ../other/ leads nowhere"),
        ('<a href="/other/">x</a>', "index.html: /other/ leads nowhere"),
        ('<a href="other/#there">x</a>', "index.html: other/#there leads to no anchor"),
        ('<a href="#there">x</a>', "index.html: #there leads to no anchor"),
        ('<script src="https://cdn.example.org/x.js"></script>', "loads https://cdn.example.org/x.js from elsewhere"),
        ('<link rel="stylesheet" href="//fonts.example.org/x.css">', "loads //fonts.example.org/x.css from elsewhere"),
        ('<img src="missing.png">', "index.html: missing.png leads nowhere"),
        ("<p>Some text\n- a list</p>", "Markdown is left over"),
        ("<p>| a | row |\n| after | a blank line |</p>", "Markdown is left over"),
        ("<p>[!WARNING]\nof a note that begins with a space</p>", "Markdown is left over"),
        ("<p><code>sh not-run\nls</code></p>", "Markdown is left over"),
    ],
)
def test_each_fault_of_a_page_is_found(tmp_path: Path, body: str, problem: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h2 id="here">x</h2>')
    (tmp_path / "index.html").write_text(body)

    (found, *others) = problems(tmp_path)

    assert problem in found
    assert all("leads nowhere" in each for each in others)


def test_a_working_link_is_not_a_problem(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h2 id="here">x</h2><a href="../">x</a><a href="../#top">x</a>')
    links = '<a href="other/#here">x</a><a href="other/">x</a><a href="https://example.org/">x</a><a id="top">x</a>'
    (tmp_path / "index.html").write_text(links)

    assert problems(tmp_path) == []


def test_a_link_out_of_the_documentation_leads_to_the_public_repository(tmp_path: Path) -> None:
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "crds").mkdir()
    (tmp_path / "LICENSE").touch()
    page = tmp_path / "docs" / "adr" / "one.md"
    page.write_text("[a](../../LICENSE#x) [b](../../crds) [c](../two.md)")

    ((_, text),) = pages(tmp_path)

    base = "https://github.com/stationkeeper/stationkeeper"
    assert text == f"[a]({base}/blob/main/LICENSE#x) [b]({base}/tree/main/crds) [c](../two.md)"
    page.write_text("[a](../../MISSING)")
    with pytest.raises(SiteError, match=r"docs/adr/one\.md: \.\./\.\./MISSING leads nowhere"):
        list(pages(tmp_path))


@pytest.mark.slow
def test_the_workflow_is_valid_and_publishes_what_make_site_builds() -> None:
    program = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]

    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "run: make site" in WORKFLOW.read_text()
    assert "path: build/site/site" in WORKFLOW.read_text()
