"""Booking: what a fact changes in a position, before anything is decided and whatever the table says (contract 2).

A fill changes quantity in every state. Order statuses move by the order machine; which status is stored in the event
(`order_to`), so that next year's order table cannot rewrite last year's history.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from events import facts as f
from events.values import Mark, Side

from .model import Order, Position, fee_lots_of
from .order import END_STATUSES, LIVE, OPEN_STATUSES, SUBMITTED, UNKNOWN
from .position import EMERGENCY_PROTECTING, HALTED, RECONCILING, STOP_TRIGGERED

replace = msgspec.structs.replace
# How long a venue takes a request that names no deadline of its own (venues.md 1.6).
REQUEST_NS = 5_000_000_000
# For how many pages' time a stop that the owner took away is remembered: with the default interval ten minutes.
HOLD_MEMORY_PAGES = 10
# How long what became of a stop that lists lack is asked for before another stop may take its place.
UNLISTED_NS = 5_000_000_000
# How long an exit waits for a list with every execution before lists that may lack some count as well: REST may be a minute late.
LACKING_NS = 75_000_000_000


def order_answers(position: Position, order: Order, fact: f.VenueOrderFact, dimensions: Iterable[str]) -> tuple[str, ...]:
    """Return the order machine's classifiers for a fact about `order`, as they stand once the fact is booked."""
    return tuple([_ORDER_ANSWERS[name](position, order, fact) for name in dimensions])


def _filled_lots(position: Position, order: Order, fact: f.VenueOrderFact) -> int:
    if isinstance(fact, f.OrderFilled) and fact.trade_id not in position.trade_ids:
        return order.filled_lots + position.instrument.floor_lots(fact.last_qty)
    return order.filled_lots


def _fills(position: Position, order: Order, fact: f.VenueOrderFact) -> str:
    return "COMPLETE" if _filled_lots(position, order, fact) >= order.possible_lots else "PARTIAL"


def _books(position: Position, order: Order, fact: f.VenueOrderFact) -> str:
    cum_lots = order.cum_lots
    if isinstance(fact, _ENDINGS):
        cum_lots = max(cum_lots, _stated_lots(position, order, fact))
    return "AGREE" if _filled_lots(position, order, fact) >= cum_lots else "MISSING"


def _operation(position: Position, order: Order, fact: f.VenueOrderFact) -> str:
    return "SUBMIT" if isinstance(fact, f.OrderNotSent | f.OutcomeUnknown) and fact.operation == "submit" else "CHANGE"


def _absence(position: Position, order: Order, fact: f.VenueOrderFact) -> str:
    # An entry may still wait for the disk: absence proves nothing of what has not left yet.
    left = order.sent_ns > 0 or order.status != SUBMITTED
    if not left or not isinstance(fact, f.OrderNotFound):
        return "UNPROVEN"
    if fact.trades_complete and fact.asked_ns >= arrived_by_ns(position, order, shared=fact.shared is True):
        return "PROVEN"
    return "DOUBTED" if fact.repeated is True and fact.asked_ns > order.accepted_ns else "UNPROVEN"


def _found(position: Position, order: Order, fact: f.VenueOrderFact) -> str:
    return "LISTED" if isinstance(fact, f.ChildDiscovered) and not fact.parent_venue_order_id else "TOLD"


_ENDINGS = (f.OrderCompleted, f.OrderCanceled, f.OrderExpired)
_ORDER_ANSWERS: dict[str, Callable[[Position, Order, f.VenueOrderFact], str]] = {
    "fills": _fills,
    "books": _books,
    "operation": _operation,
    "absence": _absence,
    "found": _found,
}


def _stated_lots(position: Position, order: Order, fact: f.OrderCompleted | f.OrderCanceled | f.OrderExpired) -> int:
    """Return what had filled by the end of the order, as the venue says; all of it where it says only that it is complete."""
    return order.qty_lots if isinstance(fact, f.OrderCompleted) and fact.cum_qty is None else _lots(position, fact.cum_qty)


