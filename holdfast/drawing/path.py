"""The way that one position took, from its events alone: as a picture, as text, and as a talk between engine and venue.

Times are relative to the position's first event. Nothing is asked of today's table: an event says the state that it led to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from events import commands as c
from events import facts as f
from events.errors import BadInput
from events.record import PositionEvent
from holdfast.times import time_text
from holdfast.words import command_text, counted

from .overlay import Overlay, Taken

# Labels of one arrow, and of one state: what is more is counted.
_MOST = 6


@dataclass(frozen=True, slots=True)
class Step:
    """One event: `number` is the position's version, `since_ns` the time since its first event."""

    number: int
    since_ns: int
    source: str
    target: str
    event: PositionEvent

    @property
    def fact(self) -> str:
        """The fact's name, with what it is about where the name alone says little."""
        fact = self.event.fact
        detail = getattr(fact, "which", None) or getattr(fact, "level", None) or getattr(fact, "reason", "")
        short = isinstance(fact, f.DeadlinePassed | f.LevelCrossed | f.ExitRequested)
        return f"{type(fact).__name__} {detail}" if short else type(fact).__name__

    @property
    def moves(self) -> bool:
        return self.source != self.target


@dataclass(frozen=True)
class Path:
    """The steps of one position, in order, without gaps."""

    position_id: str
    steps: tuple[Step, ...]

    @property
    def dwell_ns(self) -> dict[str, int]:
        """How long the position was in each state, in the order of the first visit; its last state counts up to the last event."""
        out: dict[str, int] = {}
        for step, after in zip(self.steps, (*self.steps[1:], None), strict=True):
            spent = 0 if after is None else after.since_ns - step.since_ns
            out[step.target] = out.get(step.target, 0) + spent
        return out


def path_from(events: Iterable[PositionEvent], initial: str) -> Path:
    """Return the path of one position's events, beginning in the state `initial`.

    Raises BadInput if there are none, or if one is missing or belongs to another position.
    """
    steps: list[Step] = []
    for event in events:
        place = f"position {event.position_id}"
        if steps and event.position_id != steps[0].event.position_id:
            raise BadInput(place, f"its event comes among those of {steps[0].event.position_id}", "give the events of one position")
        if event.version != len(steps) + 1:
            raise BadInput(place, f"event {event.version} comes after {len(steps)}", "give all of its events from the first on")
        start_ns = steps[0].event.fact.ts_recv_ns if steps else event.fact.ts_recv_ns
        steps.append(Step(event.version, event.fact.ts_recv_ns - start_ns, steps[-1].target if steps else initial, event.to, event))
    if not steps:
        raise BadInput("path", "there are no events", "name a position that is in the store")
    return Path(steps[0].event.position_id, tuple(steps))


def path_overlay(path: Path) -> Overlay:
    """Return the path as it is drawn: arrows numbered as taken, with times; in each state how long, and what was decided there."""
    arrows: dict[tuple[str, str], list[str]] = {}
    stays: dict[str, list[str]] = {}
    for step in path.steps:
        text = f"{step.number}  +{time_text(step.since_ns)}  {step.fact}"
        if step.moves:
            arrows.setdefault((step.source, step.target), []).append(text)
        elif step.event.commands:
            stays.setdefault(step.source, []).append(f"{step.number} {step.fact}: {_verbs(step.event.commands)}")
    notes: dict[str, tuple[str, ...]] = {path.steps[0].source: ()} if path.steps[0].moves else {}
    notes |= {state: (f"for {time_text(ns)}", *_capped(stays.get(state, []))) for state, ns in path.dwell_ns.items()}
    taken = tuple(Taken(source, target, _capped(labels)) for (source, target), labels in arrows.items())
    last = path.steps[-1]
    title = f"position {path.position_id}: {counted(len(path.steps), 'event')} in {time_text(last.since_ns)}, now {last.target}"
    return Overlay(title, taken, notes)


def path_text(path: Path) -> str:
    """Return the path as lines: number, time, fact, change of state, commands."""
    rows = [
        (
            str(step.number),
            f"+{time_text(step.since_ns)}",
            step.fact,
            f"{step.source} -> {step.target}" if step.moves else step.target,
            _verbs(step.event.commands),
        )
        for step in path.steps
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    dwell = ", ".join(f"{state} {time_text(ns)}" for state, ns in path.dwell_ns.items())
    return "\n".join((path_overlay(path).title, *lines, f"time in each state: {dwell}")) + "\n"


def path_sequence(path: Path) -> str:
    """Return a Mermaid sequence diagram of what was said between the engine, the venue, the clock, the market and people."""
    lines = [
        f"%% Generated by `holdfast diagram`: position {path.position_id}",
        "sequenceDiagram",
        "  participant P as person or strategy",
        "  participant M as market and clock",
        "  participant E as engine",
        "  participant V as venue",
    ]
    for step in path.steps:
        lines.append(f"  {_speaker(step.event.fact)}->>E: +{time_text(step.since_ns)} {_said(step.event.fact)}")
        if step.moves:
            lines.append(f"  Note over E: {step.source} to {step.target}")
        lines += [f"  E->>{'P' if isinstance(x, c.RaiseAlert | c.Page) else 'V'}: {command_text(x)}" for x in step.event.commands]
    return "\n".join(lines) + "\n"


def _capped(labels: Sequence[str]) -> tuple[str, ...]:
    return (*labels[:_MOST], *((f"+{len(labels) - _MOST} more",) if len(labels) > _MOST else ()))


def _verbs(commands: Sequence[c.AnyCommand]) -> str:
    return ", ".join(command_text(command) for command in commands)


def _speaker(fact: f.AnyFact) -> str:
    if isinstance(fact, f.MarketFact):
        return "M"
    if isinstance(fact, f.IntentFact | f.PositionAdjusted):
        return "P"
    return "E" if isinstance(fact, f.OrderSubmitted | f.OrderNotSent) else "V"


def _said(fact: f.AnyFact) -> str:
    name = type(fact).__name__
    match fact:
        case f.OrderFilled():
            px = "no price" if fact.last_px is None else str(fact.last_px)
            return f"{name} {fact.client_order_id or fact.venue_order_id}, {fact.last_qty} at {px}"
        case f.OrderFact():
            return f"{name} {fact.client_order_id or fact.venue_order_id}"
        case f.LevelCrossed():
            return f"{name} {fact.level} at {fact.mark.px}"
        case f.DeadlinePassed():
            return f"{name} {fact.which}"
        case f.ExitRequested():
            return f"{name} {fact.reason}"
    return name
