"""A11: a distance that narrows while a position has no stop yet is the distance of the next one, and no attempt is looser than before."""

import pytest

from events import facts as f
from events.values import PositionSide
from tests.fsm.stage import MARGIN, SPOT, Stage, assert_decision

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def narrower(stage: Stage, bps: int) -> Stage:
    return stage.take(f.TrailDistanceChanged(ts_recv_ns=stage.now_ns, trail_offset_bps=bps, basis="a test"))


def refused(side: PositionSide, **plan: object) -> Stage:
    stage = Stage(side, SPOT if side is PositionSide.LONG else MARGIN, **plan).accepted("entry").filled("entry", "1.0")
    stage.rejected("stop")
    assert_decision(stage, "EmergencyProtecting", "submit stop 1.0 trail 300")
    return stage


@both_sides
def test_a11_an_attempt_under_way_is_narrowed_as_soon_as_it_stands(side: PositionSide) -> None:
    stage = narrower(refused(side), 120)
    assert_decision(stage, "EmergencyProtecting")
    stage.accepted("stop")
    assert_decision(stage, "Tightening", "amend stop trail 120")


@both_sides
def test_a11_the_next_attempt_has_the_narrower_distance_and_a_wider_one_is_not_taken(side: PositionSide) -> None:
    stage = narrower(narrower(refused(side), 120), 250)
    stage.rejected("stop").wait(2_100)
    assert_decision(stage, "EmergencyProtecting", "submit stop 1.0 trail 120")


@both_sides
def test_a11_a_wish_for_a_nearer_stop_counts_for_the_next_attempt_too(side: PositionSide) -> None:
    stage = refused(side).tighten(trail=90)
    stage.rejected("stop").wait(2_100)
    assert_decision(stage, "EmergencyProtecting", "submit stop 1.0 trail 90")
