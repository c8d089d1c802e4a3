"""What one decision may cost, in units of about a microsecond on a slow core.

The units are nominal, not measured: the same question costs the same everywhere, so that an answer never depends on
how busy a machine is.
"""

NAMESPACE_UNITS = 4_000
"""For the TrustedCAs of one namespace, and for those of the release: about ten signatures of P-521, 40 of P-256."""
LEAST_NAMESPACE_UNITS = 500
"""For one namespace however many share an EUI."""
PRESENTED_FAILURES = 4
"""In each namespace, after so many paths by certificates that the client sent no more are tried: it can make any number
of them. An honest client's fail only where CAs share a name, and key identifiers do not tell them apart; one
certificate and all anchors with the name of its issuer count as one failure."""
ELSEWHERE_UNITS = 1_500
"""For all TrustedCAs that are not in scope together; they only give a reason."""
NEAR_MISS_UNITS = 800
"""For the proof that a TrustedCA would vouch but for one thing, which only gives a reason as well."""

PATH_UNITS = 25
"""What a path costs beside its signatures."""
ASKED_UNITS = 8
"""What it costs to ask a TrustedCA, though nothing has to be verified."""
LARGEST_PATH_UNITS = 12_000
"""No path that costs more is verified, not even as the first."""


class Budget:
    """What is left to spend.

    Args:
        units: in the beginning.
        failures: how many paths may fail.

    Attributes:
        failures: how many more may.
        left: units at this moment.
        is_spent: whether something was left undone for want of units.
    """

    __slots__ = ("_is_touched", "failures", "is_spent", "left")

    def __init__(self, units: int, failures: int = 1_000) -> None:
        self.left = units
        self.failures = failures
        self.is_spent = self._is_touched = False

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing more can be verified."""
        return self.left < PATH_UNITS or self.failures <= 0

    def allows(self, units: int) -> bool:
        """Whether `units` may be spent; the first may cost more than there is, within `LARGEST_PATH_UNITS`."""
        enough = units <= self.left or (not self._is_touched and units <= LARGEST_PATH_UNITS)
        allowed = enough and self.failures > 0
        self._is_touched = True
        self.is_spent = self.is_spent or not allowed
        return allowed

    def spend(self, units: int) -> None:
        """Take `units` away, which `allows` was asked about."""
        self.left -= units

    def take(self, units: int) -> bool:
        """Take a few `units` away; whether they were there."""
        self.left -= units
        self.is_spent = self.is_spent or self.left < 0
        return self.left >= 0
