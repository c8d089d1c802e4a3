"""The project's measurements. Run one with `make bench ARGS=cups`, or `python -m tests.bench cups --json`."""

import argparse

from tests.bench import (
    api_client,
    cores,
    cups,
    floods,
    herd,
    memory,
    operator,
    page,
    propagation,
    registry,
    soak,
    stalls,
    steps,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    commands_of = (
        *(api_client, cores, cups, floods, herd, memory),
        *(operator, page, propagation, registry, soak, stalls, steps),
    )
    for command in commands_of:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        command.add_to(commands.add_parser(name, help=command.__doc__, description=command.__doc__))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
