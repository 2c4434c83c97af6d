"""A13: a cancel-first exit against every race: cancel, wait for cancelled or filled of exactly those, then market for what is left."""

import pytest

from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import D, Floor, replayed
from tests.fsm.stage import Stage, assert_decision, checked

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


@both_sides
def test_a13_nothing_is_sold_before_the_stop_is_known_to_be_gone(side: PositionSide) -> None:
    stage = Stage(side).protected().leave()
    assert_decision(stage, "CancelPending", "cancel stop")
    stage.canceled("stop")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@both_sides
def test_a13_a_stop_that_filled_before_the_cancel_arrived_is_the_exit(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().cancel_rejected("stop").filled("stop", "1.0")
    assert_decision(stage, "Closed")
    assert stage.sent() == ["cancel stop"]


@both_sides
def test_a13_a_cancel_refused_as_unknown_is_no_proof_until_the_fill_or_the_snapshot_comes(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().cancel_rejected("stop", "gone")
    assert_decision(stage, "CancelPending")
    assert "refresh" in stage.said()
    stage.wait(10).snapshot()
    assert stage.state == "CancelPending"
    stage.wait(10).snapshot()
    assert (stage.state, stage.sent()) == ("MarketExiting", ["submit exit 1.0"])


@both_sides
def test_a13_a_stop_that_filled_in_part_during_the_cancel_leaves_the_rest_to_the_market(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().filled("stop", "0.4").canceled("stop", cum="0.4")
    assert_decision(stage, "MarketExiting", "submit exit 0.6")


@both_sides
def test_a13_a_cancel_that_states_more_fills_than_are_known_waits_for_them(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop", cum="0.4")
    assert_decision(stage, "CancelPending")
    stage.filled("stop", "0.4", cum="0.4")
    assert_decision(stage, "MarketExiting", "submit exit 0.6")


@both_sides
def test_a13_a_stop_that_fills_after_its_confirmed_cancel_is_closed_in_reverse(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop").filled("stop", "1.0", cum="1.0")
    # The exit is out for the same quantity: what both have sold beyond the position is bought back.
    assert stage.state == "CancelPending"
    stage.filled("exit", "1.0")
    assert_decision(stage, "Flattening", "submit flatten 1.0")
    stage.accepted("flatten").filled("flatten", "1.0")
    assert_decision(stage, "Closed")


@both_sides
@pytest.mark.parametrize("order", ["fill first", "completed first"])
def test_a13_both_orders_of_the_last_words_of_an_exit_end_alike(side: PositionSide, order: str) -> None:
    stage = Stage(side).protected().leave().canceled("stop").accepted("exit")
    if order == "fill first":
        stage.filled("exit", "1.0").completed("exit", cum="1.0")
    else:
        stage.completed("exit", cum="1.0").filled("exit", "1.0", cum="1.0")
    assert stage.state == "Closed"
    checked(stage)


@both_sides
def test_a13_a_cancel_without_any_answer_is_asked_again_and_never_made_up(side: PositionSide) -> None:
    stage = Stage(side).protected().leave()
    stage.wait(5_000)
    assert_decision(stage, "CancelPending", "cancel stop")
    stage.wait(30_000)
    assert stage.state == "CancelPending"
    assert "page STATE_TOO_LONG" in stage.said()
    stage.canceled("stop")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@both_sides
def test_a13_a_market_exit_that_expires_by_its_deadline_is_looked_for_before_the_next(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop").expired("exit")
    assert_decision(stage, "MarketExiting")
    assert stage.said()[-1] == "refresh"
    stage.snapshot()
    assert_decision(stage, "MarketExiting", "submit exit 1.0")


@both_sides
def test_a13_a_market_exit_that_fills_in_part_is_followed_by_the_rest_sized_then(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop").accepted("exit").filled("exit", "0.7").canceled("exit", cum="0.7").snapshot()
    assert_decision(stage, "MarketExiting", "submit exit 0.3")


@both_sides
def test_a13_an_exit_refused_three_times_puts_a_stop_back_and_pages(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop").price(100)
    for _ in range(2):
        stage.rejected("exit", "venue_state").snapshot()
    assert "limit" in stage.sent()[-1]
    stage.rejected("exit", "venue_state").snapshot()
    assert_decision(stage, "EmergencyProtecting", "submit stop 1.0 trail 300")
    assert "EXIT_NOT_POSSIBLE" in stage.paged


# --- through the live pipeline ----------------------------------------------------------------------------------------


WHILE_CANCELLING = ("fill_during_cancel", "partial_fill_during_cancel", "fill_after_cancel_ack")
ON_ANY_REQUEST = (
    "ack_lost_applied", "ack_lost_not_applied", "close_before_apply", "close_before_reply", "close_after_reply", "reject", "late_request",
)  # fmt: skip
RACES = [*((x, "cancel_order") for x in (*WHILE_CANCELLING, *ON_ANY_REQUEST)), *((x, "add_order:market") for x in ON_ANY_REQUEST)]


@both_sides
@pytest.mark.parametrize(("fault", "on"), RACES)
def test_a13_through_the_engine_every_race_at_the_venue_ends_flat_with_nothing_sold_twice(side: PositionSide, fault: str, on: str) -> None:
    floor = Floor()
    position_id = floor.protected(side, qty="2")
    floor.faults.arm(fault, on=on, count=1)
    floor.leave(position_id)
    floor.wait(40)
    assert floor.faults.counts[fault] == 1
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert replayed(floor)


@both_sides
@pytest.mark.parametrize("mode", ["cancel_only", "post_only", "limit_only"])
def test_a13_through_the_engine_a_market_that_takes_no_market_orders_delays_the_exit_and_never_loses_it(
    side: PositionSide, mode: str
) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    # The venue says it only by its refusals, once the stop is gone.
    floor.altered = lambda text: "" if '"channel":"status"' in text or '"channel":"instrument"' in text else text
    floor.mode(mode)  # type: ignore[arg-type]
    floor.leave(position_id)
    floor.wait(40)
    if mode == "limit_only":
        # The third attempt is a limit through the market, which such a market takes.
        assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)
        return
    assert (floor.state(position_id), abs(floor.at_venue())) == ("EmergencyProtecting", D("0.5"))
    assert "EXIT_NOT_POSSIBLE" in floor.pages
    floor.mode("online")
    floor.wait(60)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert floor.facts(f.ExitRequested, position_id)
    assert replayed(floor)
