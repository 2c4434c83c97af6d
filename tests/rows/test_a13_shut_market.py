"""A13, X16: an exit that the venue does not take now: the stop that could not be put back is not given up for it."""

import json

import pytest
from msgspec.structs import replace

from events import commands as c
from events import facts as f
from events.facts import TightenStep
from events.values import PositionSide
from holdfast.scenario.floor import MS, D, Floor, commands_of, replayed
from replay.intents import OpenPosition
from replay.pipeline import Pipeline, Settings
from tests.fsm.stage import NO_AMEND, Stage, assert_decision

# On margin, without amends: the better stop rests before the old one goes.
BESIDE = replace(NO_AMEND, holds_funds=False, reduce_only=True)
both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
PLAN = f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=D("0.01"), trail_offset_bps=200)
MODES = {"delisted": "cancel_only", "work_in_progress": "cancel_only"}
SHUT = pytest.mark.parametrize("mode", ["cancel_only", "post_only", "maintenance"])


def told(stage: Stage, mode: f.VenueMode) -> Stage:
    return stage.take(f.VenueModeChanged(ts_recv_ns=stage.now_ns, mode=mode))


@both_sides
@pytest.mark.parametrize("mode", ["cancel_only", "post_only"])
def test_a13_through_the_engine_a_market_that_takes_no_exit_keeps_the_stop_until_it_does(side: PositionSide, mode: str) -> None:
    floor = Floor()
    position_id = floor.protected(side, time_stop_secs=20)
    floor.bare_ns = 0
    floor.mode(mode)  # type: ignore[arg-type]
    floor.wait(60)
    assert (floor.reasons(position_id), floor.state(position_id)) == (["time_stop"], "Protected")
    assert floor.resting() == [f"trailing-stop {side.exit_side.value} 0.5"]
    assert (floor.bare_ns, "EXIT_WAITS_FOR_VENUE" in floor.pages) == (0, True)
    assert commands_of(floor, position_id, c.CancelOrder) == []
    floor.mode("online")
    floor.wait(2)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert replayed(floor)


@both_sides
@SHUT
def test_a13_a_stop_that_fired_is_not_called_back_while_nothing_could_take_its_place(side: PositionSide, mode: f.VenueMode) -> None:
    stage = told(Stage(side).protected().triggered("stop"), mode).wait(60_000)
    assert stage.state == "StopTriggered"
    assert stage.paged == ["STOP_TRIGGERED_UNFILLED"] * 3
    told(stage, "online").wait(5_000)
    assert_decision(stage, "CancelPending", "cancel stop")


@both_sides
def test_a13_the_entry_behind_a_stop_that_fired_is_called_back_by_a_clock_while_the_venue_is_down(side: PositionSide) -> None:
    plan = {"entry_type": "limit", "entry_price": 100}
    stage = told(Stage(side, **plan).accepted("entry").filled("entry", "0.4").accepted("stop"), "maintenance").triggered("stop")
    assert_decision(stage, "StopTriggered", "cancel entry")
    for _ in range(3):
        assert_decision(stage.unknown("entry", "cancel"), "StopTriggered")
        assert_decision(stage.accepted("entry"), "StopTriggered")
        assert_decision(stage.snapshot("entry", "stop"), "StopTriggered")
        stage.wait(5_000)
        assert_decision(stage, "StopTriggered", "cancel entry")


