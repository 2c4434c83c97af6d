"""One table per machine: rows, the proof that they are complete, and two ways to run them.

Rules of a table
    1. Every (state, fact) cell is covered by rows, or listed as IGNORED (duplicate, late: recorded, nothing to do) or
       ANOMALY (cannot be: recorded and reported).
    2. A guard is a *classifier*: a pure function with a fixed set of answers. Within a cell the rows' guards cover every
       combination of answers exactly once, so that exactly one row fires and nothing depends on the order of rows.
    3. Callbacks do nothing but say which row fired. A row names commands; `policy.py` fills in their numbers.

`Table.machine()` executes the rows with `transitions`: one `Machine(model=None)` for the process and one reusable model.
`Table.flat()` is the same rows as a dictionary, for replay and benchmarks; `tests/fsm/test_tables.py` walks every cell and
every guard assignment and holds that both give the same row.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

from transitions import EventData, Machine, Transition

from events.errors import IllegalTransition

SAME = "="
ANY = "*"


@dataclass(frozen=True, slots=True)
class State:
    """One state: its group in the life cycle and what it means. `end` states own no timer and absorb."""

    name: str
    group: str
    doc: str
    end: bool = False


@dataclass(frozen=True, slots=True)
class Classifier:
    """A question with a fixed set of answers, asked of the booked position and the fact."""

    name: str
    answers: tuple[str, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Row:
    """For each of `sources` and `facts`: where it goes when the guards match, and which commands leave.

    `when` maps a classifier's name to the answer, or answers, for which the row fires. `target` SAME stays. `exit_reason`
    names the decision to leave that this row is, "" for none.
    """

    sources: tuple[str, ...]
    facts: tuple[str, ...]
    when: Mapping[str, str | tuple[str, ...]]
    target: str
    commands: tuple[str, ...] = ()
    doc: str = ""
    exit_reason: str = ""


@dataclass(frozen=True, slots=True)
class FlatRow:
    """One row of one cell: what `Row` says, with a single source, fact and answer per classifier dimension."""

    row_id: str
    source: str
    fact: str
    when: tuple[tuple[str, tuple[str, ...]], ...]
    target: str
    commands: tuple[str, ...]
    kind: str
    doc: str
    exit_reason: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """All rows of one (state, fact), and the classifiers they ask, in table order."""

    dimensions: tuple[str, ...]
    rows: tuple[FlatRow, ...]


class Runner(Protocol):
    """Finds the row that fires."""

    def row(self, state: str, fact: str, answers: tuple[str, ...]) -> FlatRow:
        """Return the row of a cell for `answers`, in the order of the cell's dimensions. Raises IllegalTransition."""


