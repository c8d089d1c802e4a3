"""The paths that OpenSSL was asked to verify; the fixture `asked` returns them."""

from stationkeeper_core.trust.verification import Path


class Asked(list[Path]):
    """The paths, in order."""
