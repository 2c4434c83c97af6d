"""A11: a stop that is put back in the place of a lost one does not stand looser than that one did."""

import pytest

from events.values import PositionSide
from holdfast.scenario.floor import SECOND, Floor, replayed
from tests.fsm.stage import MARGIN, SPOT, Stage, assert_decision

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def level_of(floor: Floor) -> int:
    (order,) = floor.gateway.exchange.open_orders()
    assert order.trigger is not None
    return order.trigger.level_ticks


def lose_the_stop(floor: Floor) -> None:
    (order,) = floor.gateway.exchange.open_orders()
    floor.owner(lambda exchange, now_ns: exchange.cancel(order.order_id, "", now_ns))


@both_sides
@pytest.mark.parametrize("loss", ["cancelled by hand", "while the process was dead", "while the link was down"])
def test_a11_through_the_engine_a_lost_trailing_stop_comes_back_where_it_stood(side: PositionSide, loss: str) -> None:
    floor = Floor()
    position_id = floor.protected(side, trail_offset_bps=200)
    peak = floor.moved(side, 200)
    floor.tick(peak)
    floor.wait(2)
    floor.tick(floor.moved(side, -100))
    floor.wait(2)
    before = level_of(floor)
    if loss == "cancelled by hand":
        lose_the_stop(floor)
    elif loss == "while the process was dead":
        floor.kill(meanwhile=lambda: lose_the_stop(floor))
    else:
        floor.cut()
        lose_the_stop(floor)
        floor.connect()
    floor.wait(3)
    assert floor.state(position_id) == "Protected"
    # A basis point of the peak is what a distance in whole ones can miss.
    assert (level_of(floor) - before) * side.sign >= -int(peak * 10 / 10_000)
    assert floor.bare_ns < SECOND
    assert replayed(floor)


@both_sides
def test_a11_the_distance_is_narrowed_only_as_far_as_the_lost_stop_stood(side: PositionSide) -> None:
    capabilities = SPOT if side is PositionSide.LONG else MARGIN
    stage = Stage(side, capabilities).entered().accepted("stop", stop=97).stop_reported("stop", "98.9")
    stage.canceled("stop")
    assert_decision(stage, "ProtectionPending", "submit stop 1.0 trail 300")
    # The price was 100 then; the lost stop stood at 98.9.
    stage.accepted("stop", stop=97)
    assert_decision(stage, "Tightening", "amend stop trail 110")
    stage.amended("stop", trail=110)
    assert stage.state == "Protected"
    assert stage.position.wanted_trail_offset_bps == 300


@both_sides
def test_a11_a_stop_that_comes_back_nearer_is_left_alone(side: PositionSide) -> None:
    stage = Stage(side).entered().accepted("stop", stop=97).canceled("stop").accepted("stop", stop=98)
    assert_decision(stage, "Protected")


@both_sides
def test_a11_a_refused_narrowing_leaves_the_stop_and_is_tried_ever_less_often(side: PositionSide) -> None:
    stage = Stage(side).entered().accepted("stop", stop=97).stop_reported("stop", "98.9").canceled("stop").accepted("stop", stop=97)
    stage.amend_rejected("stop")
    assert_decision(stage, "Protected")
    stage.sent()
    stage.wait(30_000)
    assert 1 <= len(stage.sent()) <= 3


@both_sides
def test_a11_a_fired_stop_says_nothing_of_the_others(side: PositionSide) -> None:
    capabilities = SPOT if side is PositionSide.LONG else MARGIN
    stage = Stage(side, capabilities, attach_stop=True).accepted("entry").filled("entry", "0.5").child("0.5", "V-a")
    stage.filled("entry", "0.5").child("0.5", "V-b")
    stage.stop_reported("stop1", "98.9").stop_reported("stop2", 97)
    stage.triggered("stop1").filled("stop1", "0.5").completed("stop1", cum="0.5")
    assert [x for x in stage.sent() if x.startswith("amend")] == []
