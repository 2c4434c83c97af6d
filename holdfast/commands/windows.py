"""`holdfast windows`: the times without protection, with causes, against the budget."""

import sys
from typing import Annotated

import msgspec
from cyclopts import Parameter

from holdfast.inquiry.books import books_of, write_files
from holdfast.inquiry.digits import even_columns
from holdfast.inquiry.exposure import budgets_ms, counted_ns
from holdfast.inquiry.find import position_named
from holdfast.output import print_rows, table
from holdfast.times import Times, moment_from, moment_text, time_text
from projections.books import Books
from projections.windows import Level, Window, levels, over_budget, rows_from

from .options import AtOption, FileOption, FolderOption, Output, Settings, StoreOption, TimesOption, no_files_of_one, open_log

VIEWS = ("windows", "unprotected")
_MS = 1_000_000


class CauseLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The service level of one cause ("all": whole windows): how many, nearest-rank percentiles, and how many past the budget."""

    cause: str
    count: int
    p50_ns: int
    p99_ns: int
    max_ns: int
    over: int


def command(
    position: str | None = None,
    /,
    *,
    summary: Annotated[bool, Parameter(name="--summary", negative="", help="Only the percentiles, for each cause.")] = False,
    store: StoreOption = None,
    at: AtOption = None,
    times: TimesOption = "iso",
    output: Output = "table",
    out: FolderOption = None,
    format: FileOption = "csv",
    settings: Settings = Settings(),
) -> None:
    """List the times in which a held quantity had no confirmed stop, with causes.

    A window belongs to a quantity; its causes follow one another. What still
    runs counts up to now. The budget is risk.unprotected_budget_ms for a whole
    window; a resting exit is uncovered by choice and has its plan's own time
    on top. -o json has a row for each segment; with --summary, for each cause.
    With --out: windows and unprotected.

    Parameters
    ----------
    position:
        id of a position, its number, or how the id ends; all if none is named.
    """
    no_files_of_one(position, out)
    with open_log(store, settings) as log:
        books = books_of(log, position_named(log, position)[0].position_id if position is not None else None)
        name = log.name
    if out is not None:
        write_files(books, VIEWS, out, format, sys.stderr.write)
        return
    now_ns = moment_from(at, books.last_ns)
    budget_ms = settings.load().config.risk.unprotected_budget_ms
    windows = list(books.windows.all())
    found = _levels(books, windows, budget_ms, now_ns)
    if output != "table":
        print_rows(found if summary else rows_from(windows), output)
        return
    if not windows:
        sys.stderr.write(f"{name}: nothing was ever unprotected\n")
        return
    if not summary:
        sys.stdout.write(_table(books, windows, budget_ms, now_ns, times) + "\n")
    sys.stdout.write(_summary(found, budget_ms))


def _levels(books: Books, windows: list[Window], budget_ms: int, now_ns: int) -> list[CauseLevel]:
    over: dict[str, int] = {}
    for window in windows:
        timing = books.positions[window.position_id].plan.timing
        over["all"] = over.get("all", 0) + (counted_ns(window, timing, now_ns) > budget_ms * _MS)
        for _, segment in over_budget((window,), budgets_ms(timing, budget_ms), now_ns):
            over[segment.cause] = over.get(segment.cause, 0) + 1
    return [_with_over(level, over.get(level.cause, 0)) for level in levels(windows, now_ns)]


def _with_over(level: Level, over: int) -> CauseLevel:
    return CauseLevel(cause=level.cause, count=level.count, p50_ns=level.p50_ns, p99_ns=level.p99_ns, max_ns=level.max_ns, over=over)


def _table(books: Books, windows: list[Window], budget_ms: int, now_ns: int, times: Times) -> str:
    rows = even_columns((_line(books, window, budget_ms, now_ns, times) for window in windows), "qty")
    return table(rows, right=("lasted",))


def _line(books: Books, window: Window, budget_ms: int, now_ns: int, times: Times) -> dict[str, object]:
    counted = counted_ns(window, books.positions[window.position_id].plan.timing, now_ns)
    causes = []
    for segment in window.segments:
        length_ns = max(0, (now_ns if segment.to_ns is None else segment.to_ns) - segment.from_ns)
        causes.append(f"{segment.cause} {time_text(length_ns)}" if len(window.segments) > 1 else segment.cause)
    return {
        "position": window.position_id,
        "window": window.number,
        "since": moment_text(window.opened_ns, now_ns, times),
        "qty": window.qty,
        "lasted": time_text(window.duration_ns(now_ns)),
        "budget": "OVER" if counted > budget_ms * _MS else "",
        "ended by": window.ended_by or "still runs",
        "causes": ", ".join(causes),
    }


def _summary(found: list[CauseLevel], budget_ms: int) -> str:
    rows = [
        {
            "cause": "all windows" if level.cause == "all" else level.cause,
            "count": level.count,
            "p50": time_text(level.p50_ns),
            "p99": time_text(level.p99_ns),
            "max": time_text(level.max_ns),
            "over budget": level.over,
        }
        for level in found
    ]
    kept = next((level for level in found if level.cause == "all"), None)
    share = f"; {kept.count - kept.over} of {kept.count} windows within it" if kept is not None else ""
    return table(rows, right=("p50", "p99", "max")) + f"\nbudget {time_text(budget_ms * _MS)}{share}\n"


