"""The three ways in which files hold trades: recorded sessions, tables of text, Parquet.

Each reader yields a `RawTrade` for each trade of one market, in file order, with prices as the file writes them. What is
well formed but no trade of that market is counted in `skipped`; what is broken raises BadInput with its line or row.
"""

import csv
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec

from events.errors import BadInput
from events.values import decimal_from

TakerSide = Literal["buy", "sell"]

# The longest depth frame in a recorded session is 60 kB. A longer "line" is another kind of file.
MAX_LINE_BYTES = 8 << 20


class Tick(NamedTuple):
    """One public trade: when the exchange made it (UTC ns), at what price, how much, and who took liquidity."""

    ts_event_ns: int
    px: Decimal
    qty: Decimal
    taker_side: TakerSide


class RawTrade(NamedTuple):
    """One trade as written. `place` is "file:line"; `taker_side` is None where the file does not say."""

    place: str
    ts_event_ns: int
    px: str
    qty: str
    taker_side: TakerSide | None


class Found:
    """What a reader learns on its way: the `symbol` that it follows ("" if the file names none), and what it left out."""

    def __init__(self, symbol: str | None) -> None:
        self.symbol = symbol or ""
        self.skipped: Counter[str] = Counter()
        self.others: set[str] = set()

    def follows(self, symbol: str) -> bool:
        """Tell whether a trade of `symbol` belongs to the market that is read: the one asked for, else the first one seen."""
        self.symbol = self.symbol or symbol
        if symbol.upper() == self.symbol.upper():
            return True
        self.others.add(symbol)
        self.skipped["other_symbol"] += 1
        return False


