"""The promises as named properties: of one step of the engine, and of a state judged by the venue's own book.

`broken_by_step` sees what the engine did; `broken_by_state` and `broken_by_command` compare with what is really held and what
really rests. Each returns the name of the invariant (I1-I16) and a sentence; an empty answer is the normal case.
"""

from typing import Any, NamedTuple

from events import commands as c
from events import facts as f
from events.record import PositionEvent

from ..core import violations
from ..coverage import unprotected_lots
from ..model import Position
from ..order import ABSENT, CANCELED, END_STATUSES, EXPIRED, FILLED, LIVE, REJECTED
from ..position import EMERGENCY_PROTECTING, HALTED, LIVE_STATES, NEW, PROTECT_ATTEMPTS, RECONCILING
from ..timers import first_deadline
from .venue import Message, Rest, Venue

_LIVE = frozenset(LIVE_STATES)
# The words that may end an order, by the status that they end it with (I6).
_WORDS: dict[str, tuple[type, ...]] = {
    FILLED: (f.OrderFilled, f.OrderCompleted, f.OrderCanceled, f.OrderExpired),
    CANCELED: (f.OrderCanceled,),
    EXPIRED: (f.OrderExpired,),
    REJECTED: (f.OrderRejected,),
    ABSENT: (f.OrderNotFound, f.OrderNotSent),
}


class Broken(NamedTuple):
    """A property that does not hold: its name, and what was seen."""

    name: str
    text: str


def broken_by_step(before: Position | None, event: PositionEvent, after: Position) -> list[Broken]:
    """Return what one event of the engine breaks: I1, I2, I3 and I5 as `core.violations`, I4, I6, I7, I8, I12, I14, I15 and I16."""
    out = [Broken(v.invariant, v.text) for v in violations(before, after, event)]
    if unprotected_lots(after) and after.state in _LIVE and first_deadline(after) is None:
        out.append(Broken("I1", f"{unprotected_lots(after)} lots are unprotected in {after.state} and no clock runs"))
    out += [
        Broken("I1", f"{order.client_order_id} counts as protection, and it is {order.status}")
        for order in after.orders
        if order.status != LIVE and order.protects_lots
    ]
    out += _unlisted(event, after)
    if before is None:
        return out
    out += _flights(before, event, after)
    out += _evidence(before, event, after)
    out += _halts(before, event, after)
    out += _attempts(before, event, after)
    out += _prices(before, event, after)
    if before.state not in _LIVE and before.state != NEW and any(isinstance(x, c.SubmitOrder | c.AmendOrder) for x in event.commands):
        out.append(Broken("I5", f"a position in {before.state} sends an order"))
    is_known = isinstance(event.fact, f.OrderFilled | f.ManualFillSeen) and event.fact.trade_id in before.trade_ids
    if is_known and (before.filled_lots, before.exited_lots) != (after.filled_lots, after.exited_lots):
        out.append(Broken("I8", f"an execution was booked twice: {event.fact}"))
    return out


def _unlisted(event: PositionEvent, after: Position) -> list[Broken]:
    """I1: what lists in a row lack, asked for after it was acknowledged, protects nothing."""
    fact = event.fact
    if not isinstance(fact, f.OrderNotFound) or fact.repeated is not True:
        return []
    order = after.order(fact.client_order_id, fact.venue_order_id)
    if order is None or not order.protects_lots or fact.asked_ns <= order.accepted_ns:
        return []
    return [Broken("I1", f"{order.client_order_id} counts as protection, and lists in a row lack it")]


def _flights(before: Position, event: PositionEvent, after: Position) -> list[Broken]:
    """I4: one change of an order at a time, and no second order while one of the same kind has no answer. I7: size by the ledger."""
    out: list[Broken] = []
    named: set[str] = set()
    for command in event.commands:
        if isinstance(command, c.AmendOrder | c.CancelOrder):
            order = before.order(command.client_order_id, command.venue_order_id)
            if after.order(command.client_order_id, command.venue_order_id) is None:
                out.append(Broken("I12", f"a change of {command.client_order_id}, which is no order of the position"))
            elif isinstance(command, c.AmendOrder) and order is not None and order.pending and not _answers(event, order.client_order_id):
                out.append(Broken("I4", f"an amend of {order.client_order_id} while its {order.pending} has no answer"))
            if command.client_order_id in named:
                out.append(Broken("I4", f"two changes of {command.client_order_id} in one event"))
            named.add(command.client_order_id)
    return out


