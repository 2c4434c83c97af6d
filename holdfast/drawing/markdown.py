"""A table as a document: states, questions, choices, every row, and the matrix of all cells.

A family of rows, the same but for the answer of a choice, is one line; answers that do not go the usual way follow as lines
of their own. So the document says all that the table says, in a length that a person reads.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from fsm.table import SAME, Cell, Row

from .chart import Chart, Choice, answers_of
from .look import UNPROTECTED_TEXT

# A list of facts of this length gets a name, if it comes more than once.
LONG_LIST = 5
_STAYS, _GOES, _IGNORED, _ANOMALY = "=", "→", "·", "!"


def markdown_from(chart: Chart) -> str:
    """Return the document of a machine."""
    table = chart.table
    cells = table.cells()
    head = (
        f"Generated from the table of the {table.name} machine by `holdfast diagram`: change the table, not this file. "
        f"{len(table.states)} states x {len(table.facts)} facts = {len(cells)} cells, {len(table.rows)} rows."
    )
    parts = [f"# The {table.name} machine", head, f"![The {table.name} machine]({table.name}.svg)", *_states(chart), *_questions(chart)]
    for choice in chart.choices:
        parts += _choice(choice)
    parts += _rows(chart)
    parts += _matrix(chart, cells)
    return "\n\n".join(parts) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _states(chart: Chart) -> list[str]:
    rows = []
    for state in chart.table.states:
        note = f" ({UNPROTECTED_TEXT})" if state.name in chart.unprotected else ""
        rows.append((state.group, f"**{state.name}**", state.doc + note, " ".join(chart.marks_of(state.name))))
    head = ("group", "state", "means", "entered when") if chart.choices else ("group", "state", "means")
    return ["## States", _table(head, [row[: len(head)] for row in rows])]


def _questions(chart: Chart) -> list[str]:
    rows = [(f"`{c.name}`", c.doc, " ".join(f"`{answer}`" for answer in c.answers)) for c in chart.table.classifiers]
    return ["## Questions", "A guard is a question with a fixed set of answers; in each cell every combination of answers fires one row.",
            _table(("question", "asks", "answers"), rows)] if rows else []  # fmt: skip


def _choice(choice: Choice) -> list[str]:
    asked = "\n".join(f"- {', '.join(facts)}: {where}" for facts, where in choice.asked)
    ways = [(f"`{w.answer}`", w.target, _commands(w.commands), w.doc) for w in choice.ways]
    title = f"## {choice.mark} {choice.name}: {choice.doc}"
    return [title, f"Asked after\n\n{asked}", _table(("answer", "goes to", "commands", "why"), ways)]


def _rows(chart: Chart) -> list[str]:
    families = list(_families(chart))
    sets = _fact_sets(families)
    lines = [line for family in families for line in _family_lines(chart, family, sets)]
    named = "\n".join(f"- *{name}*: {', '.join(facts)}" for facts, name in sets.items())
    return ["## Rows", *([named] if named else []), _table(("in", "after", "when", "goes to", "commands", "why"), lines)]


def _fact_sets(families: list[list[Row]]) -> dict[tuple[str, ...], str]:
    """Name the long lists of facts that come again and again."""
    counts = Counter(family[0].facts for family in families if len(family[0].facts) >= LONG_LIST)
    often = [facts for facts, count in counts.items() if count > 1]
    return {facts: f"facts {chr(ord('A') + number)}" for number, facts in enumerate(often)}


def _facts(facts: tuple[str, ...], sets: dict[tuple[str, ...], str]) -> str:
    for known, name in sets.items():
        if set(known) <= set(facts):
            return ", ".join((f"*{name}*", *(fact for fact in facts if fact not in known)))
    return ", ".join(facts)


def _families(chart: Chart) -> Iterator[list[Row]]:
    """Yield rows that follow each other and differ in the answer of one choice only; any other row alone."""
    family: list[Row] = []
    for row in chart.table.rows:
        if family and _family_key(chart, row) != _family_key(chart, family[0]):
            yield family
            family = []
        family.append(row)
        if chart.choice_of(row) is None:
            yield family
            family = []
    if family:
        yield family


def _family_key(chart: Chart, row: Row) -> object:
    choice = chart.choice_of(row)
    name = "" if choice is None else choice.name
    rest = tuple(sorted((k, v) for k, v in row.when.items() if k != name))
    return name, row.sources, row.facts, rest, row.exit_reason


def _family_lines(chart: Chart, family: list[Row], sets: dict[tuple[str, ...], str]) -> list[tuple[str, ...]]:
    choice = chart.choice_of(family[0])
    if choice is None or len(family) == 1:
        return [_line(chart, row, sets) for row in family]
    also = _also(choice, family)
    deviating: dict[tuple[str, str, str], list[str]] = {}
    for row in family:
        if not _is_usual(choice, row, also):
            deviating.setdefault((_target(row), _commands(row.commands), row.doc), []).extend(answers_of(row, choice.name))
    commands = f"its commands{', ' + _commands(also) if also else ''}"
    usual = (f"{choice.mark} {choice.name}", commands, f"where {choice.name} says")
    lines = [_cells(chart, family[0], sets, usual, leave_out=choice.name)]
    lines += [("", "", f"but {' or '.join(given)}", *rest) for rest, given in deviating.items()]
    return lines


def _also(choice: Choice, family: list[Row]) -> tuple[str, ...]:
    """Return the commands that a family adds to the usual ones."""
    extras: Counter[tuple[str, ...]] = Counter()
    for row in family:
        usual = choice.way(answers_of(row, choice.name)[0]).commands
        if row.commands[: len(usual)] == usual:
            extras[row.commands[len(usual) :]] += 1
    return extras.most_common(1)[0][0] if extras else ()


def _is_usual(choice: Choice, row: Row, also: tuple[str, ...]) -> bool:
    ways = [choice.way(answer) for answer in answers_of(row, choice.name)]
    return all(row.target == way.target and row.commands == way.commands + also for way in ways)


def _line(chart: Chart, row: Row, sets: dict[tuple[str, ...], str]) -> tuple[str, ...]:
    return _cells(chart, row, sets, (_target(row), _commands(row.commands), row.doc))


def _cells(chart: Chart, row: Row, sets: dict[tuple[str, ...], str], rest: tuple[str, str, str], leave_out: str = "") -> tuple[str, ...]:
    (guards, *_) = chart.guards_of(row, leave_out)
    goes, commands, why = rest
    if row.exit_reason:
        why += f" (decides to leave: {'as the fact says' if row.exit_reason == 'fact' else row.exit_reason})"
    return chart.crowd_name(row.sources), _facts(row.facts, sets), guards, goes, commands, why


def _target(row: Row) -> str:
    return "stays" if row.target == SAME or row.sources == (row.target,) else row.target


def _commands(commands: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in commands)


def _matrix(chart: Chart, cells: dict[tuple[str, str], Cell]) -> list[str]:
    legend = (
        f"Each cell: `{_GOES}` some row leaves the state, `{_STAYS}` decided on and stays, `{_IGNORED}` ignored (recorded, nothing to do), "
        f"`{_ANOMALY}` anomaly (recorded, reported)"
        + "".join(f", `{choice.mark}` the choice {choice.name} is asked" for choice in chart.choices)
        + "."
    )
    numbers = {name: str(number) for number, name in enumerate(chart.table.state_names, 1)}
    key = ", ".join(f"{number} {name}" for name, number in numbers.items())
    rows = [(fact, *(_mark(chart, cells[state, fact]) for state in numbers)) for fact in chart.table.facts]
    return ["## All cells", legend, key, _table(("after", *numbers.values()), rows)]


def _mark(chart: Chart, cell: Cell) -> str:
    kind = cell.rows[0].kind
    if kind != "row":
        return _IGNORED if kind == "ignored" else _ANOMALY
    asked = "".join(choice.mark for choice in chart.choices if choice.name in cell.dimensions)
    if asked:
        return asked
    return _GOES if any(row.target != row.source for row in cell.rows) else _STAYS
