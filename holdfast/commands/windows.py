"""`holdfast windows`: the times without protection, with causes, against the budget."""

import sys
from functools import partial
from typing import Annotated

from cyclopts import Parameter

from events.errors import Unprotected
from holdfast.inquiry.books import books_of, write_files
from holdfast.inquiry.find import position_named
from holdfast.inquiry.protection import cause_levels, levels_text, windows_table
from holdfast.output import print_rows
from holdfast.times import moment_from, moment_text
from projections.windows import rows_from

from .options import AtOption, FileOption, FolderOption, Output, Settings, StoreOption, TimesOption, no_files_of_one, open_log

VIEWS = ("windows", "unprotected")


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
) -> int:
    """List the times in which a held quantity had no confirmed stop, with causes.

    A window belongs to a quantity; its causes follow one another. What still
    runs counts up to now. The budget is risk.unprotected_budget_ms for a whole
    window; a resting exit is uncovered by choice and has its plan's own time
    on top. Ends with 7 if a window is or was longer, in whatever way the data
    is written. -o json has a row for each segment; with --summary, for each
    cause. With --out: windows and unprotected.

    Parameters
    ----------
    position:
        id of a position, its number, or how the id ends; all if none is named.
    """
    no_files_of_one(position, out)
    budget_ms = settings.load().config.risk.unprotected_budget_ms
    with open_log(store, settings) as log:
        books = books_of(log, position_named(log, position)[0].position_id if position is not None else None)
        name = log.name
    now_ns = moment_from(at, books.last_ns)
    windows = list(books.windows.all())
    found = cause_levels(books, windows, budget_ms, now_ns)
    if out is not None:
        write_files(books, VIEWS, out, format, sys.stderr.write)
    elif output != "table":
        print_rows(found if summary else rows_from(windows), output)
    elif not windows:
        sys.stderr.write(f"{name}: nothing was ever unprotected\n")
    else:
        if not summary:
            since = partial(moment_text, now_ns=now_ns, times=times)
            sys.stdout.write(windows_table(books, windows, budget_ms, now_ns, since) + "\n")
        sys.stdout.write(levels_text(found, budget_ms))
    return Unprotected.exit_code if any(level.over for level in found if level.cause == "all") else 0
