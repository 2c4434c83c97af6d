"""A11 and A12: how far a trail stands, from fees, time and the venue's own trades; and that no stop ever loosens."""

import pytest

from events import commands as c
from events import facts as f
from events.values import PositionSide
from fsm.bars import ATR_INTERVAL_NS, MINUTE_NS
from fsm.distance import DEGRADED_TRAIL_BPS
from holdfast.scenario.floor import SYMBOL, Floor, commands_of, replayed
from replay.intents import TightenPosition
from replay.pipeline import Settings
from tests.fsm.stage import D, Stage, assert_decision

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def quarters(floor: Floor, count: int, bps: int) -> None:
    """Let the market swing for some quarters of an hour: a print a minute, up and down."""
    middle = floor.px
    for minute in range(15 * count):
        floor.now_ns += MINUTE_NS
        floor.tick(middle * (10_000 + (bps if minute % 2 else 0)) // 10_000)
    floor.px = middle
    floor.wait(1)


def trail_of(floor: Floor, position_id: str) -> int | None:
    return floor.position(position_id).open_orders("stop")[0].trail_offset_bps


def warmed(bps: int, count: int = 15) -> Floor:
    # Aligned, so that the first bar is the only one that is not whole.
    floor = Floor()
    floor.now_ns += ATR_INTERVAL_NS - floor.now_ns % ATR_INTERVAL_NS - MINUTE_NS
    quarters(floor, count, bps)
    return floor


@both_sides
def test_a12_without_enough_history_the_degraded_trail_of_a8_stands_for_the_range(side: PositionSide) -> None:
    floor = Floor()
    assert trail_of(floor, floor.protected(side, trail_auto=True)) == DEGRADED_TRAIL_BPS == 80
    # Twice 45 bps and 10 bps of slippage are more.
    dear = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,), taker_fee_bps=D(45)))
    assert trail_of(dear, dear.protected(side, trail_auto=True)) == 100
    floor = warmed(300, count=13)
    assert trail_of(floor, floor.protected(side, trail_auto=True)) == 80


@both_sides
def test_a11_a_range_that_was_missing_at_the_entry_is_adopted_once_it_is_known(side: PositionSide) -> None:
    floor = warmed(36, count=5)
    position_id = floor.protected(side, trail_auto=True, time_stop_secs=86_400)
    assert trail_of(floor, position_id) == 80
    quarters(floor, 12, 36)
    (adopted,) = floor.facts(f.TrailDistanceChanged, position_id)
    assert (adopted.trail_offset_bps, adopted.basis) == (72, "atr")
    assert (trail_of(floor, position_id), floor.state(position_id)) == (72, "Protected")
    assert replayed(floor)


@both_sides
def test_a12_without_history_a_wider_range_is_known_later_and_never_adopted(side: PositionSide) -> None:
    floor = warmed(60, count=5)
    position_id = floor.protected(side, trail_auto=True, time_stop_secs=86_400)
    quarters(floor, 12, 60)
    assert floor.facts(f.TrailDistanceChanged, position_id) == []
    assert trail_of(floor, position_id) == 80


@both_sides
def test_a12_the_strategys_own_floor_is_never_gone_under(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, trail_auto=True, trail_floor_bps=95)
    assert trail_of(floor, position_id) == 95
    quarters(floor, 17, 70)
    assert trail_of(floor, position_id) == 95
    floor.open(side, trail_auto=True, trail_floor_bps=-1)
    assert "trail_floor_bps: -1 is not within 0 to 5000" in floor.refusals[-1]


@both_sides
@pytest.mark.parametrize(("time_stop_secs", "expected"), [(None, 100), (900, 100), (225, 62), (3_600, 200), (0, 62)])
def test_a12_with_it_the_distance_is_the_range_of_fifteen_minutes_over_the_horizon(
    side: PositionSide, time_stop_secs: int | None, expected: int
) -> None:
    floor = warmed(100)
    assert trail_of(floor, floor.protected(side, trail_auto=True, time_stop_secs=time_stop_secs)) == expected


@both_sides
def test_a12_an_outage_leaves_out_the_bars_that_are_not_whole(side: PositionSide) -> None:
    floor = warmed(100)
    floor.cut(back=True)
    # The bar under way is not whole; the ones before it still are, and enough.
    assert trail_of(floor, floor.protected(side, trail_auto=True)) == 100


def test_a12_history_that_ended_long_ago_says_nothing_of_now() -> None:
    floor = warmed(100)
    floor.now_ns += 40 * ATR_INTERVAL_NS
    floor.cut(back=True)
    floor.wait(1)
    assert trail_of(floor, floor.protected(trail_auto=True)) == DEGRADED_TRAIL_BPS


@both_sides
def test_a12_bars_that_an_outage_or_a_silence_left_out_must_not_be_too_many(side: PositionSide) -> None:
    floor = warmed(100, count=15)
    # An outage in each of four quarters of an hour: ten whole bars are left of the newest fourteen, and older ones stand for them.
    for _ in range(4):
        floor.cut(back=True)
        quarters(floor, 1, 100)
    assert trail_of(floor, floor.protected(side, trail_auto=True)) == 100
    for _ in range(16):
        floor.cut(back=True)
        quarters(floor, 1, 100)
    assert trail_of(floor, floor.protected(side, trail_auto=True)) == DEGRADED_TRAIL_BPS


@both_sides
def test_a11_a_range_that_is_known_mid_trade_is_adopted_where_it_is_narrower_and_never_where_it_is_wider(side: PositionSide) -> None:
    floor = warmed(100)
    position_id = floor.protected(side, trail_auto=True, time_stop_secs=86_400)
    assert trail_of(floor, position_id) == 200
    quarters(floor, 15, 70)
    narrower = trail_of(floor, position_id)
    assert narrower is not None
    assert narrower < 200
    assert floor.facts(f.TrailDistanceChanged, position_id)
    quarters(floor, 15, 110)
    assert trail_of(floor, position_id) == narrower
    offsets = [x.trail_offset_bps for x in commands_of(floor, position_id, c.AmendOrder) if x.trail_offset_bps]
    assert offsets == sorted(offsets, reverse=True)
    assert replayed(floor)


@both_sides
def test_a11_a_wider_trail_is_never_asked_for_by_a_person_or_a_plan(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, trail_offset_bps=150)
    floor.intent(TightenPosition(position_id=position_id, trail_offset_bps=400))
    floor.wait(1)
    assert trail_of(floor, position_id) == 150
    floor.intent(TightenPosition(position_id=position_id, trail_offset_bps=90))
    floor.wait(1)
    assert trail_of(floor, position_id) == 90
    floor.kill()
    floor.wait(2)
    assert trail_of(floor, position_id) == 90


@both_sides
def test_a11_a_refused_tightening_leaves_the_old_stop_and_tries_again_ever_less_often(side: PositionSide) -> None:
    stage = Stage(side).protected().tighten(trail=200).amend_rejected("stop")
    assert_decision(stage, "Protected")
    assert stage.position.open_orders("stop")[0].trail_offset_bps == 300
    stage.wait(10_000)
    assert stage.sent() == ["amend stop trail 200", "amend stop trail 200"]


@both_sides
def test_a11_a_venue_that_reports_a_looser_stop_is_reported(side: PositionSide) -> None:
    stage = Stage(side).entered().accepted("stop", stop=98).stop_reported("stop", 97)
    assert "alert STOP_MOVED_THE_WRONG_WAY" in stage.said()
    assert D(97) != D(98)
