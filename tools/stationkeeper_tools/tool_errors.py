"""Stable names for what can go wrong when a program is obtained or run."""

from enum import StrEnum


class ToolFault(StrEnum):
    """The stable names of `ToolError`."""

    DOWNLOAD_FAILED = "DownloadFailed"
    """A server cannot be reached, refuses, stalls, or breaks off."""
    DOWNLOAD_TOO_LARGE = "DownloadTooLarge"
    """A server sends more than the bound allows."""
    DIGEST_MISMATCH = "DigestMismatch"
    """What was downloaded is not what the publisher's digest says."""
    MALFORMED_INDEX = "MalformedIndex"
    """The publisher's list of releases or digests does not have the known form."""
    NO_RELEASE = "NoRelease"
    """The publisher has nothing for this version, operating system and architecture."""
    MALFORMED_ARCHIVE = "MalformedArchive"
    """An archive cannot be read, or lacks a program."""
    GO_MISSING = "GoMissing"
    """There is no Go toolchain."""
    GO_TOO_OLD = "GoTooOld"
    """The Go toolchain is older than the modules ask for."""
    BUILD_FAILED = "BuildFailed"
    """The Go toolchain did not build the program."""
    PROGRAM_NOT_FOUND = "ProgramNotFound"
    """No source yielded the program."""
    CACHE_NOT_WRITABLE = "CacheNotWritable"
    """The folder that keeps obtained programs cannot be written."""
    PROCESS_ENDED = "ProcessEnded"
    """A process ended although it should run."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """A process did not get ready in time."""
    PORT_TAKEN = "PortTaken"
    """No free port was found, or another program has the port that is needed again."""
    API_REFUSED = "APIRefused"
    """The API server refused a request of the tools."""
    MANIFESTS_MISSING = "ManifestsMissing"
    """The package does not hold the manifests that belong to it."""


class ToolError(Exception):
    """A program cannot be obtained or run.

    Attributes:
        fault: the stable word.
        detail: what was wrong, where, and what to do.
    """

    def __init__(self, fault: ToolFault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
