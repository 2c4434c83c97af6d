"""Skipping over a column gives what taking every tick gives."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.columns import PriceColumn
from fsm.prices import PriceIndex

# Calm runs, in which whole blocks are skipped, and jumps, in which they are not.
runs = st.lists(st.tuples(st.integers(1, 400), st.integers(-2, 2), st.integers(-80, 80)), min_size=1, max_size=12)
trails = st.lists(st.tuples(st.sampled_from([1, -1]), st.sampled_from([20, 50, 51, 300])), max_size=6)
levels = st.lists(st.tuples(st.sampled_from(["at_or_below", "at_or_above"]), st.integers(9_700, 10_300)), max_size=4)


def prices_of(parts: list[tuple[int, int, int]]) -> list[int]:
    steps = [step for length, slope, jump in parts for step in (jump, *(slope * (n % 3 - 1) for n in range(length)))]
    return [max(1, px) for px in accumulate(steps, initial=10_000)]


def index_of(armed_trails: list[tuple[int, int]], armed_levels: list[tuple[str, int]]) -> PriceIndex:
    index = PriceIndex()
    for number, (side, offset_bps) in enumerate(armed_trails):
        index.trail(f"trail{number}", side, offset_bps, 10_000)
    for number, (direction, level) in enumerate(armed_levels):
        index.arm(f"level{number}", direction, level)  # type: ignore[arg-type]
    return index


@settings(max_examples=150, deadline=None)
@given(runs, trails, levels, st.integers(0, 40))
def test_skipping_finds_the_same_crossings_and_peaks_as_taking_every_tick(
    parts: list[tuple[int, int, int]], armed_trails: list[tuple[int, int]], armed_levels: list[tuple[str, int]], start: int
) -> None:
    prices = prices_of(parts)
    column = PriceColumn(prices)
    skipping, taking = index_of(armed_trails, armed_levels), index_of(armed_trails, armed_levels)
    found = []
    at = min(start, len(prices))
    while (at := column.next_crossing(skipping, at)) < len(column):
        found.append((at, skipping.on_tick(prices[at])))
        at += 1
    expected = [(n, crossed) for n in range(start, len(prices)) if (crossed := taking.on_tick(prices[n]))]
    assert found == expected
    for number in range(len(armed_trails)):
        assert skipping.peak_of(f"trail{number}") == taking.peak_of(f"trail{number}")


def test_an_empty_column_has_no_crossing() -> None:
    assert PriceColumn([]).next_crossing(PriceIndex(), 0) == 0


def test_a_price_of_nothing_is_no_price_of_a_column() -> None:
    with pytest.raises(AssertionError):
        PriceColumn([100, 0])
