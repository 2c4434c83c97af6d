"""Lots: which acquisition each disposal consumed, by FIFO, LIFO, HIFO or LOFO, and what it gained.

`LotQueue` is the matching alone: acquisitions and disposals in the order of time. `matches_from` feeds it the entries of
the fill book: one queue per venue, symbol and position side, because tax lots are an inventory and not a matter of the
position that bought them. A position's opening executions acquire, its closing ones dispose; for a short the opening sale
is the acquisition, its cost below zero, so that gain = proceeds - cost holds for both.

    fifo  oldest first     lifo  newest first     hifo  highest price first     lofo  lowest price first

Price means the execution price, fees aside; ties go to the older lot. Cost and proceeds include the fees, in proportion.
While a price is pending, cost, proceeds and gain that depend on it are None, and hifo and lofo take such a lot last.
Dust and adjustments consume lots without a gain. What late fills do belongs to the position that adopts it.
"""

import heapq
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from events.values import PositionSide

from .exact import ZERO, add, decimal_from_fraction, negate, subtract
from .fills import Fill, Transfer

Method = Literal["fifo", "lifo", "hifo", "lofo"]
METHODS: tuple[Method, ...] = ("fifo", "lifo", "hifo", "lofo")


class Lot(msgspec.Struct, kw_only=True):
    """Quantity acquired at once. `cost` is for `qty`, fees in; `left` is what no disposal has consumed yet."""

    lot_id: str
    position_id: str = ""
    qty: Decimal
    px: Decimal | None
    cost: Fraction | None
    ts_ns: int
    left: Decimal


class Disposal(msgspec.Struct, frozen=True, kw_only=True):
    """Quantity disposed of at once. `proceeds` are for `qty`, fees out; `is_transfer`: it leaves without a gain."""

    disposal_id: str
    position_id: str = ""
    qty: Decimal
    proceeds: Fraction | None
    ts_ns: int
    is_transfer: bool = False


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The part `qty` of a disposal that consumed that much of a lot."""

    disposal: Disposal
    lot: Lot
    qty: Decimal

    @property
    def cost(self) -> Fraction | None:
        """Cost of the consumed part of the lot."""
        return None if self.lot.cost is None else self.lot.cost * Fraction(self.qty) / Fraction(self.lot.qty)

    @property
    def proceeds(self) -> Fraction | None:
        """Proceeds of this part of the disposal; its cost where nothing was sold."""
        if self.disposal.is_transfer:
            return self.cost
        return None if self.disposal.proceeds is None else self.disposal.proceeds * Fraction(self.qty) / Fraction(self.disposal.qty)

    @property
    def gain(self) -> Fraction | None:
        """Proceeds less cost, None while a price is pending."""
        return None if self.proceeds is None or self.cost is None else self.proceeds - self.cost


class LotQueue:
    """One inventory under one method. Entries come in the order of time; of equal times acquisitions come first."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self._heap: list[tuple[tuple[int | Decimal, ...], Lot]] = []
        self._count = 0

    def acquire(self, lot: Lot) -> None:
        """Add a lot."""
        self._count += 1
        heapq.heappush(self._heap, (self._key(lot), lot))

    def _key(self, lot: Lot) -> tuple[int | Decimal, ...]:
        if self._method == "fifo":
            return (lot.ts_ns, self._count)
        if self._method == "lifo":
            return (-lot.ts_ns, -self._count)
        if lot.px is None:
            return (1, ZERO, lot.ts_ns, self._count)
        return (0, negate(lot.px) if self._method == "hifo" else lot.px, lot.ts_ns, self._count)

    def dispose(self, disposal: Disposal) -> tuple[list[Match], Decimal]:
        """Consume lots; return the matches in the order of consumption, and the quantity for which no lot was left."""
        matches = []
        rest = disposal.qty
        while rest and self._heap:
            lot = self._heap[0][1]
            qty = min(rest, lot.left)
            matches.append(Match(disposal=disposal, lot=lot, qty=qty))
            lot.left = subtract(lot.left, qty)
            rest = subtract(rest, qty)
            if not lot.left:
                heapq.heappop(self._heap)
        return matches, rest


