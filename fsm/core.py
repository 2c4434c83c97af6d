"""decide, evolve, verify: the whole core, functions of their arguments.

    decide(position, fact)  -> event      the table's answer, with the commands that leave
    evolve(position, event) -> position   what the event says, never what today's table would say
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import msgspec

from events import commands as c
from events import facts as f
from events.errors import BadInput
from events.record import PositionEvent, bytes_from

from .booking import book, order_answers, position_from, replace
from .coverage import coverage
from .means import is_guaranteed
from .model import Order, Position
from .order import LIVE, ORDER
from .policy import commands_for
from .position import NEW, POSITION, PROTECTED, answers, exit_reason_of
from .table import Runner, Table
from .timers import WATCH

# More orders than any position needs whose venue answers; of those that are still open or have filled none is forgotten.
KEPT_ORDERS = 32
_ORDER_CELLS = ORDER.cells()
_POSITION_CELLS = POSITION.cells()


def _instrument_ticks(position: Position, price: Any) -> int | None:
    return None if price is None else position.instrument.floor_ticks(price)


@cache
def _runner(name: str, executor: str) -> Runner:
    # Runners keep nothing between two facts, so that one of each kind serves the whole process.
    table = {POSITION.name: POSITION, ORDER.name: ORDER}[name]
    return table.machine() if executor == "machine" else table.flat()


class Core:
    """Decides facts. `executor` "machine" runs the tables with `transitions`, "flat" as dictionaries: the same rows."""

    def __init__(self, executor: str = "machine", position: Table = POSITION, order: Table = ORDER) -> None:
        # Another table than the product's own is one that a checker is to find fault with.
        self._position_rows = _runner(position.name, executor) if position is POSITION else position.flat()
        self._order_rows = _runner(order.name, executor) if order is ORDER else order.flat()
        self._position_cells = _POSITION_CELLS if position is POSITION else position.cells()
        self._order_cells = _ORDER_CELLS if order is ORDER else order.cells()

    def decide(self, position: Position | None, fact: f.AnyFact) -> PositionEvent:
        """Return the event that `fact` makes of `position` (None before its birth). Changes nothing.

        Raises:
            BadInput: the first fact of a position is not its birth.
            IllegalTransition: a hole in a table; a bug of ours.
        """
        return self.decided(position, fact)[0]

    def decided(self, position: Position | None, fact: f.AnyFact) -> tuple[PositionEvent, Position]:
        """Return the event as `decide` does, and the position with the fact booked and nothing else: `evolve_booked` goes on from it."""
        if position is None:
            if not isinstance(fact, f.PositionRequested | f.PositionAdopted):
                raise BadInput("first fact of a position", type(fact).__name__, "begin with PositionRequested or PositionAdopted")
            position = _unborn(fact)
        name = type(fact).__name__
        order_to = self._order_to(position, fact, name)
        booked = book(position, fact, order_to)
        cell = self._position_cells[position.state, name]
        given = answers(booked, fact, cell.dimensions)
        row = self._position_rows.row(position.state, name, given)
        reason = row.exit_reason if row.exit_reason != "fact" else exit_reason_of(booked, fact)
        if reason == "protection_failed" and booked.exit_reason:
            # An exit that was refused is tried again: why it was decided stays what it was (A28).
            reason = ""
        commands: tuple[c.AnyCommand, ...] = ()
        if row.commands:
            commands = commands_for(row.commands, replace(booked, exit_reason=reason) if reason else booked, fact)
        event = PositionEvent(
            position_id=position.position_id,
            version=position.version + 1,
            fact=fact,
            to=row.target,
            commands=commands,
            order_to=order_to,
            row=row.row_id,
            guards=given,
            exit_reason=reason,
        )
        return event, booked

    def _order_to(self, position: Position, fact: f.AnyFact, name: str) -> str:
        if not isinstance(fact, f.OrderFact):
            return ""
        order = position.order(fact.client_order_id, fact.venue_order_id)
        if order is None:
            return LIVE if isinstance(fact, f.ChildDiscovered) else ""
        if isinstance(fact, f.OrderFilled) and fact.trade_id in position.trade_ids:
            # A snapshot lists executions of ended orders again and again: what is booked already proves nothing new.
            return order.status
        cell = self._order_cells[order.status, name]
        if not cell.dimensions:
            return cell.rows[0].target
        return self._order_rows.row(order.status, name, order_answers(position, order, fact, cell.dimensions)).target


def _unborn(fact: f.PositionRequested | f.PositionAdopted) -> Position:
    return replace(position_from(fact), state=NEW)


def evolve(position: Position | None, event: PositionEvent) -> Position:
    """Return the position after `event`: its fact booked, its state taken as stored, its commands registered as in flight.

    Raises BadInput if the event does not follow the position's version.
    """
    fact = event.fact
    if position is None:
        if not isinstance(fact, f.PositionRequested | f.PositionAdopted):
            raise BadInput("first event of a position", type(fact).__name__, "restore the log from its first event")
        position = _unborn(fact)
    if event.version != position.version + 1:
        raise BadInput(f"position {event.position_id}", f"event {event.version} after {position.version}", "restore the missing events")
    return evolve_booked(book(position, fact, event.order_to), event)


def evolve_booked(booked: Position, event: PositionEvent) -> Position:
    """Return what `evolve` does, for a position in which the fact of `event` is booked already (`Core.decided`)."""
    fact, now_ns = event.fact, event.fact.ts_recv_ns
    # Booking leaves state and version as they were.
    moved = event.to != booked.state
    watched = isinstance(fact, f.DeadlinePassed) and fact.which == "watch"
    fields: dict[str, Any] = {"version": event.version, "state": event.to}
    if event.exit_reason:
        fields["exit_reason"] = event.exit_reason
    if event.to == PROTECTED:
        # Refusals of last week must not leave fewer attempts today.
        fields["protect_attempts"] = 0
    if moved:
        fields.update(state_ns=now_ns, watch_ns=now_ns, watch_count=0)
    elif watched:
        fields["watch_ns"] = now_ns
    if event.commands:
        fields.update(_registered(booked, event, now_ns))
    return replace(booked, **fields)


def _registered(position: Position, event: PositionEvent, now_ns: int) -> dict[str, Any]:
    """Return the fields that the event's commands change: orders in flight, attempts, and the watch of a new attempt."""
    orders = list(position.orders)
    fields: dict[str, Any] = {}
    for command in event.commands:
        if isinstance(command, c.SubmitOrder):
            orders.append(_order_from(position, command, now_ns))
            fields["watch_ns"] = now_ns
            if command.role == "exit":
                fields["exit_attempts"] = position.exit_attempts + 1
            elif command.role == "take_profit":
                fields["maker_attempts"] = position.maker_attempts + 1
        elif isinstance(command, c.AmendOrder | c.CancelOrder):
            for index, order in enumerate(orders):
                if order.client_order_id == command.client_order_id:
                    orders[index] = _pending(position, order, command, now_ns)
    fields["orders"] = tuple(orders if len(orders) <= KEPT_ORDERS else _kept(orders))
    return fields


