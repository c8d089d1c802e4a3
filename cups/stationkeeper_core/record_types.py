"""Prepare the types of records before threads use them.

msgspec prepares a type at its first use. If a second thread uses the type at that moment, the process ends with a
segmentation fault (seen with msgspec 0.22 in an operator that read several Secrets after its start). So a program
prepares all types before it starts threads.
"""

import contextlib
from collections.abc import Iterator

import msgspec


def prepare_record_types() -> None:
    """Prepare every type of a record whose module is imported; this takes a few milliseconds.

    Call it before the first thread that decodes, and again after further imports.
    """
    for each in _below(msgspec.Struct):
        # A type that cannot be decoded is only encoded.
        with contextlib.suppress(TypeError):
            msgspec.json.Decoder(each)


def _below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