class LotRow(msgspec.Struct, frozen=True, kw_only=True):
    """One match: `qty` of lot `lot_id`, acquired at `acquired_ns`, went at `disposed_ns`. Money in `quote`, net of fees."""

    method: str
    venue: str
    symbol: str
    position_side: str
    quote: str
    lot_id: str
    disposal_id: str
    acquired_by: str
    disposed_by: str
    acquired_ns: int
    disposed_ns: int
    qty: Decimal
    cost: Decimal | None
    proceeds: Decimal | None
    gain: Decimal | None
    is_transfer: bool


class Inventory:
    """The lots of one venue, symbol and position side: turns signed quantity changes into acquisitions and disposals."""

    def __init__(self, method: Method) -> None:
        self.queue = LotQueue(method)
        self.qty = ZERO

    def apply(self, entry: Fill | Transfer) -> list[Match]:
        """Apply one entry; return what it matched."""
        change = entry.base_change if isinstance(entry, Fill) else entry.qty
        if not change or (isinstance(entry, Fill) and entry.late):
            return []
        flow, px = (_cash_flow(entry), entry.last_px) if isinstance(entry, Fill) else (None, None)
        entry_id = entry.trade_id if isinstance(entry, Fill) and entry.trade_id else f"{entry.position_id}/{entry.number}"
        size = change.copy_abs()
        closing = ZERO if not self.qty or (self.qty > 0) is (change > 0) else min(size, self.qty.copy_abs())
        self.qty = add(self.qty, change)
        matches: list[Match] = []
        if closing:
            disposal = Disposal(
                disposal_id=entry_id,
                position_id=entry.position_id,
                qty=closing,
                proceeds=None if flow is None else flow * Fraction(closing) / Fraction(size),
                ts_ns=entry.ts_recv_ns,
                is_transfer=isinstance(entry, Transfer),
            )
            matches, _ = self.queue.dispose(disposal)
        opening = subtract(size, closing)
        if opening:
            cost = None if flow is None else -flow * Fraction(opening) / Fraction(size)
            self.queue.acquire(
                Lot(lot_id=entry_id, position_id=entry.position_id, qty=opening, px=px, cost=cost, ts_ns=entry.ts_recv_ns, left=opening)
            )
        return matches


def matches_from(entries: Iterable[Fill | Transfer], method: Method) -> Iterator[LotRow]:
    """Return the matches of all inventories, in the order of the disposals."""
    inventories: dict[tuple[str, str, PositionSide], Inventory] = {}
    for entry in entries:
        key = (entry.venue, entry.symbol, entry.position_side)
        inventory = inventories.setdefault(key, Inventory(method))
        for match in inventory.apply(entry):
            yield _row(entry, method, match)


def _cash_flow(fill: Fill) -> Fraction | None:
    """Quote received less quote fees; base fees are in the quantity already."""
    if fill.paid is None:
        return None
    flow = negate(fill.paid)
    for fee in fill.fees:
        if fee.asset == fill.quote:
            flow = subtract(flow, fee.qty)
    return Fraction(flow)


def _row(entry: Fill | Transfer, method: Method, match: Match) -> LotRow:
    return LotRow(
        method=method,
        venue=entry.venue,
        symbol=entry.symbol,
        position_side=entry.position_side.value,
        quote=entry.quote,
        lot_id=match.lot.lot_id,
        disposal_id=match.disposal.disposal_id,
        acquired_by=match.lot.position_id,
        disposed_by=match.disposal.position_id,
        acquired_ns=match.lot.ts_ns,
        disposed_ns=match.disposal.ts_ns,
        qty=match.qty,
        cost=_decimal(match.cost),
        proceeds=_decimal(match.proceeds),
        gain=_decimal(match.gain),
        is_transfer=match.disposal.is_transfer,
    )


def _decimal(value: Fraction | None) -> Decimal | None:
    return None if value is None else decimal_from_fraction(value)
