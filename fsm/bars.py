"""Bars of one symbol from the venue's own trades, and the average true range of them (A12).

A bar is one interval of exchange time, aligned to the epoch: `[n * interval, (n + 1) * interval)`. Rules:

- An interval without trades has no bar: no price is invented. The range of its neighbours stands for itself.
- A bar is *whole* if no trade of its interval can be missing: the bar in which the series began, and the one in which trades
  were lost (`interrupt`), are not whole. Only whole bars are given out.
- The true range of a bar reaches back to the last close only where the bar before it is whole and adjoins it: a jump over an
  outage is no volatility of fifteen minutes.
- Bars of an earlier life of the process may be recalled (`recall`): they were whole then, and what traded between the lives is a gap
  like any other. The bar in which the new life begins is not whole.
- Too little history gives None, never a guess.

Prices are ticks, quantities lots, time UTC nanoseconds.
"""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

MINUTE_NS = 60 * 1_000_000_000
ATR_INTERVAL_NS = 15 * MINUTE_NS
# Wilder's period. The mean is a plain one and not his smoothed one, so that the same bars give the same figure whenever the
# engine was started.
ATR_PERIODS = 14


class Bar(NamedTuple):
    """Open, high, low and close in ticks, number of trades, volume in lots, of the interval that begins at `open_ns`."""

    open_ns: int
    open: int
    high: int
    low: int
    close: int
    trade_count: int
    volume_lots: int


class _OpenBar:
    """The bar under way: every trade changes it, so it is not made anew for each."""

    __slots__ = ("close", "high", "low", "open", "open_ns", "trade_count", "volume_lots")

    def __init__(self, open_ns: int, px_ticks: int, qty_lots: int) -> None:
        self.open_ns = open_ns
        self.open = self.high = self.low = self.close = px_ticks
        self.trade_count, self.volume_lots = 1, qty_lots

    def take(self, px_ticks: int, qty_lots: int) -> None:
        """Add one trade."""
        if px_ticks > self.high:
            self.high = px_ticks
        elif px_ticks < self.low:
            self.low = px_ticks
        self.close = px_ticks
        self.trade_count += 1
        self.volume_lots += qty_lots

    def closed(self) -> Bar:
        """Return the bar as it stands."""
        return Bar(self.open_ns, self.open, self.high, self.low, self.close, self.trade_count, self.volume_lots)


class BarSeries:
    """The newest whole bars of one symbol. `late_count` counts trades that came after their bar had closed and were left out."""

    def __init__(self, interval_ns: int = ATR_INTERVAL_NS, keep: int = 2 * ATR_PERIODS) -> None:
        assert interval_ns > 0
        assert keep > 0
        self.interval_ns = interval_ns
        self.late_count = 0
        self._closed: deque[Bar] = deque(maxlen=keep)
        self._open: _OpenBar | None = None
        self._whole_from_ns = 0

    def take(self, ts_event_ns: int, px_ticks: int, qty_lots: int) -> None:
        """Take one trade, in the order of the venue. A trade from before the open bar is counted and left out."""
        open_ns = ts_event_ns - ts_event_ns % self.interval_ns
        bar = self._open
        if bar is not None and open_ns < bar.open_ns:
            self.late_count += 1
            return
        if bar is not None and open_ns == bar.open_ns:
            bar.take(px_ticks, qty_lots)
            return
        if bar is None:
            self._whole_from_ns = max(self._whole_from_ns, ts_event_ns + 1)
        elif bar.open_ns >= self._whole_from_ns:
            self._closed.append(bar.closed())
        if bar is None and self._closed and open_ns <= self._closed[-1].open_ns:
            # A clock that went back: what was recalled would lie ahead of what trades.
            self._closed.clear()
        self._open = _OpenBar(open_ns, px_ticks, qty_lots)

    def recall(self, bars: Iterable[Bar]) -> bool:
        """Take whole bars of before the first trade; False, and nothing is taken, if they are none that this series could have made."""
        given = tuple(bars)
        if self._open is not None or self._closed or not all(self._could_make(bar) for bar in given):
            return False
        if any(later.open_ns <= bar.open_ns for bar, later in pairwise(given)):
            return False
        self._closed.extend(given)
        return True

    def _could_make(self, bar: Bar) -> bool:
        is_one = bar.open_ns > 0 and bar.open_ns % self.interval_ns == 0 and bar.trade_count > 0 and bar.volume_lots >= 0
        return is_one and 0 < bar.low <= min(bar.open, bar.close) and max(bar.open, bar.close) <= bar.high

    @property
    def closed_bars(self) -> tuple[Bar, ...]:
        """The whole bars behind which the venue has traded: no trade of theirs is still under way."""
        return tuple(self._closed)

    @property
    def newest_open_ns(self) -> int:
        """When the bar under way began, 0 before the first trade."""
        return 0 if self._open is None else self._open.open_ns

    @property
    def whole_from_ns(self) -> int:
        """From when on no trade can be missing, as far as is known."""
        return self._whole_from_ns

    def interrupt(self, until_ns: int) -> None:
        """Say that trades may have been missed until `until_ns`: the bar under way and those that begin before then are not whole."""
        self._whole_from_ns = max(self._whole_from_ns, until_ns)

    def whole_bars(self, now_ns: int) -> tuple[Bar, ...]:
        """Return the whole bars that have ended by `now_ns`, oldest first, at most `keep`."""
        bar = self._open
        if bar is None or bar.open_ns < self._whole_from_ns or bar.open_ns + self.interval_ns > now_ns:
            return tuple(self._closed)
        return (*self._closed, bar.closed())

    def atr_bps(self, now_ns: int, periods: int = ATR_PERIODS) -> int | None:
        """Return the mean true range of the last `periods` whole bars, in bps of the last close, rounded up.

        None if there are not that many, or the oldest of them began more than twice as many intervals ago: what is older
        says nothing about now.
        """
        bars = self.whole_bars(now_ns)
        used = bars[-periods:]
        if len(used) < periods or used[0].open_ns < now_ns - (2 * periods + 1) * self.interval_ns:
            return None
        before = (bars[-periods - 1] if len(bars) > periods else None, *used[:-1])
        total = sum(self._true_range(bar, previous) for bar, previous in zip(used, before, strict=True))
        return -(-total * 10_000 // (periods * used[-1].close))

    def _true_range(self, bar: Bar, previous: Bar | None) -> int:
        if previous is None or previous.open_ns + self.interval_ns != bar.open_ns:
            return bar.high - bar.low
        return max(bar.high, previous.close) - min(bar.low, previous.close)
