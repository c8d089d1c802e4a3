"""The words that no text of the project uses, because many readers read English as a second language."""

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = re.compile(r"\b(?:whoever|whomever|whom|is to be|are to be)\b", re.IGNORECASE)
_TEXTS = {".py", ".md", ".yaml", ".yml", ".tpl", ".txt", ".toml", ".json", ".go", ".html", ".css", ".js", ".sh", ""}
_OF_OTHERS = {"LICENSE", "CODE_OF_CONDUCT.md"}


def _files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [each for each in paths if each.suffix in _TEXTS and each.name not in _OF_OTHERS and each != Path(__file__)]


def test_no_text_has_a_forbidden_word() -> None:
    found = []
    for path in _files():
        if not path.is_file():
            continue
        # A line break may stand between the words.
        text = re.sub(r"\s+(?:[#*] )?", " ", path.read_text(errors="replace"))
        found += [
            f"{path.relative_to(ROOT)}: {text[max(0, each.start() - 30) : each.end() + 30]}"
            for each in FORBIDDEN.finditer(text)
        ]
    assert found == []


_RIDDLES = re.compile(r"(?:What|Whose|Who|Of|Have|Has)\b")
"""A docstring with such a beginning has no plain sentence: it says a thing by its relation to another one."""


def test_no_docstring_begins_as_a_riddle() -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for path in _files()
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds) and (text := ast.get_docstring(node)) and _RIDDLES.match(text)
    ]
    assert found == []
