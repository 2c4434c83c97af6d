"""The named mutants: one mistake each in the tables, the policies, the booking rules or the clocks.

Every one must be found by the model checker (`holdfast prove --mutants`). `properties` names the invariants that it offends.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from events import commands as c
from events import facts as f

from .. import booking, policy, timers
from .. import position as s
from ..model import Order, Position
from ..order import ABSENT, CANCELED, EXPIRED, LIVE, REJECTED, TRIGGERED, UNKNOWN
from ..policy import BUILDERS, Draft
from ..position import ANSWERS, EVIDENCE, SNAPSHOT
from .mutation import Mutant, Swap, all_of, rows

replace = msgspec.structs.replace


def _nothing(_: Any) -> Callable[[Draft], Iterator[c.AnyCommand]]:
    return lambda draft: iter(())


def _always(value: Any) -> Callable[[Any], Callable[..., Any]]:
    return lambda old: lambda *arguments: value


# --- policies ---------------------------------------------------------------------------------------------------------


def _lease_forgets(*statuses: str) -> Callable[[Any], Callable[[Order], int]]:
    return lambda old: lambda order: 0 if order.status in statuses else old(order)


def _canceling_is_free(old: Callable[[Order], int]) -> Callable[[Order], int]:
    return lambda order: 0 if order.pending == "cancel" else old(order)


def _sells_all_that_was_bought(old: Any) -> Callable[[Draft], int]:
    return lambda draft: draft.position.filled_lots


def _cancels_what_is_not_ours(old: Any) -> Callable[[Draft], Iterator[c.AnyCommand]]:
    def build(draft: Draft) -> Iterator[c.AnyCommand]:
        fact: Any = draft.fact
        yield c.CancelOrder(client_order_id="", venue_order_id=fact.venue_order_id, symbol=draft.position.plan.symbol)

    return build


def _different(old: Any) -> Callable[[Position], tuple[Order, ...]]:
    def misaligned(p: Position) -> tuple[Order, ...]:
        stops = [o for o in p.orders if o.role == "stop" and o.status == LIVE and not o.pending]
        wanted = {"trailing-stop": p.wanted_trail_offset_bps, "stop-loss": p.wanted_stop_ticks}
        known = {"trailing-stop": "trail_offset_bps", "stop-loss": "trigger_ticks"}
        return tuple(o for o in stops if wanted[o.order_type] not in (None, getattr(o, known[o.order_type])))

    return misaligned


def _one_lot_short(old: Callable[..., Iterator[c.AnyCommand]]) -> Callable[..., Iterator[c.AnyCommand]]:
    return lambda draft, lots: old(draft, max(1, lots - 1))


# --- questions --------------------------------------------------------------------------------------------------------


def _another(answer: str, instead: str) -> Callable[[Any], Callable[[Position, Any], str]]:
    def make(old: Callable[[Position, Any], str]) -> Callable[[Position, Any], str]:
        def ask(position: Position, fact: Any) -> str:
            given = old(position, fact)
            return instead if given == answer else given

        return ask

    return make


# --- booking ----------------------------------------------------------------------------------------------------------


def _forgets_execution_ids(old: Callable[..., Position]) -> Callable[..., Position]:
    return lambda position, *rest: replace(old(position, *rest), trade_ids=position.trade_ids)


def _fills_of_ended_orders_are_old_news(old: Callable[..., Position]) -> Callable[..., Position]:
    def filled(position: Position, fact: Any, order_to: str) -> Position:
        order = position.order(fact.client_order_id, fact.venue_order_id)
        return position if order is not None and not order.is_open else old(position, fact, order_to)

    return filled


def _dead_link_cancels(old: Callable[..., Position]) -> Callable[..., Position]:
    def closed(position: Position, fact: Any, order_to: str) -> Position:
        after = old(position, fact, order_to)
        return replace(after, orders=tuple(replace(o, status=CANCELED) if o.status == UNKNOWN else o for o in after.orders))

    return closed


def _asking_is_having(old: Any) -> property:
    def protects_lots(order: Order) -> int:
        if order.role != "stop" or order.status != LIVE or order.filled_lots:
            return 0
        return order.pending_qty_lots or order.qty_lots

    return property(protects_lots)


def _fired_still_protects(old: Any) -> property:
    return property(lambda o: o.leaves_lots if o.role == "stop" and o.status in (LIVE, TRIGGERED) else 0)


def _unanswered_is_applied(old: Any) -> Callable[[Order], Order]:
    def answered(order: Order) -> Order:
        return booking._settled(replace(order, qty_lots=order.pending_qty_lots or order.qty_lots))

    return answered


def _any_wish(old: Any) -> Callable[[Position, int], Position]:
    return lambda position, trail_offset_bps: replace(position, wanted_trail_offset_bps=trail_offset_bps)


def _every_child_is_new(old: Callable[..., Position]) -> Callable[..., Position]:
    def child(position: Position, fact: Any, order_to: str) -> Position:
        unknown = replace(fact, client_order_id=f"{fact.client_order_id}.{position.version}", venue_order_id="")
        return old(position, unknown, order_to)

    return child


def _closed_for_half(old: Callable[..., Position]) -> Callable[..., Position]:
    """Book the first execution on the exit side twice."""

    def executed(position: Position, trade_id: str, side: Any, lots: int, *rest: Any) -> Position:
        first = side is not position.side.entry_side and not position.exited_lots
        return old(position, trade_id, side, lots * 2 if first else lots, *rest)

    return executed


# --- clocks -----------------------------------------------------------------------------------------------------------


def _without_clock(*states: str) -> Callable[[Any], Callable[[Position], list[timers.Deadline]]]:
    return lambda old: lambda position: [] if position.state in states else old(position)


def _without(which: str) -> Callable[[Any], Callable[[Position], list[timers.Deadline]]]:
    return lambda old: lambda position: [x for x in old(position) if x.which != which]


_ANY: tuple[str, ...] = ()
_BLOCKED = rows(_ANY, _ANY, target=s.MARKET_EXITING, commands=("cancel_rest", "exit_market"))

MUTANTS: tuple[Mutant, ...] = (
    # cancel and close
    Mutant(
        "exit without waiting for the cancel", "the exit leaves in the same event as the cancel of the stop", ("I2", "I7"),
        all_of(_BLOCKED(situation="BLOCKED"), _BLOCKED(way_out="BLOCKED")), swaps=(Swap(policy, "_leased", _canceling_is_free),),
    ),
    Mutant(
        "late cancel", "the exit goes first, the stop is cancelled when it has filled", ("I2", "I7"),
        all_of(
            rows(_ANY, _ANY, target=s.MARKET_EXITING, commands=("exit_market",))(situation="BLOCKED"),
            rows(_ANY, _ANY, target=s.MARKET_EXITING, commands=("exit_market",))(way_out="BLOCKED"),
        ),
        swaps=(Swap(policy, "_leased", _always(0)),),
    ),
    Mutant("size before evidence", "an exit is as large as what was bought, whatever has been sold since", ("I2", "I7"), swaps=(Swap(policy, "_exit_lots", _sells_all_that_was_bought),)),
    Mutant("closed with orders left", "flat is taken for over while orders of ours still rest", ("P08", "I1"), swaps=(
        Swap(ANSWERS, "situation", _another("LEFTOVERS", "DONE")), Swap(ANSWERS, "way_out", _another("LEFTOVERS", "DONE")),
    )),
    Mutant("re-protect after close", "a late fill revives a closed position", ("I5",), rows((s.CLOSED, s.ABANDONED), ("OrderFilled", "OrderAccepted"), target=s.PROTECTION_PENDING)()),
    Mutant("cancel is not repeated", "no second cancel follows one whose answer was lost", ("I13",), swaps=(Swap(BUILDERS, "cancel_again", _nothing),)),
    Mutant("orders in the way are left there", "an exit that is blocked cancels nothing, ever", ("I13",), swaps=(
        Swap(BUILDERS, "cancel_rest", _nothing), Swap(BUILDERS, "cancel_again", _nothing),
    )),
    # what is known
    Mutant("unknown taken as rejected", "no answer in time ends the order", ("I6", "I2"), order=rows(_ANY, ("OutcomeUnknown",), target=REJECTED)(operation="SUBMIT")),
    Mutant("refused cancel taken as cancelled", "a cancel that the venue refused ends the order", ("I6", "I2"), order=rows((LIVE, TRIGGERED, UNKNOWN), ("CancelRejected",), target=CANCELED)()),
    Mutant("dead link taken as cancelled", "what was in flight when the link closed counts as cancelled", ("I6", "I2"), swaps=(Swap(booking._BOOKINGS, f.ChannelClosed, _dead_link_cancels),)),
    Mutant("absence believed at first look", "an order that a snapshot lacks is gone, however old the question", ("I6", "I2"), swaps=(Swap(booking._ORDER_ANSWERS, "absence", _always("PROVEN")),)),
    Mutant("end believed before its fills", "a cancelled order ends though executions of it are missing", ("I6", "I9"), order=all_of(
        rows(_ANY, ("OrderCanceled",), target=CANCELED)(books="MISSING"), rows(_ANY, ("OrderExpired",), target=EXPIRED)(books="MISSING"),
    )),
    Mutant("refusal ends a resting order", "a late refusal of an order that rests ends it", ("I6", "I2"), order=rows((LIVE,), ("OrderRejected",), target=REJECTED)()),
    Mutant("listed order stays absent", "an order that was taken for absent is not believed when it is listed", ("I6", "I2"), order=rows((ABSENT,), ("OrderAccepted", "ChildDiscovered"), target="=")()),
    Mutant("resend with a new id", "an order without an answer does not count, and is sent again under another id", ("I2", "I4"), swaps=(
        Swap(policy, "_leased", _lease_forgets(UNKNOWN)), Swap(ANSWERS, "situation", _another("RESIZE_OUT", "BARE")),
    )),
    Mutant("no refresh", "nobody asks the venue for anything", ("I13",), swaps=(Swap(BUILDERS, "refresh", _nothing),)),
    Mutant("reconciling for ever", "the snapshot of a new link decides nothing", ("I13",), rows((s.RECONCILING,), SNAPSHOT, target=s.RECONCILING, commands=())()),
    # books
    Mutant("snapshot fill ignored", "an execution of an order that has ended is not booked", ("I9", "I1"), swaps=(Swap(booking._BOOKINGS, f.OrderFilled, _fills_of_ended_orders_are_old_news),)),
    Mutant("double count of a fill", "execution ids are not kept: what is listed again is booked again", ("I8", "I9"), swaps=(Swap(booking, "_executed", _forgets_execution_ids),)),
    Mutant("double count of an exit", "the first execution on the way out counts twice", ("I9", "I1"), swaps=(Swap(booking, "_executed", _closed_for_half),)),
    Mutant("double count of a child", "an attached stop that is told of again is another stop", ("I1", "I2"), swaps=(Swap(booking._BOOKINGS, f.ChildDiscovered, _every_child_is_new),)),
    Mutant("fee ignored", "what the fee took in the base asset still counts as held", ("I2", "I9"), swaps=(Swap(booking, "fee_lots_of", _always(0)),)),
    # protection
    Mutant("drop of a cover", "bare quantity gets no stop", ("I1", "I13"), swaps=(Swap(BUILDERS, "cover", _nothing),)),
    Mutant("first cover left to the watch", "bare quantity gets its stop when the watch comes, not at once", ("window",), rows(s._STAY, EVIDENCE, commands=())(situation="BARE")),
    Mutant("one lot short", "a stop is one lot smaller than what is bare", ("I1", "window"), swaps=(Swap(policy, "_stop_order", _one_lot_short),)),
    Mutant("part taken for the whole", "a stop for a part passes for protection of all", ("I1",), swaps=(
        Swap(ANSWERS, "situation", _another("SHORT", "COVERED")),
    )),
    Mutant("asking is having", "an amend counts from when it is sent", ("I1",), swaps=(Swap(Order, "protects_lots", _asking_is_having),)),
    Mutant("unanswered amend taken as applied", "an amend without an answer counts as applied", ("I1",), swaps=(Swap(booking, "_unanswered", _unanswered_is_applied),)),
    Mutant("fired stop still protects", "a stop that fired counts as protection until it fills", ("I1", "I13"), swaps=(
        Swap(Order, "protects_lots", _fired_still_protects), Swap(Order, "is_triggered", lambda old: property(lambda order: False)),
    )),
    Mutant("loosen on replace", "any wish for another distance is taken, the wider too, and stops follow it", ("I3",), swaps=(
        Swap(booking, "want_trail", _any_wish), Swap(s, "misaligned", _different), Swap(policy, "misaligned", _different),
    )),
    Mutant("halt stops protection", "a halted position gets no stop any more", ("I16",), swaps=(), position=all_of(
        rows((s.HALTED,), _ANY, commands=())(situation="BARE"), rows((s.HALTED,), _ANY, commands=())(situation="SHORT"),
        rows((s.HALTED,), ("DeadlinePassed",), commands=("page_halted",))(which="watch"),
    )),
    # attempts, clocks, wishes
    Mutant("retry without bound", "no number of refused attempts is enough to leave or to page", ("I13", "I14"), swaps=(Swap(ANSWERS, "ladder", _always("AGAIN")),)),
    Mutant("exit again at once", "an exit that ended short goes out again in the same event", ("I14", "I2"), rows((s.MARKET_EXITING,), (*EVIDENCE, "OrderRejected"), commands=("exit_market",))(situation="CLEAR")),
    Mutant("timer dropped", "a way out has no clock", ("I13",), swaps=(Swap(timers, "_running", _without_clock(s.MARKET_EXITING, s.CANCEL_PENDING)),)),
    Mutant("unprotected without clock", "bare quantity has no clock", ("I1", "I13"), swaps=(Swap(timers, "_running", _without_clock(s.PROTECTION_PENDING, s.EMERGENCY_PROTECTING)),)),
    Mutant("no deadline for answers", "a request without an answer is waited for as long as it takes", ("I13", "window"), swaps=(Swap(timers, "_running", _without("ack")),)),
    Mutant("exit on stale price", "a price of any age triggers an exit", ("I15",), swaps=(Swap(ANSWERS, "signal", _another("STALE", "EXIT")),)),
    Mutant("hands on what is not ours", "somebody else's order on the symbol is cancelled", ("I12",), swaps=(Swap(BUILDERS, "alert_manual", _cancels_what_is_not_ours),)),
)  # fmt: skip
