"""Print each package of the present environment with the licence in its metadata."""

from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

_CLASSIFIER = "License :: "


def lines() -> Iterator[str]:
    """Return a line for each package, by name."""
    for each in sorted(distributions(), key=lambda found: found.metadata["Name"].lower()):
        yield f"{each.metadata['Name']} {each.version}: {licence(each)}"


def licence(package: Distribution) -> str:
    """Return the SPDX expression of a package, or the licence field of older metadata."""
    said = package.metadata.json
    classifiers = [each.rpartition(" :: ")[2] for each in said.get("classifier", ()) if each.startswith(_CLASSIFIER)]
    text = str(said.get("license") or "").splitlines()
    return str(said.get("license_expression") or ", ".join(classifiers) or (text[0] if text else "unknown"))


if __name__ == "__main__":
    for line in lines():
        print(line)  # noqa: T201 - this is the output
