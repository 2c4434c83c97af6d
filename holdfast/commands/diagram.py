"""`holdfast diagram`: the machines drawn from their tables, the way of one position, a log in figures."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from events.errors import NotFound, Usage
from events.store import Store, open_store
from holdfast.config import store_address
from holdfast.drawing.chart import Chart
from holdfast.drawing.counts import counts_from, counts_markdown, counts_overlay
from holdfast.drawing.dot import dot_from
from holdfast.drawing.files import Drifted, drifted, write_all
from holdfast.drawing.machines import CHARTS, chart_of
from holdfast.drawing.markdown import markdown_from
from holdfast.drawing.mermaid import mermaid_from
from holdfast.drawing.overlay import Overlay, overlay_dot, overlay_mermaid
from holdfast.drawing.path import path_from, path_overlay, path_sequence, path_text
from holdfast.drawing.svg import svg_from

from .options import Settings

Format = Literal["dot", "mermaid", "svg", "md", "text", "sequence"]
_SUFFIX = {"dot": "dot", "mermaid": "mmd", "svg": "svg", "md": "md", "text": "txt", "sequence": "sequence.mmd"}
_FOLDER = Path("diagrams")
_Makers = dict[str, Callable[[], str]]


def command(
    machine: str | None = None,
    *,
    format: Annotated[Format | None, Parameter(name=("--format", "-f"))] = None,
    out: Path | None = None,
    check: Annotated[bool, Parameter(negative="")] = False,
    position: str | None = None,
    log: Annotated[bool, Parameter(negative="")] = False,
    store: str | None = None,
    settings: Settings = Settings(),
) -> None:
    """Draw the machines from the tables that execute; or the way that one position took; or a whole log in figures.

    Without a format, all formats are written to the folder of --out; without --out one format goes to standard output.
    --check ends with exit code 6 if the files in the folder (diagrams, or that of --out) are not what the tables say.

    Parameters
    ----------
    machine:
        position, order, trail or link; all of them if none is named.
    format:
        dot, mermaid, svg or md; of a position also text or sequence (a Mermaid sequence diagram).
    out:
        folder to write to; it is made if it does not exist.
    check:
        compare the files instead of writing them; needs no renderer.
    position:
        id of a position: draw the way that it took, with times.
    log:
        count states, changes and rows over a whole store.
    store:
        address of the store; that of the settings if none is named.
    """
    if position is not None or log:
        if check or machine not in (None, "position") or (position is not None and log):
            raise Usage("diagram", "--position and --log each stand alone", "give one of them, without --check and a machine")
        with open_store(store or store_address(settings.load().config), create=False) as opened:
            name, makers, usual = _of_position(opened, position) if position is not None else _of_log(opened)
        _give(name, makers, usual, format, out)
        return
    charts = tuple(CHARTS.values()) if machine is None else (chart_of(machine),)
    if check:
        folder = out or _FOLDER
        stale = drifted(charts, folder)
        if stale:
            raise Drifted(str(folder), stale)
        sys.stderr.write(f"{folder}: the pictures of {', '.join(chart.table.name for chart in charts)} are what the tables say\n")
    elif out is not None and format is None:
        written = write_all(charts, out)
        sys.stderr.write(f"{out}: {', '.join(written) if written else 'nothing has changed'}\n")
    else:
        if out is None and len(charts) > 1:
            raise Usage("diagram", "no machine is named", f"name one of {', '.join(CHARTS)}, or a folder with --out")
        for chart in charts:
            _give(chart.table.name, _of_machine(chart), "mermaid", format, out)


def _of_machine(chart: Chart) -> _Makers:
    return {
        "dot": lambda: dot_from(chart),
        "mermaid": lambda: mermaid_from(chart),
        "md": lambda: markdown_from(chart),
        "svg": lambda: svg_from(dot_from(chart)),
    }


def _of_position(store: Store, position_id: str) -> tuple[str, _Makers, str]:
    chart = chart_of("position")
    events = store.events_of(position_id)
    if not events:
        raise NotFound("position", position_id, "`holdfast positions` lists those that there are")
    path = path_from(events, chart.table.initial)
    makers = _of_overlay(chart, path_overlay(path))
    return f"position-{position_id}", {"text": lambda: path_text(path), **makers, "sequence": lambda: path_sequence(path)}, "text"


def _of_log(store: Store) -> tuple[str, _Makers, str]:
    chart = chart_of("position")
    counts = counts_from(store.all_events(), chart.table.initial)
    return "log", {"md": lambda: counts_markdown(chart, counts), **_of_overlay(chart, counts_overlay(chart, counts))}, "md"


def _of_overlay(chart: Chart, overlay: Overlay) -> _Makers:
    dot = overlay_dot(chart, overlay)
    return {"dot": lambda: dot, "mermaid": lambda: overlay_mermaid(chart, overlay), "svg": lambda: svg_from(dot)}


def _give(name: str, makers: _Makers, usual: str, format: Format | None, out: Path | None) -> None:
    """Write one format, or all to a folder where none is named; to standard output without a folder."""
    if format is not None and format not in makers:
        raise Usage("--format", f"there is no {format} of {name}", f"choose one of {', '.join(makers)}")
    if out is None:
        sys.stdout.write(makers[format or usual]())
        return
    out.mkdir(parents=True, exist_ok=True)
    for kind in makers if format is None else (format,):
        path = out / f"{name}.{_SUFFIX[kind]}"
        path.write_text(makers[kind](), encoding="utf-8")
        sys.stderr.write(f"{path}\n")