def _kept(orders: list[Order]) -> list[Order]:
    """Forget the oldest orders that ended without an execution: a venue that refuses for hours must not make us grow."""
    spare = len(orders) - KEPT_ORDERS
    out = []
    for order in orders:
        if spare > 0 and not order.is_open and not order.filled_lots and not order.cum_lots:
            spare -= 1
        else:
            out.append(order)
    return out


def _order_from(position: Position, command: c.SubmitOrder, now_ns: int) -> Order:
    return Order(
        client_order_id=command.client_order_id,
        role=command.role,
        order_type=command.order_type,
        qty_lots=position.instrument.floor_lots(command.qty),
        limit_ticks=_instrument_ticks(position, command.limit_price),
        trigger_ticks=_instrument_ticks(position, command.trigger_price),
        trail_offset_bps=command.trail_offset_bps,
        decided_ns=now_ns,
        deadline_ns=command.deadline_ns,
    )


def _pending(position: Position, order: Order, command: c.AmendOrder | c.CancelOrder, now_ns: int) -> Order:
    if isinstance(command, c.CancelOrder):
        return replace(order, pending="cancel", pending_ns=now_ns, cancel_refused=False, called_back=True)
    return replace(
        order,
        pending="amend",
        pending_ns=now_ns,
        pending_qty_lots=None if command.order_qty is None else position.instrument.floor_lots(command.order_qty),
        pending_trigger_ticks=_instrument_ticks(position, command.trigger_price),
        pending_trail_offset_bps=command.trail_offset_bps,
    )


