"""Points of Kraken's order rate limit, pair by pair, with a reserve that only protection and exits may spend (I14). Pure.

    add 1 | amend 1, and 3, 2 or 1 more below 5, 10 or 15 s of age | cancel 8, 6, 5, 4, 2 or 1 below 5, 10, 15, 45, 90 or 300 s

Age counts from an order's creation or its last amend (docs, guide spot-ratelimits, read 2026). The count of a pair decays with
time; its limit and decay are those of the tier that the venue's `maxratecount` tells, the lowest until it does. `ratecount` on an
execution is the venue's own count and corrects ours, upwards and downwards.

Whatever protects or exits leaves always, above the limit too: the venue may be wrong about us, and asking costs nothing. An
entry waits while the points would not be left with which every position of the pair can leave at once: `RESERVE` for a young one (its
stop's cancel, its exit, and a stop in its place), less as its stop grows older. A tightening is left out while `RESERVE` for each would
not be left, but at most half of the limit is kept back from it: old stops must not stay where they are because there are many.
"""

from collections.abc import Sequence

from events import commands as c

SECOND_NS = 1_000_000_000
MILLI = 1_000
RESERVE = 10
# A position without a stop has that still to place.
YOUNG = RESERVE + 1
CANCEL = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
AMEND = ((5, 3), (10, 2), (15, 1))
# Limit of a tier, and thousandths of a point that decay in a second.
TIERS = {60: 1_000, 125: 2_340, 180: 3_750}
LOWEST = 60
# An order that is not remembered any more is older than anything costs.
ORDERS_KEPT = 4_096


def is_tightening(command: c.OrderCommand) -> bool:
    """Tell whether a command only improves a stop that protects already."""
    return isinstance(command, c.AmendOrder) and command.order_qty is None


class RateBudget:
    """The counts of one account."""

    def __init__(self) -> None:
        self.limit, self._decay = LOWEST, TIERS[LOWEST]
        # (thousandths of a point, as of when) of each pair
        self._counts: dict[str, tuple[int, int]] = {}
        self._touched_ns: dict[str, int] = {}

    def learn_limit(self, limit: int) -> None:
        """Take the limit that the venue tells (`maxratecount`)."""
        if limit > 0:
            self.limit = limit
            self._decay = TIERS.get(limit, TIERS[LOWEST])

    def learn_count(self, symbol: str, count: int, now_ns: int) -> None:
        """Take the venue's own count of a pair (`ratecount`)."""
        self._counts[symbol] = max(0, count) * MILLI, now_ns

    def charge(self, command: c.OrderCommand, now_ns: int) -> None:
        """Count a command that leaves now, or has left."""
        self._counts[command.symbol] = self._count(command.symbol, now_ns) + self.cost(command, now_ns) * MILLI, now_ns
        if not isinstance(command, c.CancelOrder):
            self.touch(command.client_order_id, now_ns)

    def touch(self, client_order_id: str, now_ns: int) -> None:
        """Note that an order was created or changed now: as long as it is young its cancel costs more."""
        self._touched_ns.pop(client_order_id, None)
        self._touched_ns[client_order_id] = now_ns
        if len(self._touched_ns) > ORDERS_KEPT:
            del self._touched_ns[next(iter(self._touched_ns))]

    def cost(self, command: c.OrderCommand, now_ns: int) -> int:
        """Return what a command costs, in points."""
        age_ns = now_ns - self._touched_ns.get(command.client_order_id, now_ns - CANCEL[-1][0] * SECOND_NS)
        if isinstance(command, c.SubmitOrder):
            return 1
        if isinstance(command, c.AmendOrder):
            return 1 + _by_age(AMEND, age_ns)
        return _by_age(CANCEL, age_ns)

    def count(self, symbol: str, now_ns: int) -> int:
        """Return the count of a pair, in whole points, rounded up."""
        return -(-self._count(symbol, now_ns) // MILLI)

    def leave_points(self, stops: Sequence[str], now_ns: int) -> int:
        """Return what it costs a position to leave now whose stops have these client ids, or that has none yet."""
        changed_ns = now_ns - CANCEL[-1][0] * SECOND_NS
        cancels = sum(_by_age(CANCEL, now_ns - self._touched_ns.get(stop, changed_ns)) for stop in stops)
        return cancels + 2 if stops else YOUNG

    def entry_wait_ns(self, symbol: str, reserve: int, now_ns: int) -> int:
        """Return how long an entry has to wait so that `reserve` points are left after it. Stops grow older meanwhile: look again then."""
        return self._wait_ns(symbol, 1 + reserve, now_ns)

    def wait_ns(self, command: c.OrderCommand, positions: int, now_ns: int) -> int:
        """Return how long a command has to wait while `positions` of its pair are open and young; 0 for all that protects or exits."""
        if c.is_risk_increasing(command):
            return self.entry_wait_ns(command.symbol, YOUNG * max(1, positions), now_ns)
        if not is_tightening(command):
            return 0
        reserve = min(RESERVE * max(1, positions), self.limit // 2)
        return self._wait_ns(command.symbol, self.cost(command, now_ns) + reserve, now_ns)

    def _wait_ns(self, symbol: str, points: int, now_ns: int) -> int:
        over = self._count(symbol, now_ns) + (points - self.limit) * MILLI
        return max(0, -(-over * SECOND_NS // self._decay))

    def _count(self, symbol: str, now_ns: int) -> int:
        count, at_ns = self._counts.get(symbol, (0, now_ns))
        return max(0, count - max(0, now_ns - at_ns) * self._decay // SECOND_NS)


def _by_age(table: tuple[tuple[int, int], ...], age_ns: int) -> int:
    return next((points for seconds, points in table if age_ns < seconds * SECOND_NS), 0)
