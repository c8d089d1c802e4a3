"""The paths that OpenSSL was asked about; the fixture `asked` gives them."""

from stationkeeper_core.trust.verification import Path


class Asked(list[Path]):
    """The paths, in order."""
