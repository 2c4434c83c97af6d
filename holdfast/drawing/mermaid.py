"""Mermaid text of a chart (stateDiagram-v2), which code hosts draw without a renderer of ours."""

from .chart import BESIDE, Chart
from .look import LABEL_WIDTH, UNPROTECTED_LINE, UNPROTECTED_TEXT, colours_of, label_lines, wrapped

_NOTE_WIDTH = 60


def mermaid_from(chart: Chart) -> str:
    """Return the Mermaid text of a machine: groups as composite states, choices as notes, crowds as states of their own."""
    table = chart.table
    lines = [
        f"%% Generated from the table of the {table.name} machine by `holdfast diagram`: change the table, not this file.",
        "stateDiagram-v2",
    ]
    groups = {group: f"group_{number}" for number, (group, _) in enumerate(chart.groups)}
    for group, names in chart.groups:
        lines.append(f'  state "{group}" as {groups[group]} {{')
        for name in names:
            lines += [f"    {name} : {line}" for line in _lines(chart, name)]
        lines.append("  }")
    lines.append(f"  [*] --> {table.initial}")
    crowds: dict[str, str] = {}
    for arrow in chart.arrows:
        source = arrow.sources[0]
        if arrow.is_crowd:
            said = chart.crowd_name(arrow.sources, arrow.target)
            source = crowds.setdefault(said, f"crowd_{len(crowds)}")
        label = "<br/>".join(label_lines(arrow.labels, width=LABEL_WIDTH + 10))
        lines.append(f"  {source} --> {arrow.target} : {label}")
    lines += [f'  state "{said}" as {name}' for said, name in crowds.items()]
    for upper, lower, marks in chart.flow:
        lines.append(f"  {groups[upper]} --> {groups[lower]} : {marks}")
    lines += _notes(chart, groups)
    for group, name in groups.items():
        colours = colours_of(group)
        lines.append(f"  classDef in_{name} fill:{colours.fill},stroke:{colours.line},color:#222222")
    lines.append(f"  classDef unprotected stroke:{UNPROTECTED_LINE},stroke-width:3px")
    for group, names in chart.groups:
        lines.append(f"  class {','.join(names)} in_{groups[group]}")
    bare = [name for name in table.state_names if name in chart.unprotected]
    if bare:
        lines.append(f"  class {','.join(bare)} unprotected")
    return "\n".join(lines) + "\n"


def _lines(chart: Chart, name: str) -> list[str]:
    """Return what a state says of itself: its name, what it means, the answers that lead to it."""
    lines = [name, *wrapped(_plain(chart.table.state(name).doc), LABEL_WIDTH + 8)]
    if name in chart.unprotected:
        lines.append(f"! {UNPROTECTED_TEXT}")
    return [*lines, *chart.marks_of(name)]


def _notes(chart: Chart, groups: dict[str, str]) -> list[str]:
    """Return one note per choice: where and after which facts it is asked."""
    out = []
    beside = next((groups[group] for group in groups if group in BESIDE), next(iter(groups.values())))
    for choice in chart.choices:
        out += [f"  note right of {beside}", f"    {choice.mark} {choice.name}, {choice.doc}, asked after"]
        for facts, where in choice.asked:
            out += [f"    {line}" for line in wrapped(_plain(f"{', '.join(facts)} ({where})"), _NOTE_WIDTH)]
        out.append("  end note")
    return out


def _plain(text: str) -> str:
    """Return `text` without what Mermaid reads as syntax."""
    return text.replace(";", ",").replace(":", ",")
