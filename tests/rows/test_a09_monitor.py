"""A9: the position monitor: a hard take-profit and drift checks over every open position, longs and shorts alike."""

import re

import pytest
from msgspec.structs import replace

from events import facts as f
from events.values import PositionSide
from fsm.monitor import SETTLED_NS, Monitor, stop_mismatch
from holdfast.scenario.floor import SYMBOL, Floor, replayed
from replay.pipeline import Settings
from tests.fsm.stage import INSTRUMENT, D, Stage

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
HARD = Settings(namespace="hf", symbols=(SYMBOL,), hard_take_profit_bps=200)


@both_sides
def test_a09_through_the_engine_200_bps_of_profit_close_any_position(side: PositionSide) -> None:
    floor = Floor(settings=HARD)
    trailing = floor.protected(side, "0.2")
    static = floor.protected(side, "0.3", stop_price=floor.moved(side, -300))
    floor.tick(floor.moved(side, 198))
    floor.wait(1)
    assert (floor.state(trailing), floor.state(static)) == ("Protected", "Protected")
    floor.tick(D(60_000) * (10_000 + side.sign * 202) / 10_000)
    floor.wait(3)
    assert (floor.reasons(trailing), floor.reasons(static)) == (["hard_take_profit"], ["hard_take_profit"])
    assert (floor.state(trailing), floor.state(static), floor.at_venue(), floor.resting()) == ("Closed", "Closed", 0, [])
    assert replayed(floor)


@both_sides
def test_a09_without_the_setting_profit_is_the_trails_affair(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    floor.tick(floor.moved(side, 250))
    floor.wait(1)
    assert floor.state(position_id) == "Protected"


@both_sides
def test_a09_an_adopted_position_is_watched_too(side: PositionSide) -> None:
    stage = Stage(side, adopted_px=100, hard_take_profit_bps=200).accepted("stop")
    stage.price("102")
    assert (stage.state, stage.position.exit_reason) == ("CancelPending", "hard_take_profit")


@both_sides
def test_a09_the_stop_of_the_venue_is_held_against_the_one_that_our_own_peak_demands(side: PositionSide) -> None:
    stage = Stage(side, trail_offset_bps=100).entered().accepted("stop", stop=99)
    stage.price(100).price("100.2")
    assert stop_mismatch(stage.position, stage.desk.peak_ticks("hf000001")) is None
    stage.price("100.4")
    found = stop_mismatch(stage.position, stage.desk.peak_ticks("hf000001"))
    assert found is not None
    assert found.kind == "stop_drift"
    stage.accepted("stop", stop="99.3")
    assert stop_mismatch(stage.position, stage.desk.peak_ticks("hf000001")) is None


def test_a09_a_mismatch_is_told_once_it_has_lasted_and_once_until_it_is_gone() -> None:
    stage = Stage().protected().sold_by_hand("0.5").amend_rejected("stop")
    found = stage.desk.findings()
    assert [x.kind for x in found] == ["surplus"]
    monitor = Monitor()
    assert monitor.look(found, 0) == ()
    assert monitor.look(found, SETTLED_NS - 1) == ()
    assert monitor.look(found, SETTLED_NS) == found
    assert monitor.look(found, 2 * SETTLED_NS) == ()
    assert monitor.look((), 3 * SETTLED_NS) == ()
    assert monitor.look(found, 4 * SETTLED_NS) == ()
    assert monitor.look(found, 5 * SETTLED_NS) == found
    assert found[0].text == "hf000001: surplus: 0.500 of 0.500 is protected"


@both_sides
def test_a09_through_the_engine_a_venue_whose_stop_stands_still_is_reported(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, trail_offset_bps=100)
    # The venue's stop does not follow its peak: every word of it stays where it was.
    level = floor.position(position_id).open_orders("stop")[0].effective_stop_ticks
    assert level is not None
    still = floor.position(position_id).instrument.price(level)
    floor.altered = lambda text: re.sub(r'"actual_price":[0-9.]+', f'"actual_price":{still}', text)
    floor.tick(floor.moved(side, 90))
    floor.wait(40)
    assert floor.state(position_id) == "Protected"
    assert "STOP_DRIFT" in floor.alerts
    assert floor.facts(f.ExitRequested) == []


def test_a09_a_stop_may_lag_its_peak_by_25_basis_points_and_no_more() -> None:
    fine = replace(INSTRUMENT, price_increment=D("0.01"))
    stage = Stage(instrument=fine, trail_offset_bps=100).entered().accepted("stop", stop=99)
    stage.price(100).price("100.26")
    assert stop_mismatch(stage.position, stage.desk.peak_ticks("hf000001")) is None
    stage.price("100.27")
    assert stop_mismatch(stage.position, stage.desk.peak_ticks("hf000001")) is not None
