"""The project's measurements. Run one with `make bench ARGS=cups`, or `python -m tests.bench cups --json`."""

import argparse

from tests.bench import cups, operator, registry
from tests.bench import cups, memory, operator, propagation, soak
from tests.bench import cups, herd, operator
from tests.bench import api_client, cups, operator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    api_client.add_to(commands.add_parser("api-client", help=api_client.__doc__, description=api_client.__doc__))
    cups.add_to(commands.add_parser("cups", help=cups.__doc__, description=cups.__doc__))
    herd.add_to(commands.add_parser("herd", help=herd.__doc__, description=herd.__doc__))
    operator.add_to(commands.add_parser("operator", help=operator.__doc__, description=operator.__doc__))
    registry.add_to(commands.add_parser("registry", help=registry.__doc__, description=registry.__doc__))
    for command in (cups, operator, propagation, memory, soak):
        name = command.__name__.rpartition(".")[2]
        command.add_to(commands.add_parser(name, help=command.__doc__, description=command.__doc__))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
