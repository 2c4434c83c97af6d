"""Armed stops and take-profits of one pair: which of them a last price fires, and which trails it moves.

Pure. A price that neither crosses a level nor makes a new peak costs four comparisons, however many orders are armed.
"""

from .orders import Order


class Armed:
    """The untriggered trigger orders of one pair."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._stale = True
        self._fires_from = self._fires_to = self._peak_from = self._peak_to = 0

    def add(self, order: Order) -> None:
        self._orders[order.order_id] = order
        self._stale = True

    def remove(self, order: Order) -> None:
        if self._orders.pop(order.order_id, None) is not None:
            self._stale = True

    def changed(self) -> None:
        """An armed order's level was amended."""
        self._stale = True

    def price(self, last_ticks: int) -> tuple[list[Order], list[Order]]:
        """Return (fired, moved): orders whose level the price reached, taken out, in time order; trails whose level moved."""
        if self._stale:
            self._bounds()
        if self._fires_to < last_ticks < self._fires_from and self._peak_from <= last_ticks <= self._peak_to:
            return [], []
        fired, moved = [], []
        for order in self._orders.values():
            trigger = order.trigger
            assert trigger is not None
            if trigger.trailing and trigger.follow(last_ticks, order.pair):
                moved.append(order)
            elif trigger.reached(last_ticks):
                fired.append(order)
        for order in fired:
            del self._orders[order.order_id]
        self._stale = True
        return sorted(fired, key=lambda order: order.rank), moved

    def _bounds(self) -> None:
        """Between these nothing happens: levels that fire above and below, peaks that a price beyond them would move."""
        triggers = [order.trigger for order in self._orders.values() if order.trigger is not None]
        far = 10**30
        self._fires_from = min((t.level_ticks for t in triggers if t.rising), default=far)
        self._fires_to = max((t.level_ticks for t in triggers if not t.rising), default=-1)
        # A sell trail follows highs: the lowest peak is the first that a price above it moves. A buy trail, lows.
        self._peak_to = min((t.peak_ticks for t in triggers if t.trailing and not t.rising), default=far)
        self._peak_from = max((t.peak_ticks for t in triggers if t.trailing and t.rising), default=-1)
        self._stale = False
