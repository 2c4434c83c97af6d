"""One position in full, from its events alone: what the venue has confirmed beside what the engine wants, and what comes next.

*Confirmed* is what the venue's private stream or an answer to a query has told. *Wanted* is the protection that is desired
now, and what is on its way to the venue without an answer. They differ while a change is in flight, after a refusal, and where
something is wrong.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from events.commands import AnyCommand
from events.facts import AnyFact, DeadlinePassed, OutcomeUnknown
from events.record import PositionEvent
from events.values import Mark
from fsm.core import Core
from fsm.coverage import coverage, protected_lots, unprotected_lots
from fsm.levels import armed_levels, armed_trail
from fsm.model import Order, Position
from fsm.order import ENDED, SUBMITTED, UNKNOWN
from fsm.position import POSITION
from fsm.timers import Deadline, deadlines
from holdfast.words import plan_text
from projections.books import Books
from projections.exact import decimal_from_fraction
from projections.exits import ExitRow
from projections.orders import OrderRow
from projections.pnl import PnlRow
from projections.positions import PositionRow
from projections.windows import CAUSES, any_ns

from .books import books_from
from .exposure import counted_ns


class Leases(msgspec.Struct, frozen=True, kw_only=True):
    """What each unit of the held quantity stands behind, in base units (`fsm/coverage.py`)."""

    held: Decimal
    stopped: Decimal
    exiting: Decimal
    unknown: Decimal
    dust: Decimal
    bare: Decimal
    surplus: Decimal


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Protection as the venue confirmed it, or as the engine wants it. A trail that varies from stop to stop is the widest."""

    qty: Decimal
    trail_offset_bps: int | None
    stop_price: Decimal | None


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """One order: what is confirmed, and what is asked for without an answer. None where nothing is.

    `pending` is "submit", "amend" or "cancel" while the venue owes an answer since `pending_ns`; `is_unknown` if it did not
    come in time. `effective_stop` is the stop that the venue last reported.
    """

    client_order_id: str
    venue_order_id: str
    role: str
    side: str
    order_type: str
    status: str
    is_open: bool
    filled_qty: Decimal
    avg_px: Decimal | None
    confirmed_qty: Decimal | None
    confirmed_price: Decimal | None
    confirmed_trail_offset_bps: int | None
    effective_stop: Decimal | None
    stop_loosened: bool
    pending: str
    pending_ns: int
    is_unknown: bool
    pending_qty: Decimal | None
    pending_price: Decimal | None
    pending_trail_offset_bps: int | None
    wanted_price: Decimal | None
    wanted_trail_offset_bps: int | None
    reason: str


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """A clock that runs. `to`, `commands` and `row_doc` are what today's table does if nothing else happens until then."""

    which: str
    client_order_id: str
    at_ns: int
    to: str
    commands: tuple[AnyCommand, ...]
    row: str


class ArmedPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A last price that becomes a fact. `direction` is "at_or_below" or "at_or_above"."""

    level: str
    direction: str
    price: Decimal


class Uncovered(msgspec.Struct, frozen=True, kw_only=True):
    """Unprotected time: now (0 if covered), since when and why, and over the position's life.

    `total_ns` is how long any quantity was unprotected: windows that run at the same time count once.
    """

    qty: Decimal
    since_ns: int
    cause: str
    counted_ms: int
    windows: int
    total_ns: int
    longest_ns: int
    longest_causes: tuple[str, ...]
    budget_ms: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One position at `at_ns`. The first of `clocks` is the next escalation."""

    at_ns: int
    position: PositionRow
    state_doc: str
    state_ns: int
    plan: str
    leases: Leases
    confirmed: Protection
    wanted: Protection
    orders: tuple[OrderState, ...]
    clocks: tuple[Clock, ...]
    armed: tuple[ArmedPrice, ...]
    trail_shadowed_bps: int | None
    uncovered: Uncovered
    pnl: PnlRow | None
    mark: Mark | None
    unrealized_pnl: Decimal | None
    exits: tuple[ExitRow, ...]
    last_event: str
    last_event_ns: int


def status_of(events: Sequence[PositionEvent], at_ns: int, budget_ms: int) -> Status:
    """Return the status of the position whose events are given from the first on."""
    return status_from(books_from(events), events, at_ns, budget_ms)


def status_from(books: Books, events: Sequence[PositionEvent], at_ns: int, budget_ms: int) -> Status:
    """Return the same as `status_of` where the books of these events are there already."""
    position = books.positions[events[0].position_id]
    pnl = books.pnl.positions.get(position.position_id)
    known = {state.name: state.doc for state in POSITION.states}
    trail = armed_trail(position)
    mark = position.mark
    has_pnl = pnl is not None and mark is not None and bool(pnl.qty) and not pnl.is_price_pending
    return Status(
        at_ns=at_ns,
        position=books.position_row(position.position_id),
        state_doc=known.get(position.state, "a state that today's table does not have"),
        state_ns=position.state_ns,
        plan=plan_text(position.plan),
        leases=_leases(position),
        confirmed=_confirmed(position),
        wanted=_wanted(position),
        orders=tuple(_order(position, row) for row in books.orders.rows(position)),
        clocks=tuple(_clock(position, clock) for clock in deadlines(position)),
        armed=tuple(
            ArmedPrice(level=level.level, direction=level.direction, price=position.instrument.price(level.ticks))
            for level in armed_levels(position)
        ),
        trail_shadowed_bps=None if trail is None else trail.trail_offset_bps,
        uncovered=_uncovered(books, position, at_ns, budget_ms),
        pnl=books.pnl.row(position.position_id),
        mark=mark,
        unrealized_pnl=decimal_from_fraction(pnl.unrealized_pnl(mark.px)) if has_pnl and pnl is not None and mark is not None else None,
        exits=tuple(books.exits.rows(position.position_id)),
        last_event=f"{position.position_id}:{position.version} {type(events[-1].fact).__name__}",
        last_event_ns=events[-1].fact.ts_recv_ns,
    )


