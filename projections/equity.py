"""Equity over time, per asset: what was paid and received since the log began, and what is held, at the last known price.

An asset that is a quote currency has exposure: quantity held (dust included) times the last price that the record holds
for each symbol, from executions and from the marks inside facts. Any other asset that was charged as a fee has cash alone.
Equity starts at 0: the log knows no deposits. Between two records the market may have moved; `mark_ns` says how old the
oldest price in a point is. What stands without a price yet (A16) is in the quantity and not in cash: `pending_fills`.
"""

from decimal import Decimal

import msgspec

from events.facts import AnyFact
from events.record import PositionEvent

from .exact import ZERO, add, multiply, negate, subtract
from .fills import Entry, Fill, FillPriced, Transfer


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Equity in `asset` after an event that changed it: `equity = cash + exposure`."""

    notification_id: int
    ts_recv_ns: int
    asset: str
    cash: Decimal
    exposure: Decimal
    equity: Decimal
    mark_ns: int
    pending_fills: int


class _Exposure(msgspec.Struct):
    """What is held of one symbol, and its last known price."""

    asset: str
    qty: Decimal = ZERO
    px: Decimal | None = None
    mark_ns: int = 0

    @property
    def value(self) -> Decimal:
        return ZERO if self.px is None else multiply(self.qty, self.px)


class Equity:
    """Fold of events into equity points, in the order of the log."""

    def __init__(self) -> None:
        self.points: list[EquityPoint] = []
        self._cash: dict[str, Decimal] = {}
        self._value: dict[str, Decimal] = {}
        self._exposures: dict[tuple[str, str], _Exposure] = {}
        self._pending: dict[str, int] = {}

    def apply(self, notification_id: int, event: PositionEvent, venue: str, symbol: str, quote: str, entries: list[Entry]) -> None:
        """Take one event of a position on `symbol`, and what it added to the fill book."""
        px, mark_ns = _mark(event.fact)
        if px is None and not entries:
            return
        exposure = self._exposures.setdefault((venue, symbol), _Exposure(quote))
        changed: dict[str, None] = {}
        before = exposure.value
        for entry in entries:
            self._entry(entry, exposure, changed)
        if px is not None:
            exposure.px, exposure.mark_ns = px, mark_ns
        if exposure.value != before:
            self._value[quote] = add(self._value.get(quote, ZERO), subtract(exposure.value, before))
            changed[quote] = None
        for asset in changed:
            self._point(notification_id, event.fact.ts_recv_ns, asset)

    def _entry(self, entry: Entry, exposure: _Exposure, changed: dict[str, None]) -> None:
        if isinstance(entry, Transfer):
            # Dust stays ours; what was adjusted away does not.
            exposure.qty = add(exposure.qty, entry.qty) if entry.kind == "adjustment" else exposure.qty
            return
        fill, fees = (entry, entry.fees) if isinstance(entry, Fill) else (entry.fill, entry.added_fees)
        if isinstance(entry, Fill) and not fill.late:
            exposure.qty = add(exposure.qty, fill.signed_qty)
        if fill.last_px is None:
            self._pending[fill.quote] = self._pending.get(fill.quote, 0) + 1
        else:
            self._pending[fill.quote] = self._pending.get(fill.quote, 0) - isinstance(entry, FillPriced)
            exposure.px, exposure.mark_ns = fill.last_px, fill.ts_recv_ns
        if fill.paid is not None and not fill.late:
            self._pay(fill.quote, negate(fill.paid), changed)
        for fee in fees:
            if fee.asset == fill.base:
                exposure.qty = subtract(exposure.qty, fee.qty)
            else:
                self._pay(fee.asset, negate(fee.qty), changed)

    def _pay(self, asset: str, amount: Decimal, changed: dict[str, None]) -> None:
        self._cash[asset] = add(self._cash.get(asset, ZERO), amount)
        changed[asset] = None

    def _point(self, notification_id: int, ts_recv_ns: int, asset: str) -> None:
        cash, value = self._cash.get(asset, ZERO), self._value.get(asset, ZERO)
        marks = [e.mark_ns for e in self._exposures.values() if e.asset == asset and e.qty]
        self.points.append(
            EquityPoint(
                notification_id=notification_id,
                ts_recv_ns=ts_recv_ns,
                asset=asset,
                cash=cash,
                exposure=value,
                equity=add(cash, value),
                mark_ns=min(marks, default=ts_recv_ns),
                pending_fills=self._pending.get(asset, 0),
            )
        )


def _mark(fact: AnyFact) -> tuple[Decimal | None, int]:
    mark = getattr(fact, "mark", None)
    return (None, 0) if mark is None or not mark.px.is_finite() or mark.px <= 0 else (mark.px, mark.ts_recv_ns)
