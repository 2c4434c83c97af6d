"""`holdfast orders`: every order with its life."""

import sys
from decimal import Decimal

from fsm.order import OPEN_STATUSES
from holdfast.inquiry.books import books_of, write_files
from holdfast.inquiry.digits import even_columns, places_of, price
from holdfast.inquiry.find import position_named
from holdfast.output import print_rows, table
from holdfast.times import Times, moment_from, moment_text, time_text
from holdfast.words import counted
from projections.books import Books
from projections.orders import OrderRow

from .options import AtOption, FileOption, FolderOption, Output, Settings, StoreOption, TimesOption, no_files_of_one, open_log

VIEWS = ("orders", "fills")


def command(
    position: str | None = None,
    /,
    *,
    store: StoreOption = None,
    at: AtOption = None,
    times: TimesOption = "relative",
    output: Output = "table",
    out: FolderOption = None,
    format: FileOption = "csv",
    settings: Settings = Settings(),
) -> None:
    """List the orders: what each was for, what became of it, and how fast.

    "qty" is the confirmed total. "stop" is what the venue last reported, else
    the level it was sent with. "answer" is the time to the venue's first word.
    An id begins with that of its position. With --out: orders and fills.

    Parameters
    ----------
    position:
        id of a position, its number, or how the id ends; all if none is named.
    """
    no_files_of_one(position, out)
    with open_log(store, settings) as log:
        key = position_named(log, position)[0].position_id if position is not None else None
        books = books_of(log, key)
        name = log.name
    if out is not None:
        write_files(books, VIEWS, out, format, sys.stderr.write)
        return
    rows = [row for each in sorted(books.positions) for row in books.orders.rows(books.positions[each])]
    if output != "table":
        print_rows(rows, output)
    elif rows:
        sys.stdout.write(_table(books, rows, moment_from(at, books.last_ns), times))
        still = sum(row.status in OPEN_STATUSES for row in rows)
        sys.stdout.write(f"\n{counted(len(rows), 'order')}, {still} may still fill\n")
    else:
        sys.stderr.write(f"{name}: no order yet\n")


def _table(books: Books, rows: list[OrderRow], now_ns: int, times: Times) -> str:
    lines = even_columns((_line(books, row, now_ns, times) for row in rows), "qty", "filled")
    shown = [name for name in lines[0] if any(line[name] not in (None, "") for line in lines)]
    return table(lines, shown, right=("answer", "lasted", "stop", "limit"))


def _line(books: Books, row: OrderRow, now_ns: int, times: Times) -> dict[str, object]:
    instrument = books.positions[row.position_id].instrument

    def px(value: Decimal | None) -> str:
        places = max(1, places_of(instrument.price_increment))
        return "" if value is None else f"{value:.{places}f}"

    stop = row.effective_stop if row.effective_stop is not None else row.trigger_price
    began = {"lasted": time_text(max(0, (row.ended_ns or now_ns) - row.decided_ns))}
    if times != "relative":
        began = {"decided": moment_text(row.decided_ns, now_ns, times)}
    return {
        "order": row.client_order_id,
        "role": row.role,
        "side": row.side,
        "type": row.order_type,
        "status": row.status,
        "qty": row.qty,
        "filled": row.filled_qty,
        "at": price(row.avg_px, instrument.price_increment),
        "limit": px(row.limit_price),
        "stop": px(stop) if row.role == "stop" else "",
        "answer": time_text(row.ack_latency_ns) if row.ack_latency_ns is not None else "",
        **began,
        "reason": row.reason or row.reject_class,
    }
