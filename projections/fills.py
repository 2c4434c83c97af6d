"""Every execution once, and every quantity that moves without one: what all money projections are folded from.

Rules
    1. An execution is keyed by venue and trade id (I8); the same key again changes nothing, except that it may bring the
       price that was missing (A16). A trade by the owner's hand may be shared by several positions: each takes its part of
       it once. A venue whose ids are unique per symbol only gets the symbol into the id in its codec.
    2. A price that is absent, not finite or not above zero is no price: the quantity counts, the price is pending. So it is while it is
       not known in which asset the fee was taken: money waits for both. An adjustment to what the venue held ends that waiting: it
       has the fee in it, whose worth then counts in the quote asset.
    3. Quantity is signed in the base asset: bought minus sold minus base fees, for longs and shorts alike (I9).
    4. A fill of a position that has ended is *late*: what it bought or sold goes on to the `adopted` account at its own
       price, from where the position that takes the exposure over gets it, and from where a part that closes what was taken over
       before is passed on to whom took it. Only its fees stay.
    5. What a position holds when it closes is dust if it is under the venue's smallest order; it leaves as a `Transfer`, once every fee
       is known.
"""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from events.commands import SubmitOrder
from events.facts import ChildDiscovered, Fee, ManualFillSeen, OrderFilled, PositionAdjusted, PositionAdopted, PositionRequested
from events.record import PositionEvent
from events.values import Instrument, PositionSide, Side

from .exact import ZERO, add, decimal_from_fraction, multiply, negate, plain, subtract, total

END_STATES = frozenset({"Closed", "Abandoned"})
_BIRTHS = (PositionRequested, PositionAdopted)
_EXECUTIONS = (OrderFilled, ManualFillSeen)

Source = Literal["order", "manual", "adopted"]


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. `last_px` None: the price is pending. `role` is what the order was for, "" where it was not ours."""

    number: int
    notification_id: int
    position_id: str
    version: int
    venue: str
    symbol: str
    base: str
    quote: str
    position_side: PositionSide
    source: Source
    trade_id: str
    client_order_id: str
    role: str
    side: Side
    last_qty: Decimal
    last_px: Decimal | None
    fees: tuple[Fee, ...]
    liquidity_side: str
    late: bool
    ts_event_ns: int
    ts_recv_ns: int

    @property
    def base_fee(self) -> Decimal:
        """What was charged in the base asset."""
        return total(fee.qty for fee in self.fees if fee.asset == self.base)

    @property
    def signed_qty(self) -> Decimal:
        """Quantity bought (above zero) or sold."""
        return self.last_qty if self.side is Side.BUY else negate(self.last_qty)

    @property
    def base_change(self) -> Decimal:
        """Signed change of the position's quantity: bought or sold, less base fees."""
        return subtract(ZERO if self.late else self.signed_qty, self.base_fee)

    @property
    def paid(self) -> Decimal | None:
        """Quote paid (above zero) or received, fees aside; None while the price is pending."""
        return None if self.last_px is None else multiply(self.signed_qty, self.last_px)


