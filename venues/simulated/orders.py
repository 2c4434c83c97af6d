"""An order of the simulated venue: what was asked for, what became of it, and when its trigger fires.

Pure, mutable, owned by the exchange. Prices are integer ticks, quantities integer lots of the order's pair; Decimals are
kept only where the client gave an offset that is no price.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from .pairs import Pair

State = Literal["open", "triggered", "filled", "canceled", "expired"]
PriceType = Literal["static", "pct", "quote"]
TRAILING = "trailing-stop"
STOPS = ("stop-loss", "stop-loss-limit", TRAILING)
TRIGGERED_TYPES = (*STOPS, "take-profit", "take-profit-limit")
LIMITED_TYPES = ("limit", "stop-loss-limit", "take-profit-limit")
ORDER_TYPES = ("limit", "market", *TRIGGERED_TYPES)


@dataclass(slots=True)
class Trigger:
    """When a stop or take-profit becomes a live order.

    `price` and `price_type` as the client gave them; `level_ticks` is the effective trigger price. It fires at a last
    price at or above the level if `rising`, else at or below. A trailing one follows `peak_ticks`, the best last price
    since it was armed.
    """

    price: Decimal
    price_type: PriceType
    reference: str
    rising: bool
    trailing: bool
    level_ticks: int = 0
    peak_ticks: int = 0
    fired_ticks: int | None = None
    fired_ns: int = 0

    def reached(self, last_ticks: int) -> bool:
        return last_ticks >= self.level_ticks if self.rising else last_ticks <= self.level_ticks

    def arm(self, last_ticks: int, pair: Pair) -> None:
        """Set the level from the last price; a trailing trigger starts its peak there."""
        self.peak_ticks = last_ticks
        self.level_ticks = self._level(pair)

    def follow(self, last_ticks: int, pair: Pair) -> bool:
        """Move a trailing trigger's peak; return whether its level moved."""
        better = last_ticks < self.peak_ticks if self.rising else last_ticks > self.peak_ticks
        if not better:
            return False
        before = self.level_ticks
        self.arm(last_ticks, pair)
        return self.level_ticks != before

    def re_offset(self, price: Decimal, price_type: PriceType, pair: Pair) -> None:
        """Change the offset of a trailing trigger, or the price of a static one; the peak stays."""
        self.price, self.price_type = price, price_type
        self.level_ticks = self._level(pair)

    def _level(self, pair: Pair) -> int:
        """The effective level. A fraction of a tick goes away from the market, so that it never fires earlier than asked."""
        increment = pair.instrument.price_increment
        if self.price_type == "static":
            level = self.price / increment
        else:
            base = self.peak_ticks * increment
            offset = self.price if self.price_type == "quote" else base * self.price / 100
            # A trailing offset is a positive distance; that of a stop or take-profit carries its own sign.
            signed = (offset if self.rising else -offset) if self.trailing else offset
            level = (base + signed) / increment
        return max(1, int(level.to_integral_value(ROUND_CEILING if self.rising else ROUND_FLOOR)))


@dataclass(frozen=True, slots=True)
class Conditional:
    """The close that every fill of an order leaves behind (OTO), as validated."""

    order_type: str
    trigger_price: Decimal
    trigger_price_type: PriceType
    limit_ticks: int | None = None


@dataclass(slots=True, eq=False)
class Order:
    """One order. `rank` is its time priority; `touched_ns` is its creation or last amend, which the rate counter ages."""

    order_id: str
    pair: Pair
    buying: bool
    order_type: str
    lots: int
    rank: int
    created_ns: int
    touched_ns: int
    limit_ticks: int | None = None
    time_in_force: str = "gtc"
    post_only: bool = False
    reduce_only: bool = False
    margin: bool = False
    fee_in_base: bool = False
    cl_ord_id: str = ""
    order_userref: int = 0
    trigger: Trigger | None = None
    conditional: Conditional | None = None
    parent_id: str = ""
    expire_ns: int | None = None
    amended: bool = False
    state: State = "open"
    cum_lots: int = 0
    cum_cost: Decimal = Decimal(0)
    fee_quote: Decimal = Decimal(0)
    queue_lots: int = 0
    reported_ns: int = 0
    ended_ns: int = 0
    end_reason: str = ""

    @property
    def leaves_lots(self) -> int:
        return self.lots - self.cum_lots

    @property
    def is_open(self) -> bool:
        return self.state in ("open", "triggered")

    @property
    def is_armed(self) -> bool:
        """An untriggered stop or take-profit."""
        return self.state == "open" and self.trigger is not None and self.trigger.fired_ticks is None

    @property
    def side(self) -> str:
        return "buy" if self.buying else "sell"

    @property
    def order_status(self) -> str:
        if not self.is_open:
            return self.state
        return "partially_filled" if self.cum_lots else "new"
