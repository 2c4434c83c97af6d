"""Points of Kraken's order rate limit, pair by pair, with a reserve that only protection and exits may spend (I14). Pure.

    add 1 | amend 1, and 3, 2 or 1 more below 5, 10 or 15 s of age | cancel 8, 6, 5, 4, 2 or 1 below 5, 10, 15, 45, 90 or 300 s

Age counts from an order's creation or its last amend (docs, guide spot-ratelimits, read 2026). The count of a pair decays with
time; its limit and decay are those of the tier that the venue's `maxratecount` tells, the lowest until it does. `ratecount` on an
execution is the venue's own count and corrects ours, upwards and downwards.

Whatever protects or exits leaves always, above the limit too: the venue may be wrong about us, and asking costs nothing. An
entry waits while the points would not be left with which every position of the pair can leave at once: what its resting orders'
cancels cost at their age, its exit, and a stop in its place; before it has a stop, that one and its cancel too (`YOUNG`). A
tightening is left out while `RESERVE` for each would not be left, but at most half of the limit is kept back from it: old stops must
not stay where they are because there are many.
"""

from collections.abc import Sequence

from events import commands as c

SECOND_NS = 1_000_000_000
MILLI = 1_000
RESERVE = 10
# An exit, and a stop in its place.
OLD = 2
# A position without a stop has that still to place, and may have to cancel it while it is young.
YOUNG = RESERVE + 1
CANCEL = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
# What rests may have to be cancelled as soon as it rests.
RESTING = CANCEL[0][1]
AMEND = ((5, 3), (10, 2), (15, 1))
# Limit of a tier, and thousandths of a point that decay in a second.
TIERS = {60: 1_000, 125: 2_340, 180: 3_750}
LOWEST = 60
# What is older than that costs nothing any more, and its points are gone at every tier.
REMEMBERED_NS = CANCEL[-1][0] * SECOND_NS
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
        """Count a command that leaves now."""
        self._add(command.symbol, self.cost(command, now_ns), now_ns)
        if not isinstance(command, c.CancelOrder):
            self.touch(command.client_order_id, now_ns)

    def charge_entry(self, symbol: str, client_order_id: str, now_ns: int) -> None:
        """Count an entry that has left now; unlike all other commands it may have waited since it was decided."""
        self._add(symbol, 1, now_ns)
        self.touch(client_order_id, now_ns)

    def touch(self, client_order_id: str, now_ns: int) -> None:
        """Note that an order was created or changed now: as long as it is young its cancel costs more."""
        self._touched_ns.pop(client_order_id, None)
        self._touched_ns[client_order_id] = now_ns
        if len(self._touched_ns) > ORDERS_KEPT:
            del self._touched_ns[next(iter(self._touched_ns))]

    def cost(self, command: c.OrderCommand, now_ns: int) -> int:
        """Return what a command costs, in points."""
        age_ns = now_ns - self._touched_ns.get(command.client_order_id, now_ns - REMEMBERED_NS)
        if isinstance(command, c.SubmitOrder):
            return 1
        if isinstance(command, c.AmendOrder):
            return 1 + _by_age(AMEND, age_ns)
        return _by_age(CANCEL, age_ns)

    def count(self, symbol: str, now_ns: int) -> int:
        """Return the count of a pair, in whole points, rounded up."""
        return -(-self._count(symbol, now_ns) // MILLI)

    def cancel_points(self, orders: Sequence[str], now_ns: int) -> int:
        """Return what it costs to cancel the orders of these client ids now."""
        changed_ns = now_ns - REMEMBERED_NS
        return sum(_by_age(CANCEL, now_ns - self._touched_ns.get(order, changed_ns)) for order in orders)

    def entry_wait_ns(self, symbol: str, points: int, cancels: Sequence[str], now_ns: int) -> int | None:
        """Return in how long `points` and the cancels of these orders can be paid if nothing else is sent, None if that is never.

        The count decays meanwhile, and cancels become cheaper as the orders grow older.
        """
        if points > self.limit:
            return None
        # Most often there is room whatever the cancels cost.
        if not self._wait_ns(symbol, points + CANCEL[0][1] * len(cancels), now_ns):
            return 0
        births = (self._touched_ns.get(order) for order in cancels)
        steps = {at_ns + secs * SECOND_NS - now_ns for at_ns in births if at_ns is not None for secs, _ in CANCEL}
        # Between two steps of age only the count changes.
        for begin_ns in sorted({0, *(x for x in steps if x > 0)}):
            needed = points + self.cancel_points(cancels, now_ns + begin_ns)
            if needed <= self.limit:
                wait_ns = max(begin_ns, self._wait_ns(symbol, needed, now_ns))
                if not any(begin_ns < x <= wait_ns for x in steps):
                    return wait_ns
        raise AssertionError("an order that is old enough costs nothing")

    def tightening_wait_ns(self, command: c.AmendOrder, positions: int, now_ns: int) -> int:
        """Return how long a tightening has to wait while `positions` of its pair are there."""
        reserve = min(RESERVE * max(1, positions), self.limit // 2)
        return self._wait_ns(command.symbol, self.cost(command, now_ns) + reserve, now_ns)

    def _wait_ns(self, symbol: str, points: int, now_ns: int) -> int:
        over = self._count(symbol, now_ns) + (points - self.limit) * MILLI
        return max(0, -(-over * SECOND_NS // self._decay))

    def _add(self, symbol: str, points: int, now_ns: int) -> None:
        self._counts[symbol] = self._count(symbol, now_ns) + points * MILLI, now_ns

    def _count(self, symbol: str, now_ns: int) -> int:
        count, at_ns = self._counts.get(symbol, (0, now_ns))
        return max(0, count - max(0, now_ns - at_ns) * self._decay // SECOND_NS)


def _by_age(table: tuple[tuple[int, int], ...], age_ns: int) -> int:
    return next((points for seconds, points in table if age_ns < seconds * SECOND_NS), 0)
