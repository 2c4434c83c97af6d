"""A10 and A2: coverage follows quantity and level by the best means that the venue has, and says what it costs."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from events import commands as c
from events import facts as f
from events.facts import TightenStep
from events.values import Capabilities, PositionSide
from fsm.means import rate_points
from holdfast.scenario.floor import Floor, commands_of
from tests.fsm.stage import MARGIN, MS, NO_AMEND, SPOT, Stage, assert_decision, checked

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
NARROWER = (TightenStep(profit_bps=100, trail_offset_bps=100),)
GUARANTEED = replace(MARGIN, amend_in_place=False, attached_stop=False, one_child_per_fill=False)


def notes(stage: Stage) -> list[tuple[str, int, str]]:
    return [
        (x.means, x.rate_points, f"{x.bare_qty.normalize():f}") for e in stage.events for x in e.commands if isinstance(x, c.NoteCoverage)
    ]


@both_sides
def test_a10_in_place_is_the_first_choice_and_opens_no_gap(side: PositionSide) -> None:
    stage = Stage(side, SPOT).accepted("entry").filled("entry", "0.4").accepted("stop").filled("entry", "0.6")
    assert_decision(stage, "Resizing", "amend stop qty 1.0")
    assert (notes(stage), stage.bare) == ([("amend", 4, "0")], stage.instrument.qty(600))


@both_sides
def test_a10_without_it_new_quantity_gets_a_stop_of_its_own(side: PositionSide) -> None:
    stage = Stage(side, NO_AMEND).accepted("entry").filled("entry", "0.4").accepted("stop").filled("entry", "0.6")
    assert_decision(stage, "Resizing", "submit stop 0.6 trail 300")
    assert notes(stage) == [("delta_stop", 1, "0")]


@both_sides
def test_a10_where_exits_are_guaranteed_the_better_stop_is_there_before_the_old_one_goes(side: PositionSide) -> None:
    stage = Stage(side, GUARANTEED, tighten=NARROWER).protected().wait(6_000).price(101)
    assert_decision(stage, "Tightening", "submit stop 1.0 trail 100")
    assert (notes(stage), stage.bare) == ([("place_then_cancel", 7, "0")], 0)
    # Wherever the price is by then: the looser of the two goes.
    stage.price(100).accepted("stop")
    assert_decision(stage, "Resizing", "cancel stop1")
    assert stage.bare == 0
    stage.canceled("stop1")
    assert_decision(stage, "Protected")
    assert [o.trail_offset_bps for o in stage.position.open_orders("stop")] == [100]


@both_sides
def test_a10_a_better_stop_that_is_refused_leaves_the_old_one_and_is_tried_ever_less_often(side: PositionSide) -> None:
    stage = Stage(side, GUARANTEED, tighten=NARROWER).protected().price(101).rejected("stop")
    assert_decision(stage, "Protected")
    assert stage.bare == 0
    stage.said()
    stage.wait(9_999)
    assert stage.sent() == []
    stage.wait(1)
    assert stage.sent() == ["submit stop 1.0 trail 100"]
    checked(stage)


@both_sides
@pytest.mark.parametrize("refusal", ["other", "rate", "venue_state", "funds"])
def test_a10_a_refused_resize_leaves_the_old_stop_and_the_rest_gets_one_of_its_own(side: PositionSide, refusal: f.RejectClass) -> None:
    stage = Stage(side, SPOT).accepted("entry").filled("entry", "0.4").accepted("stop").filled("entry", "0.6")
    stage.amend_rejected("stop", refusal)
    assert_decision(stage, "Resizing")
    assert (stage.position.open_orders("stop")[0].protects_lots, stage.bare) == (400, stage.instrument.qty(600))
    stage.said()
    stage.wait(2_000)
    assert stage.sent() == ["submit stop 0.6 trail 300"]
    stage.accepted("stop")
    assert_decision(stage, "Protected")
    checked(stage)


@both_sides
def test_a10_where_nothing_else_is_possible_the_gap_is_stated_and_closed(side: PositionSide) -> None:
    stage = Stage(side, NO_AMEND, tighten=NARROWER).protected().price(101)
    assert_decision(stage, "Tightening", "cancel stop")
    assert notes(stage) == [("cancel_create", 9, "1")]
    stage.canceled("stop")
    assert_decision(stage, "ProtectionPending", "submit stop 1.0 trail 100")


@both_sides
def test_a10_a_trail_that_would_begin_further_away_than_the_old_one_stands_is_not_placed_anew(side: PositionSide) -> None:
    stage = Stage(side, GUARANTEED).entered().accepted("stop", stop=98).price(99).wait(60_000)
    stage.said()
    stage.tighten(trail=200)
    assert_decision(stage, "Protected")
    stage.tighten(trail=80)
    assert_decision(stage, "Tightening", "submit stop 1.0 trail 80")


@pytest.mark.parametrize(
    ("means", "age_s", "points"),
    [("amend", 0, 4), ("amend", 7, 3), ("amend", 20, 1), ("delta_stop", 0, 1), ("cancel_create", 4, 9), ("place_then_cancel", 100, 2),
     ("cancel_create", 400, 1)],
)  # fmt: skip
def test_a10_the_cost_is_what_krakens_counter_takes_at_the_age_of_the_order(means: c.Means, age_s: int, points: int) -> None:
    order = replace(Stage().protected().order("stop"), accepted_ns=1)
    assert rate_points(means, order, 1 + age_s * 1_000 * MS) == points


@both_sides
@pytest.mark.parametrize("venue", [SPOT, NO_AMEND, MARGIN, GUARANTEED], ids=["amend", "no amend", "margin", "guaranteed"])
def test_a10_every_partial_fill_ends_covered_at_every_venue(side: PositionSide, venue: Capabilities) -> None:
    stage = Stage(side, venue).accepted("entry")
    for _ in range(5):
        stage.filled("entry", "0.2")
        for order in [o for o in stage.position.open_orders("stop") if o.status == "Submitted"]:
            stage.accepted(stage.name_of(order.client_order_id))
        for order in [o for o in stage.position.open_orders("stop") if o.pending == "amend"]:
            assert order.pending_qty_lots is not None
            stage.amended(stage.name_of(order.client_order_id), stage.instrument.qty(order.pending_qty_lots))
    assert (stage.state, stage.bare, stage.position.held_lots) == ("Protected", 0, 1_000)
    checked(stage)


@both_sides
def test_a10_through_the_engine_more_fills_amend_the_stop_in_place_and_the_event_says_the_cost(side: PositionSide) -> None:
    floor = Floor(faults=("split_fill/n=4/count=1",))
    position_id = floor.protected(side)
    found = commands_of(floor, position_id, c.NoteCoverage)
    assert found
    assert {x.means for x in found} == {"amend"}
    assert all(1 <= x.rate_points <= 4 for x in found)
    assert len(floor.resting()) == 1


def test_a02_an_amend_of_the_wrong_kind_is_a_type_error(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(
        "from decimal import Decimal\n"
        "from fsm.model import StaticStopId, TrailingStopId\n"
        "from fsm.policy import Draft, amend_static, amend_trail\n"
        "def wrong(d: Draft, trail: TrailingStopId, static: StaticStopId) -> None:\n"
        "    amend_trail(d, trail, 50)\n"
        "    amend_static(d, static, Decimal(1))\n"
        "    amend_trail(d, static, 50)\n"
        "    amend_static(d, trail, Decimal(1))\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(script)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    wrong = [line for line in done.stdout.splitlines() if "arg-type" in line]
    assert [line.split(":")[1] for line in wrong] == ["7", "8"], done.stdout


@both_sides
def test_a10_stops_that_the_venue_ends_as_they_come_are_not_sent_as_fast_as_it_ends_them(side: PositionSide) -> None:
    stage = Stage(side).protected()
    for _ in range(3):
        assert_decision(stage.canceled("stop"), "ProtectionPending", "submit stop 1.0 trail 300")
        stage.accepted("stop")
    assert_decision(stage.canceled("stop"), "ProtectionPending")
    stage.wait(2_000)
    assert_decision(stage, "EmergencyProtecting", "submit stop 1.0 trail 300")
    stage.accepted("stop").wait(3_000)
    # It stood for a while: its end is news.
    assert_decision(stage.canceled("stop"), "ProtectionPending", "submit stop 1.0 trail 300")


@both_sides
@pytest.mark.parametrize("filled", ["", "0.4"])
def test_a10_a_stop_that_fired_and_was_ended_by_the_venue_is_followed_by_the_exit(side: PositionSide, filled: str) -> None:
    stage = Stage(side).protected().triggered("stop")
    if filled:
        stage.filled("stop", filled)
    stage.canceled("stop")
    assert_decision(stage, "MarketExiting", f"submit exit {'0.6' if filled else '1.0'}")
    assert stage.position.exit_reason == "stop_unfilled"


@both_sides
def test_a10_while_its_entry_may_still_fill_a_stop_is_put_back_for_the_one_that_fired(side: PositionSide) -> None:
    stage = Stage(side, entry_type="limit", entry_price=100).accepted("entry").filled("entry", "0.4").accepted("stop").triggered("stop")
    assert_decision(stage, "StopTriggered", "cancel entry")
    assert_decision(stage.canceled("stop"), "ProtectionPending", "submit stop 0.4 trail 300")
    stage.accepted("stop").canceled("entry").triggered("stop").canceled("stop")
    assert_decision(stage, "MarketExiting", "submit exit 0.4")
