"""What a picture of a table shows: its rows merged until they can be read, without losing which arrow says what.

A table of hundreds of cells is a few rules. Three merges bring them back, all derived from the rows:

    choice   a classifier whose answers lead to many states (`situation`): wherever it is asked, the same answer leads to the
             same state. It is not drawn as arrows from everywhere to everywhere; each state carries the answers that lead to
             it, and the choice says once where and after which facts it is asked. Only rows that deviate are arrows.
    crowd    a row that leads from all live states, or from whole groups, starts at one node that says so ("any live state").
    arrow    one per (source, target); guards that differ in one answer are joined, and left out where every answer is there.

Rows that stay in their state are not arrows; the markdown table has them all. Everything is in the table's order.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from fsm.table import SAME, Row, Table

# So many states are "any live state", if fewer than so many are missing.
CROWD = 4
# A classifier is a choice from this many different targets on.
TARGETS_OF_A_CHOICE = 5
# An arrow names so many answers of one question, or says how many there are.
ANSWERS_IN_LABEL = 3
MARKS = "◇◆○●"
# Groups that stand beside the life cycle, not in it.
BESIDE = ("any",)

Guards = tuple[tuple[str, tuple[str, ...]], ...]
_Given = dict[str, list[dict[str, frozenset[str]]]]


@dataclass(frozen=True, slots=True)
class Way:
    """One answer of a choice: the state that it leads to, and the commands that leave, where no row says otherwise."""

    answer: str
    target: str
    commands: tuple[str, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A classifier that decides where to go. `asked`: facts, and in words in which states they ask it."""

    name: str
    doc: str
    mark: str
    ways: tuple[Way, ...]
    asked: tuple[tuple[tuple[str, ...], str], ...]

    def way(self, answer: str) -> Way:
        """Return what follows from `answer`."""
        return next(way for way in self.ways if way.answer == answer)

    def answers_of(self, state: str) -> tuple[str, ...]:
        """Return the answers that lead to `state`."""
        return tuple(way.answer for way in self.ways if way.target == state)


@dataclass(frozen=True, slots=True)
class Arrow:
    """A change of state. `sources` has one name, or many for a crowd; one label per line."""

    sources: tuple[str, ...]
    target: str
    labels: tuple[str, ...]

    @property
    def is_crowd(self) -> bool:
        return len(self.sources) > 1


