"""The seeded market: the same on every machine, exact, and lively enough for every exit path."""

from decimal import Decimal
from itertools import islice, takewhile

import pytest

from events.errors import BadInput, OffGrid
from venues.simulated.ticks import seeded_ticks, summary_of

START = Decimal("61800.0")


def test_a_seed_gives_the_same_trades_on_every_machine() -> None:
    # Written down once: a change here is another market for everybody who noted a seed.
    assert [(t.ts_event_ns, str(t.px), str(t.qty), t.taker_side) for t in islice(seeded_ticks(7, START, 0), 0, 1001, 250)] == GOLDEN


def test_another_seed_gives_another_market() -> None:
    assert list(islice(seeded_ticks(1, START, 0), 50)) != list(islice(seeded_ticks(2, START, 0), 50))


def test_every_price_and_quantity_is_on_its_grid_and_time_never_runs_back() -> None:
    last_ns = 0
    for tick in islice(seeded_ticks(3, Decimal("1.2130"), 0, Decimal("0.0001"), Decimal("0.01")), 20_000):
        assert min(tick.px, tick.qty) > 0
        assert (tick.px % Decimal("0.0001"), tick.qty % Decimal("0.01")) == (0, 0)
        assert tick.ts_event_ns >= last_ns
        last_ns = tick.ts_event_ns


@pytest.mark.parametrize("seed", range(5))
def test_six_minutes_hold_rises_falls_and_a_silence(seed: int) -> None:
    summary = summary_of(takewhile(lambda tick: tick.ts_event_ns < 400 * 10**9, seeded_ticks(seed, START, 0)))
    assert summary.max_rise_bps > 60
    assert summary.max_fall_bps > 60
    assert summary.longest_silence_ns > 7 * 10**9


def test_the_market_turns_back_before_it_has_gone_far() -> None:
    summary = summary_of(islice(seeded_ticks(4, START, 0), 80_000))
    assert START * 80 / 100 < summary.min_px < summary.max_px < START * 125 / 100


def test_a_start_that_is_off_the_grid_or_too_coarse_is_refused() -> None:
    with pytest.raises(OffGrid):
        seeded_ticks(1, Decimal("61800.05"), 0)
    with pytest.raises(BadInput, match="less than 100 increments"):
        seeded_ticks(1, Decimal("5.0"), 0)
    with pytest.raises(BadInput, match="not above zero"):
        seeded_ticks(1, Decimal(0), 0)


GOLDEN = [
    (0, "61800.0", "0.0217", "buy"),
    (11407811000, "61794.1", "0.0371", "buy"),
    (22206726000, "61768.9", "0.0007", "buy"),
    (30677738000, "61570.8", "0.0593", "sell"),
    (39470843000, "61425.2", "0.0157", "sell"),
]
