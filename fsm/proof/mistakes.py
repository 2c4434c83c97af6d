"""The mistakes of the named mutants, as functions that make a wrong one of the right one.

Each takes what stands there (a builder, an answer, a booking rule, a clock) and returns what is put in its place.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from events import commands as c

from .. import booking, timers
from ..model import Order, Position
from ..order import CANCELED, ENDED, LIVE, TRIGGERED, UNKNOWN
from ..policy import Draft

replace = msgspec.structs.replace


def nothing(_: Any) -> Callable[[Draft], Iterator[c.AnyCommand]]:
    return lambda draft: iter(())


def always(value: Any) -> Callable[[Any], Callable[..., Any]]:
    return lambda old: lambda *arguments: value


# --- policies ---------------------------------------------------------------------------------------------------------


def lease_forgets(*statuses: str) -> Callable[[Any], Callable[[Order], int]]:
    return lambda old: lambda order: 0 if order.status in statuses else old(order)


def canceling_is_free(old: Callable[[Order], int]) -> Callable[[Order], int]:
    return lambda order: 0 if order.pending == "cancel" else old(order)


def sells_all_that_was_bought(old: Any) -> Callable[[Draft], int]:
    return lambda draft: draft.position.filled_lots


def cancels_what_is_not_ours(old: Any) -> Callable[[Draft], Iterator[c.AnyCommand]]:
    def build(draft: Draft) -> Iterator[c.AnyCommand]:
        fact: Any = draft.fact
        yield c.CancelOrder(client_order_id="somebody-0000", venue_order_id=fact.venue_order_id, symbol=draft.position.plan.symbol)

    return build


def different(old: Any) -> Callable[[Position], tuple[Order, ...]]:
    def misaligned(p: Position) -> tuple[Order, ...]:
        stops = [o for o in p.orders if o.role == "stop" and o.status == LIVE and not o.pending]
        wanted = {"trailing-stop": p.wanted_trail_offset_bps, "stop-loss": p.wanted_stop_ticks}
        known = {"trailing-stop": "trail_offset_bps", "stop-loss": "trigger_ticks"}
        return tuple(o for o in stops if wanted[o.order_type] not in (None, getattr(o, known[o.order_type])))

    return misaligned


def one_lot_more(old: Callable[[Order], int]) -> Callable[[Order], int]:
    return lambda order: old(order) + (order.role == "stop" and order.status == LIVE)


# --- questions --------------------------------------------------------------------------------------------------------


def another(answer: str, instead: str) -> Callable[[Any], Callable[[Position, Any], str]]:
    def make(old: Callable[[Position, Any], str]) -> Callable[[Position, Any], str]:
        def ask(position: Position, fact: Any) -> str:
            given = old(position, fact)
            return instead if given == answer else given

        return ask

    return make


# --- booking ----------------------------------------------------------------------------------------------------------


def forgets_execution_ids(old: Callable[..., Position]) -> Callable[..., Position]:
    return lambda position, *rest: replace(old(position, *rest), trade_ids=position.trade_ids)


def late_fills_are_old_news(old: Callable[..., Position]) -> Callable[..., Position]:
    def filled(position: Position, fact: Any, order_to: str) -> Position:
        order = position.order(fact.client_order_id, fact.venue_order_id)
        return position if order is not None and order.status == ENDED else old(position, fact, order_to)

    return filled


def dead_link_cancels(old: Callable[..., Position]) -> Callable[..., Position]:
    def closed(position: Position, fact: Any, order_to: str) -> Position:
        after = old(position, fact, order_to)
        return replace(after, orders=tuple(replace(o, status=CANCELED) if o.status == UNKNOWN else o for o in after.orders))

    return closed


def asking_is_having(old: Any) -> property:
    def protects_lots(order: Order) -> int:
        if order.role != "stop" or order.status != LIVE or order.filled_lots:
            return 0
        return order.pending_qty_lots or order.qty_lots

    return property(protects_lots)


def fired_still_protects(old: Any) -> property:
    return property(lambda o: o.leaves_lots if o.role == "stop" and o.status in (LIVE, TRIGGERED) else 0)


def gives_up_unguarded(old: Callable[[Position, Any], Position]) -> Callable[[Position, Any], Position]:
    def unlisted(position: Position, fact: Any) -> Position:
        guarded = replace(position, capabilities=replace(position.capabilities, holds_funds=True))
        return replace(old(guarded, replace(fact, shared=msgspec.UNSET)), capabilities=position.capabilities)

    return unlisted


def unanswered_is_applied(old: Any) -> Callable[[Order], Order]:
    def answered(order: Order) -> Order:
        return booking._settled(replace(order, qty_lots=order.pending_qty_lots or order.qty_lots))

    return answered


def any_wish(old: Any) -> Callable[[Position, int], Position]:
    return lambda position, trail_offset_bps: replace(position, wanted_trail_offset_bps=trail_offset_bps)


def every_child_is_new(old: Callable[..., Position]) -> Callable[..., Position]:
    def child(position: Position, fact: Any, order_to: str) -> Position:
        unknown = replace(fact, client_order_id=f"{fact.client_order_id}.{position.version}", venue_order_id="")
        return old(position, unknown, order_to)

    return child


def closed_for_half(old: Callable[..., Position]) -> Callable[..., Position]:
    """Book the first execution on the exit side twice."""

    def executed(position: Position, trade_id: str, side: Any, lots: int, *rest: Any) -> Position:
        first = side is not position.side.entry_side and not position.exited_lots
        return old(position, trade_id, side, lots * 2 if first else lots, *rest)

    return executed


# --- clocks -----------------------------------------------------------------------------------------------------------


def without_clock(*states: str) -> Callable[[Any], Callable[[Position], list[timers.Deadline]]]:
    return lambda old: lambda position: [] if position.state in states else old(position)


def without(which: str) -> Callable[[Any], Callable[[Position], list[timers.Deadline]]]:
    return lambda old: lambda position: [x for x in old(position) if x.which != which]