def _leases(position: Position) -> Leases:
    qty, leased = position.instrument.qty, coverage(position)
    return Leases(
        held=qty(leased.held_lots),
        stopped=qty(leased.stopped_lots),
        exiting=qty(leased.exiting_lots),
        unknown=qty(leased.unknown_lots),
        dust=qty(leased.dust_lots),
        bare=qty(leased.bare_lots),
        surplus=qty(leased.surplus_lots),
    )


def _confirmed(position: Position) -> Protection:
    stops = [order for order in position.orders if order.protects_lots]
    trails = [order.trail_offset_bps for order in stops if order.trail_offset_bps is not None]
    levels = [level for order in stops if (level := _level(order)) is not None]
    worst = (min(levels) if position.side.sign > 0 else max(levels)) if levels else None
    return Protection(
        qty=position.instrument.qty(protected_lots(position)), trail_offset_bps=max(trails, default=None), stop_price=_px(position, worst)
    )


def _level(order: Order) -> int | None:
    return order.effective_stop_ticks if order.effective_stop_ticks is not None else order.trigger_ticks


def _wanted(position: Position) -> Protection:
    if any(state.name == position.state and state.group == "exit" for state in POSITION.states):
        # What is on its way out is to be sold, not covered.
        return Protection(qty=Decimal(0), trail_offset_bps=None, stop_price=None)
    return Protection(
        qty=position.instrument.qty(position.held_lots),
        trail_offset_bps=position.wanted_trail_offset_bps,
        stop_price=_px(position, position.wanted_stop_ticks),
    )


def _px(position: Position, ticks: int | None) -> Decimal | None:
    return None if ticks is None else position.instrument.price(ticks)


def _qty(position: Position, lots: int | None) -> Decimal | None:
    return None if lots is None else position.instrument.qty(lots)


def _order(position: Position, row: OrderRow) -> OrderState:
    order = position.order(row.client_order_id)
    assert order is not None
    is_proven = order.status not in (SUBMITTED, UNKNOWN)
    is_stop = order.role == "stop" and order.is_open
    price = row.trigger_price if row.trigger_price is not None else row.limit_price
    pending = order.pending or ("submit" if order.status in (SUBMITTED, UNKNOWN) else "")
    return OrderState(
        client_order_id=row.client_order_id,
        venue_order_id=row.venue_order_id,
        role=row.role,
        side=row.side,
        order_type=row.order_type,
        status=row.status,
        is_open=order.is_open,
        filled_qty=row.filled_qty,
        avg_px=row.avg_px,
        confirmed_qty=row.qty if is_proven else None,
        confirmed_price=price if is_proven else None,
        confirmed_trail_offset_bps=row.trail_offset_bps if is_proven else None,
        effective_stop=row.effective_stop,
        stop_loosened=order.stop_loosened,
        pending=pending,
        pending_ns=order.pending_ns if order.pending else (order.sent_ns or order.decided_ns if pending else 0),
        is_unknown=order.status in (UNKNOWN, ENDED),
        pending_qty=_qty(position, order.pending_qty_lots) if is_proven else row.qty,
        pending_price=_px(position, order.pending_trigger_ticks) if is_proven else price,
        pending_trail_offset_bps=order.pending_trail_offset_bps if is_proven else row.trail_offset_bps,
        wanted_price=_px(position, position.wanted_stop_ticks) if is_stop and order.order_type == "stop-loss" else None,
        wanted_trail_offset_bps=position.wanted_trail_offset_bps if is_stop and order.order_type == "trailing-stop" else None,
        reason=row.reason or row.reject_class,
    )


def _clock(position: Position, clock: Deadline) -> Clock:
    """Return a clock with what the table would do when it runs out, decided on the position as it is."""
    fact: AnyFact
    if clock.which == "ack":
        order = position.order(clock.client_order_id)
        fact = OutcomeUnknown(
            ts_recv_ns=clock.at_ns,
            client_order_id=clock.client_order_id,
            venue_order_id=order.venue_order_id if order is not None else "",
            operation=clock.operation,
            reason="no answer in time",
        )
    else:
        fact = DeadlinePassed(ts_recv_ns=clock.at_ns, which=clock.which, at_ns=clock.at_ns, mark=position.mark)
    event = Core("flat").decide(position, fact)
    name = f"answer to {clock.operation}" if clock.which == "ack" else clock.which
    return Clock(which=name, client_order_id=clock.client_order_id, at_ns=clock.at_ns, to=event.to, commands=event.commands, row=event.row)


def _uncovered(books: Books, position: Position, at_ns: int, budget_ms: int) -> Uncovered:
    windows = list(books.windows.of(position.position_id))
    running = [window for window in windows if window.closed_ns is None]
    longest = max(windows, key=lambda window: window.duration_ns(at_ns), default=None)
    causes = {segment.cause for segment in longest.segments} if longest is not None else set()
    oldest = running[0] if running else None
    return Uncovered(
        qty=position.instrument.qty(unprotected_lots(position) if running else 0),
        since_ns=oldest.opened_ns if oldest is not None else 0,
        cause=oldest.segments[-1].cause if oldest is not None else "",
        counted_ms=max((counted_ns(window, position.plan.timing, at_ns) for window in running), default=0) // 1_000_000,
        windows=len(windows),
        total_ns=any_ns(windows, at_ns),
        longest_ns=longest.duration_ns(at_ns) if longest is not None else 0,
        longest_causes=tuple(cause for cause in CAUSES if cause in causes),
        budget_ms=budget_ms,
    )
