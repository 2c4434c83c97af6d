"""The account's own books at the simulated venue: balances, funds held by open orders, margin positions, fills.

Pure and exact: amounts are Decimals that are never rounded but for fees, which are cut down to the digits that the wire
carries; so balances, fills and positions agree to the last digit, and an engine's ledger can be held against them.
Margin is one net position per pair, closed first in, first out, without rollover fees and without liquidation.
"""

from collections import defaultdict, deque
from decimal import ROUND_DOWN, Decimal
from typing import Any

from .executions import Fill, LedgerLine
from .orders import Order
from .pairs import Pair, asset_precision

ZERO = Decimal(0)


class MarginPosition:
    """Open margin lots of one pair, oldest first; all on one side."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.parts: deque[tuple[int, int]] = deque()
        self.buying = True

    @property
    def lots(self) -> int:
        """Net lots, negative for a short."""
        total = sum(lots for lots, _ in self.parts)
        return total if self.buying else -total

    @property
    def cost(self) -> Decimal:
        """What the open lots cost, in quote units."""
        listed = self.pair.instrument
        return sum((listed.qty(lots) * listed.price(ticks) for lots, ticks in self.parts), ZERO)

    def closable(self, buying: bool) -> int:
        """Return how many lots an order of that side would close."""
        return abs(self.lots) if buying != self.buying else 0

    def book(self, buying: bool, lots: int, px_ticks: int) -> Decimal:
        """Add a fill; return the profit that the closed part realized, in quote units."""
        listed, pnl = self.pair.instrument, ZERO
        while lots and self.parts and buying != self.buying:
            open_lots, open_ticks = self.parts.popleft()
            closed = min(lots, open_lots)
            gain = listed.qty(closed) * (listed.price(px_ticks) - listed.price(open_ticks))
            pnl += gain if self.buying else -gain
            lots -= closed
            if open_lots > closed:
                self.parts.appendleft((open_lots - closed, open_ticks))
        if lots:
            self.buying = buying
            self.parts.append((lots, px_ticks))
        return pnl


class Account:
    """One client's balances and positions. `taker_bps` and `maker_bps` are fees in basis points of the cost."""

    def __init__(self, balances: dict[str, Decimal], taker_bps: Decimal, maker_bps: Decimal, stops_hold_funds: bool) -> None:
        self.balances: defaultdict[str, Decimal] = defaultdict(lambda: ZERO, balances)
        self.fills: list[Fill] = []
        self.ledger: list[LedgerLine] = []
        self.positions: dict[str, MarginPosition] = {}
        self._taker, self._maker = taker_bps / 10_000, maker_bps / 10_000
        self._stops_hold_funds = stops_hold_funds
        self._holds: dict[str, tuple[str, Decimal]] = {}
        self._held: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        self._reserved: dict[str, tuple[str, Decimal]] = {}

    # --- what is free -------------------------------------------------------------------------------------------------

    def held(self, asset: str) -> Decimal:
        """Return what open spot orders hold of `asset`."""
        return self._held[asset]

    def free(self, asset: str) -> Decimal:
        """Return the balance that no open order holds."""
        return self.balances[asset] - self._held[asset]

    def free_margin(self, quote: str) -> Decimal:
        """Return the free `quote` balance less what positions and resting margin orders need as initial margin."""
        used = sum((p.cost * p.pair.margin_initial for p in self.positions.values() if p.pair.instrument.quote == quote), ZERO)
        return self.free(quote) - used - sum((amount for asset, amount in self._reserved.values() if asset == quote), ZERO)

    def needs(self, order: Order, lots: int, px_ticks: int) -> tuple[str, Decimal]:
        """Return (asset, amount) that a spot order of `lots` at `px_ticks` holds, taker fee included."""
        listed = order.pair.instrument
        qty = listed.qty(lots)
        if order.buying:
            cost = qty * listed.price(px_ticks)
            return listed.quote, cost if order.fee_in_base else cost * (1 + self._taker)
        return listed.base, qty * (1 + self._taker) if order.fee_in_base else qty

    def affords(self, order: Order, px_ticks: int) -> bool:
        """Whether a new spot order, or the change of an open one, finds its funds."""
        asset, amount = self.needs(order, order.leaves_lots, px_ticks)
        return amount <= self.free(asset) + self._own_hold(order, asset)

    def affordable_lots(self, order: Order, lots: int, px_ticks: int) -> int:
        """Return how many of `lots` a spot order can pay for at `px_ticks` now."""
        asset, amount = self.needs(order, lots, px_ticks)
        there = self.free(asset) + self._own_hold(order, asset)
        if amount <= there:
            return lots
        if there <= 0:
            return 0
        fewer = int(lots * there / amount)
        return fewer if self.needs(order, fewer, px_ticks)[1] <= there else fewer - 1

    def has_margin(self, order: Order, px_ticks: int) -> bool:
        """Whether the part of a margin order that opens finds its initial margin."""
        quote, amount = self._margin_of(order, px_ticks)
        own = self._reserved.get(order.order_id, (quote, ZERO))[1]
        return amount <= self.free_margin(quote) + own

    def hold(self, order: Order, px_ticks: int) -> None:
        """Hold (or hold anew) what an open order needs, at most what is free.

        It may be less than needed where an untriggered stop holds nothing (a setting) or a market moved past a stop's level.
        """
        self.release(order)
        if not order.is_open or not order.leaves_lots:
            return
        if order.margin:
            self._reserved[order.order_id] = self._margin_of(order, px_ticks)
        elif self._stops_hold_funds or not order.is_armed:
            asset, needed = self.needs(order, order.leaves_lots, px_ticks)
            amount = max(ZERO, min(needed, self.free(asset)))
            self._holds[order.order_id] = (asset, amount)
            self._held[asset] += amount

    def release(self, order: Order) -> None:
        """Free what the order held."""
        self._reserved.pop(order.order_id, None)
        asset, amount = self._holds.pop(order.order_id, ("", ZERO))
        if asset:
            self._held[asset] -= amount

    # --- booking ------------------------------------------------------------------------------------------------------

    def fee(self, order: Order, lots: int, px_ticks: int, maker: bool, in_base: bool) -> tuple[str, Decimal]:
        """Return (asset, fee) of a fill. Fees are cut down, so that what was held for them always covers them."""
        listed, rate = order.pair.instrument, self._maker if maker else self._taker
        qty = listed.qty(lots)
        if in_base:
            return listed.base, (qty * rate).quantize(Decimal(1).scaleb(-asset_precision(listed.base)), rounding=ROUND_DOWN)
        digits = Decimal(1).scaleb(-order.pair.cost_precision)
        return listed.quote, (qty * listed.price(px_ticks) * rate).quantize(digits, rounding=ROUND_DOWN)

    def book(self, fill: Fill) -> list[tuple[str, str, Decimal, Decimal]]:
        """Book a fill of a spot order; return (asset, kind, amount, fee) of its ledger lines, base first."""
        self.fills.append(fill)
        listed = fill.pair.instrument
        sign = 1 if fill.buying else -1
        lines = []
        for asset, amount in ((listed.base, sign * fill.qty), (listed.quote, -sign * fill.cost)):
            fee = fill.fee if fill.fee_asset == asset else ZERO
            self.balances[asset] += amount - fee
            lines.append((asset, "trade", amount, fee))
        return lines

    def book_margin(self, fill: Fill) -> list[tuple[str, str, Decimal, Decimal]]:
        """Book a fill of a margin order, whose position has moved already; only profit and fee move a balance."""
        self.fills.append(fill)
        quote = fill.pair.instrument.quote
        fee = fill.fee_quote
        self.balances[quote] += fill.pnl - fee
        return [(quote, "margin", fill.pnl, fee)]

    def position(self, pair: Pair) -> MarginPosition:
        """Return the margin position of a pair, flat if there is none."""
        return self.positions.setdefault(pair.symbol, MarginPosition(pair))

    def books(self) -> dict[str, Any]:
        """Return balances, holds, positions and fills as plain data, ordered by name and by time."""
        return {
            "balances": {asset: self.balances[asset] for asset in sorted(self.balances)},
            "holds": {asset: self._held[asset] for asset in sorted(self._held)},
            "positions": {
                symbol: {"qty": position.pair.instrument.qty(position.lots), "cost": position.cost}
                for symbol, position in sorted(self.positions.items())
            },
            "fills": [_fill_row(fill) for fill in self.fills],
        }

    def _own_hold(self, order: Order, asset: str) -> Decimal:
        held, amount = self._holds.get(order.order_id, ("", ZERO))
        return amount if held == asset else ZERO

    def _margin_of(self, order: Order, px_ticks: int) -> tuple[str, Decimal]:
        listed = order.pair.instrument
        opening = 0 if order.reduce_only else max(0, order.leaves_lots - self.position(order.pair).closable(order.buying))
        return listed.quote, listed.qty(opening) * listed.price(px_ticks) * order.pair.margin_initial


def _fill_row(fill: Fill) -> dict[str, Any]:
    return {
        "exec_id": fill.exec_id,
        "order_id": fill.order_id,
        "cl_ord_id": fill.cl_ord_id,
        "symbol": fill.pair.symbol,
        "side": "buy" if fill.buying else "sell",
        "qty": fill.qty,
        "price": fill.px,
        "fee": fill.fee,
        "fee_asset": fill.fee_asset,
        "maker": fill.maker,
        "margin": fill.margin,
        "pnl": fill.pnl,
        "ts_ns": fill.ts_ns,
    }
