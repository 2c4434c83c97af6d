"""Profit and loss of each position at average cost (VWAP), exact.

Theory
    A fill changes the quantity by `d` (net of base fees) at price `px`. A fee in base is worth its quantity times `px`, so
    that for every fill, whatever its side and the asset of its fee: quote paid + quote fee = d * px + fee value.
    While |quantity| grows, cost and fees are added up. When it shrinks, the same share of cost and of the fees paid so far
    is realized, and the whole fee of the shrinking part. A fill through zero is split in proportion: one part closes, the
    rest opens the other way.

    Sums are kept, averages derived. Shares are Fractions: no digit is ever lost, and at any mark, to the last digit,
        realized + unrealized(mark) = cash + quantity * mark + cost moved out by transfers.

Fees in an asset that is neither base nor quote are kept apart, realized in proportion like the others; `realized_pnl`
and `unrealized_pnl` include them only for the assets whose price in quote is given.

A transfer out (dust, adjustment) takes its share of cost and fees along and realizes nothing: PnL is about executions.
A fill without a price (A16), an adoption at unknown cost or an adjustment upwards stops the money at that point and
sets `is_price_pending`: quantity goes on, PnL stands as it was before until the price is known.

Absent: interest and rollover fees of margin positions; no fact carries them.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import msgspec

from events.values import PositionSide, Side

from .exact import ZERO, add, decimal_from_fraction, multiply, negate, subtract
from .fills import Entry, Fill, FillPriced, Transfer

_NONE: Mapping[str, Decimal] = {}
_NOTHING = Fraction(0)


class AverageCost:
    """Average cost of one signed quantity. `cost` carries the quantity's sign; fees are amounts per asset."""

    def __init__(self) -> None:
        self.qty = ZERO
        self.cost = _NOTHING
        self.open_fees: dict[str, Fraction] = {}
        self.realized_gross = _NOTHING
        self.realized_fees: dict[str, Fraction] = {}
        self.moved_out = _NOTHING
        self.moved_out_fees: dict[str, Fraction] = {}

    def trade(self, change: Decimal, px: Decimal, fees: Mapping[str, Decimal]) -> None:
        """Apply a change of quantity at a price. `fees` per asset, base fees already valued in quote."""
        amounts = {asset: Fraction(qty) for asset, qty in fees.items()}
        if not change:
            _grow(self.realized_fees, amounts)
            return
        closing = ZERO if not self.qty or (self.qty > 0) is (change > 0) else min(change.copy_abs(), self.qty.copy_abs())
        part = Fraction(closing) / Fraction(change.copy_abs())
        if closing:
            share = Fraction(closing) / Fraction(self.qty.copy_abs())
            cost = self.cost * share
            direction = 1 if self.qty > 0 else -1
            self.realized_gross += direction * Fraction(closing) * Fraction(px) - cost
            self.cost -= cost
            _move(self.open_fees, self.realized_fees, share)
            _grow(self.realized_fees, amounts, part)
        if part < 1:
            self.cost += Fraction(change) * (1 - part) * Fraction(px)
            _grow(self.open_fees, amounts, 1 - part)
        self.qty = add(self.qty, change)

    def move_out(self, change: Decimal) -> None:
        """Take `change` (towards zero, at most to zero) out at its share of cost and fees, realizing nothing."""
        share = Fraction(change.copy_abs()) / Fraction(self.qty.copy_abs())
        self.moved_out += self.cost * share
        self.cost -= self.cost * share
        _move(self.open_fees, self.moved_out_fees, share)
        self.qty = add(self.qty, change)

    @property
    def avg_px(self) -> Fraction | None:
        """Average price of what is open, fees aside; None when flat."""
        return self.cost / Fraction(self.qty) if self.qty else None


