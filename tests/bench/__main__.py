"""The project's measurements. Run one with `make bench ARGS=cups`, or `python -m tests.bench cups --json`."""

import argparse

from tests.bench import cups, operator, registry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    cups.add_to(commands.add_parser("cups", help=cups.__doc__, description=cups.__doc__))
    operator.add_to(commands.add_parser("operator", help=operator.__doc__, description=operator.__doc__))
    registry.add_to(commands.add_parser("registry", help=registry.__doc__, description=registry.__doc__))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
