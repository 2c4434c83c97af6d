"""One decision, explained from the record: the fact, the answers of the guards, the row, the commands, and what led to it.

The record holds the answers, the row's name and where it led; what a question or a row *means* is read from today's tables.
Rows are numbered, so a row's name is only trusted where today's row of that name fires for the recorded answers and leads to
the recorded state. Else that is said, with what today's table would do.
"""

from collections.abc import Sequence

import msgspec

from events.commands import AnyCommand
from events.facts import AnyFact, OrderFact
from events.record import PositionEvent
from fsm.core import evolve
from fsm.model import Position
from fsm.order import ORDER
from fsm.position import NEW, POSITION
from fsm.table import Cell, FlatRow
from holdfast.times import iso_text, time_text
from holdfast.words import command_text, fact_text

from .causes import chain_of
from .layout import part

_CELLS = POSITION.cells()
_ORDER_CELLS = ORDER.cells()
_KINDS = {"ignored": "listed as ignored: recorded, nothing to do", "anomaly": "listed as an anomaly: cannot be, recorded and reported"}


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """One question that was asked, its answer, and what it asks; "" where today's table has no such question."""

    question: str
    answer: str
    doc: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a chain. `how` says what it did for the next one; `since_ns` counts from the position's first event."""

    position_id: str
    version: int
    since_ns: int
    fact: str
    text: str
    source: str
    target: str
    how: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """One event, explained.

    `leaving` is the event that had decided to leave the position, None while it is to stay or if it is this event.
    `row_today` is "" if today's table has the recorded row, else what it has instead.
    """

    position_id: str
    version: int
    ts_recv_ns: int
    ts_event_ns: int
    since_ns: int
    name: str
    text: str
    fact: AnyFact
    source: str
    target: str
    order: str
    order_doc: str
    exit_reason: str
    leaving: Step | None
    guards: tuple[Guard, ...]
    row: str
    row_doc: str
    row_today: str
    commands: tuple[AnyCommand, ...]
    causes: tuple[Step, ...]


def why(events: Sequence[PositionEvent], index: int) -> Why:
    """Return the explanation of event `index` of a position, whose events are given from the first on."""
    positions = positions_after(events[: index + 1])
    event = events[index]
    before = positions[index - 1] if index else None
    source = events[index - 1].to if index else NEW
    cell = _CELLS.get((source, type(event.fact).__name__))
    guards = _guards(cell, event.guards)
    found, today = _row_today(cell, event)
    order, order_doc = _order_step(before, event)
    start_ns = events[0].fact.ts_recv_ns
    return Why(
        position_id=event.position_id,
        version=event.version,
        ts_recv_ns=event.fact.ts_recv_ns,
        ts_event_ns=event.fact.ts_event_ns,
        since_ns=event.fact.ts_recv_ns - start_ns,
        name=type(event.fact).__name__,
        text=fact_text(event.fact, positions[index]),
        fact=event.fact,
        source=source,
        target=event.to,
        order=order,
        order_doc=order_doc,
        exit_reason=event.exit_reason,
        leaving=_leaving(events, positions, index),
        guards=guards,
        row=event.row,
        row_doc="" if found is None else _KINDS.get(found.kind, found.doc),
        row_today=today,
        commands=event.commands,
        causes=tuple(step_of(events, positions, cause.at, cause.how) for cause in reversed(chain_of(events, index))),
    )


def positions_after(events: Sequence[PositionEvent]) -> list[Position]:
    """Return the position after each event of its history."""
    out: list[Position] = []
    for event in events:
        out.append(evolve(out[-1] if out else None, event))
    return out


def step_of(events: Sequence[PositionEvent], positions: Sequence[Position], index: int, how: str) -> Step:
    """Return event `index` of a history as a step of a chain; `positions` are those after each event."""
    event = events[index]
    return Step(
        position_id=event.position_id,
        version=event.version,
        since_ns=event.fact.ts_recv_ns - events[0].fact.ts_recv_ns,
        fact=type(event.fact).__name__,
        text=fact_text(event.fact, positions[index]),
        source=events[index - 1].to if index else NEW,
        target=event.to,
        how=how,
    )