def lines_of(path: Path, stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield (place, line without its end). Raises BadInput where a compressed stream ends early or a line has no end."""
    number = 0
    while True:
        number += 1
        place = f"{path}:{number}"
        try:
            line = stream.readline(MAX_LINE_BYTES)
        except EOFError:
            raise BadInput(place, "the compressed file ends in the middle", "copy it again, whole") from None
        except (OSError, zlib.error) as problem:
            raise BadInput(place, f"cannot be decompressed or read ({problem})", "copy it again, whole") from None
        if not line:
            return
        if len(line) == MAX_LINE_BYTES:
            raise BadInput(place, f"a line of more than {MAX_LINE_BYTES} bytes", "give a file of trades, one a line")
        yield place, line.rstrip(b"\r\n")


def ns_from_epoch(number: Decimal) -> int:
    """Return nanoseconds from seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size.

    The bounds are the year 5138 read as seconds, and 1973 read as each of the others.
    """
    for limit, factor in ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3)):
        if number < limit:
            return int(number * factor)
    return int(number)


# --- recorded sessions: `<receive time> <frame as it arrived>` --------------------------------------------------------


class _Frame(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    e: str = ""


class _Trade(msgspec.Struct):
    T: int
    p: str
    q: str
    m: bool
    s: str = ""
    e: str = "trade"
    X: str = "MARKET"


_frame_decoder = msgspec.json.Decoder(_Frame)
_trade_decoder = msgspec.json.Decoder(_Trade)
_SESSION_LINE = re.compile(rb"(\d{13,20}) (.*)", re.DOTALL)


def is_session_line(line: bytes) -> bool:
    """Tell whether `line` is of a recorded session rather than of a table."""
    return _SESSION_LINE.fullmatch(line) is not None


def session_trades(lines: Iterable[tuple[str, bytes]], found: Found) -> Iterator[RawTrade]:
    """Yield the trades of a recorded Binance session, by their trade time `T` (not by the time they were received).

    `m` true means that the buyer was resting. Prints whose `X` is not MARKET (insurance fund, NA) did not come from the
    order book and lie off the market; they are counted as `off_market`. Frames of other streams are `other_stream`, texts that
    are no JSON object (a venue's "pong") `not_json`.
    """
    for place, line in lines:
        matched = _SESSION_LINE.fullmatch(line)
        if matched is None:
            raise BadInput(place, f"{_quoted(line)} is not '<receive time> <frame>'", "cut the line out, or record the session again")
        frame = matched[2]
        if not frame.startswith(b"{"):
            found.skipped["not_json"] += 1
            continue
        try:
            header = _frame_decoder.decode(frame)
            if header.e != "trade" and not header.stream.endswith("@trade"):
                found.skipped["other_stream"] += 1
                continue
            trade = _trade_decoder.decode(header.data or frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
            raise BadInput(place, f"the frame cannot be read ({problem})", "cut the line out, or record the session again") from None
        if trade.X != "MARKET":
            found.skipped["off_market"] += 1
        elif found.follows(trade.s):
            yield RawTrade(place, ns_from_epoch(Decimal(trade.T)), trade.p, trade.q, "sell" if trade.m else "buy")


# --- tables: columns by name where there is a header, else time, price, quantity, side --------------------------------

# Names in lower case, best first. The exchange's time comes before the time at which somebody received the trade.
_NAMES: dict[str, tuple[str, ...]] = {
    "time": (
        "trade_ms", "ts_event_ns", "ts_event", "trade_time", "time", "timestamp", "ts", "t", "date", "datetime", "event_ms", "recv_ns",
    ),
    "price": ("price", "px", "last_px", "last", "p"),
    "quantity": ("quantity", "qty", "last_qty", "amount", "size", "volume", "q"),
    "side": ("taker_side", "side", "aggressor_side"),
    "maker": ("buyer_is_maker", "is_buyer_maker", "m"),
}  # fmt: skip
_REQUIRED = ("time", "price", "quantity")
_SIDES: dict[str, dict[str, TakerSide]] = {
    "side": {"buy": "buy", "b": "buy", "bid": "buy", "sell": "sell", "s": "sell", "ask": "sell", "a": "sell"},
    "maker": {"true": "sell", "1": "sell", "false": "buy", "0": "buy"},  # the buyer was the maker: then the seller took
}


_FRACTION = re.compile(r"\.(\d{1,9})")


def table_trades(lines: Iterator[tuple[str, bytes]]) -> Iterator[RawTrade]:
    """Yield the trades of a table of text. Columns are separated by commas, semicolons, tabs or blanks, told by the first line."""
    columns: dict[str, int] = {}
    separator = ","
    for place, line in lines:
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8-sig")
            if not text:
                continue
            if not columns:
                separator = next((s for s in ",;\t " if s in text), ",")
            cells = [cell.strip() for cell in next(csv.reader([text], delimiter=separator))]
        except (UnicodeDecodeError, csv.Error, StopIteration):
            raise BadInput(place, f"{_quoted(line)} is not a line of text", "give time, price, quantity on each line") from None
        if columns:
            yield _trade_from(place, {kind: cells[at] for kind, at in columns.items() if at < len(cells)})
        elif cells[0][:1].isdigit() or cells[0][:1] in ("+", "-", "."):
            if len(cells) > 4:
                raise BadInput(place, f"{len(cells)} columns without a header", "name the columns time, price, quantity in the first line")
            columns = {"time": 0, "price": 1, "quantity": 2, "side": 3}
            yield _trade_from(place, {kind: cells[at] for kind, at in columns.items() if at < len(cells)})
        else:
            columns = _columns(place, cells)


def _columns(place: str, names: Sequence[str]) -> dict[str, int]:
    """Return the position of each kind of column. Raises BadInput where a needed one is missing."""
    lower = [name.lower() for name in names]
    found = {kind: next((lower.index(name) for name in known if name in lower), -1) for kind, known in _NAMES.items()}
    missing = [kind for kind in _REQUIRED if found[kind] < 0]
    if missing:
        problem = f"no column for {' and '.join(missing)} in {', '.join(names)[:80]!r}"
        raise BadInput(place, problem, "name the columns time, price, quantity")
    return {kind: at for kind, at in found.items() if at >= 0}


def _trade_from(place: str, cells: dict[str, str]) -> RawTrade:
    missing = [kind for kind in _REQUIRED if not cells.get(kind)]
    if missing:
        raise BadInput(place, f"no {' and no '.join(missing)}", "complete the line, or cut it out")
    taker_side: TakerSide | None = None
    for kind, meanings in _SIDES.items():
        if written := cells.get(kind, "").lower():
            if written not in meanings:
                raise BadInput(place, f"{written[:20]!r} is not a side", f"write one of {', '.join(meanings)}")
            taker_side = meanings[written]
            break
    return RawTrade(place, _ns_from_text(place, cells["time"]), cells["price"], cells["quantity"], taker_side)


def _ns_from_text(place: str, text: str) -> int:
    """Return nanoseconds from a number since 1970 or an ISO 8601 text; a text without zone is UTC."""
    if "-" not in text[1:] and ":" not in text:
        return ns_from_epoch(decimal_from(text, f"{place} time"))
    fraction = _FRACTION.search(text)
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    except ValueError:
        raise BadInput(f"{place} time", f"{text[:40]!r} is not a time", "write 2024-08-08T23:54:15.030Z, or a number since 1970") from None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds * 10**9 + (int(fraction[1].ljust(9, "0")) if fraction else 0)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def parquet_trades(path: Path, found: Found) -> Iterator[RawTrade]:
    """Yield the trades of a Parquet table, in its order, a batch at a time.

    Columns are known by the same names as in a table of text. Where it holds several markets (columns `file`, `venue`,
    `symbol`), the one with the most trades is read, or the largest of the symbol asked for. Needs pyarrow.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        problem = "reading Parquet needs pyarrow, which is not installed"
        raise BadInput(str(path), problem, "install holdfast[data], or give a .gz or CSV file") from None
    try:
        table = parquet.ParquetFile(path)
        names = list(table.schema_arrow.names)
        wanted = {kind: names[at] for kind, at in _columns(str(path), names).items()} | ({"off_market": "X"} if "X" in names else {})
        market_columns = [name for name in ("file", "venue", "symbol") if name in names]
        market = _largest_market(table, market_columns, found)
        number = 0
        for batch in table.iter_batches(columns=[*dict.fromkeys([*wanted.values(), *market_columns])]):
            texts = {kind: _texts(batch.column(name), arrow) for kind, name in wanted.items()}
            markets = [batch.column(name).to_pylist() for name in market_columns]
            for at in range(batch.num_rows):
                number += 1
                if tuple(column[at] for column in markets) != market:
                    found.skipped["other_market"] += 1
                    continue
                cells = {kind: column[at] for kind, column in texts.items()}
                if cells.get("off_market", "") not in ("", "MARKET"):
                    found.skipped["off_market"] += 1
                    continue
                yield _trade_from(f"{path}: row {number}", cells)
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as failure:
        said = str(failure).partition("\n")[0][:120]
        raise BadInput(str(path), f"cannot be read as Parquet ({said})", "write it again, or give a .gz or CSV file") from None


def _largest_market(table: Any, market_columns: list[str], found: Found) -> tuple[str, ...]:
    if not market_columns:
        return ()
    sizes: Counter[tuple[str, ...]] = Counter()
    for batch in table.iter_batches(columns=market_columns):
        sizes.update(zip(*(batch.column(name).to_pylist() for name in market_columns), strict=True))
    has_symbol = market_columns[-1] == "symbol"
    if has_symbol:
        found.others.update(str(key[-1]) for key in sizes)
        if found.symbol:
            sizes = Counter({key: size for key, size in sizes.items() if str(key[-1]).upper() == found.symbol.upper()})
    # The first of the largest: Counter keeps the order in which the file has them.
    best = max(sizes, key=lambda key: sizes[key], default=())
    if has_symbol and best:
        found.symbol = str(best[-1])
    return best


def _texts(column: Any, arrow: Any) -> list[str]:
    """Return a column as texts, "" for null. Times of any unit become nanoseconds since 1970."""
    if arrow.types.is_timestamp(column.type):
        column = column.cast(arrow.timestamp("ns", column.type.tz)).cast(arrow.int64())
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _quoted(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", "replace"))
