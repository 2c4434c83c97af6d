"""A2: a plan with a trail and a static level: only one of them rests at the venue, and the other one is not waited for."""

from decimal import Decimal

import pytest

from events import facts as f
from events.values import PositionSide
from tests.fsm.stage import Stage, assert_decision, mirrored

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


@both_sides
def test_a02_the_floor_of_a_trail_is_left_at_once_where_the_venue_holds_the_trail_only(side: PositionSide) -> None:
    stage = Stage(side, trail_offset_bps=500, stop_price=97).protected().price("96.9")
    assert_decision(stage, "CancelPending", "cancel stop")
    assert stage.position.exit_reason == "stop_crossed"


@both_sides
def test_a02_a_floor_that_a_person_raised_over_the_trail_is_left_at_once(side: PositionSide) -> None:
    stage = Stage(side, trail_offset_bps=500).protected().tighten(stop=98).price("97.9")
    assert_decision(stage, "CancelPending", "cancel stop")


@both_sides
def test_a02_a_price_that_crosses_the_trail_and_its_floor_is_the_affair_of_the_venues_trail(side: PositionSide) -> None:
    stage = Stage(side, trail_offset_bps=200, stop_price=97).entered().accepted("stop", stop=98).price("96.9")
    assert_decision(stage, "Protected")


def attached(side: PositionSide) -> Stage:
    """A position whose static stop came with its entry, and whose plan has a trail too."""
    stage = Stage(side, trail_offset_bps=300, stop_price=95, attach_stop=True).accepted("entry").filled("entry", "1.0")
    child = f.ChildDiscovered(
        ts_recv_ns=stage.now_ns,
        client_order_id="",
        venue_order_id="C1",
        parent_venue_order_id=str(stage.ids("entry")["venue_order_id"]),
        qty=Decimal(1),
        order_type="stop-loss",
        trigger_price=mirrored(side, Decimal(95)),
    )
    return stage.take(child)


@both_sides
def test_a02_a_static_stop_is_the_venues_affair_and_the_trail_over_it_is_left_at_once(side: PositionSide) -> None:
    assert attached(side).price(110).price("106").position.exit_reason == "stop_crossed"
    assert attached(side).price("94.9").position.exit_reason == ""


@both_sides
def test_a02_a_trail_alone_is_the_venues_affair(side: PositionSide) -> None:
    assert_decision(Stage(side).protected().price(110).price("106.6"), "Protected")
