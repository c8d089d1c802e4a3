"""The budget of one trust decision, in units of about a microsecond on a slow core.

The units are fixed, not measured: the same question costs the same everywhere, so that an answer never depends on the
load of a machine.
"""

NAMESPACE_UNITS = 4_000
"""For the TrustedCAs of one namespace, and for those of the release: about ten signatures of P-521, 40 of P-256."""
LEAST_NAMESPACE_UNITS = 500
"""The minimum for one namespace, for any number of namespaces with the same EUI."""
PRESENTED_FAILURES = 4
"""In each namespace, the search stops after so many failed paths by certificates of the client, since it can make any
number of them. Paths of an honest client fail only if CAs have the same name and no distinct key identifiers. A
certificate and all anchors with the name of its issuer count as one failure."""
ELSEWHERE_UNITS = 1_500
"""For all TrustedCAs outside the scope together; they only give a reason."""
NEAR_MISS_UNITS = 800
"""For near misses: the proof that a TrustedCA would vouch except for one thing. It only gives a reason too."""

PATH_UNITS = 25
"""The cost of a path without its signatures."""
ASKED_UNITS = 8
"""The cost of asking a TrustedCA without any verification."""
LARGEST_PATH_UNITS = 12_000
"""A path with a higher cost is never verified, not even the first one."""


class Budget:
    """The remaining budget.

    Args:
        units: in the beginning.
        failures: how many paths may fail.

    Attributes:
        failures: how many more paths may fail.
        left: the remaining units.
        is_spent: whether something was skipped because units were missing.
    """

    __slots__ = ("_is_used", "failures", "is_spent", "left")

    def __init__(self, units: int, failures: int = 1_000) -> None:
        self.left = units
        self.failures = failures
        self.is_spent = self._is_used = False

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing more can be verified."""
        return self.left < PATH_UNITS or self.failures <= 0

    def allows(self, units: int) -> bool:
        """Return whether `units` may be spent; the first path may cost more, up to `LARGEST_PATH_UNITS`."""
        enough = units <= self.left or (not self._is_used and units <= LARGEST_PATH_UNITS)
        allowed = enough and self.failures > 0
        self._is_used = True
        self.is_spent = self.is_spent or not allowed
        return allowed

    def spend(self, units: int) -> None:
        """Spend `units` that `allows` has allowed."""
        self.left -= units

    def take(self, units: int) -> bool:
        """Spend a few `units`; return whether they were available."""
        self.left -= units
        self.is_spent = self.is_spent or self.left < 0
        return self.left >= 0
