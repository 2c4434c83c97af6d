"""A1 to A6: native trail, static stop, maker and internal take-profit, panic, time stop; through the engine, longs and shorts."""

import json

import pytest

from events import commands as c
from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import SECOND, Floor, commands_of, replayed
from replay.intents import TightenPosition
from tests.fsm.stage import D, Stage, assert_decision, mirrored

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


@both_sides
def test_a01_the_native_trailing_stop_leaves_with_the_first_fill_in_krakens_words(side: PositionSide) -> None:
    floor = Floor()
    sent: list[str] = []
    floor.listener = sent.append
    position_id = floor.protected(side, qty="0.1", trail_offset_bps=125)
    params = json.loads(next(text for text in sent if "trailing-stop" in text))["params"]
    assert params["triggers"] == {"reference": "last", "price_type": "pct", "price": 1.25}
    assert (params["side"], params["order_qty"]) == (side.exit_side.value, 0.1)
    assert floor.resting() == [f"trailing-stop {side.exit_side.value} 0.1"]
    floor.tick(floor.moved(side, 100))
    floor.tick(floor.moved(side, -130))
    floor.wait(3)
    assert (floor.state(position_id), floor.reasons(position_id), floor.at_venue()) == ("Closed", [], 0)
    assert replayed(floor)


@both_sides
def test_a01_only_the_venues_word_is_protection_and_silence_is_unknown_after_fifteen_seconds(side: PositionSide) -> None:
    stage = Stage(side, timing=f.Timing(protect_timeout_ms=60_000)).entered().left("stop")
    assert (stage.state, stage.bare) == ("ProtectionPending", 1)
    stage.wait(14_999)
    assert stage.order("stop").status == "Submitted"
    stage.wait(1)
    assert (stage.order("stop").status, stage.state) == ("Unknown", "ProtectionPending")
    stage.accepted("stop")
    assert_decision(stage, "Protected")


@both_sides
def test_a02_a_static_stop_is_placed_where_the_plan_says_amended_only_by_price_and_fires_there(side: PositionSide) -> None:
    floor = Floor()
    level = floor.moved(side, -100)
    position_id = floor.protected(side, stop_price=level)
    assert floor.resting() == [f"stop-loss {side.exit_side.value} 0.5"]
    assert floor.gateway.exchange.open_orders()[0].trigger is not None
    # A trail is another kind of stop: nothing is amended into it.
    floor.intent(TightenPosition(position_id=position_id, trail_offset_bps=50))
    floor.wait(1)
    assert (floor.resting(), floor.state(position_id)) == ([f"stop-loss {side.exit_side.value} 0.5"], "Protected")
    floor.tick(floor.moved(side, -101))
    floor.wait(3)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)


@both_sides
def test_a02_a_static_stop_is_amended_in_place_to_a_nearer_price_and_never_to_a_further_one(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, stop_price=floor.moved(side, -100))
    for bps, stands in ((-60, -60), (-80, -60), (-40, -40)):
        floor.intent(TightenPosition(position_id=position_id, stop_price=floor.moved(side, bps)))
        floor.wait(1)
        (order,) = floor.gateway.exchange.open_orders()
        assert order.trigger is not None
        assert (order.trigger.price, floor.state(position_id)) == (floor.moved(side, stands), "Protected")
    assert (floor.bare_ns < SECOND, [x.role for x in commands_of(floor, position_id, c.SubmitOrder)]) == (True, ["entry", "stop"])
    amends = [x for x in commands_of(floor, position_id, c.AmendOrder) if x.trigger_price is not None]
    assert [x.trail_offset_bps for x in amends] == [None, None]
    floor.tick(floor.moved(side, -41))
    floor.wait(3)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)
    assert replayed(floor)


@both_sides
def test_a04_a_level_of_an_internal_take_profit_that_an_old_price_crosses_decides_nothing(side: PositionSide) -> None:
    stage = Stage(side, take_profit_price=101).protected()
    stage.book(stage.desk.price("BTC/USD", mirrored(side, D("101.1")), 0, stage.now_ns, 5_001_000_000))
    assert_decision(stage, "Protected")
    assert "alert PRICE_STALE" in stage.said()
    stage.price("101.1")
    assert_decision(stage, "CancelPending", "cancel stop")


@both_sides
def test_a03_a_maker_take_profit_rests_post_only_and_after_thirty_seconds_is_a_market_exit(side: PositionSide) -> None:
    floor = Floor()
    level = floor.moved(side, 50)
    position_id = floor.protected(side, take_profit_price=level, take_profit_style="maker", take_profit_arm_bps=10)
    floor.tick(floor.moved(side, 42))
    floor.wait(1)
    assert (floor.state(position_id), floor.resting()) == ("TakeProfitWorking", [f"limit {side.exit_side.value} 0.5"])
    assert floor.gateway.exchange.open_orders()[0].post_only
    floor.wait(27)
    assert floor.state(position_id) == "TakeProfitWorking"
    floor.wait(5)
    assert (floor.state(position_id), floor.reasons(position_id), floor.at_venue()) == ("Closed", ["take_profit"], 0)
    assert replayed(floor)


@both_sides
def test_a03_a_maker_take_profit_that_fills_closes_the_position_as_maker(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, take_profit_price=floor.moved(side, 50), take_profit_style="maker", take_profit_arm_bps=10)
    floor.tick(floor.moved(side, 42))
    floor.wait(1)
    floor.tick(D(60_000) * (10_000 + side.sign * 55) / 10_000)
    floor.wait(1)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)
    assert floor.facts(f.OrderFilled, position_id)[-1].liquidity_side == "maker"


@both_sides
def test_a04_an_internal_take_profit_rests_nowhere_and_leaves_cancel_first_at_its_level(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, take_profit_price=floor.moved(side, 50))
    floor.tick(floor.moved(side, 49))
    floor.wait(1)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    floor.tick(D(60_000) * (10_000 + side.sign * 50) / 10_000)
    floor.wait(2)
    assert floor.states(position_id)[-3:] == ["CancelPending", "MarketExiting", "Closed"]
    assert (floor.reasons(position_id), floor.at_venue()) == (["take_profit"], 0)


@both_sides
def test_a05_panic_leaves_at_its_loss_and_an_exit_without_a_fill_goes_on_escalating(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, trail_offset_bps=900, panic_pnl_bps=-100)
    floor.holds_back = lambda text: '"order_type":"market"' in text
    floor.tick(floor.moved(side, -99))
    floor.wait(1)
    assert floor.state(position_id) == "Protected"
    floor.tick(D(60_000) * (10_000 - side.sign * 101) / 10_000)
    floor.wait(12)
    assert floor.reasons(position_id) == ["panic"]
    assert floor.alerts.count("MARKET_FILL_TIMEOUT_EXPOSURE_RISK") >= 2
    floor.holds_back = lambda text: False
    floor.wait(30)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])


@both_sides
def test_a06_a_time_stop_of_zero_is_a_misconfiguration_a_minute_is_used_and_a_restart_does_not_begin_it_anew(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, time_stop_secs=0)
    assert "EXIT_TIME_STOP_MISCONFIGURED" in floor.alerts
    floor.wait(30)
    floor.kill()
    floor.wait(28)
    assert floor.state(position_id) == "Protected"
    floor.wait(4)
    assert (floor.state(position_id), floor.reasons(position_id), floor.at_venue()) == ("Closed", ["time_stop"], 0)