class FillPriced(msgspec.Struct, frozen=True, kw_only=True):
    """The price of `fill`, booked before without one, is known now; `notification_id` is the event that brought it."""

    notification_id: int
    fill: Fill
    added_fees: tuple[Fee, ...]


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Quantity that entered (above zero) or left a position without an execution."""

    number: int
    notification_id: int
    position_id: str
    venue: str
    symbol: str
    base: str
    quote: str
    position_side: PositionSide
    kind: Literal["dust", "adjustment"]
    qty: Decimal
    ts_recv_ns: int


Entry = Fill | FillPriced | Transfer


class Holding(msgspec.Struct, kw_only=True):
    """What the record says of one position that every money projection needs.

    `feeless` are the executions, by number, of which it is not known in which asset the fee was taken.
    """

    position_id: str
    venue: str
    instrument: Instrument
    side: PositionSide
    qty: Decimal = ZERO
    ended: bool = False
    roles: dict[str, str] = {}
    feeless: dict[int, OrderFilled] = {}

    @property
    def dust_limit(self) -> Decimal:
        """Quantities below this one cannot be traded."""
        return self.instrument.qty(self.instrument.min_lots)


class FillBook:
    """Fold of events into entries, in the order of the log. `entries` holds each fill as it is known now."""

    def __init__(self) -> None:
        self.holdings: dict[str, Holding] = {}
        self.entries: list[Fill | Transfer] = []
        self._keys: dict[tuple[str, str, str], int] = {}

    def apply(self, notification_id: int, event: PositionEvent) -> list[Entry]:
        """Book one event; return what it added, in order. Events of unknown positions add nothing."""
        fact = event.fact
        if isinstance(fact, _BIRTHS):
            self.holdings.setdefault(
                event.position_id,
                Holding(position_id=event.position_id, venue=fact.capabilities.venue, instrument=fact.instrument, side=fact.plan.side),
            )
        holding = self.holdings.get(event.position_id)
        if holding is None:
            return []
        added: list[Entry] = []
        if isinstance(fact, _EXECUTIONS):
            added += self._fill(notification_id, event, holding, fact)
        elif isinstance(fact, PositionAdopted):
            plan = fact.plan
            fill = self._new_fill(
                notification_id, event, holding, "adopted", "", "", "entry", plan.side.entry_side, plan.qty, fact.px, (), ""
            )
            added.append(self._add(holding, fill))
        elif isinstance(fact, PositionAdjusted) and fact.unheard is not True:
            for number, told in list(holding.feeless.items()):
                assert told.fee_worth is not msgspec.UNSET
                fees = (Fee(asset=holding.instrument.quote, qty=told.fee_worth),)
                added += self._priced(notification_id, event, number, msgspec.structs.replace(told, fees=fees))
            wanted = fact.open_qty if holding.side is PositionSide.LONG else negate(fact.open_qty)
            added += self._transfer(notification_id, event, holding, "adjustment", subtract(wanted, holding.qty))
        elif isinstance(fact, ChildDiscovered):
            holding.roles.setdefault(fact.client_order_id, fact.role)
        for command in event.commands:
            if isinstance(command, SubmitOrder):
                holding.roles.setdefault(command.client_order_id, command.role)
        holding.ended = event.to in END_STATES
        if holding.ended and not holding.feeless and ZERO < holding.qty.copy_abs() < holding.dust_limit:
            added += self._transfer(notification_id, event, holding, "dust", negate(holding.qty))
        return added

    def _fill(self, notification_id: int, event: PositionEvent, holding: Holding, fact: OrderFilled | ManualFillSeen) -> list[Entry]:
        manual = isinstance(fact, ManualFillSeen)
        passed_on = isinstance(fact, ManualFillSeen) and fact.of is not msgspec.UNSET
        own, anybodys = (holding.venue, fact.trade_id, holding.position_id), (holding.venue, fact.trade_id, "")
        known = self._keys.get(own, None if passed_on else self._keys.get(anybodys))
        if known is not None:
            return self._priced(notification_id, event, known, fact)
        if fact.last_qty <= 0:
            return []
        client_order_id = fact.client_order_id if isinstance(fact, OrderFilled) else ""
        fill = self._new_fill(
            notification_id,
            event,
            holding,
            "adopted" if passed_on else "manual" if manual else "order",
            fact.trade_id,
            client_order_id,
            holding.roles.get(client_order_id, ""),
            fact.side,
            fact.last_qty,
            None if _is_fee_open(fact) else fact.last_px,
            fact.fees,
            fact.liquidity_side if isinstance(fact, OrderFilled) else "",
        )
        self._keys[own] = fill.number
        if isinstance(fact, OrderFilled) and fact.is_fee_open:
            holding.feeless[fill.number] = fact
        if not manual:
            self._keys[anybodys] = fill.number
        return [self._add(holding, fill)]

    def _new_fill(
        self,
        notification_id: int,
        event: PositionEvent,
        holding: Holding,
        source: Source,
        trade_id: str,
        client_order_id: str,
        role: str,
        side: Side,
        last_qty: Decimal,
        last_px: Decimal | None,
        fees: tuple[Fee, ...],
        liquidity_side: str,
    ) -> Fill:
        return Fill(
            number=len(self.entries),
            notification_id=notification_id,
            position_id=holding.position_id,
            version=event.version,
            venue=holding.venue,
            symbol=holding.instrument.symbol,
            base=holding.instrument.base,
            quote=holding.instrument.quote,
            position_side=holding.side,
            source=source,
            trade_id=trade_id,
            client_order_id=client_order_id,
            role=role,
            side=side,
            last_qty=last_qty,
            last_px=_price(last_px),
            fees=fees,
            liquidity_side=liquidity_side,
            late=holding.ended,
            ts_event_ns=event.fact.ts_event_ns,
            ts_recv_ns=event.fact.ts_recv_ns,
        )

    def _add(self, holding: Holding, fill: Fill) -> Fill:
        self.entries.append(fill)
        holding.qty = add(holding.qty, fill.base_change)
        return fill

    def _priced(self, notification_id: int, event: PositionEvent, number: int, fact: OrderFilled | ManualFillSeen) -> list[Entry]:
        fill = self.entries[number]
        assert isinstance(fill, Fill)
        holding = self.holdings[fill.position_id]
        px = _price(fact.last_px)
        if fill.last_px is not None or px is None or _is_fee_open(fact) or (number in holding.feeless and not fact.fees):
            return []
        was_feeless = holding.feeless.pop(number, None) is not None
        # A frame that came without a price may have come without its fees too; fees that were booked stand.
        added_fees = fact.fees if not fill.fees else ()
        completed = msgspec.structs.replace(fill, last_px=px, fees=fill.fees or added_fees)
        self.entries[number] = completed
        holding.qty = add(holding.qty, subtract(completed.base_change, fill.base_change))
        added: list[Entry] = [FillPriced(notification_id=notification_id, fill=completed, added_fees=added_fees)]
        if was_feeless and holding.ended and not holding.feeless and holding.qty <= negate(holding.dust_limit):
            # It sold what the fee had taken before: another position buys that back, as its own.
            mine = (entry for entry in self.entries if isinstance(entry, Fill) and entry.position_id == holding.position_id)
            moved = min(negate(holding.qty), total(entry.base_fee for entry in mine))
            added += self._transfer(notification_id, event, holding, "adjustment", moved)
        return added

    def _transfer(
        self, notification_id: int, event: PositionEvent, holding: Holding, kind: Literal["dust", "adjustment"], qty: Decimal
    ) -> list[Entry]:
        if not qty:
            return []
        transfer = Transfer(
            number=len(self.entries),
            notification_id=notification_id,
            position_id=holding.position_id,
            venue=holding.venue,
            symbol=holding.instrument.symbol,
            base=holding.instrument.base,
            quote=holding.instrument.quote,
            position_side=holding.side,
            kind=kind,
            qty=qty,
            ts_recv_ns=event.fact.ts_recv_ns,
        )
        self.entries.append(transfer)
        holding.qty = add(holding.qty, qty)
        return [transfer]


def _is_fee_open(fact: OrderFilled | ManualFillSeen) -> bool:
    return isinstance(fact, OrderFilled) and fact.is_fee_open


def _price(px: Decimal | None) -> Decimal | None:
    return px if px is not None and px.is_finite() and px > 0 else None


def vwap(fills: Iterable[Fill]) -> Decimal | None:
    """Return the average price of the fills whose price is known, None if there is none."""
    known = [(fill.last_qty, fill.last_px) for fill in fills if fill.last_px is not None]
    if not known:
        return None
    value = total(multiply(qty, px) for qty, px in known)
    return decimal_from_fraction(Fraction(value) / Fraction(total(qty for qty, _ in known)))


def fees_text(fees: Iterable[Fee]) -> str:
    """Return the sums of `fees` per asset as text: "0.001 BTC 0.26 USD"; "" if there are none."""
    sums: dict[str, Decimal] = {}
    for fee in fees:
        sums[fee.asset] = add(sums.get(fee.asset, ZERO), fee.qty)
    return " ".join(f"{plain(qty):f} {asset}" for asset, qty in sorted(sums.items()))


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution as it is known now. `base_change` is the signed change of the position's quantity, net of base fees."""

    number: int
    notification_id: int
    position_id: str
    version: int
    venue: str
    symbol: str
    source: str
    trade_id: str
    client_order_id: str
    role: str
    side: str
    last_qty: Decimal
    last_px: Decimal | None
    quote: str
    fees: str
    base_change: Decimal
    liquidity_side: str
    is_late: bool
    ts_event_ns: int
    ts_recv_ns: int


def row_from(fill: Fill) -> FillRow:
    """Return the row of a fill."""
    return FillRow(
        number=fill.number,
        notification_id=fill.notification_id,
        position_id=fill.position_id,
        version=fill.version,
        venue=fill.venue,
        symbol=fill.symbol,
        source=fill.source,
        trade_id=fill.trade_id,
        client_order_id=fill.client_order_id,
        role=fill.role,
        side=fill.side.value,
        last_qty=fill.last_qty,
        last_px=fill.last_px,
        quote=fill.quote,
        fees=fees_text(fill.fees),
        base_change=fill.base_change,
        liquidity_side=fill.liquidity_side,
        is_late=fill.late,
        ts_event_ns=fill.ts_event_ns,
        ts_recv_ns=fill.ts_recv_ns,
    )
