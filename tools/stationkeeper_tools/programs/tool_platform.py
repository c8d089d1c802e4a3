"""The operating system and processor, by the words that Go and Kubernetes use in the names of their releases."""

import os
from dataclasses import dataclass

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Platform:
    """An operating system and a processor, for example `linux` and `amd64`."""

    system: str
    architecture: str

    @classmethod
    def current(cls) -> "Platform":
        """Return this machine's platform; an unknown architecture keeps the kernel's name for it."""
        name = os.uname()
        machine = name.machine.lower()
        return cls(name.sysname.lower(), _ARCHITECTURES.get(machine, machine))

    def __str__(self) -> str:
        return f"{self.system}-{self.architecture}"
