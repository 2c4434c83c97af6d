"""Trades for the simulated venue: from files of what really happened (`tick_formats.py`), or seeded (`market.py`).

What a file must be:

- every price and quantity is a plain decimal number above zero;
- time does not run backwards. Trade streams of one market do not: none of the 137,889 market trades of the recorded
  sessions that this was written against is earlier than the one before it. Where it happens, the file was put together
  from several, or is broken, and stops at that line;
- the time is the exchange's, not the recorder's, whose clock may be behind it.

Which kind of file it is, is told by its first bytes, not by its name. Everything is read as it is asked for, in flat memory.
"""

import gzip
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain
from pathlib import Path

from events.errors import BadInput, NotFound
from events.values import positive_decimal_from

from .market import seeded_ticks
from .tick_formats import Found, RawTrade, TakerSide, Tick, is_session_line, lines_of, parquet_trades, session_trades, table_trades

__all__ = ["Tick", "TickSummary", "describe", "read_ticks", "seeded_ticks", "summary_of"]

_REMEDY = "give a recorded session (.gz), a Parquet file of trades, or CSV of time, price, quantity"
_END_OF_TIME_NS = 1 << 63
BPS = 10_000


@dataclass(frozen=True)
class TickSummary:
    """What a run of ticks is like. `price_increment` and `size_increment` are the coarsest decimal grids that hold every value.

    `max_rise_bps` is the largest rise from any price to a later one, `max_fall_bps` the largest fall, both rounded down.
    `skipped` counts what was well formed but not of this market, by reason.
    """

    symbol: str
    count: int
    start_ns: int
    end_ns: int
    first_px: Decimal
    last_px: Decimal
    min_px: Decimal
    max_px: Decimal
    max_rise_bps: int
    max_fall_bps: int
    longest_silence_ns: int
    price_increment: Decimal
    size_increment: Decimal
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def duration_ns(self) -> int:
        return self.end_ns - self.start_ns


def read_ticks(path: str | Path, symbol: str | None = None) -> Iterator[Tick]:
    """Yield the trades of one market in `path`, in order of time, at least one.

    A file of several markets gives the trades of `symbol`; without it, a session gives those of its first trade's symbol, a
    Parquet file those of its largest market. Where the file does not say who took liquidity, a price above the one before
    was bought and one below was sold, and an equal one as before it (the tick rule).

    Raises:
        NotFound: there is no such file.
        BadInput: the file cannot be used; the sentence names the line. Ticks before it have been given by then.
    """
    return _ticks(Path(path), Found(symbol))


def describe(path: str | Path, symbol: str | None = None) -> TickSummary:
    """Read all of `path` and return what is in it. Raises what `read_ticks` raises."""
    found = Found(symbol)
    summary = summary_of(_ticks(Path(path), found))
    return replace(summary, symbol=found.symbol or _symbol_in(Path(path).name), skipped=dict(sorted(found.skipped.items())))


def summary_of(ticks: Iterable[Tick]) -> TickSummary:
    """Return what `ticks`, at least one, are like. An endless market is to be cut first (`itertools.islice`)."""
    iterator = iter(ticks)
    first = last = next(iterator)
    low = high = first.px
    rise = fall = Decimal(0)
    silence_ns, count = 0, 0
    price_digits, size_digits = 0, 0
    for tick in chain((first,), iterator):
        count += 1
        px = tick.px
        low, high = min(low, px), max(high, px)
        rise, fall = max(rise, px / low), max(fall, 1 - px / high)
        silence_ns = max(silence_ns, tick.ts_event_ns - last.ts_event_ns)
        price_digits = max(price_digits, _digits(px))
        size_digits = max(size_digits, _digits(tick.qty))
        last = tick
    return TickSummary(
        symbol="",
        count=count,
        start_ns=first.ts_event_ns,
        end_ns=last.ts_event_ns,
        first_px=first.px,
        last_px=last.px,
        min_px=low,
        max_px=high,
        max_rise_bps=int((rise - 1) * BPS),
        max_fall_bps=int(fall * BPS),
        longest_silence_ns=silence_ns,
        price_increment=Decimal(1).scaleb(-price_digits),
        size_increment=Decimal(1).scaleb(-size_digits),
    )


def _ticks(path: Path, found: Found) -> Iterator[Tick]:
    """Check what every kind of file has in common, and name the side where the file does not."""
    last_ns, last_px = -1, Decimal(0)
    last_side: TakerSide = "buy"
    for place, ts_event_ns, px_text, qty_text, side in _raw_trades(path, found):
        px = positive_decimal_from(px_text, f"{place} price")
        qty = positive_decimal_from(qty_text, f"{place} quantity")
        if not 0 <= ts_event_ns < _END_OF_TIME_NS:
            raise BadInput(f"{place} time", f"{ts_event_ns} ns is not a time after 1970", "give a number since 1970, or ISO 8601")
        if ts_event_ns < last_ns:
            back_ns = last_ns - ts_event_ns
            remedy = "sort the file by time, or give the trades of one market"
            raise BadInput(place, f"time runs backwards by {back_ns / 1e9:.6f} s", remedy)
        if side is None:
            side = last_side if px == last_px else "buy" if px > last_px else "sell"
        last_ns, last_px, last_side = ts_event_ns, px, side
        yield Tick(ts_event_ns, px, qty, side)
    if last_ns < 0:
        of_symbol = f" of {found.symbol}; it has {', '.join(sorted(found.others))}" if found.symbol and found.others else ""
        raise BadInput(str(path), f"holds no trades{of_symbol}", _REMEDY)


def _raw_trades(path: Path, found: Found) -> Iterator[RawTrade]:
    with _opened(path) as stream:
        magic = stream.peek(4)[:4]
        if magic == b"PAR1":
            yield from parquet_trades(path, found)
            return
        if magic[:2] == b"\x1f\x8b":
            # A reader of its own: GzipFile.readline without a buffer around it is four times slower.
            text: io.BufferedReader = io.BufferedReader(gzip.GzipFile(fileobj=stream))
        else:
            text = stream
        lines = lines_of(path, text)
        first = next(lines, None)
        if first is None:
            raise BadInput(str(path), "is empty", _REMEDY)
        whole = chain((first,), lines)
        yield from session_trades(whole, found) if is_session_line(first[1]) else table_trades(whole)


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file. Raises NotFound, or BadInput where it is a directory or may not be read."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise NotFound("tick file", str(path), _REMEDY) from None
    except IsADirectoryError:
        raise BadInput(str(path), "is a directory", _REMEDY) from None
    except (OSError, ValueError) as problem:
        raise BadInput(str(path), f"cannot be opened ({problem})", "give a file that you may read") from None
    with stream:
        yield stream


def _digits(value: Decimal) -> int:
    """Return how many digits after the point a value needs."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _symbol_in(name: str) -> str:
    """Return a symbol that a file's name starts with ("BTCUSDT-trades-2024-08-08.csv", "btc_usdt.csv"), or ""."""
    matched = re.match(r"[A-Za-z0-9]{2,10}?[-_]?(?:USDT|USDC|USD|EUR|BTC)(?=[^A-Za-z]|$)", name, re.IGNORECASE)
    return matched[0].upper() if matched else ""
