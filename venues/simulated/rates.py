"""Kraken's order rate counters, one per pair (`venues.md` §1.12): what each transaction costs, and how it decays.

Pure, integers only: points are kept in billionths.
"""

from dataclasses import dataclass
from typing import Literal

Tier = Literal["starter", "intermediate", "pro", "unlimited"]
SECOND_NS = 1_000_000_000
# Age in seconds since creation or last amend, and the points that apply below it.
CANCEL_POINTS = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
AMEND_POINTS = ((5, 3), (10, 2), (15, 1))


@dataclass(frozen=True)
class Limits:
    """Threshold in points, decay in thousandths of a point per second, open orders per pair."""

    threshold: int
    decay_milli: int
    open_orders: int


LIMITS: dict[Tier, Limits] = {
    "starter": Limits(60, 1_000, 60),
    "intermediate": Limits(125, 2_340, 80),
    "pro": Limits(180, 3_750, 225),
    # No tier of Kraken's: for load tests with more orders than it would take.
    "unlimited": Limits(1_000_000_000, 1_000_000, 1_000_000_000),
}


# REST calls of a key: points at once, and thousandths of a point gone per second.
REST_LIMITS: dict[Tier, tuple[int, int]] = {
    "starter": (15, 330),
    "intermediate": (20, 500),
    "pro": (20, 1_000),
    "unlimited": (1_000_000_000, 1_000_000),
}


class RestCounter:
    """The counter of REST calls of a key."""

    def __init__(self, tier: Tier) -> None:
        self._limit, self._decay_milli = REST_LIMITS[tier]
        self._billionths = 0
        self._at_ns = 0

    def charge(self, points: int, now_ns: int) -> bool:
        """Charge a call; return False, charging nothing, where that exceeds the limit."""
        self._billionths = max(0, self._billionths - max(0, now_ns - self._at_ns) * self._decay_milli // 1000)
        self._at_ns = max(self._at_ns, now_ns)
        if self._billionths + points * SECOND_NS > self._limit * SECOND_NS:
            return False
        self._billionths += points * SECOND_NS
        return True


def cancel_points(age_ns: int) -> int:
    """Return what a cancel costs at that age of the order."""
    return _points(CANCEL_POINTS, age_ns)


def amend_points(age_ns: int) -> int:
    """Return what an amend costs at that age of the order: the fixed point and the one for age."""
    return 1 + _points(AMEND_POINTS, age_ns)


def _points(table: tuple[tuple[int, int], ...], age_ns: int) -> int:
    return next((points for seconds, points in table if age_ns < seconds * SECOND_NS), 0)


class RateCounter:
    """The counter of one pair."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._billionths = 0
        self._at_ns = 0

    def charge(self, points_twice: int, now_ns: int, *, forced: bool = False) -> bool:
        """Charge `points_twice` half points; return False, charging nothing, where that exceeds the threshold.

        Half points, because a batch costs n/2. `forced` charges and allows in any case (a batch cancel, an elapsed order).
        """
        self._decay(now_ns)
        wanted = self._billionths + points_twice * SECOND_NS // 2
        if not forced and wanted > self.limits.threshold * SECOND_NS:
            return False
        self._billionths = wanted
        return True

    def count(self, now_ns: int) -> int:
        """Return the level in whole points, as `ratecount` has it."""
        self._decay(now_ns)
        return self._billionths // SECOND_NS

    def _decay(self, now_ns: int) -> None:
        elapsed_ns = max(0, now_ns - self._at_ns)
        self._at_ns = max(self._at_ns, now_ns)
        self._billionths = max(0, self._billionths - elapsed_ns * self.limits.decay_milli // 1000)