def arrived_by_ns(position: Position, order: Order, *, shared: bool) -> int:
    """Return from when on an order must be at the venue if it ever will be, so that its absence there proves something.

    A request may lie in a queue of the venue while a link ends, a new one begins and its snapshot is asked for (venues.md:
    not taken after its deadline, by default 5 s). Stops are put back at once where the venue itself refuses or cuts a second one
    (`Position.is_guarded`, which says what `shared` is).
    """
    sent_ns = max(order.sent_ns, order.decided_ns)
    if (order.role == "stop" and position.is_guarded(shared=shared)) or order.status not in (SUBMITTED, UNKNOWN):
        return sent_ns + 1
    return max(sent_ns + 1, order.deadline_ns or sent_ns + _queue_ns(position))


def _queue_ns(position: Position) -> int:
    """Return how long a request that names no deadline may lie in a queue of the venue: its own default counts, whatever a plan hopes."""
    return max(position.plan.timing.market_deadline_ms * 1_000_000, REQUEST_NS)


def _change_queue_ns(position: Position, order: Order) -> int:
    """Return how long a change in flight may lie in a queue of the venue."""
    names_deadline = order.pending_qty_lots is not None and position.capabilities.amend_deadline is True
    return position.resize_ns if names_deadline else _queue_ns(position)


def book(position: Position, fact: f.AnyFact, order_to: str) -> Position:
    """Return the position with `fact` booked: quantities, costs, order values and statuses; state and version untouched."""
    kind: Any = type(fact)
    if kind in _MARKED:
        position = _marked(position, fact.mark)  # type: ignore[union-attr]
    booking = _BOOKINGS.get(kind)
    booked = position if booking is None else booking(position, fact, order_to)
    if booked.unheard_lots and not booked.open_orders("entry"):
        # The entry has ended by evidence, with every execution of it: nothing is unheard any more.
        return replace(booked, unheard_lots=0)
    return booked


_MARKED = frozenset(kind for kind in f.AnyFact.__args__ if "mark" in kind.__struct_fields__)


def _marked(position: Position, mark: Mark | None) -> Position:
    if mark is None:
        return position
    best, sign = position.best_px, position.side.sign
    if position.opened_ns and mark.ts_recv_ns >= position.opened_ns and (best is None or (mark.px - best) * sign > 0):
        best = mark.px
    return replace(position, mark=mark, best_px=best)


def _lots(position: Position, qty: Decimal | None) -> int:
    return 0 if qty is None else position.instrument.floor_lots(qty)


def with_order(position: Position, order: Order) -> Position:
    """Return the position with `order` in the place of the one of the same client id."""
    return replace(position, orders=tuple([order if o.client_order_id == order.client_order_id else o for o in position.orders]))


def _named(position: Position, fact: f.OrderFact, order_to: str) -> Order | None:
    """Return the order that a fact is about, with the fact's status and ids; the caller puts it back, once."""
    order = position.order(fact.client_order_id, fact.venue_order_id)
    if order is None:
        return None
    status, venue_order_id, ended_ns = order_to or order.status, order.venue_order_id, order.ended_ns
    if fact.venue_order_id and fact.venue_order_id != venue_order_id:
        venue_order_id = fact.venue_order_id
    if order_to in END_STATUSES:
        if order.status in OPEN_STATUSES:
            ended_ns = fact.ts_recv_ns
        order = _settled(order)
    if order.unlisted_ns and (order_to in END_STATUSES or order_to == LIVE):
        order = replace(order, unlisted_ns=0, given_up=False, is_gone=False)
    return replace(order, status=status, venue_order_id=venue_order_id, ended_ns=ended_ns)


def _settled(order: Order) -> Order:
    if not order.pending:
        return order
    return replace(order, pending="", pending_ns=0, pending_qty_lots=None, pending_trigger_ticks=None, pending_trail_offset_bps=None)


