"""Certificates that are too weak for today, made by the openssl program because libraries refuse to make them."""

import shutil
import subprocess
from pathlib import Path

from stationkeeper_tools import sample_pki
from stationkeeper_tools.sample_pki import KeyPair
from tests.core.private_keys import written

CA = "-addext basicConstraints=critical,CA:TRUE"


class WeakPki:
    """Keys and certificates in a folder.

    Args:
        folder: it is created.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def root(self, name: str, bits: int = 2048) -> KeyPair:
        """Return a self-signed root."""
        self._run(f"req -x509 -sha256 -days 30 {self._key(name, f'rsa:{bits}')} -out {name}.crt {CA}", name)
        return self._pair(name)

    def issue(self, name: str, common_name: str, issuer: str, key: str = "rsa:2048", digest: str = "sha256") -> KeyPair:
        """Return a certificate that `issuer` signs.

        Args:
            name: of its files.
            common_name: its subject.
            issuer: the name of one that exists already.
            key: `rsa:BITS`, or `ec:CURVE`.
            digest: the digest of the signature.
        """
        # Keys take most of the time, and clients never meet: those that are no CAs share one of each kind.
        shared = self._folder / f"{key.replace(':', '-')}.key"
        if "ca" in name or not shared.exists():
            made = self._key(name, key)
        else:
            shutil.copy(shared, self._folder / f"{name}.key")
            made = f"-key {name}.key"
        self._run(f"req -new {made} -out {name}.csr {CA}", common_name)
        if "ca" not in name and not shared.exists():
            shutil.copy(self._folder / f"{name}.key", shared)
        files = f"-in {name}.csr -out {name}.crt -CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial"
        self._run(f"x509 -req -days 20 -{digest} -copy_extensions {'copy' if 'ca' in name else 'none'} {files}")
        return self._pair(name)

    def _key(self, name: str, wanted: str) -> str:
        """Return the options of `openssl req` for a key of the requested kind for `name`."""
        if wanted == "rsa:2048":
            (self._folder / f"{name}.key").write_bytes(written(sample_pki._rsa_key()))
            return f"-key {name}.key"
        kind, _, size = wanted.partition(":")
        new = wanted if kind == "rsa" else f"ec -pkeyopt ec_paramgen_curve:{size}"
        return f"-newkey {new} -nodes -keyout {name}.key"

    def _pair(self, name: str) -> KeyPair:
        key, certificate = self._folder / f"{name}.key", self._folder / f"{name}.crt"
        return KeyPair(key.read_bytes(), certificate.read_bytes())

    def _run(self, command: str, common_name: str = "") -> None:
        subject = ["-subj", f"/CN={common_name}"] if common_name else []
        subprocess.run(["openssl", *command.split(), *subject], cwd=self._folder, check=True, capture_output=True)