def _answers(event: PositionEvent, client_order_id: str) -> bool:
    fact: Any = event.fact
    return getattr(fact, "client_order_id", "") == client_order_id or isinstance(fact, f.SnapshotAgreed | f.SnapshotDiffered)


def _evidence(before: Position, event: PositionEvent, after: Position) -> list[Broken]:
    """I6: only a word of the venue ends an order. I5: an order that ended stays so, unless the venue lists it after that."""
    out: list[Broken] = []
    for order in after.orders:
        known = before.order(order.client_order_id)
        if known is None or known.status == order.status:
            continue
        if order.status in END_STATUSES and not isinstance(event.fact, _WORDS[order.status]):
            out.append(Broken("I6", f"{type(event.fact).__name__} made {order.client_order_id} {order.status}"))
        is_listed = isinstance(event.fact, f.ChildDiscovered) and not event.fact.parent_venue_order_id and order.status == LIVE
        if known.status in END_STATUSES and known.status != ABSENT and not is_listed:
            out.append(Broken("I5", f"{order.client_order_id} was {known.status} and became {order.status}"))
    return out


def _halts(before: Position, event: PositionEvent, after: Position) -> list[Broken]:
    """I16: a halted position that is to leave leaves, and what it does not protect is asked for again by its watch."""
    if before.state != HALTED:
        return []
    if isinstance(event.fact, f.ExitRequested) and after.state == HALTED:
        return [Broken("I16", "a halted position was asked to leave and stayed halted")]
    if any(isinstance(x, c.SubmitOrder) and x.role == "entry" for x in event.commands):
        return [Broken("I16", "a halted position sends an entry")]
    return []


def _attempts(before: Position, event: PositionEvent, after: Position) -> list[Broken]:
    """I14: refused stops are counted, and after so many the position leaves; an exit that failed is not sent again in the same event."""
    fact = event.fact
    if isinstance(fact, f.OrderRejected | f.OrderCanceled | f.OrderExpired):
        order = before.order(fact.client_order_id, fact.venue_order_id)
        sends = any(isinstance(x, c.SubmitOrder) and x.role == "exit" for x in event.commands)
        if sends and order is not None and order.role == "exit":
            return [Broken("I14", f"an exit ended by {type(fact).__name__}, and the next one left at once")]
    # Where a part is covered, refusals of a stop for the rest are counted too before the first attempt of this state is made.
    is_occasion = isinstance(fact, f.OrderRejected) or (isinstance(fact, f.DeadlinePassed) and before.state == EMERGENCY_PROTECTING)
    is_over = after.protect_attempts > PROTECT_ATTEMPTS and not after.exit_reason
    if is_occasion and is_over and after.state == EMERGENCY_PROTECTING:
        return [Broken("I14", f"{after.protect_attempts} stops were refused in a row, and it has not left")]
    return []


def _prices(before: Position, event: PositionEvent, after: Position) -> list[Broken]:
    """I15: a stale price neither makes a position leave nor sends an order."""
    fact = event.fact
    if not isinstance(fact, f.LevelCrossed) or fact.mark.age_ns <= before.plan.timing.max_price_age_ms * 1_000_000:
        return []
    sends = any(isinstance(x, c.SubmitOrder | c.AmendOrder | c.CancelOrder) for x in event.commands)
    return [Broken("I15", f"a price of {fact.mark.age_ns} ns age decided")] if sends or after.exit_reason != before.exit_reason else []


