"""The tests that the page of threats names exist."""

import ast
import re
from pathlib import Path

PAGE = Path("docs/threat-model.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


def functions(path: Path) -> set[str]:
    """Return the functions of a file and of its classes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def test_each_test_that_the_threat_model_names_exists() -> None:
    assert NAMED
    lacking = [
        f"{path}::{name}"
        for path, name in NAMED
        if not Path(path).is_file() or (name and name not in functions(Path(path)))
    ]
    assert lacking == []


def test_every_attacker_has_a_section() -> None:
    titles = set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE))
    attackers = {
        "A gateway with a certificate",
        "Anybody on the internet",
        "A tenant",
        "A CUPS pod that was taken over",
        "Any pod of the cluster",
    }
    assert attackers <= titles
