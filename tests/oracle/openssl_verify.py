"""The verdicts of the `openssl` command on every chain of a PKI, in few runs of it.

A chain counts if `openssl verify` accepts it for the purpose sslclient, with its last certificate as the only trust
anchor and its other CA certificates as the only help, and builds a chain of exactly that length.
"""

import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from tests.oracle.random_pki import TIMES, Issued, Pki

Chain = tuple[Issued, ...]
"""From the end entity to the anchor."""

_OK = re.compile(r"^leaf-(\d+): OK$")


class Verdicts:
    """The chains of a PKI that `openssl` verifies, at each of the times.

    Args:
        pki: the certificates.
        folder: the folder for their files.
    """

    def __init__(self, pki: Pki, folder: Path) -> None:
        self._folder = folder
        self._chains: dict[tuple[Issued, datetime], list[Chain]] = {}
        self._signed: dict[tuple[bytes, bytes], bool] = {}
        self.runs = 0
        for number, each in enumerate(pki.leaves):
            (folder / f"leaf-{number}").write_bytes(_pem(each))
        for number, ca in enumerate(pki.cas):
            (folder / f"ca-{number}").write_bytes(_pem(ca))
        tops = list(self._tops(pki))
        for time in TIMES:
            for leaf in pki.leaves:
                self._chains[leaf, time] = []
            for top in tops:
                self._ask(pki, top, time)
            for leaf in pki.leaves:
                self._ask_alone(pki, leaf, time)

    def chains(self, leaf: Issued, time: datetime) -> list[Chain]:
        """Return the chains from `leaf` that verify at `time` under any root."""
        return self._chains[leaf, time]

    def issued(self, issuer: Issued, certificate: Issued) -> bool:
        """Return whether `issuer` has the name of the certificate's issuer, and its key made the signature."""
        return certificate.issuer == issuer.subject and self._signs(issuer, certificate)

    def _ask(self, pki: Pki, top: Chain, time: datetime) -> None:
        leaves = [number for number, leaf in enumerate(pki.leaves) if leaf.issuer == top[0].subject]
        if not leaves:
            return
        helpers = [f"ca-{pki.cas.index(each)}" for each in top[:-1]]
        for number, length in self._verified(f"ca-{pki.cas.index(top[-1])}", helpers, leaves, time):
            chain = (pki.leaves[number], *top)
            if length == len(chain) and self._is_signed(chain):
                self._chains[pki.leaves[number], time].append(chain)

    def _ask_alone(self, pki: Pki, leaf: Issued, time: datetime) -> None:
        number = pki.leaves.index(leaf)
        for _, length in self._verified(f"leaf-{number}", [], [number], time):
            assert length == 1
            self._chains[leaf, time].append((leaf,))

    def _verified(
        self, anchor: str, helpers: list[str], leaves: list[int], time: datetime
    ) -> Iterator[tuple[int, int]]:
        """Yield the numbers of the verified leaves, each with the length of the built chain."""
        command = ["openssl", "verify", "-partial_chain", "-purpose", "sslclient", "-show_chain"]
        command += ["-attime", str(int(time.timestamp())), "-trusted", anchor]
        for helper in helpers:
            command += ["-untrusted", helper]
        command += [f"leaf-{number}" for number in leaves]
        self.runs += 1
        found = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)
        current, length = -1, 0
        for line in (*found.stdout.splitlines(), "leaf-0: end"):
            match = _OK.match(line)
            if (match or line == "leaf-0: end") and current >= 0:
                yield current, length
            if match:
                current, length = int(match[1]), 0
            length += line.startswith("depth=")

    def _tops(self, pki: Pki) -> Iterator[Chain]:
        """Yield every chain of CA certificates up to an anchor; each one signed the one before."""
        begun: list[Chain] = [(each,) for each in pki.cas]
        while begun:
            top = begun.pop()
            yield top
            below = (each for each in pki.cas if each.issuer == top[0].subject and each not in top)
            begun += [(each, *top) for each in below if self._signs(top[0], each)]

    def _is_signed(self, chain: Chain) -> bool:
        """Return whether each signed the one before: with helpers of one name, OpenSSL may use another order."""
        return all(self._signs(issuer, each) for each, issuer in pairwise(chain))

    def _signs(self, issuer: Issued, certificate: Issued) -> bool:
        pair = (issuer.der, certificate.der)
        if pair not in self._signed:
            try:
                certificate.x509.verify_directly_issued_by(issuer.x509)
            except (InvalidSignature, ValueError):
                self._signed[pair] = False
            else:
                self._signed[pair] = True
        return self._signed[pair]


def _pem(certificate: Issued) -> bytes:
    return certificate.x509.public_bytes(Encoding.PEM)