def broken_by_state(position: Position, venue: Venue, guaranteed: bool, forgets: bool) -> list[Broken]:
    """Return what a state breaks, by the venue's book.

    `guaranteed`: exits are marked reduce-only. `forgets`: the process may be killed with a log that lacks what it did last.
    """
    out: list[Broken] = []
    if venue.held < 0 and -venue.held > venue.by_hand:
        out.append(Broken("I2", f"{-venue.held} lots more were closed than were open"))
    resting = sum([o.leaves for o in venue.orders if not o.enters])
    if not guaranteed and resting > max(0, venue.held) + venue.by_hand:
        out.append(Broken("I2", f"{resting} lots could still be closed at the venue, {venue.held} are held"))
    if position.filled_lots > venue.entered + sum([m[2] for m in venue.manual if m[1]]) and not position.adopted:
        out.append(Broken("I8", f"{position.filled_lots} lots entered by our books, {venue.entered} by the venue's"))
    if not position.price_pending and position.exited_lots > venue.exited + venue.by_hand:
        out.append(Broken("I8", f"{position.exited_lots} lots left by our books, {venue.exited} by the venue's"))
    for order in position.orders:
        seen = _at(venue, order.venue_order_id, order.client_order_id)
        # What fires, fills or ends is news that is on its way; a stop that rests untouched is never smaller than we count it.
        # Nor is it judged before the first look after a restart: the log may lack that we have made it smaller.
        waits = forgets and position.state == RECONCILING
        if seen is not None and seen.status == "open" and not seen.fills and order.protects_lots > seen.qty and not waits:
            out.append(Broken("I1", f"we count {order.protects_lots} lots behind {order.client_order_id}, it has {seen.qty} at the venue"))
        # Or that we have made it larger: what filled all that the log knows of it need not have filled it. Only stops are amended in size.
        is_larger = seen is not None and order.role == "stop" and seen.qty > order.possible_lots
        is_called_over = order.status in (CANCELED, EXPIRED, REJECTED) or (order.status == FILLED and not (waits and is_larger))
        if is_called_over and seen is not None and seen.is_open:
            out.append(Broken("I6", f"we call {order.client_order_id} {order.status}, and it rests at the venue"))
    return out


def _at(venue: Venue, venue_order_id: str, client_order_id: str) -> Rest | None:
    number = int(venue_order_id[1:]) if venue_order_id else int(client_order_id[9:13], 36)
    return venue.find(number)


def broken_by_command(
    before: Venue, after: Venue, command: Message, tightest: tuple[int, int], sign: int, guaranteed: bool
) -> list[Broken]:
    """Return what a command breaks as the venue takes it: I3 (a looser stop) and I7 (an exit beyond what is held).

    `tightest` is the narrowest trail and the best level that a stop of ours ever had there, 0 for none.
    """
    kind = command[0]
    out: list[Broken] = []
    if kind == "submit":
        order = after.find(command[1])  # type: ignore[arg-type]
        if order is not None and order.role == "stop" and before.find(order.ref) is None:
            out += _looser(order, tightest, sign)
        leaves = order is not None and order.role in ("exit", "take_profit")
        if order is not None and leaves and not guaranteed and order.qty > max(0, before.held) + before.by_hand:
            out.append(Broken("I7", f"an exit of {order.qty} lots while {before.held} are held"))
    elif kind == "amend":
        was, now = before.find(command[1]), after.find(command[1])  # type: ignore[arg-type]
        if was is not None and now is not None and (was.price, was.trail) != (now.price, now.trail):
            out += _looser(now, (was.trail, was.price), sign)
    return out


def _looser(order: Rest, tightest: tuple[int, int], sign: int) -> list[Broken]:
    trail, level = tightest
    if order.kind == "trailing" and trail and order.trail > trail:
        return [Broken("I3", f"a trail of {order.trail} bps after one of {trail}")]
    if order.kind == "static" and level and (order.price - level) * sign < 0:
        return [Broken("I3", f"a stop at {order.price} after one at {level}")]
    return []


__all__ = ["Broken", "broken_by_command", "broken_by_state", "broken_by_step"]
