"""A log in figures: how often each state, change and row was taken, how long positions stayed, and what was never used.

A fold over events in the order of the log, in which those of different positions are mixed; it keeps one number per visit.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from events.record import PositionEvent
from holdfast.times import time_text
from holdfast.words import counted

from .chart import Chart, answers_of
from .overlay import Overlay, Taken

# So many changes of state are drawn; more would be a tangle.
DRAWN = 24


class Dwell(NamedTuple):
    """How long visits lasted: how many, median, 99th percentile (nearest rank) and longest, in nanoseconds."""

    visits: int
    p50_ns: int
    p99_ns: int
    max_ns: int


@dataclass
class Counts:
    """The figures of a log. `seen` numbers arrivals per state, `stays` and `edges` are lengths of visits that have ended, in ns."""

    initial: str
    events: int = 0
    positions: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    stays: dict[str, "array[int]"] = field(default_factory=dict)
    edges: dict[tuple[str, str], "array[int]"] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    _open: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, event: PositionEvent) -> None:
        """Count one event; those of one position come in their order."""
        self.events += 1
        self.rows[event.row] += 1
        self.facts[type(event.fact).__name__] += 1
        now_ns = event.fact.ts_recv_ns
        if event.version == 1:
            self.positions += 1
        state, since_ns = self._open.get(event.position_id, (self.initial, now_ns))
        if event.to == state:
            self._open.setdefault(event.position_id, (state, since_ns))
            return
        if event.version > 1:
            self.stays.setdefault(state, array("q")).append(max(0, now_ns - since_ns))
        self.edges.setdefault((state, event.to), array("q")).append(max(0, now_ns - since_ns))
        self.seen[event.to] += 1
        self._open[event.position_id] = (event.to, now_ns)

    def now_in(self, state: str) -> int:
        """Return how many positions are in a state at the end of the log."""
        return sum(1 for name, _ in self._open.values() if name == state)


def counts_from(events: Iterable[PositionEvent], initial: str) -> Counts:
    """Return the figures of a log whose positions begin in the state `initial`."""
    counts = Counts(initial)
    for event in events:
        counts.add(event)
    return counts


def dwell_of(lengths_ns: Sequence[int]) -> Dwell:
    """Return the figures of some visits, zeros for none."""
    if not lengths_ns:
        return Dwell(0, 0, 0, 0)
    ordered = sorted(lengths_ns)
    return Dwell(len(ordered), ordered[_rank(len(ordered), 50)], ordered[_rank(len(ordered), 99)], ordered[-1])


def _rank(count: int, percent: int) -> int:
    return max(0, -(-count * percent // 100) - 1)


def unused_rows(chart: Chart, counts: Counts) -> list[str]:
    """Return the rows of the table that no event of the log took, in words; rows that differ in the answer of a choice in one line."""
    known = _row_ids(chart)
    used = {row_id.split(":")[1] for row_id in counts.rows if row_id in known}
    lines: dict[str, list[str]] = {}
    for number, row in enumerate(chart.table.rows):
        if f"{number:03d}" in used:
            continue
        choice = chart.choice_of(row)
        (guards, *_) = chart.guards_of(row, "" if choice is None else choice.name)
        where = f"{chart.crowd_name(row.sources)}: {', '.join(row.facts)}{' · ' + guards if guards else ''}"
        answers = lines.setdefault(where, [])
        if choice is not None:
            answers += answers_of(row, choice.name)
    return [f"{where}{' · ' + ' or '.join(answers) if answers else ''}" for where, answers in lines.items()]


def foreign_rows(chart: Chart, counts: Counts) -> int:
    """Return how many events name a row that today's table does not have: they were decided by another version of it."""
    known = _row_ids(chart)
    return sum(times for row_id, times in counts.rows.items() if row_id not in known)


def _row_ids(chart: Chart) -> set[str]:
    return {row.row_id for cell in chart.table.cells().values() for row in cell.rows}


def counts_overlay(chart: Chart, counts: Counts) -> Overlay:
    """Return the log as it is drawn: the most taken changes, the breadth of an arrow being its share of the most taken one."""
    times = {edge: len(lengths) for edge, lengths in counts.edges.items()}
    often = sorted(times, key=lambda edge: (-times[edge], _edge_order(chart, edge)))[:DRAWN]
    taken = tuple(
        Taken(source, target, (f"{times[source, target]} x",), times[source, target] / times[often[0]])
        for source, target in sorted(often, key=lambda edge: _edge_order(chart, edge))
    )
    notes: dict[str, tuple[str, ...]] = {counts.initial: ()} if any(source == counts.initial for source, _ in often) else {}
    notes |= {name: _notes(counts, name) for name in chart.table.state_names if counts.seen[name]}
    rare = len(times) - len(often)
    title = f"{counted(counts.positions, 'position')}, {counted(counts.events, 'event')}"
    return Overlay(f"{title}; {rare} rarer changes of state are in the table only" if rare else title, taken, notes)


def _notes(counts: Counts, name: str) -> tuple[str, ...]:
    dwell = dwell_of(counts.stays.get(name, array("q")))
    lines = [f"{counts.seen[name]} x, {counts.now_in(name)} there now"]
    if dwell.visits:
        lines.append(f"p50 {time_text(dwell.p50_ns)}, p99 {time_text(dwell.p99_ns)}")
        lines.append(f"max {time_text(dwell.max_ns)}")
    return tuple(lines)


def _edge_order(chart: Chart, edge: tuple[str, str]) -> tuple[int, int]:
    names = list(chart.table.state_names)
    return tuple(names.index(name) if name in names else len(names) for name in edge)  # type: ignore[return-value]


def counts_markdown(chart: Chart, counts: Counts) -> str:
    """Return the figures as a document: states, changes, facts, and the rows that were never used."""
    parts = [f"# {counted(counts.positions, 'position')}, {counted(counts.events, 'event')} on the {chart.table.name} machine", "## States"]
    head = ["| state | visits | there now | p50 | p99 | longest |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name in chart.table.state_names:
        dwell = dwell_of(counts.stays.get(name, array("q")))
        head.append(f"| {name} | {counts.seen[name]} | {counts.now_in(name)} | {_three(dwell)} |")
    parts += ["\n".join(head), "## Changes of state, with the time spent before"]
    head = ["| from | to | times | p50 | p99 | longest |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for edge, lengths in sorted(counts.edges.items(), key=lambda item: _edge_order(chart, item[0])):
        head.append(f"| {edge[0]} | {edge[1]} | {len(lengths)} | {_three(dwell_of(lengths))} |")
    parts += ["\n".join(head), "## Facts"]
    head = ["| fact | events |", "| --- | ---: |"]
    head += [f"| {fact} | {counts.facts[fact]} |" for fact in chart.table.facts]
    parts += ["\n".join(head), "## Rows never used"]
    foreign = foreign_rows(chart, counts)
    if foreign:
        parts.append(
            f"{foreign} events name rows that today's table does not have: another version decided them, and they count for no row here."
        )
    parts.append("\n".join(f"- {line}" for line in unused_rows(chart, counts)) or "none")
    return "\n\n".join(parts) + "\n"


def _three(dwell: Dwell) -> str:
    if not dwell.visits:
        return " |  | "
    return f"{time_text(dwell.p50_ns)} | {time_text(dwell.p99_ns)} | {time_text(dwell.max_ns)}"