@dataclass(frozen=True)
class Table:
    """A machine: states, facts, classifiers and rows. `ignored` and `anomaly` map a state to facts, ANY to all states."""

    name: str
    states: tuple[State, ...]
    facts: tuple[str, ...]
    classifiers: tuple[Classifier, ...]
    rows: tuple[Row, ...]
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    anomaly: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    initial: str = ""

    @property
    def state_names(self) -> tuple[str, ...]:
        return tuple(state.name for state in self.states)

    def state(self, name: str) -> State:
        """Return the state called `name`."""
        return next(state for state in self.states if state.name == name)

    def cells(self) -> dict[tuple[str, str], Cell]:
        """Return every cell with its flat rows, in table order; IGNORED and ANOMALY cells have one unguarded row."""
        found: dict[tuple[str, str], list[FlatRow]] = {(s, f): [] for s in self.state_names for f in self.facts}
        for number, row in enumerate(self.rows):
            when = tuple((name, (a,) if isinstance(a, str) else tuple(a)) for name, a in sorted(row.when.items()))
            for source, fact in product(row.sources, row.facts):
                target = source if row.target == SAME else row.target
                row_id = f"{self.name}:{number:03d}:{source}:{fact}"
                found[source, fact].append(FlatRow(row_id, source, fact, when, target, row.commands, "row", row.doc, row.exit_reason))
        for kind, listed in (("ignored", self.ignored), ("anomaly", self.anomaly)):
            for source, fact in self._listed(listed):
                if not found[source, fact]:
                    commands = ("alert_anomaly",) if kind == "anomaly" else ()
                    row_id = f"{self.name}:{kind}:{source}:{fact}"
                    found[source, fact].append(FlatRow(row_id, source, fact, (), source, commands, kind, kind))
        order = [c.name for c in self.classifiers]
        return {
            key: Cell(tuple(n for n in order if any(n == name for row in rows for name, _ in row.when)), tuple(rows))
            for key, rows in found.items()
        }

    def _listed(self, listed: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
        for state, facts in listed.items():
            for source in self.state_names if state == ANY else (state,):
                for fact in self.facts if facts == (ANY,) else facts:
                    yield source, fact

    def problems(self) -> list[str]:
        """Return what breaks the rules above, one sentence each; an empty list is the proof of completeness."""
        answers_of = {c.name: c.answers for c in self.classifiers}
        names = set(self.state_names)
        out = [f"{self.name}: row {row} names an unknown state or fact" for row in self.rows if not self._names_known(row, names)]
        for (state, fact), cell in self.cells().items():
            if not cell.rows:
                out.append(f"{self.name}: ({state}, {fact}) is neither a row nor IGNORED nor ANOMALY")
            for assignment in product(*(answers_of[d] for d in cell.dimensions)):
                hits = [row for row in cell.rows if _matches(row, cell.dimensions, assignment)]
                if len(hits) != 1 and cell.rows:
                    given = dict(zip(cell.dimensions, assignment, strict=True))
                    out.append(f"{self.name}: ({state}, {fact}) {given} fires {len(hits)} rows")
        out += [f"{self.name}: {state} cannot be reached" for state in sorted(names - self._reachable())]
        out += [f"{self.name}: {state} cannot end" for state in sorted(names - self._ending())]
        return out

    def _names_known(self, row: Row, names: set[str]) -> bool:
        known_answers = {c.name: set(c.answers) for c in self.classifiers}
        for name, answer in row.when.items():
            if not set((answer,) if isinstance(answer, str) else answer) <= known_answers.get(name, set()):
                return False
        return set(row.sources) <= names and set(row.facts) <= set(self.facts) and (row.target == SAME or row.target in names)

    def edges(self) -> set[tuple[str, str]]:
        """Return every (source, target) that some row makes."""
        return {(row.source, row.target) for cell in self.cells().values() for row in cell.rows}

    def _reachable(self) -> set[str]:
        return _closure({self.initial}, self.edges())

    def _ending(self) -> set[str]:
        return _closure({s.name for s in self.states if s.end}, {(target, source) for source, target in self.edges()})

    def flat(self) -> "FlatRunner":
        """Return the rows as a dictionary from (state, fact) and answers to the row."""
        return FlatRunner(self)

    def machine(self) -> "MachineRunner":
        """Return the rows executed by `transitions`."""
        return MachineRunner(self)


def _matches(row: FlatRow, dimensions: tuple[str, ...], assignment: tuple[str, ...]) -> bool:
    given = dict(zip(dimensions, assignment, strict=True))
    return all(given[name] in answers for name, answers in row.when)


def _closure(start: set[str], edges: set[tuple[str, str]]) -> set[str]:
    seen, frontier = set(start), set(start)
    while frontier:
        frontier = {target for source, target in edges if source in frontier} - seen
        seen |= frontier
    return seen


class FlatRunner:
    """The rows as a dictionary, filled as assignments occur: most of the product of answers never does."""

    def __init__(self, table: Table) -> None:
        self._name = table.name
        self._cells = table.cells()
        self._rows: dict[tuple[str, str, tuple[str, ...]], FlatRow] = {}

    def row(self, state: str, fact: str, answers: tuple[str, ...]) -> FlatRow:
        """Return the row that fires. Raises IllegalTransition where there is none."""
        found = self._rows.get((state, fact, answers))
        return self._find(state, fact, answers) if found is None else found

    def _find(self, state: str, fact: str, answers: tuple[str, ...]) -> FlatRow:
        cell = self._cells.get((state, fact))
        hits = [row for row in cell.rows if _matches(row, cell.dimensions, answers)] if cell is not None else []
        if len(hits) != 1:
            raise IllegalTransition(self._name, state, fact, answers)
        self._rows[state, fact, answers] = hits[0]
        return hits[0]


class _Model:
    """The one reusable model: loaded before each trigger, read after it."""

    def __init__(self) -> None:
        self.state = ""
        self.answers: tuple[str, ...] = ()
        self.fired: FlatRow | None = None


class _Guarded(Transition):
    """One row as a transition of the library. `guards` are (place in the cell's dimensions, answers that pass).

    The library's own `execute` looks for callbacks in seven places, and logs each look; a table has none but "this row fired".
    """

    def __init__(self, source: str, dest: str, *_: None, row: FlatRow, guards: tuple[tuple[int, tuple[str, ...]], ...]) -> None:
        super().__init__(source, dest)
        self.row, self.guards = row, guards

    def execute(self, event_data: EventData) -> bool:
        """Take the model to the row's target if every guard passes; tell whether it did."""
        model: Any = event_data.model
        for place, passing in self.guards:
            if model.answers[place] not in passing:
                return False
        model.state, model.fired = self.row.target, self.row
        return True


class _Machine(Machine):
    transition_cls = _Guarded


class MachineRunner:
    """The rows executed by one `transitions.Machine` without models of its own.

    Binding a model per position costs 15 kB each and is quadratic, so one model is loaded before each trigger. A cell may
    have forty rows, and the machine tries them one after another: the answer to the widest question is therefore part of
    the trigger's name, and the machine asks the other guards. Not thread-safe: one writer per aggregate, one core.
    """

    def __init__(self, table: Table) -> None:
        self._name = table.name
        self._cells = table.cells()
        self._model = _Model()
        self._machine = _Machine(
            model=None, states=list(table.state_names), initial=table.initial, auto_transitions=False, send_event=True, queued=False
        )
        answers_of = {c.name: c.answers for c in table.classifiers}
        self._widest: dict[tuple[str, str], int] = {}
        for (state, fact), cell in self._cells.items():
            widest = max(cell.dimensions, key=lambda name: len(answers_of[name]), default="")
            if widest:
                self._widest[state, fact] = cell.dimensions.index(widest)
            for row in cell.rows:
                given = dict(row.when)
                for answer in given.pop(widest, answers_of.get(widest, ("",))):
                    guards = tuple((cell.dimensions.index(name), passing) for name, passing in given.items())
                    self._machine.add_transition(_trigger(fact, answer), state, row.target, row=row, guards=guards)
        self._events: dict[str, Any] = dict(self._machine.events)

    def row(self, state: str, fact: str, answers: tuple[str, ...]) -> FlatRow:
        """Return the row that fires. Raises IllegalTransition where there is none, with nothing changed."""
        model = self._model
        cell = self._cells.get((state, fact))
        if cell is None or not cell.rows:
            raise IllegalTransition(self._name, state, fact, answers)
        assert len(answers) == len(cell.dimensions)
        if cell.rows[0].kind == "ignored":
            # No transition, so nothing for the library to do: the private link hears of each frame that came.
            return cell.rows[0]
        model.state, model.answers, model.fired = state, answers, None
        widest = self._widest.get((state, fact))
        event = self._events.get(_trigger(fact, "" if widest is None else answers[widest]))
        if event is not None:
            event.trigger(model)
        fired: FlatRow | None = model.fired
        # A failed guard makes `transitions` return False silently; here it is a hole in the table.
        if fired is None or model.state != fired.target:
            raise IllegalTransition(self._name, state, fact, answers)
        return fired


def _trigger(fact: str, answer: str) -> str:
    return f"{fact}:{answer}"
