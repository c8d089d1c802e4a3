"""A PKI made by the openssl commands of the document."""

import subprocess
from pathlib import Path


class OpensslPki:
    """Keys and certificates in a folder, with the names of the document."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def root(self, name: str) -> str:
        """Make `<name>.crt`; return its text."""
        self._run(
            f"req -x509 -sha256 -days 1825 -newkey rsa:2048 -keyout {name}.key -out {name}.crt -nodes -subj /CN={name}"
        )
        return self.text(name)

    def intermediate(self, name: str, issuer: str) -> str:
        """Make `<name>.crt`, signed by `issuer`; return its text."""
        (self.folder / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\n")
        self._run(f"req -newkey rsa:2048 -nodes -keyout {name}.key -new -out {name}.csr -subj /CN={name}")
        self._sign(name, issuer, "-extfile ca.ext")
        return self.text(name)

    def gateway(self, name: str, eui: str, issuer: str, options: str = "") -> tuple[Path, Path]:
        """Make `<name>.crt` and `<name>.key` by steps 1, 3 and 4 of the document; return their paths."""
        self._run(f"genrsa -out {name}.key 2048")
        self._run(f"req -key {name}.key -new -out {name}.csr -subj /CN={eui}")
        self._sign(name, issuer, options)
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def text(self, name: str) -> str:
        return (self.folder / f"{name}.crt").read_text()

    def _sign(self, name: str, issuer: str, options: str) -> None:
        days = "" if "-days" in options or "-not_after" in options else "-days 365"
        self._run(
            f"x509 -req -CA {issuer}.crt -CAkey {issuer}.key -in {name}.csr -out {name}.crt {days}"
            f" -CAcreateserial -sha256 {options}"
        )

    def _run(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self.folder, check=True, capture_output=True)
