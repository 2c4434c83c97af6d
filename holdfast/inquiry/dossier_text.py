"""A position's dossier as text for people, some hundred characters wide. Moments count from the request."""

from collections.abc import Callable
from functools import partial

from holdfast.times import Times, moment_text, time_text
from holdfast.words import number
from projections.books import Books
from projections.fills import END_STATES

from .digits import even_columns
from .dossier import Dossier, Stage
from .layout import fitting_table, lines_of
from .protection import levels_text, windows_table
from .status_text import status_text

Since = Callable[[int], str]


def dossier_text(dossier: Dossier, books: Books, times: Times = "relative") -> str:
    """Return the dossier as text: where it stands, then the way, fills, windows and notices. `books` are those of the position."""
    since = _since(dossier, times)
    blocks = [
        status_text(dossier.status, times).rstrip("\n"),
        _path(dossier, since),
        _fills(dossier, since),
        _windows(dossier, books, since),
        _notices(dossier, since),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _since(dossier: Dossier, times: Times) -> Since:
    start_ns = dossier.path[0].at_ns
    if times != "relative":
        return partial(moment_text, now_ns=dossier.status.at_ns, times=times)
    return lambda ns: f"+{time_text(max(0, ns - start_ns))}"


def _path(dossier: Dossier, since: Since) -> str:
    lines = ["path"]
    for stage in dossier.path:
        lines += _stage(dossier, stage, since)
    others = sum(stage.others for stage in dossier.path)
    if others:
        position_id = dossier.status.position.position_id
        named = f"{others} other event{'s' if others > 1 else ''} changed no state and sent no order"
        lines += lines_of(f"{named}; `holdfast why {position_id}:VERSION` explains any event", indent=" ")
    return "\n".join(lines)


def _stage(dossier: Dossier, stage: Stage, since: Since) -> list[str]:
    until_ns = dossier.status.at_ns if stage.until_ns is None else stage.until_ns
    lasted = f" for {time_text(max(0, until_ns - stage.at_ns))}"
    if not stage.is_change:
        lasted = ", as before"
    elif stage.step.target in END_STATES:
        lasted = ""
    leaving = f", leaving because of {stage.exit_reason}" if stage.exit_reason else ""
    lines = lines_of(f":{stage.step.version} {since(stage.at_ns)}  {stage.step.target}{lasted}{leaving}", indent=" ")
    led = f"; :{stage.led_by.version} {stage.led_by.how}" if stage.led_by is not None else ""
    lines += lines_of(f"{stage.step.text}{led}", indent="     ")
    for command in stage.commands:
        lines += lines_of(f"-> {command}", indent="     ")
    return lines


def _fills(dossier: Dossier, since: Since) -> str:
    rows: list[dict[str, object]] = [
        {
            "filled": since(fill.ts_recv_ns),
            "order": fill.client_order_id or fill.source,
            "role": fill.role,
            "side": fill.side,
            "qty": fill.last_qty,
            "price": "not known yet" if fill.last_px is None else number(fill.last_px),
            "fees": fill.fees,
            "trade": f"{fill.trade_id}{' (late)' if fill.is_late else ''}",
        }
        for fill in dossier.fills
    ]
    # The orders above say what each is for, and the path says bought or sold.
    return fitting_table(even_columns(rows, "qty"), leave_out=("role", "side"), right=("price",)).rstrip("\n")


def _windows(dossier: Dossier, books: Books, since: Since) -> str:
    if not dossier.windows:
        return ""
    status = dossier.status
    windows = (gap.window for gap in dossier.windows)
    budget_ms = status.uncovered.budget_ms
    listed = windows_table(books, windows, budget_ms, status.at_ns, since, of_one=True)
    return f"{listed}\n{levels_text(list(dossier.levels), budget_ms)}".rstrip("\n")


def _notices(dossier: Dossier, since: Since) -> str:
    if not dossier.notices:
        return "pages     none, and no alert"
    lines = ["pages and alerts"]
    for notice in dossier.notices:
        kind = "page" if notice.is_page else "alert"
        lines += lines_of(f":{notice.version} {since(notice.ts_recv_ns)}  {kind} {notice.code}: {notice.text}", indent=" ")
    return "\n".join(lines)
