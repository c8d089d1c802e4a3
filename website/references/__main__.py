"""Write the reference pages that are generated from the code: `make docs`."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from website.references import chart_values, custom_resources, metrics, settings

DOCS = Path(__file__).parents[2] / "docs"
PAGES: Mapping[str, Callable[[], str]] = {
    "chart-values.md": chart_values.page,
    "custom-resources.md": custom_resources.page,
    "metrics.md": metrics.page,
    "settings.md": settings.page,
}


def main() -> int:
    """Write each page; return the exit status."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
