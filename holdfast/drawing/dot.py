"""DOT text of a chart: the same table gives the same text, line for line in the table's order."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise

from fsm.table import State

from .chart import BESIDE, Arrow, Chart, Choice
from .look import DOC_WIDTH, INK, NOTE_WIDTH, PALE, UNPROTECTED_LINE, UNPROTECTED_TEXT, colours_of, label_lines, wrapped

FONT = "Arial,Helvetica,sans-serif"
_BREAK = '<BR ALIGN="LEFT"/>'


def dot_from(chart: Chart) -> str:
    """Return the DOT text of a machine: groups as clusters in life-cycle order, choices as marks in the states that they lead to."""
    lines = clusters(chart, chart.table.state_names, lambda state: state_label(chart, state, (), chart.marks_of(state.name)))
    lines += _order_of_groups(chart)
    lines += [line for arrow in chart.arrows for line in _arrow(chart, arrow)]
    lines += _choices(chart)
    lines += _flow(chart)
    source = f"Generated from the table of the {chart.table.name} machine by `holdfast diagram`: change the table, not this file."
    return document(chart.table.name, source, lines, _caption(chart))


def document(name: str, source: str, lines: Iterable[str], caption: str) -> str:
    """Return a whole DOT document: `source` says where it comes from, `caption` stands under the picture."""
    head = [
        f"// {source}",
        f'digraph "{name}" {{',
        "  graph [rankdir=TB, newrank=true, compound=true, splines=true, nodesep=0.3, ranksep=0.45, pad=0.15]",
        f'  graph [bgcolor="white", fontname="{FONT}"]',
        f'  node [shape=plain, fontname="{FONT}", fontsize=12]',
        f'  edge [fontname="{FONT}", fontsize=9, arrowsize=0.7, color="{INK}", fontcolor="{INK}"]',
    ]
    foot = [f'  label="{caption}"; labelloc=b; labeljust=l; fontsize=9; fontcolor="{PALE}"', "}"]
    return "\n".join([*head, *(f"  {line}" for line in lines), *foot]) + "\n"


def clusters(chart: Chart, shown: Sequence[str], label: Callable[[State], str]) -> list[str]:
    """Return one cluster per group with the states that are `shown`, each with its HTML-like `label`."""
    lines = []
    for number, (group, names) in enumerate(chart.groups):
        inside = [name for name in names if name in shown]
        if inside:
            line = colours_of(group).line
            lines.append(f'subgraph "cluster_{number}" {{')
            lines.append(f"  graph [label=<<B>{escape(group)}</B>>, labeljust=l, fontsize=11]")
            lines.append(f'  graph [style="rounded,dashed", color="{line}", fontcolor="{line}"]')
            lines += [f'  "{name}" [label={label(chart.table.state(name))}, class="{_class(chart, name)}"]' for name in inside]
            lines.append("}")
    return lines


def state_label(chart: Chart, state: State, notes: tuple[str, ...], marks: tuple[str, ...]) -> str:
    """Return the label of a state: name, meaning, warning where it is unprotected, `notes`, and the answers that lead to it."""
    colours = colours_of(state.group)
    bare = state.name in chart.unprotected
    border = f'BORDER="2.5" COLOR="{UNPROTECTED_LINE}"' if bare else f'BORDER="1" COLOR="{colours.line}"'
    rows = [f'<TD ALIGN="LEFT"><B>{escape(state.name)}</B></TD>', small(wrapped(state.doc, DOC_WIDTH), INK)]
    if bare:
        rows.append(small((f"! {UNPROTECTED_TEXT}",), UNPROTECTED_LINE))
    if notes:
        rows.append(small(notes, colours.line, 9))
    if marks:
        rows.append(small(wrapped("  ".join(marks), DOC_WIDTH + 4), colours.line, 8))
    body = "".join(f"<TR>{row}</TR>" for row in rows)
    return f'<<TABLE STYLE="ROUNDED" {border} BGCOLOR="{colours.fill}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3">{body}</TABLE>>'


def small(lines: tuple[str, ...], colour: str, size: float = 8.5) -> str:
    """Return a table cell of small print."""
    text = _BREAK.join(escape(line) for line in lines) + _BREAK
    return f'<TD ALIGN="LEFT" BALIGN="LEFT"><FONT POINT-SIZE="{size}" COLOR="{colour}">{text}</FONT></TD>'


def edge_label(lines: Iterable[str]) -> str:
    """Return the label of an edge, its lines flush left, quoted for DOT."""
    # A blank before each line keeps it off the arrow.
    return '"' + "".join("\u00a0" + line.replace("\\", "\\\\").replace('"', '\\"') + "\\l" for line in lines) + '"'


def _caption(chart: Chart) -> str:
    table = chart.table
    cells = len(table.states) * len(table.facts)
    carried = " A state carries the answers that lead to it." if chart.choices else ""
    return (
        f"The {table.name} machine, drawn from its table: {len(table.states)} states x {len(table.facts)} facts = {cells} cells."
        f"{carried} What stays in its state is not drawn; every row: {table.name}.md"
    )


def _class(chart: Chart, name: str) -> str:
    return f"state {name}" + (" unprotected" if name in chart.unprotected else "")


def _stacked(chart: Chart) -> list[tuple[int, list[str], list[str]]]:
    """Return the groups of the life cycle with their highest and their lowest states."""
    out = []
    for number, (group, names) in enumerate(chart.groups):
        if group not in BESIDE:
            inner = _inner(chart, names)
            lowest = [name for name in inner if not any(name in a.sources and a.target in names for a in chart.arrows)]
            out.append((number, [name for name in names if name not in inner] or list(names), lowest or list(names)))
    return out


def _inner(chart: Chart, names: tuple[str, ...]) -> list[str]:
    """Return the states of a group that another state of the group leads to."""
    led = {arrow.target for arrow in chart.arrows if not arrow.is_crowd and arrow.sources[0] in names}
    return [name for name in names if name in led]


def _order_of_groups(chart: Chart) -> list[str]:
    """Stack the groups of the life cycle: each below the lowest states of the one before."""
    stacked = _stacked(chart)
    out = []
    for (_, _, above), (number, below, _) in pairwise(stacked):
        out += [f'"{upper}" -> "{lower}" [style=invis, weight=0]' for upper in above for lower in below]
        if len(below) < len(chart.groups[number][1]):
            out.append("{ rank=same; " + "; ".join(f'"{name}"' for name in below) + " }")
    return out


def _flow(chart: Chart) -> list[str]:
    """One broad pale arrow from each group of the life cycle to the next one; it also aligns them."""
    stacked = _stacked(chart)
    marks = {lower: marks for _, lower, marks in chart.flow}
    out = []
    for (upper, _, above), (lower, below, _) in pairwise(stacked):
        said = marks.get(chart.groups[lower][0], "")
        look = f'penwidth=5, arrowsize=0.5, color="#C9C9C9", xlabel="{said}", fontsize=13' if said else "style=invis"
        ends = f'"{above[len(above) // 2]}" -> "{below[len(below) // 2]}"'
        out.append(f'{ends} [ltail="cluster_{upper}", lhead="cluster_{lower}", weight=20, {look}]')
    return out


def _arrow(chart: Chart, arrow: Arrow) -> list[str]:
    label = edge_label(label_lines(arrow.labels))
    if not arrow.is_crowd:
        step = rank(chart, arrow.target) - rank(chart, arrow.sources[0])
        style = "" if step in (0, 1) else ", constraint=false"
        return [f'"{arrow.sources[0]}" -> "{arrow.target}" [label={label}{style}]']
    said = chart.crowd_name(arrow.sources, arrow.target)
    name = f"{said} to {chart.table.state(arrow.target).group}"
    text = "\\n".join(wrapped(said, 24))
    return [
        f'"{name}" [shape=box, style="rounded,dashed", color="{PALE}", fontcolor="{INK}", fontsize=9, margin="0.1,0.05", label="{text}"]',
        f'"{name}" -> "{arrow.target}" [label={label}, color="{PALE}"]',
    ]


def rank(chart: Chart, state: str) -> int:
    """Return the place of a state's group in the life cycle."""
    return next(number for number, (_, names) in enumerate(chart.groups) if state in names)


def _choices(chart: Chart) -> list[str]:
    """A note per choice, in a column beside the life cycle."""
    out = []
    above = next((names[-1] for group, names in chart.groups if group in BESIDE), "")
    for choice in chart.choices:
        out.append(f'"choice {choice.name}" [label={_choice_label(choice)}]')
        if above:
            out.append(f'"{above}" -> "choice {choice.name}" [style=invis]')
        above = f"choice {choice.name}"
    return out


def _choice_label(choice: Choice) -> str:
    title = f'<TD ALIGN="LEFT"><FONT POINT-SIZE="11"><B>{choice.mark} {choice.name}</B></FONT></TD>'
    notes = [small(wrapped(f"{choice.doc}, asked after", NOTE_WIDTH), INK)]
    notes += [small(wrapped(f"{', '.join(facts)}: {where}", NOTE_WIDTH), INK) for facts, where in choice.asked]
    body = "".join(f"<TR>{cell}</TR>" for cell in (title, *notes))
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" BGCOLOR="#F7F7F7">{body}</TABLE>>'
