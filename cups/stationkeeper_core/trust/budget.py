"""What one decision may cost, in units of about a microsecond on a slow core.

The units are nominal, not measured: the same question costs the same everywhere, so that an answer never depends on
how busy a machine is.
"""

from dataclasses import dataclass

NAMESPACE_UNITS = 4_000
"""For the TrustedCAs of one namespace, and for those of the release: about ten signatures of P-521, 40 of P-256."""
LEAST_NAMESPACE_UNITS = 500
"""For one namespace however many share an EUI."""
PRESENTED_UNITS = 800
"""More, in each namespace, for paths by certificates that the client sent: a client can make any number of them."""
ELSEWHERE_UNITS = 1_500
"""For all TrustedCAs that are not in scope together; they only give a reason."""
NEAR_MISS_UNITS = 800
"""For the proof that a TrustedCA would vouch but for one thing, which only gives a reason as well."""

PATH_UNITS = 25
"""What a path costs beside its signatures."""
LARGEST_PATH_UNITS = 12_000
"""No path that costs more is verified, not even as the first."""


@dataclass
class Budget:
    """What is left to spend.

    Attributes:
        units: in the beginning.
        left: at this moment.
        is_spent: whether something was left undone for want of units.
    """

    units: int
    left: int = -1
    is_spent: bool = False
    _is_touched: bool = False

    def __post_init__(self) -> None:
        self.left = self.units

    def allows(self, units: int) -> bool:
        """Whether `units` may be spent; the first may cost more than there is, within `LARGEST_PATH_UNITS`."""
        allowed = units <= self.left or (not self._is_touched and units <= LARGEST_PATH_UNITS)
        self._is_touched = True
        self.is_spent = self.is_spent or not allowed
        return allowed

    def spend(self, units: int) -> None:
        """Take `units` away, which `allows` was asked about or which are few."""
        self.left -= units
