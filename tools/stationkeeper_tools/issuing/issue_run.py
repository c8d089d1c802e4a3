"""Issue certificates to a list of gateways; continue where an earlier run was interrupted."""

import csv
import fcntl
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.issuing.issuer import Issuer
from stationkeeper_tools.issuing.station_folder import CupsServer, read_folder, remove_unfinished, write_folder
from stationkeeper_tools.private_files import write_private

LIST = "issued.csv"

_LOCK = ".issue.lock"
_FIELDS = ("eui", "serial", "sha256", "notAfter")


class IssueState(StrEnum):
    """The result for a gateway of the list."""

    ISSUED = "Issued"
    KEPT = "Kept"
    REFUSED = "Refused"


@dataclass(frozen=True)
class IssueResult:
    """The result for a gateway of the list.

    Attributes:
        eui: of the gateway.
        state: whether the certificate is new, was there already, or is refused.
        folder: the folder of its files.
        serial: of its certificate, upper-case hex; empty if refused.
        sha256: of its certificate, lower-case hex; empty if refused.
        not_after: when its certificate ends, RFC 3339; empty if refused.
        problem: why it is refused, and what to do; else empty.
    """

    eui: EUI64
    state: IssueState
    folder: Path
    serial: str = ""
    sha256: str = ""
    not_after: str = ""
    problem: str = ""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create the folder and lock it against other runs.

    Raises:
        InputError: another run works there.
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another `stationkeeper issue` works here; wait until it ends") from None
        remove_unfinished(folder)
        yield
    finally:
        os.close(descriptor)


def issue_all(euis: Iterable[EUI64], folder: Path, server: CupsServer, issuer: Issuer) -> Iterator[IssueResult]:
    """Issue a certificate to each gateway that has no folder yet, and check the folders of the others.

    Args:
        euis: of the gateways.
        folder: locked; gets one folder for each.
        server: the CUPS server that they ask.
        issuer: signs.

    Yields:
        The result for each, in the order of `euis`.

    Raises:
        OSError: a file cannot be written.
    """
    for eui in euis:
        own = folder / format_hex(eui)
        if own.exists():
            yield _kept_result(own, eui, server, issuer)
            continue
        issued = issuer.issue(eui)
        write_folder(folder, eui, server, issued)
        yield _result(eui, IssueState.ISSUED, own, issued.certificate)


def write_list(folder: Path, results: Iterable[IssueResult]) -> Path:
    """Write `issued.csv`, which lists the certificate of each gateway; keep its lines about other gateways.

    Args:
        folder: locked.
        results: refused ones are left out.

    Returns:
        The file.
    """
    path = folder / LIST
    rows = {row["eui"]: row for row in _listed(path)}
    for each in results:
        if each.state is not IssueState.REFUSED:
            values = (format_hex(each.eui), each.serial, each.sha256, each.not_after)
            rows[values[0]] = dict(zip(_FIELDS, values, strict=True))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _FIELDS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows[eui] for eui in sorted(rows))
    return write_private(path, text.getvalue().encode())


def _listed(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{field: row.get(field) or "" for field in _FIELDS} for row in csv.DictReader(file) if row.get("eui")]


def _kept_result(own: Path, eui: EUI64, server: CupsServer, issuer: Issuer) -> IssueResult:
    try:
        return _result(eui, IssueState.KEPT, own, read_folder(own, eui, server, issuer))
    except ValueError as error:
        problem = f"{own}: the folder {error}; it was not changed. Move it away to issue a new key"
        return IssueResult(eui, IssueState.REFUSED, own, problem=problem)


def _result(eui: EUI64, state: IssueState, own: Path, certificate: x509.Certificate) -> IssueResult:
    return IssueResult(
        eui,
        state,
        own,
        f"{certificate.serial_number:X}",
        certificate.fingerprint(hashes.SHA256()).hex(),
        rfc3339(certificate.not_valid_after_utc),
    )