def _touch(position: Position, fact: f.OrderFact, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    return position if order is None else with_order(position, order)


def _submitted(position: Position, fact: f.OrderSubmitted, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    if order is None:
        return position
    return with_order(position, order if order.sent_ns else replace(order, sent_ns=fact.ts_recv_ns))


def _not_sent(position: Position, fact: f.OrderNotSent, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    if order is None:
        return position
    if fact.operation == "cancel":
        # It took the place of an amend that has no answer yet.
        return with_order(position, _unanswered(order))
    return with_order(position, order if fact.operation == "submit" else _settled(order))


def _accepted(position: Position, fact: f.OrderAccepted, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    if order is None:
        return position
    if not order.accepted_ns:
        order = replace(order, accepted_ns=fact.ts_recv_ns)
        if order.role == "stop" and not position.capabilities.amend_in_place:
            position = replace(position, tighten_attempts=0)
    if fact.leaves_qty is not None and fact.cum_qty is not None and order.is_open:
        total = _lots(position, fact.leaves_qty + fact.cum_qty)
        if order.pending == "":
            position = _resized(position, order, total)
            # The confirmed total, also after an amend whose answer was lost; its executions may be listed after it.
            order = replace(order, qty_lots=total, ceiling_lots=0)
        else:
            order = replace(order, listed_lots=total)
    return with_order(position, _effective(position, order, fact.effective_stop))


def _looked(position: Position, fact: f.SnapshotAgreed | f.SnapshotDiffered, order_to: str) -> Position:
    """A snapshot that was asked for after a change was sent shows what became of it, also where the answer was lost."""
    # The first word of a new link ends a waiting, and may lack executions: it is no look.
    if position.unseen_child_lots and position.state != RECONCILING:
        position = replace(position, child_looks=position.child_looks + 1)
    lacks_ns = 0
    if fact.lacking is True and not position.is_guarded(shared=fact.shared is True):
        lacks_ns = position.lacks_ns or fact.ts_recv_ns
    if lacks_ns != position.lacks_ns:
        position = replace(position, lacks_ns=lacks_ns)
    changing = [o for o in position.orders if o.pending or o.listed_lots is not None]
    if not changing:
        return position
    unapplied = 0
    # A question can be answered ahead of a change that lies in the venue's queue: where only our books stop a second order, and where
    # more would count as protected than is once the change has come, the answer to a later question is waited for.
    is_guarded = position.is_guarded(shared=fact.shared is True)
    for order in changing:
        queue_ns = 0 if is_guarded and not order.is_listed_larger else _change_queue_ns(position, order)
        seen = _answered(order, fact.asked_ns - queue_ns)
        unapplied += order.pending == "amend" and not seen.pending and seen.qty_lots != order.pending_qty_lots
        position = with_order(position, seen)
    return replace(position, tighten_attempts=position.tighten_attempts + unapplied)


def _answered(order: Order, asked_ns: int) -> Order:
    listed = order.listed_lots
    order = replace(order, listed_lots=None)
    if not order.pending or order.pending_ns >= asked_ns:
        return order
    if listed is None:
        return _unanswered(order)
    return _settled(replace(order, qty_lots=listed, ceiling_lots=0))


def _effective(position: Position, order: Order, effective_stop: Decimal | None) -> Order:
    if effective_stop is None or effective_stop <= 0:
        return order
    rounding = position.instrument.floor_ticks if position.side.sign > 0 else position.instrument.ceil_ticks
    ticks, known = rounding(effective_stop), order.effective_stop_ticks
    loosened = known is not None and (ticks - known) * position.side.sign < 0
    return replace(order, effective_stop_ticks=ticks, effective_trail_bps=order.trail_offset_bps, stop_loosened=loosened)


def _rejected(position: Position, fact: f.OrderRejected, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    if order is None:
        return position
    position = with_order(position, replace(order, reject_class=fact.reject_class))
    if order.role != "stop":
        return position
    if not position.capabilities.amend_in_place and any(o.protects_lots for o in position.orders):
        # What was to replace or to complete a stop was refused: another attempt is the watch's, ever less often.
        position = replace(position, tighten_attempts=position.tighten_attempts + 1)
    return replace(position, protect_attempts=position.protect_attempts + 1)


def _not_found(position: Position, fact: f.OrderNotFound, order_to: str) -> Position:
    order = position.order(fact.client_order_id, fact.venue_order_id)
    position = _unlisted(_touch(position, fact, order_to), fact)
    if order is None or order.role != "stop" or order.status not in OPEN_STATUSES or order_to not in END_STATUSES:
        return position
    return replace(position, protect_attempts=position.protect_attempts + 1)


def _unlisted(position: Position, fact: f.OrderNotFound) -> Position:
    """A stop that was sent, or an order that rested, and that lists lack, where executions may be missing: since when, and whether it is
    still waited for.

    A stop is given up for whatever it did once the questions about it have had their time and it is still not listed, where the venue
    itself lets no second order close what this one may have closed. Elsewhere only evidence helps (I2, I6). What closes at once waits
    for as long as REST may be late; another stop, which is only a stop, for as long as an answer takes.
    """
    order = position.order(fact.client_order_id, fact.venue_order_id)
    if order is None or not order.is_open or fact.repeated is not True:
        return position
    if not order.unlisted_ns:
        return with_order(position, replace(order, unlisted_ns=fact.ts_recv_ns))
    is_due = fact.asked_ns >= order.unlisted_ns + (LACKING_NS if position.exit_reason else UNLISTED_NS)
    if order.role != "stop" or order.given_up or not is_due or not position.is_guarded(shared=fact.shared is True):
        return position
    position = with_order(position, replace(order, given_up=True))
    if position.state != EMERGENCY_PROTECTING or position.exit_reason:
        return position
    # Looks at a stop that is waited for are no attempts: with the next one they count anew, and the attempts are counted.
    return replace(position, protect_attempts=position.protect_attempts + 1, watch_count=0)


def _filled(position: Position, fact: f.OrderFilled, order_to: str) -> Position:
    if fact.trade_id in position.trade_ids:
        return _charged_late(_priced_late(_touch(position, fact, order_to), fact), fact)
    order = _named(position, fact, order_to)
    lots = _lots(position, fact.last_qty)
    if order is not None:
        cum_lots = max(order.cum_lots, _lots(position, fact.cum_qty))
        accepted_ns = order.accepted_ns or fact.ts_recv_ns
        position = with_order(position, replace(order, filled_lots=order.filled_lots + lots, cum_lots=cum_lots, accepted_ns=accepted_ns))
    else:
        position = replace(position, strays=(*position.strays, (fact.client_order_id or fact.venue_order_id, lots)))
    if fact.is_fee_open:
        position = replace(position, feeless=(*position.feeless, (fact.trade_id, _fee_lots_at_most(position, fact))))
    return _executed(position, fact.trade_id, fact.side, lots, fact.last_qty, fact.last_px, fact.fees, fact.ts_recv_ns)


def _charged_late(position: Position, fact: f.OrderFilled) -> Position:
    # The execution was booked before it was known in which asset its fee was taken; told once more with its fees it is.
    if not fact.fees or not position.awaits_fee_of(fact.trade_id):
        return position
    feeless = tuple([x for x in position.feeless if x[0] != fact.trade_id])
    return _charged(replace(position, feeless=feeless), fact.fees)


def _fee_lots_at_most(position: Position, fact: f.OrderFilled) -> int:
    """Return the lots that the fee has taken if it was taken in the base asset; only of a long something is missing then."""
    if position.side.sign < 0 or fact.fee_worth is UNSET or fact.last_px is None or not _is_price(fact.last_px):
        return 0
    return fee_lots_of(position.instrument, position.side, fact.fee_worth / fact.last_px)


def _charged(position: Position, fees: tuple[f.Fee, ...]) -> Position:
    fee_base = position.fee_base + sum((fee.qty for fee in fees if fee.asset == position.instrument.base), Decimal(0))
    return replace(position, fee_base=fee_base, fee_lots=fee_lots_of(position.instrument, position.side, fee_base))


def _priced_late(position: Position, fact: f.OrderFilled | f.ManualFillSeen) -> Position:
    # The quantity was booked without a price (A16); the same execution with its price completes the cost.
    if fact.trade_id not in position.unpriced_ids or not _is_price(fact.last_px):
        return position
    unpriced = position.unpriced_ids - {fact.trade_id}
    position = replace(position, unpriced_ids=unpriced, price_pending=bool(unpriced))
    if fact.side is not position.side.entry_side or fact.last_px is None:
        return position
    lots = _lots(position, fact.last_qty)
    return replace(position, entry_cost=position.entry_cost + fact.last_px * fact.last_qty, priced_lots=position.priced_lots + lots)


def _is_price(px: Decimal | None) -> bool:
    return px is not None and px.is_finite() and px > 0


def _executed(
    position: Position, trade_id: str, side: Side, lots: int, qty: Decimal, px: Decimal | None, fees: tuple[f.Fee, ...], now_ns: int
) -> Position:
    known = _is_price(px)
    changes: dict[str, Any] = {"trade_ids": position.trade_ids | {trade_id}}
    if not known:
        changes.update(unpriced_ids=position.unpriced_ids | {trade_id}, price_pending=True)
    if fees:
        position = _charged(position, fees)
    if side is not position.side.entry_side:
        changes["exited_lots"] = position.exited_lots + lots
    else:
        # What is new was never refused its stop: a hold ends with it.
        changes.update(filled_lots=position.filled_lots + lots, opened_ns=position.opened_ns or now_ns, child_looks=0, hold_ns=0)
        if position.unheard_lots:
            changes.update(unheard_lots=max(0, position.unheard_lots - lots))
        if known and px is not None:
            changes.update(entry_cost=position.entry_cost + px * qty, priced_lots=position.priced_lots + lots)
    return replace(position, **changes)


def _ended(position: Position, fact: f.OrderCompleted | f.OrderCanceled | f.OrderExpired, order_to: str) -> Position:
    known = position.order(fact.client_order_id, fact.venue_order_id)
    asked = known is not None and (known.pending == "cancel" or known.cancel_refused)
    # A cancel or an amend of ours whose answer was lost is no deed of the owner.
    is_owners = known is not None and not known.called_back and not known.pending
    was_over = known is None or not known.is_open
    order = _named(position, fact, order_to)
    if order is None:
        return position
    position = with_order(position, replace(order, cum_lots=max(order.cum_lots, _stated_lots(position, order, fact))))
    if isinstance(fact, f.OrderCanceled) and order.role == "stop" and not asked and not was_over:
        position = replace(position, stops_lost=position.stops_lost + 1)
        position = _taken(position, fact) if is_owners and fact.by_hand is True else position
    return position


def _taken(position: Position, fact: f.OrderCanceled) -> Position:
    """The owner took a stop away: once it is put back, the second time within a while he is asked first (P19).

    Not where a person is there already or the position is to leave, and not while another stop stands or is on its way.
    """
    now_ns, interval_ns = fact.ts_recv_ns, position.plan.timing.page_interval_ms * 1_000_000
    again = position.stop_taken_ns > 0 and now_ns - position.stop_taken_ns <= HOLD_MEMORY_PAGES * interval_ns
    holds = again and not position.exit_reason and position.state != HALTED and position.is_tradable and not position.open_orders("stop")
    return replace(position, stop_taken_ns=now_ns, hold_ns=now_ns if holds else position.hold_ns)


def _amended(position: Position, fact: f.OrderAmended, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    if order is None:
        return position
    if order.pending == "amend" and not fact.by_venue and _confirms(position, order, fact):
        # The frame names only what the venue chose to repeat; what we asked for and it confirmed is what stands.
        order = _settled(
            replace(
                order,
                qty_lots=order.pending_qty_lots or order.qty_lots,
                trigger_ticks=order.pending_trigger_ticks or order.trigger_ticks,
                trail_offset_bps=order.pending_trail_offset_bps or order.trail_offset_bps,
            )
        )
        position = replace(position, tighten_attempts=0)
    if fact.order_qty is not None:
        if not fact.by_venue and not order.pending:
            position = _resized(position, order, _lots(position, fact.order_qty))
        order = replace(order, qty_lots=max(_lots(position, fact.order_qty), order.filled_lots), ceiling_lots=0)
    if fact.trigger_price is not None and fact.trigger_price > 0 and order.order_type == "stop-loss":
        order = replace(order, trigger_ticks=position.instrument.floor_ticks(fact.trigger_price))
    if fact.trail_offset_bps is not None:
        order = replace(order, trail_offset_bps=fact.trail_offset_bps)
    return with_order(position, _effective(position, order, fact.effective_stop))


def _resized(position: Position, order: Order, total_lots: int) -> Position:
    """A stop whose size changes while nothing of ours is on its way to it: an amend that was given up came late.

    What was sent in its place stands beside it, and must not wait for the next attempt's time to be taken back: both can fire. Not where
    the answer to an amend is open (`ceiling_lots`): the word that it was not applied is no change, and one more attempt at once for each
    would go round as fast as a venue in maintenance says both (I14).
    """
    if order.role != "stop" or order.ceiling_lots or total_lots == order.qty_lots or not position.tighten_attempts:
        return position
    return replace(position, tighten_attempts=0)


def _confirms(position: Position, order: Order, fact: f.OrderAmended) -> bool:
    """Whether the report is about the amend in flight and not about an earlier one that was repeated or late."""
    same_qty = fact.order_qty is None or order.pending_qty_lots is None or _lots(position, fact.order_qty) == order.pending_qty_lots
    wanted_trail = order.pending_trail_offset_bps
    return same_qty and (fact.trail_offset_bps is None or wanted_trail is None or fact.trail_offset_bps == wanted_trail)


def _amend_failed(position: Position, fact: f.AmendRejected, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    if order is None:
        return position
    if order.pending == "amend":
        order = _settled(order)
        position = replace(position, tighten_attempts=position.tighten_attempts + 1)
    elif order.pending == "cancel":
        order = replace(order, pending_qty_lots=None, pending_trigger_ticks=None, pending_trail_offset_bps=None)
    return with_order(position, order)


def _cancel_failed(position: Position, fact: f.CancelRejected, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    if order is None:
        return position
    # "gone" is no proof of how it ended; the order stays open in our books until a query tells (P05).
    is_gone = order.is_gone or (order.unlisted_ns > 0 and fact.reject_class == "gone")
    return with_order(position, replace(_unanswered(order), cancel_refused=True, is_gone=is_gone))


def _child(position: Position, fact: f.ChildDiscovered, order_to: str) -> Position:
    known = position.order(fact.client_order_id, fact.venue_order_id)
    if known is not None:
        position, cum_lots = _touch(position, fact, order_to), _lots(position, fact.cum_qty)
        revived = position.order(known.client_order_id)
        if revived is None or not revived.is_open or not known.is_belied(_lots(position, fact.qty), cum_lots):
            return position
        return with_order(position, replace(revived, qty_lots=_lots(position, fact.qty) + cum_lots))
    trigger = None if fact.trigger_price is None else position.instrument.floor_ticks(fact.trigger_price)
    # What it had executed before it was found stands in the same snapshot, ahead of it: without it the order could never
    # add up to the total that the venue states. Where the snapshot lacks executions, they come later.
    filled_lots = sum(lots for name, lots in position.strays if name in (fact.client_order_id, fact.venue_order_id))
    executed_lots = max(filled_lots, 0 if fact.cum_qty is None else _lots(position, fact.cum_qty))
    qty_lots = _lots(position, fact.qty) + executed_lots
    child = Order(
        client_order_id=fact.client_order_id,
        venue_order_id=fact.venue_order_id,
        role=fact.role,
        order_type=fact.order_type if fact.trail_offset_bps is None else "trailing-stop",
        qty_lots=qty_lots,
        filled_lots=filled_lots,
        status=order_to or LIVE,
        trigger_ticks=trigger,
        trail_offset_bps=fact.trail_offset_bps,
        decided_ns=fact.ts_recv_ns,
        sent_ns=fact.ts_recv_ns,
        accepted_ns=fact.ts_recv_ns,
        made_lots=qty_lots if fact.parent_venue_order_id else 0,
    )
    return replace(position, orders=(*position.orders, child))


def _unknown(position: Position, fact: f.OutcomeUnknown, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    if order is None:
        return position
    if fact.operation == "amend":
        # Whether it was applied is open. The smaller size and the old level keep counting until a report of the order comes.
        order = _unanswered(order)
        position = replace(position, tighten_attempts=position.tighten_attempts + 1)
    elif fact.operation == "cancel":
        # Asked again by a clock, not by the next word of the order: a venue that is down says both as fast as it is asked (I14).
        # While nothing is to be closed an entry has a clock of its own for that; behind a stop that fired it is that state's.
        has_own_clock = order.role == "entry" and not position.exit_reason and position.state != STOP_TRIGGERED
        order = replace(_settled(order), cancel_refused=not has_own_clock)
    return with_order(position, order)


def _stop_reported(position: Position, fact: f.StopReported, order_to: str) -> Position:
    order = _named(position, fact, order_to)
    return position if order is None else with_order(position, _effective(position, order, fact.effective_stop))


def _exit_requested(position: Position, fact: f.ExitRequested, order_to: str) -> Position:
    # It would rest at the last price: an old one is no place to wait at, and the stop would be given up for it.
    return replace(position, patient=fact.patient and not position.exit_reason and position.is_fresh(fact.mark))


def _tightened(position: Position, fact: f.PlanTightened, order_to: str) -> Position:
    if fact.trail_offset_bps is not None:
        position = want_trail(position, fact.trail_offset_bps)
    if fact.stop_price is not None and fact.stop_price > 0:
        sign = position.side.sign
        ticks = position.instrument.floor_ticks(fact.stop_price) if sign > 0 else position.instrument.ceil_ticks(fact.stop_price)
        if position.wanted_stop_ticks is None or (ticks - position.wanted_stop_ticks) * sign > 0:
            position = replace(position, wanted_stop_ticks=ticks)
        if fact.by_trail:
            position = replace(position, smart_stop_ticks=ticks)
    return position


def want_trail(position: Position, trail_offset_bps: int) -> Position:
    """Return the position wanting the narrower of its trail and `trail_offset_bps`: never a wider one (I3)."""
    wanted = position.wanted_trail_offset_bps
    if wanted is None or 0 < trail_offset_bps < wanted:
        return replace(position, wanted_trail_offset_bps=trail_offset_bps)
    return position


def _distance(position: Position, fact: f.TrailDistanceChanged, order_to: str) -> Position:
    return want_trail(position, fact.trail_offset_bps) if position.plan.trail_offset_bps is not None else position


def _crossed(position: Position, fact: f.LevelCrossed, order_to: str) -> Position:
    if not position.is_fresh(fact.mark):
        return position
    if fact.level == "stop":
        return position if position.shadow_ns else replace(position, shadow_ns=fact.ts_recv_ns, shadow_px=fact.mark.px)
    if fact.level == "activation":
        return replace(position, trail_activated_ns=position.trail_activated_ns or fact.ts_recv_ns)
    if fact.level == "tighten" and fact.step < len(position.plan.tighten):
        position = replace(position, tighten_done=max(position.tighten_done, fact.step + 1))
        return want_trail(position, position.plan.tighten[fact.step].trail_offset_bps)
    return position


def _answered_by_hand(position: Position, fact: f.ProtectionRequested | f.HaltRequested, order_to: str) -> Position:
    """A person has come: what he took away is put back, by his wish or because a halt never stops protection (I16)."""
    return replace(position, hold_ns=0) if position.hold_ns else position


def _mode(position: Position, fact: f.MarketModeChanged, order_to: str) -> Position:
    position = replace(position, mode=fact.mode)
    if fact.trail_offset_bps is msgspec.UNSET or position.has_stop:
        return position
    # Wider too: no stop stands yet that it could loosen.
    return replace(position, wanted_trail_offset_bps=fact.trail_offset_bps)


def _venue_mode(position: Position, fact: f.VenueModeChanged, order_to: str) -> Position:
    if fact.mode == position.venue_mode:
        return position
    return replace(position, venue_mode=fact.mode, venue_mode_ns=fact.ts_recv_ns)


def _deadline(position: Position, fact: f.DeadlinePassed, order_to: str) -> Position:
    if fact.which == "watch":
        if position.hold_ns and fact.ts_recv_ns >= position.hold_ends_ns:
            position = replace(position, hold_ns=0)
        # Nothing is sent into a maintenance: a look then is no attempt, and the attempts are counted from when it is over (X16).
        if position.state != EMERGENCY_PROTECTING or not position.is_away(fact.ts_recv_ns):
            position = replace(position, watch_count=position.watch_count + 1)
        return _without_shadow(position, fact.mark)
    if fact.which == "entry":
        return replace(position, entry_expired_ns=fact.ts_recv_ns)
    return replace(position, time_stop_passed=True)


def _without_shadow(position: Position, mark: Mark | None) -> Position:
    """A price that touched the stop and came back asks for nothing any more: the level is armed anew."""
    if not position.shadow_ns or position.shadow_px is None or mark is None:
        return position
    back = (mark.px - position.shadow_px) * position.side.sign > 0
    return replace(position, shadow_ns=0, shadow_px=None) if position.is_fresh(mark) and back else position


def _channel_closed(position: Position, fact: f.ChannelClosed, order_to: str) -> Position:
    """What was in flight is unknown; changes in flight count as not applied until the order is seen again."""
    orders = tuple(
        replace(o, status="Unknown") if o.status == "Submitted" else _unanswered(o) if o.pending else o
        for o in position.orders
    )
    return replace(position, orders=orders, epoch=position.epoch if fact.epoch is None else fact.epoch)


def _unanswered(order: Order) -> Order:
    """An amend without an answer: the smaller size protects, the larger may still fill, until the order is seen again."""
    if order.pending_qty_lots is None:
        return _settled(order)
    smaller = max(min(order.qty_lots, order.pending_qty_lots), order.filled_lots)
    return _settled(replace(order, qty_lots=smaller, ceiling_lots=max(order.possible_lots, order.pending_qty_lots)))


def _manual_fill(position: Position, fact: f.ManualFillSeen, order_to: str) -> Position:
    if fact.trade_id in position.trade_ids:
        return _priced_late(position, fact)
    lots = _lots(position, fact.last_qty)
    return _executed(position, fact.trade_id, fact.side, lots, fact.last_qty, fact.last_px, fact.fees, fact.ts_recv_ns)


def _adjusted(position: Position, fact: f.PositionAdjusted, order_to: str) -> Position:
    open_lots = _lots(position, fact.open_qty)
    if fact.unheard is True:
        known_lots = position.filled_lots - position.exited_lots - position.fee_lots
        unheard_lots, opened_ns = max(0, open_lots - known_lots), position.opened_ns or fact.ts_recv_ns
        return replace(position, unheard_lots=unheard_lots, opened_ns=opened_ns, child_looks=0, hold_ns=0)
    exited_lots = position.filled_lots - position.fee_lots - open_lots
    # What the account holds has every fee in it: none that is told later is taken off once more.
    return replace(position, unheard_lots=0, exited_lots=exited_lots, price_pending=True, adjusted=True, feeless=())


def position_from(fact: f.PositionRequested | f.PositionAdopted) -> Position:
    """Return the position as it stands before its first event is applied."""
    plan, instrument = fact.plan, fact.instrument
    stop_ticks = None
    if plan.stop_price is not None:
        stop_ticks = instrument.floor_ticks(plan.stop_price) if plan.side.sign > 0 else instrument.ceil_ticks(plan.stop_price)
    position = Position(
        position_id=fact.position_id,
        plan=plan,
        instrument=instrument,
        capabilities=fact.capabilities,
        min_lots=instrument.min_lots,
        epoch=fact.epoch,
        requested_ns=fact.ts_recv_ns,
        state_ns=fact.ts_recv_ns,
        watch_ns=fact.ts_recv_ns,
        wanted_trail_offset_bps=plan.trail_offset_bps,
        wanted_stop_ticks=stop_ticks,
    )
    if isinstance(fact, f.PositionRequested):
        return position
    lots = instrument.floor_lots(plan.qty)
    return replace(
        position,
        adopted=True,
        heir_of=fact.of if isinstance(fact.of, str) and fact.reverses is not True else "",
        opened_ns=fact.ts_recv_ns,
        filled_lots=lots,
        entry_cost=Decimal(0) if fact.px is None else fact.px * plan.qty,
        priced_lots=0 if fact.px is None else lots,
        price_pending=fact.px is None,
        mark=fact.mark,
    )


_BOOKINGS: dict[type, Callable[[Position, Any, str], Position]] = {
    f.OrderSubmitted: _submitted,
    f.OrderNotSent: _not_sent,
    f.OrderAccepted: _accepted,
    f.OrderRejected: _rejected,
    f.OrderFilled: _filled,
    f.OrderCompleted: _ended,
    f.OrderTriggered: _touch,
    f.OrderAmended: _amended,
    f.AmendRejected: _amend_failed,
    f.OrderCanceled: _ended,
    f.CancelRejected: _cancel_failed,
    f.OrderExpired: _ended,
    f.ChildDiscovered: _child,
    f.OrderNotFound: _not_found,
    f.OutcomeUnknown: _unknown,
    f.StopReported: _stop_reported,
    f.ExitRequested: _exit_requested,
    f.PlanTightened: _tightened,
    f.HaltRequested: _answered_by_hand,
    f.ProtectionRequested: _answered_by_hand,
    f.TrailDistanceChanged: _distance,
    f.LevelCrossed: _crossed,
    f.DeadlinePassed: _deadline,
    f.MarketModeChanged: _mode,
    f.VenueModeChanged: _venue_mode,
    f.ChannelClosed: _channel_closed,
    f.SnapshotAgreed: _looked,
    f.SnapshotDiffered: _looked,
    f.ManualFillSeen: _manual_fill,
    f.PositionAdjusted: _adjusted,
}

__all__ = ["arrived_by_ns", "book", "order_answers", "position_from", "replace", "want_trail", "with_order"]
