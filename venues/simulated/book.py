"""The synthetic order book of one pair: a spread and some depth around the last print, refreshed by each print.

Pure; the generator passed in gives the depth its jitter. Prices are integer ticks, quantities integer lots. Own resting
orders are not in here: they wait in `Resting` with the depth that is in front of them, and never match each other.
"""

from bisect import bisect_left, insort
from random import Random

from .orders import Order

# After this many partial fills one order takes what is left at the last price: a bound for absurd quantities.
MAX_FILLS = 25


class SyntheticBook:
    """Liquidity of everybody else. `spread_ticks` between bid and ask; about `depth_lots` at the touch, more further out.

    Taking liquidity thins the book until the next print.
    """

    def __init__(self, rng: Random, spread_ticks: int, depth_lots: int) -> None:
        self._rng, self._spread, self._depth = rng, max(1, spread_ticks), max(1, depth_lots)
        self.bid = 0
        self.ask = 0
        self._levels: dict[int, int] = {}

    def move(self, px_ticks: int, taker_buys: bool) -> None:
        """A print: a buyer paid the ask, or a seller took the bid; the spread lies on the other side of it."""
        self.ask = px_ticks if taker_buys else px_ticks + self._spread
        self.bid = max(1, self.ask - self._spread)
        self._levels = {}

    def depth(self, px_ticks: int) -> int:
        """Return the lots of others at `px_ticks`: 0 inside the spread, more the further from the touch."""
        if px_ticks not in self._levels:
            steps = px_ticks - self.ask if px_ticks >= self.ask else self.bid - px_ticks
            lots = 0 if steps < 0 else max(1, self._depth * (1 + min(steps, 50)) * self._rng.randrange(500, 1500) // 1000)
            self._levels[px_ticks] = lots
        return self._levels[px_ticks]

    def take(self, buying: bool, lots: int, limit_ticks: int | None) -> list[tuple[int, int]]:
        """Walk the book and remove what is taken.

        Returns:
            (price in ticks, lots) per fill, best price first; together at most `lots`, none beyond `limit_ticks`. Without
            a limit everything is taken.
        """
        fills: list[tuple[int, int]] = []
        price, step = (self.ask, 1) if buying else (self.bid, -1)
        while lots > 0 and price > 0 and (limit_ticks is None or (price <= limit_ticks if buying else price >= limit_ticks)):
            last = len(fills) == MAX_FILLS - 1 or price + step <= 0
            taken = lots if last else min(lots, self.depth(price))
            if taken:
                fills.append((price, taken))
                self._levels[price] = max(0, self.depth(price) - taken)
                lots -= taken
            price += step
        return fills

    def crosses(self, buying: bool, limit_ticks: int) -> bool:
        """Whether a limit order at that price would take liquidity."""
        return limit_ticks >= self.ask if buying else limit_ticks <= self.bid


class Resting:
    """The account's own resting limit orders of one pair, in price-time order, and what a print does to them."""

    def __init__(self) -> None:
        self._bids: list[tuple[int, int, Order]] = []
        self._asks: list[tuple[int, int, Order]] = []

    def add(self, order: Order) -> None:
        side, key = self._place(order)
        insort(side, key, key=_rank)

    def remove(self, order: Order) -> None:
        """Take the order out, if it is in. Its price must be the one it was added with."""
        if order.limit_ticks is None:
            return
        side, key = self._place(order)
        index = bisect_left(side, _rank(key), key=_rank)
        if index < len(side) and side[index][2] is order:
            del side[index]

    def reached(self, px_ticks: int, taker_buys: bool, lots: int) -> list[tuple[Order, int]]:
        """Return (order, lots) that a print of `lots` at `px_ticks` fills, in price-time order.

        A print beyond an order's price fills all of it: price priority would have. A print at its price first uses up the
        queue in front of it, then fills with what is left of the print; where the print came from the order's own side
        the market has moved through the order, and it fills whole.
        """
        fills: list[tuple[Order, int]] = []
        for side, buying in ((self._bids, True), (self._asks, False)):
            own = 0
            for _, _, order in side:
                assert order.limit_ticks is not None
                if order.limit_ticks < px_ticks if buying else order.limit_ticks > px_ticks:
                    break
                if order.limit_ticks != px_ticks or taker_buys == buying:
                    fills.append((order, order.leaves_lots))
                    continue
                filled = min(order.leaves_lots, max(0, lots - order.queue_lots - own))
                order.queue_lots = max(0, order.queue_lots - lots)
                own += filled
                if filled:
                    fills.append((order, filled))
        return fills

    def _place(self, order: Order) -> tuple[list[tuple[int, int, Order]], tuple[int, int, Order]]:
        assert order.limit_ticks is not None
        if order.buying:
            return self._bids, (-order.limit_ticks, order.rank, order)
        return self._asks, (order.limit_ticks, order.rank, order)


def _rank(entry: tuple[int, int, Order]) -> tuple[int, int]:
    return entry[:2]
