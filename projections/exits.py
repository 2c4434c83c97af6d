"""The exit paths that were taken, from the record alone (A28): why each began, through which states, and what ended it.

An exit path begins with an event that decided to leave (`exit_reason`), or with quantity leaving without a decision of
ours: a stop that fired, a trade by hand, a late order of an ended position, an adjustment. It ends when another one begins
(`superseded`), when the position is covered and staying again (`protected`), or at the position's end (`closed`).
"""

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from events.commands import SubmitOrder
from events.facts import AnyFact, OrderTriggered
from events.record import PositionEvent
from fsm.model import Position
from fsm.position import PROTECTED, PROTECTED_PENDING_FILL

from .exact import total
from .fills import END_STATES, Entry, Fill, FillPriced, Transfer, vwap

_COVERED = (PROTECTED, PROTECTED_PENDING_FILL)
_EXIT_ROLES = ("take_profit", "exit", "flatten")


class ExitRow(msgspec.Struct, frozen=True, kw_only=True):
    """One exit path. `closed_by` is what executed the last of it, "" if nothing did.

    An order's role, "manual", "adjustment", or "late_order": one of the ended position of which this one took over (A8).
    """

    position_id: str
    number: int
    reason: str
    fact: str
    row: str
    mark_px: Decimal | None
    mark_age_ns: int | None
    decided_version: int
    decided_ns: int
    states: str
    orders: str
    exited_qty: Decimal
    avg_px: Decimal | None
    closed_by: str
    outcome: str
    ended_ns: int


class _Path(msgspec.Struct, kw_only=True):
    number: int
    reason: str
    event: PositionEvent
    states: list[str]
    orders: list[str] = []
    fills: dict[int, Fill] = {}
    closed_by: str = ""
    outcome: str = ""
    ended_ns: int = 0


class Exits:
    """Fold of events into the exit paths of every position."""

    def __init__(self) -> None:
        self._paths: dict[str, list[_Path]] = {}

    def apply(self, event: PositionEvent, before: Position | None, after: Position, entries: list[Entry]) -> None:
        """Take one event, the position before and after it, and what it added to the fill book."""
        paths = self._paths.setdefault(event.position_id, [])
        running = paths[-1] if paths and not paths[-1].outcome else None
        reason = event.exit_reason or ("" if running else _left_by_itself(event, after, entries))
        if reason:
            if running is not None:
                running.outcome, running.ended_ns = "superseded", event.fact.ts_recv_ns
            running = _Path(number=len(paths) + 1, reason=reason, event=event, states=[])
            paths.append(running)
        if running is not None:
            _follow(running, event, after, entries)

    def rows(self, position_id: str) -> Iterator[ExitRow]:
        """Return the exit paths of one position, oldest first."""
        return (_row(position_id, path) for path in self._paths.get(position_id, []))

    def way_out(self, position: Position) -> str:
        """Return the name of the way by which the position was left in the end, "" if it was not.

        A stop that executed the last of it is `trailing_stop` or `stop_loss`, after the plan; a resting exit is
        `take_profit_maker`, `patient_exit`, or `take_profit_timeout` where the market had to be taken after all; else it is
        what was decided, or `manual`, `late_order` or `adjustment`.
        """
        paths = self._paths.get(position.position_id, [])
        if not paths:
            return ""
        last = paths[-1]
        if "stop" in (last.closed_by, last.reason):
            return "stop_loss" if position.plan.trail_offset_bps is None and not position.plan.trail_auto else "trailing_stop"
        if last.closed_by in ("manual", "late_order", "adjustment"):
            return last.closed_by
        if last.closed_by == "take_profit":
            return "take_profit_maker" if last.reason == "take_profit" else "patient_exit"
        has_rested = any(order.role == "take_profit" for order in position.orders)
        return "take_profit_timeout" if last.reason == "take_profit" and has_rested else last.reason


def _left_by_itself(event: PositionEvent, after: Position, entries: list[Entry]) -> str:
    """Return why quantity leaves without a decision of ours, "" if none does."""
    if isinstance(event.fact, OrderTriggered):
        return "stop"
    if _is_adjusted_away(after, entries):
        return "adjustment"
    for fill in _exit_fills(after, entries):
        return _name_of(fill) or "unknown"
    return ""


def _exit_fills(after: Position, entries: list[Entry]) -> Iterator[Fill]:
    for entry in entries:
        fill = entry.fill if isinstance(entry, FillPriced) else entry
        if isinstance(fill, Fill) and fill.side is after.side.exit_side:
            yield fill


def _name_of(fill: Fill) -> str:
    return {"manual": "manual", "adopted": "late_order"}.get(fill.source, fill.role)


def _is_adjusted_away(after: Position, entries: list[Entry]) -> bool:
    return any(isinstance(e, Transfer) and e.kind == "adjustment" and (e.qty < 0) is (after.side.sign > 0) for e in entries)


def _follow(path: _Path, event: PositionEvent, after: Position, entries: list[Entry]) -> None:
    if not path.states or path.states[-1] != event.to:
        path.states.append(event.to)
    path.orders += [c.client_order_id for c in event.commands if isinstance(c, SubmitOrder) and c.role in _EXIT_ROLES]
    for fill in _exit_fills(after, entries):
        path.fills[fill.number] = fill
        path.closed_by = _name_of(fill)
    if _is_adjusted_away(after, entries):
        path.closed_by = "adjustment"
    if event.to in END_STATES:
        path.outcome, path.ended_ns = "closed", event.fact.ts_recv_ns
    elif not after.exit_reason and event.to in _COVERED:
        path.outcome, path.ended_ns = "protected", event.fact.ts_recv_ns


def _row(position_id: str, path: _Path) -> ExitRow:
    fact: AnyFact = path.event.fact
    mark = getattr(fact, "mark", None)
    return ExitRow(
        position_id=position_id,
        number=path.number,
        reason=path.reason,
        fact=type(fact).__name__,
        row=path.event.row,
        mark_px=None if mark is None else mark.px,
        mark_age_ns=None if mark is None else mark.age_ns,
        decided_version=path.event.version,
        decided_ns=fact.ts_recv_ns,
        states=" > ".join(path.states),
        orders=" ".join(path.orders),
        exited_qty=total(fill.last_qty for fill in path.fills.values()),
        avg_px=vwap(path.fills.values()),
        closed_by=path.closed_by,
        outcome=path.outcome,
        ended_ns=path.ended_ns,
    )
