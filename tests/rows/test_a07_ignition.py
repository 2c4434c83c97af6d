"""A7: the ignition exit strategy, beside the standard one, over the same machine: chosen by the plan, decided by the kind of market."""

import pytest

from events import commands as c
from events import facts as f
from events.values import PositionSide
from fsm.bars import MINUTE_NS, BarSeries
from fsm.modes import mode_of
from holdfast.scenario.floor import Floor, commands_of, replayed
from tests.fsm.stage import NO_AMEND, Stage, assert_decision

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
IGNITION = {"strategy": "ignition", "trail_activation_bps": 100}


def mode(stage: Stage, name: f.MarketMode) -> Stage:
    return stage.take(f.MarketModeChanged(ts_recv_ns=stage.now_ns, mode=name, basis="a test says so"))


@both_sides
@pytest.mark.parametrize("name", ["quiet", "compression"])
def test_a07_a_quiet_market_ends_an_ignition_that_never_took_off(side: PositionSide, name: f.MarketMode) -> None:
    stage = mode(Stage(side, **IGNITION).protected(), name)
    assert_decision(stage, "CancelPending", "cancel stop")
    stage.canceled("stop")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")
    assert stage.position.exit_reason == "ignition"


@both_sides
@pytest.mark.parametrize("name", ["normal", "volatile"])
def test_a07_a_moving_market_leaves_an_ignition_alone(side: PositionSide, name: f.MarketMode) -> None:
    assert_decision(mode(Stage(side, **IGNITION).protected(), name), "Protected")


@both_sides
def test_a07_an_ignition_that_took_off_is_the_trails_affair(side: PositionSide) -> None:
    stage = Stage(side, **IGNITION).protected().price("101")
    assert stage.position.is_trail_active
    stage.price("100.5")
    assert_decision(mode(stage, "compression"), "Protected")


@both_sides
def test_a07_the_standard_strategy_does_not_leave_for_a_quiet_market(side: PositionSide) -> None:
    assert_decision(mode(Stage(side, trail_activation_bps=100).protected(), "compression"), "Protected")


def test_a07_an_unfilled_entry_is_left_to_its_own_clock() -> None:
    stage = mode(Stage(entry_type="limit", entry_price=99, **IGNITION).accepted("entry"), "quiet")
    assert_decision(stage, "ProtectedPendingFill")


def test_a07_a_part_that_is_held_while_the_entry_works_leaves_with_its_entry_and_its_stop_cancelled() -> None:
    stage = Stage(**IGNITION).accepted("entry").filled("entry", "0.4").accepted("stop")
    assert_decision(mode(stage, "quiet"), "CancelPending", "cancel entry", "cancel stop")


def test_a07_the_decision_is_kept_over_a_lost_link() -> None:
    stage = Stage(**IGNITION).protected().link_closed()
    assert_decision(mode(stage, "quiet"), "Reconciling")
    stage.link_live().snapshot("stop")
    assert_decision(stage, "CancelPending", "cancel stop")


def test_a07_having_taken_off_survives_a_restart() -> None:
    stage = Stage(**IGNITION).protected().price("101").restart().link_live().snapshot("stop")
    assert_decision(mode(stage, "compression"), "Protected")


@both_sides
def test_a07_more_fills_amend_the_quantity_of_the_same_order(side: PositionSide) -> None:
    stage = Stage(side, **IGNITION).accepted("entry").filled("entry", "0.3").accepted("stop").filled("entry", "0.7")
    assert_decision(stage, "Resizing", "amend stop qty 1.0")


def test_a07_where_the_venue_cannot_amend_more_fills_get_a_stop_of_their_own() -> None:
    stage = Stage(capabilities=NO_AMEND, **IGNITION).accepted("entry").filled("entry", "0.3").accepted("stop").filled("entry", "0.7")
    assert_decision(stage, "Resizing", "submit stop 0.7 trail 300")


# --- the kind of market -----------------------------------------------------------------------------------------------


def minutes(*ranges: int, gap_at: int = -1) -> tuple[BarSeries, int]:
    """Return minutes whose quarters of an hour have these ranges, the newest last, and the time after them."""
    bars = BarSeries(MINUTE_NS, 200)
    now_ns = 1_000 * 15 * MINUTE_NS
    bars.take(now_ns - 1, 1_000, 1)
    for number, ticks in enumerate(ranges):
        for minute in range(15):
            bars.take(now_ns, 1_000 + (ticks if minute % 2 else 0), 1)
            if number == gap_at:
                bars.interrupt(now_ns + 1)
            now_ns += MINUTE_NS
    return bars, now_ns


@pytest.mark.parametrize(
    ("newest", "expected"), [(20, "compression"), (50, "compression"), (51, "quiet"), (80, "quiet"), (81, "normal"), (150, "volatile")]
)
def test_a07_the_mode_is_the_range_of_a_quarter_of_an_hour_against_the_usual_one(newest: int, expected: str) -> None:
    bars, now_ns = minutes(100, 100, 100, 100, newest)
    seen = mode_of(bars, now_ns)
    assert seen is not None
    assert (seen.mode, seen.basis) == (expected, f"range {newest} ticks in 15 min, usually 100")


