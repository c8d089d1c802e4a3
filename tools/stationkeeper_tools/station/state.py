"""The persistent state of a Station, in files with the real client's names.

`cups.uri`, `.trust`, `.crt`, `.key` are the regular set; `-bak` and `-boot` mark the other two. Files with `tc` instead
of `cups` are for the LNS. An update is staged in `-temp` files; then `-temp.upd` marks them as complete, and they
replace the regular ones. If a process ends between two steps, it leaves the old set, or a marker with which the next
process continues. So every set is always complete.
"""

from dataclasses import dataclass
from enum import StrEnum

from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.files import Files
from stationkeeper_tools.station.server_uri import MAX_URI_CHARACTERS, parse_server_uri

_PARTS = ("trust", "crt", "key", "uri")
_WHITE_SPACE = b" \t\r\n"


class Server(StrEnum):
    """The server that a set is for; the value begins the files' names."""

    CUPS = "cups"
    LNS = "tc"

    @property
    def scheme(self) -> str:
        """The scheme of its URI without TLS."""
        return "http" if self is Server.CUPS else "ws"


class SetName(StrEnum):
    """The name of a set; in the files' names, the value follows the server's."""

    REGULAR = ""
    BACKUP = "-bak"
    BOOT = "-boot"

    @property
    def label(self) -> str:
        """The name for people."""
        return {"": "REG", "-bak": "BAK", "-boot": "BOOT"}[self.value]

    @property
    def next(self) -> "SetName":
        """The set that a Station tries after this one."""
        order = list(SetName)
        return order[(order.index(self) + 1) % len(order)]


@dataclass(frozen=True)
class Staged:
    """The staged update for one server.

    Attributes:
        uri: the new URI; empty keeps the old one.
        credentials: the new credentials; None keeps the old ones.
    """

    uri: bytes = b""
    credentials: CredentialSet | None = None


