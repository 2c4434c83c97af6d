"""What a log tells the translator when a process begins: with it a snapshot can prove that it is complete."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter

from msgspec import UNSET

from events import commands as c
from events import facts as f
from events.record import PositionEvent
from fsm.model import Position
from venues.kraken.budget import REMEMBERED_NS
from venues.kraken.translate import KrakenTranslator

_ORDER_COMMANDS = (c.SubmitOrder, c.AmendOrder, c.CancelOrder)


def teach(translator: KrakenTranslator, events: Sequence[PositionEvent], positions: Mapping[str, Position]) -> None:
    """Tell `translator` the ids of orders and executions of a log, and of the `positions` that follow from it."""
    orders: list[tuple[str, str]] = []
    attached: list[c.SubmitOrder] = []
    for event in events:
        attached += [x for x in event.commands if isinstance(x, c.SubmitOrder) and x.attached is not None]
    for key in sorted(positions):
        orders += [(o.client_order_id, o.venue_order_id) for o in positions[key].orders if o.venue_order_id]
    executions = (event.fact for event in events if isinstance(event.fact, f.OrderFilled | f.ManualFillSeen))
    # What was passed on stands in the log of the position whose order it was.
    fills = [x for x in executions if isinstance(x, f.OrderFilled) or x.of is UNSET]
    # Of the owner's trades the log does not say whether something before them was missing.
    doubtful = [x.trade_id for x in fills if isinstance(x, f.ManualFillSeen) or x.behind_gap is True]
    stops = [event.fact for event in events if isinstance(event.fact, f.ChildDiscovered)]
    over = _without_unnamed(positions.values(), stops)
    translator.lookups.know(sorted({position.plan.symbol for position in positions.values()}))
    translator.restore(orders, attached, [x.trade_id for x in fills], doubtful, over, _feeless(events, positions))
    _count(translator, events)


def _feeless(events: Iterable[PositionEvent], positions: Mapping[str, Position]) -> list[tuple[str, f.OrderFilled]]:
    """Return the executions of which it is not known yet in which asset the fee was taken, with their symbols."""
    out: dict[str, tuple[str, f.OrderFilled]] = {}
    for event in events:
        position, fact = positions.get(event.position_id), event.fact
        if position is not None and isinstance(fact, f.OrderFilled) and fact.is_fee_open and position.awaits_fee_of(fact.trade_id):
            out.setdefault(fact.trade_id, (position.plan.symbol, fact))
    return list(out.values())


def _count(translator: KrakenTranslator, events: Sequence[PositionEvent]) -> None:
    """Count what the last life sent, as it was counted then: the venue still does, and a young stop is still young (I14)."""
    sent = [(event.fact.ts_recv_ns, command) for event in events for command in event.commands if isinstance(command, _ORDER_COMMANDS)]
    for event in events:
        if isinstance(event.fact, f.ChildDiscovered):
            translator.budget.touch(event.fact.client_order_id, event.fact.ts_recv_ns)
    newest_ns = max((event.fact.ts_recv_ns for event in events), default=0)
    for at_ns, command in sorted((x for x in sent if x[0] >= newest_ns - REMEMBERED_NS), key=itemgetter(0)):
        translator.budget.charge(command, at_ns)


def _without_unnamed(positions: Iterable[Position], stops: Iterable[f.ChildDiscovered]) -> set[str]:
    """Return the entries that have ended and of which every attached stop has shown itself: no execution is of another one."""
    shown: dict[str, Decimal] = {}
    for stop in stops:
        shown[stop.parent_venue_order_id] = shown.get(stop.parent_venue_order_id, Decimal(0)) + stop.qty
    return {
        order.client_order_id
        for position in positions
        for order in position.orders
        if order.role == "entry" and order.venue_order_id and not order.is_open
        if position.instrument.qty(order.filled_lots) <= shown.get(order.venue_order_id, Decimal(0))
    }