@both_sides
def test_a13_through_the_engine_a_limit_only_market_gets_a_limit_at_once(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    floor.mode("limit_only")
    floor.leave(position_id)
    floor.wait(2)
    assert (floor.state(position_id), floor.at_venue(), floor.facts(f.OrderRejected)) == ("Closed", 0, [])
    exits = [x for x in commands_of(floor, position_id, c.SubmitOrder) if x.role == "exit"]
    assert [(x.order_type, x.immediate_or_cancel) for x in exits] == [("limit", True)]


@both_sides
def test_a13_through_the_engine_a_pair_may_be_shut_while_the_venue_is_online(side: PositionSide) -> None:
    floor = Floor()
    sent: list[str] = []
    kept: list[str] = []

    def keep(text: str) -> str:
        kept.extend([text] if '"channel":"instrument"' in text else [])
        return text

    floor.altered = keep
    floor.cut(back=True)
    floor.wait(1)
    position_id = floor.protected(side)
    frame = json.loads(kept[-1])
    for pair in frame["data"]["pairs"]:
        pair["status"] = "cancel_only"
    floor.feed("frame", "public", json.dumps({**frame, "type": "update"}))
    floor.listener = sent.append
    floor.leave(position_id)
    floor.wait(1)
    assert (sent, floor.state(position_id), len(floor.resting())) == ([], "Protected", 1)
    floor.open(side)
    assert floor.refusals[-1].startswith("position hf000002: BTC/USD is in cancel_only")
    for pair in frame["data"]["pairs"]:
        pair["status"] = "online"
    floor.feed("frame", "public", json.dumps({**frame, "type": "update"}))
    floor.wait(2)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)


def listed_as(floor: Floor, status: str) -> None:
    """The venue lists the pair with another status."""
    kept: list[str] = []

    def keep(text: str) -> str:
        kept.extend([text] if '"channel":"instrument"' in text else [])
        return text

    floor.altered = keep
    floor.cut(back=True)
    floor.wait(1)
    floor.altered = lambda text: text
    frame = json.loads(kept[-1])
    for pair in frame["data"]["pairs"]:
        pair["status"] = status
    floor.feed("frame", "public", json.dumps({**frame, "type": "update"}))


