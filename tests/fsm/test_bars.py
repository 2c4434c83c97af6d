"""Bars from trades: against the exchange's own bars of that day, and what counts as too little."""

import csv
import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from fsm.bars import MINUTE_NS, Bar, BarSeries
from venues.simulated.ticks import read_ticks

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CENT, SATOSHI = Decimal("0.01"), Decimal("0.00000001")


def exchange_bars(day: str) -> Iterator[tuple[int, Bar]]:
    with gzip.open(SHARED / "ohlcv" / f"BTCUSDT-1m-{day}.csv.gz", "rt") as lines:
        for row in csv.reader(lines):
            if row[0].isdigit():
                open_ns = int(row[0]) * 1_000_000
                first, high, low, last = (int(Decimal(cell) / CENT) for cell in row[1:5])
                yield open_ns, Bar(open_ns, first, high, low, last, int(row[8]), int(Decimal(row[5]) / SATOSHI))


@pytest.mark.skipif(not SHARED.exists(), reason="the recorded sessions of ../shared/data are not here")
@pytest.mark.parametrize(
    ("session", "days", "minutes"),
    [("spot_btcusdt_20230405.dat.gz", ["2023-04-05"], 6), ("spot_btcusdt_20240808.gz", ["2024-08-08", "2024-08-09"], 5)],
)
def test_whole_minutes_of_a_recording_equal_the_bars_of_the_exchange(session: str, days: list[str], minutes: int) -> None:
    series = BarSeries(MINUTE_NS)
    last_ns = 0
    for tick in read_ticks(SHARED / "ws" / session):
        series.take(tick.ts_event_ns, int(tick.px / CENT), int(tick.qty / SATOSHI))
        last_ns = tick.ts_event_ns
    expected = {open_ns: bar for day in days for open_ns, bar in exchange_bars(day)}
    bars = series.whole_bars(last_ns)
    assert len(bars) == minutes
    assert [expected[bar.open_ns] for bar in bars] == list(bars)


def series_of(*ranges: tuple[int, int, int], interval_ns: int = 100) -> BarSeries:
    """Make a series from (number of the interval, low, high); an interval before them makes the first one whole."""
    series = BarSeries(interval_ns)
    series.take(0, 1_000, 1)
    for number, low, high in ranges:
        series.take(number * interval_ns, low, 1)
        series.take(number * interval_ns + 1, high, 1)
    return series


def test_the_bar_in_which_the_series_begins_is_not_whole() -> None:
    assert [bar.open_ns for bar in series_of((1, 10, 20), (2, 10, 20)).whole_bars(250)] == [100]


def test_a_bar_ends_with_its_time_even_if_no_trade_follows() -> None:
    assert [bar.open_ns for bar in series_of((1, 10, 20), (2, 10, 20)).whole_bars(300)] == [100, 200]


def test_a_bar_in_which_trades_were_lost_is_not_whole() -> None:
    series = series_of((1, 10, 20), (2, 10, 20))
    series.interrupt(until_ns=305)
    series.take(350, 15, 1)
    series.take(400, 15, 1)
    series.take(500, 15, 1)
    assert [bar.open_ns for bar in series.whole_bars(500)] == [100, 400]


def test_a_trade_from_before_the_open_bar_is_counted_and_left_out() -> None:
    series = series_of((1, 10, 20), (2, 10, 20))
    series.take(150, 5_000, 1)
    assert series.late_count == 1
    assert series.whole_bars(300)[0].high == 20


def test_true_range_reaches_back_to_the_last_close() -> None:
    series = series_of((1, 990, 1_000), (2, 1_010, 1_020), (3, 1_000, 1_000))
    assert series.atr_bps(400, periods=3) is not None
    # 10, then 1020 - 1000 = 20, then 1020 - 1000 = 20: mean 16.67 of the last close 1000
    assert series.atr_bps(400, periods=3) == 167


def test_a_jump_over_a_silent_interval_is_no_range() -> None:
    assert series_of((1, 990, 1_000), (3, 2_000, 2_020)).atr_bps(400, periods=2) == 75  # (10 + 20) / 2 of 2020, rounded up


def test_too_little_history_gives_none() -> None:
    assert BarSeries().atr_bps(0) is None
    assert series_of((1, 990, 1_000), (2, 990, 1_000)).atr_bps(300, periods=3) is None


def test_history_that_is_too_old_gives_none() -> None:
    series = series_of((1, 990, 1_000), (2, 990, 1_000))
    assert series.atr_bps(300, periods=2) == 100
    assert series.atr_bps(700, periods=2) is None


def test_a_session_of_a_day_gives_an_atr() -> None:
    if not SHARED.exists():
        pytest.skip("the recorded sessions of ../shared/data are not here")
    series = BarSeries()
    last_ns = 0
    for tick in read_ticks(SHARED / "ws" / "spot_nexousdt_20240724.dat.gz"):
        series.take(tick.ts_event_ns, int(tick.px / Decimal("0.001")), 1)
        last_ns = tick.ts_event_ns
    assert len(series.whole_bars(last_ns)) == 28
    assert series.atr_bps(last_ns) == 60