class PositionPnl:
    """The PnL of one position: its entries so far, folded up to the first one whose price is not known."""

    def __init__(self, position_id: str, symbol: str, base: str, quote: str, side: PositionSide) -> None:
        self.position_id, self.symbol, self.base, self.quote, self.side = position_id, symbol, base, quote, side
        self.book = AverageCost()
        self.qty = ZERO
        self.cash = ZERO
        self.is_uncertain = False
        self.entered_qty = self.entered_value = ZERO
        self.exited_qty = self.exited_value = ZERO
        self._entries: list[Fill | Transfer] = []
        self._folded = 0

    def apply(self, entry: Entry) -> None:
        """Apply one entry of this position."""
        if isinstance(entry, FillPriced):
            for index in range(self._folded, len(self._entries)):
                if self._entries[index].number == entry.fill.number:
                    self.qty = add(self.qty, subtract(entry.fill.base_change, _change(self._entries[index])))
                    self._entries[index] = entry.fill
        else:
            self._entries.append(entry)
            self.qty = add(self.qty, _change(entry))
            self.is_uncertain = self.is_uncertain or (isinstance(entry, Transfer) and entry.kind == "adjustment")
        while self._folded < len(self._entries) and self._fold(self._entries[self._folded]):
            self._folded += 1

    @property
    def is_price_pending(self) -> bool:
        """Whether a price is missing, so that money stands as it was before that fill."""
        return self._folded < len(self._entries)

    @property
    def fills(self) -> list[Fill]:
        """Its executions, an adoption among them, as they are known now."""
        return [entry for entry in self._entries if isinstance(entry, Fill)]

    def _fold(self, entry: Fill | Transfer) -> bool:
        if isinstance(entry, Transfer):
            return self._moved(entry)
        if entry.last_px is None or entry.paid is None:
            return False
        fees: dict[str, Decimal] = {}
        cash = ZERO if entry.late else negate(entry.paid)
        for fee in entry.fees:
            asset = self.quote if fee.asset == self.base else fee.asset
            qty = multiply(fee.qty, entry.last_px) if fee.asset == self.base else fee.qty
            fees[asset] = add(fees.get(asset, ZERO), qty)
            if fee.asset == self.quote:
                cash = add(cash, negate(fee.qty))
        self.book.trade(entry.base_change, entry.last_px, fees)
        self.cash = add(self.cash, cash)
        if not entry.late:
            self._count(entry.side, entry.last_qty, multiply(entry.last_qty, entry.last_px))
        return True

    def _count(self, side: Side, qty: Decimal, value: Decimal) -> None:
        if side is self.side.entry_side:
            self.entered_qty, self.entered_value = add(self.entered_qty, qty), add(self.entered_value, value)
        else:
            self.exited_qty, self.exited_value = add(self.exited_qty, qty), add(self.exited_value, value)

    def _moved(self, entry: Transfer) -> bool:
        outwards = (self.book.qty > 0) is (entry.qty < 0) and entry.qty.copy_abs() <= self.book.qty.copy_abs()
        if outwards:
            self.book.move_out(entry.qty)
        return outwards

    def realized_pnl(self, prices: Mapping[str, Decimal] = _NONE) -> Fraction:
        """Return realized PnL in quote, net of the proportional fees; fees in other assets at `prices` (quote per unit)."""
        return self.book.realized_gross - _valued(self.book.realized_fees, self.quote, prices)

    def unrealized_pnl(self, mark: Decimal, prices: Mapping[str, Decimal] = _NONE) -> Fraction:
        """Return what closing at `mark` would add, net of the fees paid for what is open and before the fee of closing."""
        book = self.book
        return Fraction(book.qty) * Fraction(mark) - book.cost - _valued(book.open_fees, self.quote, prices)

    @property
    def avg_entry_px(self) -> Fraction | None:
        """VWAP of all executions on the entry side whose price is known, None before the first."""
        return Fraction(self.entered_value) / Fraction(self.entered_qty) if self.entered_qty else None

    @property
    def avg_exit_px(self) -> Fraction | None:
        """VWAP of all executions on the exit side whose price is known, None before the first."""
        return Fraction(self.exited_value) / Fraction(self.exited_qty) if self.exited_qty else None


class PnlRow(msgspec.Struct, frozen=True, kw_only=True):
    """One position's money, in `quote`. `fees_other` are realized fees in assets that are neither base nor quote."""

    position_id: str
    symbol: str
    quote: str
    qty: Decimal
    avg_px: Decimal | None
    realized_pnl: Decimal
    realized_gross: Decimal
    realized_fees: Decimal
    open_fees: Decimal
    fees_other: str
    cash: Decimal
    is_price_pending: bool
    is_uncertain: bool


class Pnl:
    """Fold of entries into the PnL of every position."""

    def __init__(self) -> None:
        self.positions: dict[str, PositionPnl] = {}

    def apply(self, entry: Entry) -> None:
        """Apply one entry."""
        source = entry.fill if isinstance(entry, FillPriced) else entry
        pnl = self.positions.get(source.position_id)
        if pnl is None:
            pnl = PositionPnl(source.position_id, source.symbol, source.base, source.quote, source.position_side)
            self.positions[source.position_id] = pnl
        pnl.apply(entry)

    def row(self, position_id: str) -> PnlRow | None:
        """Return the row of one position, None if it never traded."""
        pnl = self.positions.get(position_id)
        if pnl is None:
            return None
        book = pnl.book
        others = {asset: fee for asset, fee in sorted(book.realized_fees.items()) if asset != pnl.quote}
        return PnlRow(
            position_id=position_id,
            symbol=pnl.symbol,
            quote=pnl.quote,
            qty=pnl.qty,
            avg_px=None if book.avg_px is None else decimal_from_fraction(book.avg_px),
            realized_pnl=decimal_from_fraction(pnl.realized_pnl()),
            realized_gross=decimal_from_fraction(book.realized_gross),
            realized_fees=decimal_from_fraction(book.realized_fees.get(pnl.quote, _NOTHING)),
            open_fees=decimal_from_fraction(book.open_fees.get(pnl.quote, _NOTHING)),
            fees_other=" ".join(f"{decimal_from_fraction(fee):f} {asset}" for asset, fee in others.items()),
            cash=pnl.cash,
            is_price_pending=pnl.is_price_pending,
            is_uncertain=pnl.is_uncertain,
        )


def _change(entry: Fill | Transfer) -> Decimal:
    return entry.base_change if isinstance(entry, Fill) else entry.qty


def _grow(amounts: dict[str, Fraction], added: Mapping[str, Fraction], share: Fraction = Fraction(1)) -> None:
    for asset, amount in added.items():
        amounts[asset] = amounts.get(asset, _NOTHING) + amount * share


def _move(source: dict[str, Fraction], target: dict[str, Fraction], share: Fraction) -> None:
    _grow(target, source, share)
    for asset in source:
        source[asset] *= 1 - share


def _valued(fees: Mapping[str, Fraction], quote: str, prices: Mapping[str, Decimal]) -> Fraction:
    result = fees.get(quote, _NOTHING)
    for asset, price in sorted(prices.items()):
        if asset != quote:
            result += fees.get(asset, _NOTHING) * Fraction(price)
    return result
