"""The fixtures of the CUPS server, for Stations that ask it."""

from tests.cups.conftest import cups, idle_cups, pki

__all__ = ["cups", "idle_cups", "pki"]
