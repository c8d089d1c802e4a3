"""The project's measurements. Run one with `make bench ARGS=cups`, or `python -m tests.bench cups --json`."""

import argparse

from tests.bench import cores, cups, floods, herd, operator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    cups.add_to(commands.add_parser("cups", help=cups.__doc__, description=cups.__doc__))
    cores.add_to(commands.add_parser("cores", help=cores.__doc__, description=cores.__doc__))
    floods.add_to(commands.add_parser("floods", help=floods.__doc__, description=floods.__doc__))
    herd.add_to(commands.add_parser("herd", help=herd.__doc__, description=herd.__doc__))
    operator.add_to(commands.add_parser("operator", help=operator.__doc__, description=operator.__doc__))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