@dataclass(frozen=True)
class Chart:
    """A table, ready to be drawn. `unprotected` are the states that are marked as such."""

    table: Table
    unprotected: frozenset[str] = frozenset()

    @cached_property
    def groups(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The groups of states in the table's order."""
        names = dict.fromkeys(state.group for state in self.table.states)
        return tuple((group, tuple(s.name for s in self.table.states if s.group == group)) for group in names)

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """The classifiers that decide where to go."""
        found = []
        for classifier in self.table.classifiers:
            ways = tuple(way for answer in classifier.answers if (way := _way(self.table, classifier.name, answer)) is not None)
            if len({way.target for way in ways}) >= TARGETS_OF_A_CHOICE:
                found.append((classifier, ways))
        return tuple(
            Choice(classifier.name, classifier.doc, MARKS[number], ways, self._asked(classifier.name))
            for number, (classifier, ways) in enumerate(found)
        )

    @cached_property
    def choice_names(self) -> tuple[str, ...]:
        return tuple(choice.name for choice in self.choices)

    @cached_property
    def flow(self) -> tuple[tuple[str, str, str], ...]:
        """The groups of the life cycle, each with the next one and the marks of the choices that lead there."""
        cycle = [(group, names) for group, names in self.groups if group not in BESIDE]
        return tuple(
            (upper, lower, "".join(choice.mark for choice in self.choices if any(way.target in names for way in choice.ways)))
            for (upper, _), (lower, names) in pairwise(cycle)
            if self.choices
        )

    def choice_of(self, row: Row) -> Choice | None:
        """Return the choice that a row asks, None if it asks none."""
        return next((choice for choice in self.choices if choice.name in row.when), None)

    def marks_of(self, state: str) -> tuple[str, ...]:
        """Return the answers that lead to a state, each behind the mark of every choice that gives it."""
        marks: dict[str, str] = {}
        for choice in self.choices:
            for answer in choice.answers_of(state):
                marks[answer] = marks.get(answer, "") + choice.mark
        return tuple(f"{mark}\u00a0{answer}" for answer, mark in marks.items())

    def _asked(self, name: str) -> tuple[tuple[tuple[str, ...], str], ...]:
        """Say after which facts, and in which states, a choice is asked."""
        sources: dict[tuple[str, str], dict[str, None]] = {}
        for row in self.table.rows:
            if name in row.when:
                guards = _guards(self.table, [_given(row, leave_out=(name,))])
                for fact in row.facts:
                    sources.setdefault((fact, self._guard_text(guards[0])), {}).update(dict.fromkeys(row.sources))
        by_fact: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for (fact, guard), states in sources.items():
            by_fact.setdefault(fact, []).append((guard, self._in_order(states)))
        lines: dict[str, list[str]] = {}
        for fact, asked in by_fact.items():
            where = "; ".join(f"{guard + ' in ' if guard else ''}{self.crowd_name(states)}" for guard, states in _joined(asked))
            lines.setdefault(where, []).append(fact)
        return tuple((tuple(facts), where) for where, facts in lines.items())

    @cached_property
    def arrows(self) -> tuple[Arrow, ...]:
        """Every change of state that is not the usual way of a choice, merged, in the table's order; crowds last."""
        single: dict[tuple[tuple[str, ...], str], _Given] = {}
        crowds: dict[tuple[tuple[str, ...], str], _Given] = {}
        for row in self.table.rows:
            if row.target == SAME or self._is_usual(row):
                continue
            sources = self._in_order(name for name in row.sources if name != row.target)
            for some in (sources,) if self.crowd_name(sources, row.target).startswith("any ") else ((name,) for name in sources):
                given = (crowds if len(some) > 1 else single).setdefault((some, row.target), {})
                for fact in row.facts:
                    given.setdefault(fact, []).append(_given(row))
        drawn = sorted(single.items(), key=lambda item: self._edge_order(item[0][0][0], item[0][1]))
        return tuple(Arrow(sources, target, self.labels(given)) for (sources, target), given in (*drawn, *crowds.items()))

    def labels(self, given: _Given) -> tuple[str, ...]:
        """Return one line per set of facts that share their guards: `PlanTightened, TrailDistanceChanged · tightenable`."""
        facts_of: dict[str, list[str]] = {}
        for fact, guards in given.items():
            for merged in _guards(self.table, guards):
                facts_of.setdefault(self._guard_text(merged, ANSWERS_IN_LABEL), []).append(fact)
        return tuple(f"{', '.join(facts)}{' · ' + guard if guard else ''}" for guard, facts in facts_of.items())

    def guards_of(self, row: Row, leave_out: str = "") -> tuple[str, ...]:
        """Return the guards of a row in words, without the classifier `leave_out`."""
        return tuple(self._guard_text(guards) for guards in _guards(self.table, [_given(row, (leave_out,))]))

    def _is_usual(self, row: Row) -> bool:
        choice = self.choice_of(row)
        return choice is not None and all(choice.way(answer).target == row.target for answer in answers_of(row, choice.name))

    def _in_order(self, states: Iterable[str]) -> tuple[str, ...]:
        wanted = set(states)
        return tuple(name for name in self.table.state_names if name in wanted)

    def _edge_order(self, source: str, target: str) -> tuple[int, int]:
        names = self.table.state_names
        return names.index(source), names.index(target)

    def crowd_name(self, sources: Sequence[str], target: str = "") -> str:
        """Return `sources` in words: whole groups and "any live state" where that is shorter than the list of names."""
        live = [s.name for s in self.table.states if not s.end and s.name != self._birth]
        missing = [name for name in live if name not in sources and name != target]
        extra = [name for name in sources if name not in live]
        if len(sources) >= CROWD and len(missing) < CROWD and not extra:
            return "any live state" + (" but " + ", ".join(missing) if missing else "")
        groups: list[str] = []
        out: list[str] = []
        left = list(sources)
        for group, states in self.groups:
            whole = [name for name in states if name != self._birth and name != target]
            lacking = [name for name in whole if name not in sources]
            if group not in BESIDE and len(whole) > 1 and len(lacking) * CROWD < len(whole):
                groups.append(group)
                out += lacking
                left = [name for name in left if name not in whole]
        if not groups:
            return ", ".join(left)
        return ", ".join((f"any {' or '.join(groups)} state{' but ' + ', '.join(out) if out else ''}", *left))

    @cached_property
    def _birth(self) -> str:
        """The state before the first fact, where nothing but a birth is a row; "" if the initial state is a state like others."""
        initial = self.table.initial
        facts = {fact for row in self.table.rows if initial in row.sources for fact in row.facts}
        others = {fact for row in self.table.rows if initial not in row.sources for fact in row.facts}
        return initial if facts.isdisjoint(others) else ""

    def _guard_text(self, guards: Guards, most: int | None = None) -> str:
        return " · ".join(_answer_text(name, answers, most) for name, answers in guards)


def answers_of(row: Row, name: str) -> tuple[str, ...]:
    """Return the answers of a classifier for which a row fires, () if it does not ask."""
    given = row.when.get(name, ())
    return (given,) if isinstance(given, str) else tuple(given)


def _way(table: Table, name: str, answer: str) -> Way | None:
    """Return where most rows go for an answer."""
    votes: Counter[tuple[str, tuple[str, ...], str]] = Counter()
    for row in table.rows:
        if answer in answers_of(row, name) and row.target != SAME:
            votes[row.target, row.commands, row.doc] += len(row.sources) * len(row.facts)
    if not votes:
        return None
    target, commands, doc = votes.most_common(1)[0][0]
    return Way(answer, target, commands, doc)


def _given(row: Row, leave_out: tuple[str, ...] = ()) -> dict[str, frozenset[str]]:
    return {name: frozenset(answers_of(row, name)) for name in row.when if name not in leave_out}


def _guards(table: Table, given: list[dict[str, frozenset[str]]]) -> list[Guards]:
    """Join guards that differ in one classifier, and drop a classifier whose every answer is there."""
    answers = {c.name: frozenset(c.answers) for c in table.classifiers}
    left = [{name: a for name, a in guard.items() if a != answers[name]} for guard in given]
    merged = True
    while merged:
        merged = False
        for first in range(len(left)):
            for second in range(first + 1, len(left)):
                joined = _join(left[first], left[second], answers)
                if joined is not None:
                    left[first] = joined
                    del left[second]
                    merged = True
                    break
            if merged:
                break
    return [
        tuple((c.name, tuple(a for a in c.answers if a in guard[c.name])) for c in table.classifiers if c.name in guard) for guard in left
    ]


def _join(
    one: dict[str, frozenset[str]], other: dict[str, frozenset[str]], answers: dict[str, frozenset[str]]
) -> dict[str, frozenset[str]] | None:
    if one == other:
        return one
    if one.keys() != other.keys():
        return None
    differing = [name for name in one if one[name] != other[name]]
    if len(differing) != 1:
        return None
    name = differing[0]
    union = one[name] | other[name]
    return {**{k: v for k, v in one.items() if k != name}, **({} if union == answers[name] else {name: union})}


def _answer_text(name: str, answers: tuple[str, ...], most: int | None) -> str:
    if answers in (("YES",), ("NO",)):
        return name if answers == ("YES",) else f"not {name}"
    if most is not None and len(answers) > most:
        return f"{len(answers)} answers of {name}"
    return " or ".join(answers)


def _joined(asked: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
    """Join entries of the same states: their guards then split nothing that the reader needs."""
    by_states: dict[tuple[str, ...], list[str]] = {}
    for guard, states in asked:
        by_states.setdefault(states, []).append(guard)
    return [(_either(guards), states) for states, guards in by_states.items()]


def _either(guards: list[str]) -> str:
    """Name each answer once; where answers of several questions are told together they belong to each other, and all stay."""
    answers = [g for g in guards if g]
    if not any("·" in g for g in answers):
        answers = list(dict.fromkeys(word for g in answers for word in g.split(" or ")))
    return " or ".join(answers)