# --- the promises, asserted on every step ---------------------------------------------------------------------------


class Violation(NamedTuple):
    """A broken invariant: which (I1, I2, I3), and what was seen."""

    invariant: str
    text: str


def violations(before: Position | None, after: Position, event: PositionEvent) -> tuple[Violation, ...]:
    """Return the invariants that this step breaks by what *we* did; an empty tuple is the normal case.

    I1: bare quantity in a live state has a clock with a next step; no step leads to an end state with any. What an execution
        behind the end brings is taken over by another position (A8).
    I2: a step that sends an exit or a stop leaves no more leased than is held, unless the venue guarantees reduce-only.
    I3: no amend of ours asks for a looser stop than the confirmed one.
    I5: an end state is left by nothing.
    """
    out: list[Violation] = []
    was_over = before is not None and before.state == after.state
    if after.state not in WATCH and not was_over and (bare := coverage(after).bare_lots):
        out.append(Violation("I1", f"{after.position_id}: {bare} lots bare in {after.state} without a clock"))
    if event.commands:
        sends = any(isinstance(x, c.SubmitOrder) and x.role in ("stop", "exit", "take_profit") for x in event.commands)
        if sends and not is_guaranteed(after) and (leases := coverage(after)).surplus_lots:
            out.append(Violation("I2", f"{after.position_id}: {leases.surplus_lots} lots leased beyond {leases.held_lots} held"))
    if before is not None:
        out += [Violation("I3", f"{after.position_id}: loosened by {x}") for x in event.commands if _loosens(before, x)]
        if before.state not in WATCH and before.state != NEW and after.state != before.state:
            out.append(Violation("I5", f"{after.position_id}: {before.state} was left for {after.state}"))
    return tuple(out)


def _loosens(before: Position, command: c.AnyCommand) -> bool:
    if not isinstance(command, c.AmendOrder):
        return False
    order = before.order(command.client_order_id)
    if order is None:
        return False
    trail, trigger = command.trail_offset_bps, _instrument_ticks(before, command.trigger_price)
    wider = trail is not None and order.trail_offset_bps is not None and trail > order.trail_offset_bps
    lower = trigger is not None and order.trigger_ticks is not None and (trigger - order.trigger_ticks) * before.side.sign < 0
    return wider or lower


# --- yesterday's log against today's table --------------------------------------------------------------------------


class Disagreement(NamedTuple):
    """One event of a log that today's tables would decide otherwise."""

    position_id: str
    version: int
    recorded: str
    decided: str


def verify(events: Iterable[PositionEvent], core: Core | None = None) -> list[Disagreement]:
    """Re-decide a log, each event on the position that the log itself gives, and return every disagreement."""
    core = core or Core("flat")
    positions: dict[str, Position] = {}
    out: list[Disagreement] = []
    for event in events:
        position = positions.get(event.position_id)
        decided = core.decide(position, event.fact)
        if decided != event:
            out.append(Disagreement(event.position_id, event.version, _brief(event), _brief(decided)))
        positions[event.position_id] = evolve(position, event)
    return out


def _brief(event: PositionEvent) -> str:
    return bytes_from(msgspec.structs.replace(event, row="")).decode()