def _leaving(events: Sequence[PositionEvent], positions: Sequence[Position], index: int) -> Step | None:
    if not positions[index].exit_reason or events[index].exit_reason:
        return None
    decided = next((at for at in range(index - 1, -1, -1) if events[at].exit_reason), None)
    return None if decided is None else step_of(events, positions, decided, f"decided to leave because of {events[decided].exit_reason}")


def _guards(cell: Cell | None, given: tuple[str, ...]) -> tuple[Guard, ...]:
    asked = cell.dimensions if cell is not None and len(cell.dimensions) == len(given) else ("",) * len(given)
    known = {classifier.name: classifier for classifier in POSITION.classifiers}
    named = [(name, answer) for name, answer in zip(asked, given, strict=True)]
    return tuple(
        Guard(question=name, answer=answer, doc=known[name].doc)
        if name in known and answer in known[name].answers
        else Guard(question="", answer=answer, doc="")
        for name, answer in named
    )


def _row_today(cell: Cell | None, event: PositionEvent) -> tuple[FlatRow | None, str]:
    """Return the recorded row as today's table has it, or None and what it has instead."""
    firing = _firing(cell, event.guards)
    if firing is None:
        return None, "today's table has no row for these answers here"
    same = firing.target == event.to and (firing.exit_reason in (event.exit_reason, "fact"))
    if firing.row_id == event.row and same:
        return firing, ""
    if same:
        return firing, f"today's table no longer has this row; {firing.row_id} takes its place and leads to the same state"
    leads = f"leads to {firing.target}{f' because of {firing.exit_reason}' if firing.exit_reason else ''}"
    return None, f"today's table no longer has this row; for these answers {firing.row_id} {leads}: {firing.doc or firing.kind}"


def _firing(cell: Cell | None, given: tuple[str, ...]) -> FlatRow | None:
    if cell is None or len(cell.dimensions) != len(given):
        return None
    answers = dict(zip(cell.dimensions, given, strict=True))
    hits = [row for row in cell.rows if all(answers[name] in allowed for name, allowed in row.when)]
    return hits[0] if len(hits) == 1 else None


def _order_step(before: Position | None, event: PositionEvent) -> tuple[str, str]:
    """Return what became of the order that the fact names, and why, by the order machine; "" for none."""
    fact = event.fact
    order = before.order(fact.client_order_id, fact.venue_order_id) if before is not None and isinstance(fact, OrderFact) else None
    if order is None or before is None or not isinstance(fact, OrderFact) or not event.order_to:
        return "", ""
    step = f"{order.status} -> {event.order_to}" if order.status != event.order_to else f"{order.status}, as before"
    cell = _ORDER_CELLS.get((order.status, type(fact).__name__))
    led = [row for row in cell.rows if row.target == event.order_to and row.kind == "row"] if cell is not None else []
    return step, led[0].doc if len(led) == 1 else ""


def why_text(why: Why) -> str:
    """Return the explanation as text for people."""
    moved = f"{why.source} -> {why.target}" if why.source != why.target else f"{why.target}, as before"
    lines = [
        f"{why.position_id}:{why.version}  {iso_text(why.ts_recv_ns)}, {time_text(why.since_ns)} after the request",
        *part("fact", f"{why.name}: {why.text}"),
        *part("state", moved + (f", to leave because of {why.exit_reason}" if why.exit_reason else "")),
    ]
    if why.order:
        lines += part("order", why.order + (f": {why.order_doc}" if why.order_doc else ""))
    lines += part("guards", *(_asked(why.guards) or ["none: there is one way from here"]))
    lines += part("row", why.row, *filter(None, (why.row_doc, why.row_today)))
    lines += part("commands", *([command_text(command) for command in why.commands] or ["none"]))
    if why.leaving is not None:
        lines += part("leaving", *_steps((why.leaving,)))
    lines += part("because", *(_steps(why.causes) or ["nothing before it in this position: it came from outside"]))
    return "\n".join(lines) + "\n"


def _asked(guards: Sequence[Guard]) -> list[str]:
    said = [f"{guard.question or '?'} = {guard.answer}" for guard in guards]
    width = max(map(len, said), default=0)
    return [f"{text.ljust(width)}  {guard.doc}".rstrip() for text, guard in zip(said, guards, strict=True)]


def _steps(steps: Sequence[Step]) -> list[str]:
    named = [(f":{step.version} +{time_text(step.since_ns)}", step) for step in steps]
    return [f"{when}  {step.text} ({step.target}); it {step.how}" for when, step in named]
