"""What kind of market it is (A7, A12): the range of the last quarter of an hour against the usual one, from the venue's own trades.

A *window* is fifteen whole minutes; the newest ends with the last whole minute. The usual range is the mean of the windows
before it, up to two hours back. Too little history, a window without any trade, or one in which trades may be missing
(`bars.BarSeries.interrupt`) gives None: a market that was not seen is of no kind. All in integers, so that the same trades
give the same answer.
"""

from typing import NamedTuple

from events.facts import MarketMode

from .bars import MINUTE_NS, Bar, BarSeries

WINDOW_NS = 15 * MINUTE_NS
WINDOWS_LEAST, WINDOWS_MOST = 4, 8
# Minutes that a series has to keep: all windows, and the minute under way.
MINUTES_KEPT = 15 * (WINDOWS_MOST + 1) + 1
# Where the newest range stands to the usual one, in thousandths; no source gives these, the order is what matters.
COMPRESSION_PERMILLE, QUIET_PERMILLE, VOLATILE_PERMILLE = 500, 800, 1_500


class Seen(NamedTuple):
    """A kind of market, and the figures that it follows from."""

    mode: MarketMode
    basis: str


def mode_of(minutes: BarSeries, now_ns: int) -> Seen | None:
    """Return the kind of market at `now_ns` from bars of one minute, None if it is not known."""
    end_ns = now_ns - now_ns % minutes.interval_ns
    windows: list[list[Bar]] = [[] for _ in range(WINDOWS_MOST + 1)]
    for bar in minutes.whole_bars(now_ns):
        index = (end_ns - 1 - bar.open_ns) // WINDOW_NS
        if index <= WINDOWS_MOST and end_ns - (index + 1) * WINDOW_NS >= minutes.whole_from_ns:
            windows[index].append(bar)
    usual = [_range(bars) for bars in windows[1:] if bars]
    total = sum(usual)
    if not windows[0] or len(usual) < WINDOWS_LEAST or not total:
        return None
    newest = _range(windows[0])
    return Seen(_mode_from(newest * 1_000 * len(usual) // total), f"range {newest} ticks in 15 min, usually {total // len(usual)}")


def _range(bars: list[Bar]) -> int:
    return max(bar.high for bar in bars) - min(bar.low for bar in bars)


def _mode_from(permille: int) -> MarketMode:
    if permille <= COMPRESSION_PERMILLE:
        return "compression"
    if permille <= QUIET_PERMILLE:
        return "quiet"
    return "volatile" if permille >= VOLATILE_PERMILLE else "normal"