@both_sides
def test_a13_a_pair_that_is_reduce_only_takes_exits_and_no_entry(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    listed_as(floor, "reduce_only")
    floor.open(side)
    assert floor.refusals == ["position hf000002: BTC/USD is in reduce_only; ask again when it is online"]
    assert floor.position(position_id).venue_mode == "online"
    floor.leave(position_id)
    floor.wait(2)
    assert (floor.state(position_id), floor.at_venue(), floor.pages) == ("Closed", 0, [])


@pytest.mark.parametrize("status", ["reduce_only", "cancel_only", "limit_only", "post_only", "maintenance", "delisted", "work_in_progress"])
def test_a13_an_entry_that_waits_does_not_leave_while_its_pair_takes_none(status: str) -> None:
    floor = Floor()
    (event,) = floor.intent(OpenPosition(position_id="hf000001", epoch=1, plan=PLAN)).events
    (entry,) = event.commands
    assert isinstance(entry, c.SubmitOrder)
    assert floor.pipeline.entry_wait(entry, floor.now_ns).wait_ns == 0
    listed_as(floor, status)
    wait = floor.pipeline.entry_wait(entry, floor.now_ns)
    assert wait.wait_ns > 0
    assert wait.why == f"BTC/USD is in {MODES.get(status, status)}"


@both_sides
def test_a13_a_wish_to_leave_outlives_a_restart_and_a_lost_link_while_the_market_is_shut(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    floor.mode("cancel_only")
    floor.leave(position_id)
    floor.kill()
    floor.wait(3)
    floor.cut(back=True)
    floor.wait(15)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    floor.kill(meanwhile=lambda: floor.mode("online"))
    floor.wait(3)
    assert (floor.state(position_id), floor.reasons(position_id), floor.at_venue()) == ("Closed", ["operator"], 0)


@both_sides
@SHUT
def test_a13_an_exit_that_waits_is_told_at_once_and_then_seldom(side: PositionSide, mode: f.VenueMode) -> None:
    stage = told(Stage(side, panic_pnl_bps=-100).protected(), mode)
    stage.price("98.9")
    assert_decision(stage, "Protected")
    assert stage.paged == ["EXIT_WAITS_FOR_VENUE"]
    for _ in range(30):
        stage.wait(60_000).price("98.8").price("98.9")
    assert (stage.state, stage.sent(), stage.position.exit_reason) == ("Protected", [], "panic")
    assert 3 <= len(stage.paged) <= 8
    told(stage, "online")
    assert_decision(stage, "CancelPending", "cancel stop")


@both_sides
def test_a13_the_stop_that_fires_in_a_shut_market_is_the_exit(side: PositionSide) -> None:
    stage = told(Stage(side).protected(), "cancel_only").leave().triggered("stop").filled("stop", "1.0")
    assert_decision(stage, "Closed")
    assert stage.position.exit_reason == "operator"


@both_sides
def test_a13_a_cancel_that_was_out_before_the_market_shut_is_followed_by_an_exit_as_soon_as_it_opens(side: PositionSide) -> None:
    stage = Stage(side).protected().leave()
    assert_decision(stage, "CancelPending", "cancel stop")
    told(stage, "cancel_only").canceled("stop")
    for _ in range(3):
        stage.rejected("exit", "venue_state").snapshot()
    stage.rejected("stop", "venue_state")
    assert (stage.state, stage.bare) == ("EmergencyProtecting", D("1.0"))
    stage.said()
    told(stage, "online")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@both_sides
def test_a13_a_shut_market_never_makes_a_stop_go_for_a_better_one(side: PositionSide) -> None:
    tighten = (TightenStep(profit_bps=100, trail_offset_bps=100),)
    stage = told(Stage(side, NO_AMEND, tighten=tighten).protected(), "cancel_only").price(101).wait(130_000)
    assert (stage.state, stage.sent()) == ("Protected", [])
    told(stage, "online")
    assert_decision(stage, "Tightening", "cancel stop")
    assert stage.now_ns > 130_000 * MS


def test_a13_after_a_restart_the_word_of_the_whole_venue_does_not_open_a_pair_that_is_not_listed_yet() -> None:
    stage = told(Stage().protected(), "cancel_only").leave()
    pipeline = Pipeline(Settings(namespace="hf", symbols=(stage.plan.symbol,)))
    pipeline.restore(stage.events)
    word = '{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2","connection_id":1,"version":"2"}]}'
    pipeline.feed("frame", stage.now_ns + MS, "public", word)
    assert pipeline.desk.positions[stage.position.position_id].venue_mode == "cancel_only"
    pipeline.feed("frame", stage.now_ns + 2 * MS, "public", word.replace("online", "maintenance"))
    assert pipeline.desk.positions[stage.position.position_id].venue_mode == "maintenance"


@both_sides
def test_a13_a_better_stop_that_rests_before_the_old_one_goes_is_tried_also_while_the_market_is_shut(side: PositionSide) -> None:
    """A refusal costs nothing there: the old stop stands until the better one does."""
    tighten = (TightenStep(profit_bps=100, trail_offset_bps=100),)
    stage = told(Stage(side, BESIDE, tighten=tighten).protected(), "cancel_only").price(101)
    assert_decision(stage, "Tightening", "submit stop 1.0 trail 100")


@SHUT
@both_sides
def test_a13_a_stop_that_lists_lack_is_not_called_back_for_an_exit_that_has_to_wait(side: PositionSide, mode: f.VenueMode) -> None:
    stage = told(Stage(side).protected(), mode).wait(1_000).snapshot(complete=False).wait(100).snapshot(complete=False)
    stage.leave("time_stop")
    assert_decision(stage, "CancelPending")
    stage.wait(10_000)
    assert not [text for text in stage.said() if "cancel stop" in text]
    stage.accepted("stop").snapshot("stop", complete=False)
    assert stage.state == "Protected"
    told(stage, "online")
    assert_decision(stage, "CancelPending", "cancel stop")


@SHUT
@both_sides
def test_a13_a_stop_that_lists_lack_is_called_back_as_soon_as_the_market_takes_the_exit(side: PositionSide, mode: f.VenueMode) -> None:
    stage = told(Stage(side).protected(), mode).wait(1_000).snapshot(complete=False).wait(100).snapshot(complete=False)
    stage.leave("time_stop")
    told(stage, "online")
    assert_decision(stage, "CancelPending", "cancel stop")


@SHUT
@both_sides
def test_a13_a_stop_that_is_on_its_way_is_not_called_back_for_an_exit_that_has_to_wait(side: PositionSide, mode: f.VenueMode) -> None:
    stage = told(Stage(side).entered(), mode).leave("time_stop")
    assert_decision(stage, "CancelPending")
    stage.accepted("stop")
    assert_decision(stage, "Protected")


@both_sides
def test_a13_nothing_is_sent_into_a_maintenance_and_the_stop_leaves_when_it_is_over(side: PositionSide) -> None:
    stage = told(Stage(side).accepted("entry"), "maintenance")
    stage.said()
    stage.filled("entry", "1.0").wait(55_000)
    assert (stage.state, stage.sent(), stage.bare) == ("EmergencyProtecting", [], D("1.0"))
    told(stage, "online")
    assert_decision(stage, "EmergencyProtecting", "submit stop 1.0 trail 300")


@both_sides
def test_a13_a_maintenance_of_more_than_a_minute_is_not_taken_for_granted(side: PositionSide) -> None:
    stage = told(Stage(side).accepted("entry"), "maintenance").filled("entry", "1.0").wait(59_000)
    stage.said()
    stage.wait(2_000)
    assert (stage.state, stage.sent()) == ("EmergencyProtecting", ["submit stop 1.0 trail 300"])
    for _ in range(3):
        stage.rejected("stop", "venue_state").wait(2_000)
    assert "submit exit 1.0" in stage.sent()


@both_sides
def test_a13_the_stop_that_leaves_after_a_maintenance_has_the_time_of_a_first_attempt(side: PositionSide) -> None:
    stage = told(Stage(side).accepted("entry"), "maintenance").filled("entry", "1.0").wait(30_000)
    told(stage, "online").wait(3_000).accepted("stop")
    assert_decision(stage, "Protected")
    assert stage.position.exit_reason == ""


@both_sides
def test_a13_dust_for_which_no_stop_is_made_larger_in_a_maintenance_is_no_reason_to_leave(side: PositionSide) -> None:
    stage = Stage(side, entry_type="limit", entry_price=100).accepted("entry").filled("entry", "0.4").accepted("stop")
    told(stage, "maintenance").filled("entry", "0.001")
    stage.said()
    stage.wait(62_000)
    assert "amend stop qty 0.401" in stage.sent()
    stage.amend_rejected("stop", "venue_state").wait(10_000)
    assert (stage.position.exit_reason, stage.bare) == ("", 0)


@both_sides
def test_a13_the_word_of_maintenance_told_again_does_not_begin_its_minute_anew(side: PositionSide) -> None:
    stage = told(Stage(side).accepted("entry"), "maintenance").filled("entry", "1.0").wait(40_000)
    told(stage, "maintenance").wait(25_000)
    assert "submit stop 1.0 trail 300" in stage.said()


@both_sides
def test_a13_a_bare_exit_that_is_not_sent_into_a_maintenance_pages_and_leaves_when_it_is_over(side: PositionSide) -> None:
    stage = Stage(side).protected().leave()
    told(stage, "maintenance").canceled("stop")
    assert_decision(stage, "MarketExiting")
    stage.wait(30_000)
    assert set(stage.paged) == {"EXIT_WAITS_FOR_VENUE"}
    assert not [text for text in stage.said() if "MARKET_FILL_TIMEOUT" in text]
    told(stage, "online")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@both_sides
def test_a13_a_panic_in_a_maintenance_is_not_waited_out_by_the_take_profit_that_was_wished_before(side: PositionSide) -> None:
    """P11-open under `mode_maintenance`."""
    stage = Stage(side, take_profit_price=110, take_profit_style="maker").protected().price(110)
    told(stage, "maintenance").canceled("stop").leave("panic")
    told(stage, "online")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")