class StationState:
    """The files of one Station; the constructor first completes an update that an earlier process began.

    Args:
        files: where they are stored.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        for server in Server:
            if files.read(f"{server}-temp.upd") is not None:
                self._roll_forward(server)
            if files.read(f"{server}-temp.cpy") is not None:
                self._copy(server)

    def seed(self, uri: str, credentials: CredentialSet) -> bool:
        """Create the BOOT set for CUPS if there is none; return whether it was created.

        Args:
            uri: of the CUPS server.
            credentials: as files, PEM or DER.
        """
        if self.stored_uri(Server.CUPS, SetName.BOOT) is not None:
            return False
        contents = (credentials.trust, credentials.certificate, credentials.key, uri.encode())
        for part, content in zip(_PARTS, contents, strict=True):
            self._files.write(f"cups-boot.{part}", content)
        return True

    def differing(self, uri: str | None, credentials: CredentialSet) -> list[str]:
        """Return the parts of the BOOT set, such as `trust`, that are stored with other content than given here.

        Args:
            uri: None if none is given.
            credentials: as files; an empty part counts as not given.
        """
        given = (credentials.trust, credentials.certificate, credentials.key, (uri or "").encode())
        return [
            part
            for part, content in zip(_PARTS, given, strict=True)
            if content and self._files.read(f"{Server.CUPS}{SetName.BOOT}.{part}") != content
        ]

    def forget(self) -> None:
        """Remove every set, as on a new Station; software and its keys stay."""
        for server in Server:
            for name in (*SetName, "-temp"):
                for part in (*_PARTS, "done", "cpy", "upd"):
                    self._files.remove(f"{server}{name}.{part}")

    def stored_uri(self, server: Server, name: SetName) -> bytes | None:
        """Return the stored URI, without white space at its end; None if there is none."""
        content = self._files.read(f"{server}{name}.uri")
        return None if content is None else content.split(b"\0", 1)[0].rstrip(_WHITE_SPACE)

    def uri(self, server: Server, name: SetName) -> bytes | None:
        """Return the URI that a Station uses: None if there is none, or if it has more than 127 characters."""
        stored = self.stored_uri(server, name)
        return None if stored is None or len(stored) > MAX_URI_CHARACTERS else stored

    def credentials(self, server: Server, name: SetName) -> CredentialSet:
        """Return the credential set; an empty file counts as missing."""
        return CredentialSet(*(self._files.read(f"{server}{name}.{part}") or b"" for part in _PARTS[:3]))

    def uri_faults(self) -> list[StationError]:
        """Return the faults of the stored URIs; with a `BadURI` among them, or without any URI, a Station exits."""
        faults = []
        usable = 0
        for server in Server:
            for name in SetName:
                stored = self.stored_uri(server, name)
                if stored is None:
                    continue
                place = f"{server}{name}.uri"
                if len(stored) > MAX_URI_CHARACTERS:
                    detail = f"{place} has {len(stored)} characters, a Station reads at most {MAX_URI_CHARACTERS}"
                    faults.append(StationError(StationFault.URI_TOO_LONG, detail))
                    continue
                try:
                    parse_server_uri(stored.decode("latin-1"), server.scheme)
                    usable += 1
                except StationError as error:
                    faults.append(StationError(error.fault, f"{place}: {error.detail}"))
        if not usable:
            faults.append(StationError(StationFault.NO_URI, "no set has a usable URI"))
        return faults

    @property
    def package(self) -> bytes | None:
        """The version of the gateway's software, from `version.txt`."""
        content = self._files.read("version.txt")
        return None if content is None else content.split(b"\0", 1)[0].rstrip(_WHITE_SPACE)

    def signature_keys(self) -> list[bytes]:
        """Return the contents of `sig-0.key`, `sig-1.key` and so on, up to the first missing file."""
        keys: list[bytes] = []
        while (key := self._files.read(f"sig-{len(keys)}.key")) is not None:
            keys.append(key)
        return keys

    def back_up(self, server: Server) -> bool:
        """Copy the regular set to the BAK set, unless that was done before; return whether it was copied now."""
        if self._files.read(f"{server}-bak.done") is not None:
            return False
        self._files.write(f"{server}-temp.cpy", b"")
        self._copy(server)
        return True

    def stage(self, updates: dict[Server, Staged]) -> None:
        """Write an update beside the regular sets; replace one that was staged before."""
        for server in Server:
            self._files.remove(f"{server}-temp.upd")
            for part in _PARTS:
                self._files.remove(f"{server}-temp.{part}")
        for server, staged in updates.items():
            if staged.uri:
                self._files.write(f"{server}-temp.uri", staged.uri.split(b"\0", 1)[0])
            if staged.credentials:
                parts = (staged.credentials.trust, staged.credentials.certificate, staged.credentials.key)
                for part, content in zip(_PARTS, parts, strict=False):
                    self._files.write(f"{server}-temp.{part}", content)

    def commit(self) -> None:
        """Replace the regular sets by the staged ones."""
        for server in Server:
            if any(self._files.read(f"{server}-temp.{part}") is not None for part in _PARTS):
                self._files.write(f"{server}-temp.upd", b"")
                self._roll_forward(server)

    def _roll_forward(self, server: Server) -> None:
        for part in _PARTS:
            if self._files.read(f"{server}-temp.{part}") is not None:
                self._files.rename(f"{server}-temp.{part}", f"{server}.{part}")
        self._files.remove(f"{server}-temp.upd")

    def _copy(self, server: Server) -> None:
        self._files.remove(f"{server}-bak.done")
        for part in _PARTS:
            self._files.remove(f"{server}-bak.{part}")
        for part in _PARTS:
            content = self._files.read(f"{server}.{part}")
            if content is not None:
                self._files.write(f"{server}-bak.{part}", content)
        self._files.write(f"{server}-bak.done", b"")
        self._files.remove(f"{server}-temp.cpy")
