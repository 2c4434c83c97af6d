"""Every order with its life: what it was for, what became of it, when, and how long the venue took.

Status, quantities and levels are those of the position as the log gives it (`fsm.core.evolve`); executions, counts and
refusals are added from the events. Times are our receive times, 0 where it has not happened.
"""

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from events.commands import AmendOrder, CancelOrder, SubmitOrder
from events.facts import AmendRejected, CancelRejected, ChildDiscovered, OrderAmended, OrderCanceled, OrderExpired, OrderFact, OrderRejected
from events.record import PositionEvent
from fsm.model import Order, Position

from .exact import total
from .fills import Entry, Fill, FillPriced, fees_text, vwap


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One order. `ack_latency_ns`: from sent (else decided) to the first word of the venue; None where there was none."""

    position_id: str
    client_order_id: str
    venue_order_id: str
    symbol: str
    role: str
    side: str
    order_type: str
    status: str
    qty: Decimal
    filled_qty: Decimal
    avg_px: Decimal | None
    limit_price: Decimal | None
    trigger_price: Decimal | None
    trail_offset_bps: int | None
    effective_stop: Decimal | None
    post_only: bool
    fees: str
    fills: int
    amends_asked: int
    amends_done: int
    amends_refused: int
    cancels_asked: int
    cancels_refused: int
    reject_class: str
    reason: str
    decided_version: int
    decided_ns: int
    sent_ns: int
    accepted_ns: int
    first_fill_ns: int
    last_fill_ns: int
    ended_ns: int
    ack_latency_ns: int | None


class OrderLife(msgspec.Struct, kw_only=True):
    """What events say of one order beyond what the position keeps."""

    client_order_id: str
    decided_version: int
    side: str
    limit_price: Decimal | None = None
    post_only: bool = False
    fills: dict[int, Fill] = {}
    amends_asked: int = 0
    amends_done: int = 0
    amends_refused: int = 0
    cancels_asked: int = 0
    cancels_refused: int = 0
    reason: str = ""


class Orders:
    """Fold of events into the orders of every position, in the order in which they were decided."""

    def __init__(self) -> None:
        self._lives: dict[str, dict[str, OrderLife]] = {}

    def apply(self, event: PositionEvent, after: Position, entries: list[Entry]) -> None:
        """Take one event, the position after it, and what it added to the fill book."""
        lives = self._lives.setdefault(event.position_id, {})
        fact = event.fact
        if isinstance(fact, ChildDiscovered) and fact.client_order_id not in lives:
            side = after.side.entry_side if fact.role in ("entry", "flatten") else after.side.exit_side
            lives[fact.client_order_id] = OrderLife(client_order_id=fact.client_order_id, decided_version=event.version, side=side.value)
        elif isinstance(fact, OrderFact):
            order = after.order(fact.client_order_id, fact.venue_order_id)
            if order is not None and order.client_order_id in lives:
                _note(lives[order.client_order_id], fact)
        for entry in entries:
            fill = entry.fill if isinstance(entry, FillPriced) else entry
            if isinstance(fill, Fill) and fill.client_order_id in lives:
                lives[fill.client_order_id].fills[fill.number] = fill
        for command in event.commands:
            self._command(lives, event.version, command)

    def _command(self, lives: dict[str, OrderLife], version: int, command: object) -> None:
        if isinstance(command, SubmitOrder):
            lives[command.client_order_id] = OrderLife(
                client_order_id=command.client_order_id,
                decided_version=version,
                side=command.side.value,
                limit_price=command.limit_price,
                post_only=command.post_only,
            )
        elif isinstance(command, AmendOrder) and command.client_order_id in lives:
            lives[command.client_order_id].amends_asked += 1
        elif isinstance(command, CancelOrder) and command.client_order_id in lives:
            lives[command.client_order_id].cancels_asked += 1

    def rows(self, position: Position) -> Iterator[OrderRow]:
        """Return the orders of one position as they stand."""
        lives = self._lives.get(position.position_id, {})
        for order in position.orders:
            life = lives.get(order.client_order_id)
            if life is not None:
                yield _row(position, order, life)


def _note(life: OrderLife, fact: OrderFact) -> None:
    if isinstance(fact, OrderAmended):
        life.amends_done += 1
        life.limit_price = fact.limit_price if fact.limit_price is not None else life.limit_price
    elif isinstance(fact, AmendRejected):
        life.amends_refused += 1
        life.reason = fact.text
    elif isinstance(fact, CancelRejected):
        life.cancels_refused += 1
        life.reason = fact.text
    elif isinstance(fact, OrderRejected):
        life.reason = fact.text
    elif isinstance(fact, OrderCanceled | OrderExpired):
        life.reason = fact.reason or life.reason


def _row(position: Position, order: Order, life: OrderLife) -> OrderRow:
    instrument = position.instrument
    fills = list(life.fills.values())
    asked_ns = order.sent_ns or order.decided_ns
    return OrderRow(
        position_id=position.position_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        symbol=position.plan.symbol,
        role=order.role,
        side=life.side,
        order_type=order.order_type,
        status=order.status,
        qty=instrument.qty(order.qty_lots),
        filled_qty=total(fill.last_qty for fill in fills),
        avg_px=vwap(fills),
        limit_price=life.limit_price,
        trigger_price=None if order.trigger_ticks is None else instrument.price(order.trigger_ticks),
        trail_offset_bps=order.trail_offset_bps,
        effective_stop=None if order.effective_stop_ticks is None else instrument.price(order.effective_stop_ticks),
        post_only=life.post_only,
        fees=fees_text(fee for fill in fills for fee in fill.fees),
        fills=len(fills),
        amends_asked=life.amends_asked,
        amends_done=life.amends_done,
        amends_refused=life.amends_refused,
        cancels_asked=life.cancels_asked,
        cancels_refused=life.cancels_refused,
        reject_class=order.reject_class,
        reason=life.reason,
        decided_version=life.decided_version,
        decided_ns=order.decided_ns,
        sent_ns=order.sent_ns,
        accepted_ns=order.accepted_ns,
        first_fill_ns=min((fill.ts_recv_ns for fill in fills), default=0),
        last_fill_ns=max((fill.ts_recv_ns for fill in fills), default=0),
        ended_ns=order.ended_ns,
        ack_latency_ns=order.accepted_ns - asked_ns if order.accepted_ns else None,
    )
