"""`holdfast positions`: one row per position."""

import sys
from decimal import Decimal
from typing import Annotated

from cyclopts import Parameter

from holdfast.inquiry.books import books_of, write_files
from holdfast.inquiry.digits import even_columns, money, price
from holdfast.output import print_rows, table
from holdfast.times import Times, moment_from, moment_text, time_text
from holdfast.words import counted
from projections.books import Books
from projections.fills import END_STATES
from projections.positions import PositionRow

from .options import AtOption, FileOption, FolderOption, Output, Settings, StoreOption, TimesOption, open_log

VIEWS = ("positions", "pnl", "exits")


def command(
    *,
    open_only: Annotated[bool, Parameter(name="--open", negative="--all", help="Only positions that have not ended, or all.")] = False,
    store: StoreOption = None,
    at: AtOption = None,
    times: TimesOption = "relative",
    output: Output = "table",
    out: FolderOption = None,
    format: FileOption = "csv",
    settings: Settings = Settings(),
) -> None:
    """List the positions: what is held and covered, prices, profit, state.

    "covered" is what a live stop at the venue protects, by confirmed evidence.
    "pnl" is realized, net of fees. "lasted" counts from the request to the
    end, or to now. "uncovered" is the longest time without protection.
    With --out: positions, pnl and exits as files.
    """
    with open_log(store, settings) as log:
        books = books_of(log)
        name = log.name
    if out is not None:
        write_files(books, VIEWS, out, format, sys.stderr.write)
        return
    rows = [books.position_row(key) for key in sorted(books.positions)]
    if open_only:
        rows = [row for row in rows if row.state not in END_STATES]
    if output != "table":
        print_rows(rows, output)
    elif rows:
        now_ns = moment_from(at, books.last_ns)
        sys.stdout.write(_table(books, rows, now_ns, times) + "\n" + _sums(rows))
    else:
        sys.stderr.write(f"{name}: {'no position is open' if open_only else 'no position yet'}\n")


def _table(books: Books, rows: list[PositionRow], now_ns: int, times: Times) -> str:
    lines = even_columns((_line(books, row, now_ns, times) for row in rows), "qty", "held", "covered")
    symbols = {row.symbol for row in rows}
    shown = [name for name in lines[0] if len(symbols) > 1 or name != "symbol"]
    shown = [name for name in shown if any(line[name] is not None for line in lines)]
    return table(lines, shown, right=("lasted", "uncovered"))


def _line(books: Books, row: PositionRow, now_ns: int, times: Times) -> dict[str, object]:
    instrument = books.positions[row.position_id].instrument
    is_over = row.state in END_STATES
    longest_ns = max((w.duration_ns(now_ns) for w in books.windows.of(row.position_id)), default=0)
    began = {"lasted": time_text(max(0, (row.closed_ns or now_ns) - row.requested_ns))}
    if times != "relative":
        began = {"asked for": moment_text(row.requested_ns, now_ns, times)}
    return {
        "position": row.position_id,
        "symbol": row.symbol,
        "side": row.side,
        "qty": row.plan_qty,
        "held": None if is_over else row.qty.copy_abs(),
        "covered": None if is_over else row.protected_qty,
        "entry": price(row.avg_entry_px, instrument.price_increment),
        "exit": price(row.avg_exit_px, instrument.price_increment),
        "pnl": money(row.realized_pnl, row.quote),
        "state": f"{row.state} by {row.exit_path}" if row.state == "Closed" and row.exit_path else row.state,
        **began,
        "uncovered": time_text(longest_ns) if longest_ns else "",
    }


def _sums(rows: list[PositionRow]) -> str:
    """Return one sentence: how many, of which symbols, and what they made per quote asset."""
    live = [row for row in rows if row.state not in END_STATES]
    made: dict[str, Decimal] = {}
    for row in rows:
        made[row.quote] = made.get(row.quote, Decimal(0)) + row.realized_pnl
    sums = ", ".join(f"{money(pnl, quote):+f} {quote}" for quote, pnl in sorted(made.items()))
    symbols = ", ".join(sorted({row.symbol for row in rows}))
    pending = sum(row.is_price_pending for row in rows)
    late = f"; the price of a fill of {pending} is not known yet" if pending else ""
    return f"{counted(len(rows), 'position')} of {symbols}, {len(live)} open; realized {sums}{late}\n"