def test_a07_too_little_history_a_gap_or_a_silent_quarter_is_no_mode() -> None:
    assert mode_of(*minutes(100, 100, 100, 20)) is None
    assert mode_of(*minutes(100, 100, 100, 100, 20, gap_at=4)) is None
    bars, now_ns = minutes(100, 100, 100, 100, 20)
    assert mode_of(bars, now_ns + 15 * MINUTE_NS) is None


def test_a07_what_was_lost_long_ago_is_left_out_of_the_usual_range() -> None:
    assert mode_of(*minutes(900, 100, 100, 100, 100, 50, gap_at=0)) is not None
    assert mode_of(*minutes(900, 100, 100, 100, 50, gap_at=0)) is None


# --- through the live pipeline ----------------------------------------------------------------------------------------


def moving(floor: Floor, quarters: int, bps: int) -> None:
    """Let the market swing for some quarters of an hour: one print a minute, up and down."""
    middle = floor.px
    for minute in range(15 * quarters):
        floor.now_ns += MINUTE_NS
        floor.tick(middle * (10_000 + (bps if minute % 2 else 0)) // 10_000)
    floor.px = middle


@both_sides
def test_a07_through_the_engine_an_ignition_is_left_when_its_market_turns_quiet(side: PositionSide) -> None:
    floor = Floor()
    moving(floor, 6, 40)
    floor.wait(1)
    position_id = floor.protected(side, trail_offset_bps=300, **IGNITION)
    floor.wait(20)
    assert floor.state(position_id) == "Protected"
    for _ in range(17):
        floor.wait(60)
    assert floor.states(position_id)[-3:] == ["CancelPending", "MarketExiting", "Closed"]
    assert floor.reasons(position_id) == ["ignition"]
    assert (floor.at_venue(), floor.resting(), floor.pages) == (0, [], [])
    assert replayed(floor)


@both_sides
def test_a07_through_the_engine_the_mode_narrows_the_trail(side: PositionSide) -> None:
    floor = Floor()
    moving(floor, 6, 40)
    floor.wait(1)
    position_id = floor.protected(side, trail_offset_bps=300, strategy="ignition", trail_activation_bps=10)
    floor.tick(floor.moved(side, 12))
    moving(floor, 2, 8)
    floor.wait(2)
    amends = commands_of(floor, position_id, c.AmendOrder)
    assert [x.trail_offset_bps for x in amends if x.trail_offset_bps] == [210]
    assert floor.position(position_id).wanted_trail_offset_bps == 210
    assert {o.trail_offset_bps for o in floor.position(position_id).open_orders("stop")} == {210}
    assert floor.state(position_id) == "Protected"


@both_sides
def test_a07_through_the_engine_a_volatile_market_at_the_entry_sets_the_trail_wider_and_a_calmer_one_narrows_it(side: PositionSide) -> None:
    floor = Floor()
    moving(floor, 6, 40)
    moving(floor, 1, 80)
    floor.wait(1)
    position_id = floor.protected(side, trail_offset_bps=300, **IGNITION)
    assert floor.position(position_id).mode == "volatile"
    # The first stop leaves with it: none is widened.
    assert [x.trail_offset_bps for x in commands_of(floor, position_id, c.SubmitOrder) if x.role == "stop"] == [390]
    moving(floor, 1, 40)
    floor.wait(61)
    assert {o.trail_offset_bps for o in floor.position(position_id).open_orders("stop")} == {300}
    assert replayed(floor)


@both_sides
def test_a07_the_standard_strategy_and_a_trail_that_stands_keep_their_distance(side: PositionSide) -> None:
    floor = Floor()
    moving(floor, 6, 40)
    moving(floor, 1, 80)
    floor.wait(1)
    standard = floor.protected(side, trail_offset_bps=300)
    assert {o.trail_offset_bps for o in floor.position(standard).open_orders("stop")} == {300}
    stage = Stage(side, **IGNITION).accepted("entry").filled("entry", "0.4").accepted("stop")
    stage.take(f.MarketModeChanged(ts_recv_ns=stage.now_ns, mode="volatile", basis="a test", trail_offset_bps=390))
    assert stage.position.wanted_trail_offset_bps == 300


def test_a07_an_ignition_without_an_activation_is_refused() -> None:
    floor = Floor()
    floor.open(strategy="ignition")
    assert floor.refusals == [
        "plan for BTC/USD: trail_activation_bps: an ignition needs the profit from which it has taken off; give basis points above 0"
    ]


def test_a07_the_usual_range_reaches_two_hours_back_and_no_further() -> None:
    quarters = (100,) * 7
    with_the_oldest = mode_of(*minutes(900, *quarters, 100))
    assert with_the_oldest is not None
    assert with_the_oldest.basis == "range 100 ticks in 15 min, usually 200"
    without = mode_of(*minutes(900, 100, *quarters, 100))
    assert without is not None
    assert without.basis == "range 100 ticks in 15 min, usually 100"
