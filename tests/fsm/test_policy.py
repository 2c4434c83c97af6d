"""From a row's command names to commands: only what is missing, sized and priced when it is sent."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from events import commands as c
from events import facts as f
from events.values import PositionSide
from tests.fsm.stage import INSTRUMENT, MARGIN, NO_AMEND, SPOT, D, Stage, assert_decision, checked, orders_of

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
NO_TRAIL = replace(NO_AMEND, native_trail=False)
COARSE = replace(INSTRUMENT, size_increment=D("0.1"), min_qty=D("0.2"))


def last_command(stage: Stage) -> c.AnyCommand:
    return stage.events[-1].commands[0]


# --- coverage -------------------------------------------------------------------------------------------------------


@both_sides
def test_each_new_fill_amends_the_one_stop_where_the_venue_amends(side: PositionSide) -> None:
    stage = Stage(side).accepted("entry").filled("entry", "0.3").accepted("stop")
    stage.filled("entry", "0.2")
    assert_decision(stage, "Resizing", "amend stop qty 0.5")


@both_sides
def test_a_static_stop_that_is_placed_again_is_never_looser_than_one_before_it(side: PositionSide) -> None:
    stage = Stage(side, NO_TRAIL).entered()
    stage.rejected("stop1").rejected("stop2")
    stage.price(98).wait(2_500)
    levels = [order.trigger_ticks for order in stage.position.orders if order.role == "stop"]
    assert len(levels) == 3
    assert levels == [levels[0]] * 3


@both_sides
def test_each_new_fill_gets_a_stop_of_its_own_where_the_venue_does_not_amend(side: PositionSide) -> None:
    stage = Stage(side, NO_AMEND).accepted("entry").filled("entry", "0.3").accepted("stop")
    stage.filled("entry", "0.2")
    assert_decision(stage, "Resizing", "submit stop 0.2 trail 300")


def test_a_stop_on_its_way_is_waited_for_instead_of_a_stop_for_each_fill() -> None:
    stage = Stage().accepted("entry").filled("entry", "0.3")
    for _ in range(5):
        stage.filled("entry", "0.1")
        assert_decision(stage, "ProtectionPending")
    stage.accepted("stop")
    assert_decision(stage, "Resizing", "amend stop qty 0.8")


def test_no_second_amend_leaves_while_one_is_in_flight() -> None:
    stage = Stage().accepted("entry").filled("entry", "0.3").accepted("stop").filled("entry", "0.2")
    stage.filled("entry", "0.5")
    assert_decision(stage, "Resizing")
    stage.amended("stop", "0.5")
    assert_decision(stage, "Resizing", "amend stop qty 1.0")


def test_a_refused_amend_gives_way_to_a_stop_for_the_rest_at_the_next_look() -> None:
    stage = Stage().accepted("entry").filled("entry", "0.3").accepted("stop").filled("entry", "0.7").amend_rejected("stop")
    assert_decision(stage, "Resizing")
    stage.wait(2_000)
    assert_decision(stage, "EmergencyProtecting", "submit stop 0.7 trail 300")


def test_a_remainder_under_the_minimum_gets_no_stop_of_its_own_and_is_not_waited_for() -> None:
    stage = Stage(capabilities=NO_AMEND, instrument=COARSE).accepted("entry").filled("entry", "0.3").accepted("stop").filled("entry", "0.1")
    stage.canceled("entry", "0.4")
    assert stage.bare == 0
    assert_decision(stage, "Protected")


def test_a_quantity_under_the_minimum_waits_for_the_entry_to_grow() -> None:
    stage = Stage(instrument=COARSE).accepted("entry").filled("entry", "0.1")
    assert_decision(stage, "ProtectedPendingFill")
    stage.filled("entry", "0.1")
    assert_decision(stage, "ProtectionPending", "submit stop 0.2 trail 300")


def test_an_attached_stop_is_waited_for_and_what_it_leaves_out_is_covered_at_the_next_look() -> None:
    stage = Stage(attach_stop=True).accepted("entry").filled("entry", "0.6")
    assert_decision(stage, "ProtectionPending")
    stage.child("0.6", "V-child").filled("entry", "0.4")
    assert_decision(stage, "Resizing")
    # The venue refused the second child: it says nothing of that.
    stage.wait(2_000)
    assert_decision(stage, "EmergencyProtecting", "amend stop qty 1.0")


# --- the stop's level -----------------------------------------------------------------------------------------------


@both_sides
def test_a_static_stop_stands_where_the_plan_says_and_a_native_trail_is_left_to_the_venue(side: PositionSide) -> None:
    static = Stage(side, trail_offset_bps=None, stop_price=97).accepted("entry").filled("entry", "1.0")
    assert_decision(static, "ProtectionPending", "submit stop 1.0 at 97")
    trailing = Stage(side, stop_price=97).accepted("entry").filled("entry", "1.0")
    assert_decision(trailing, "ProtectionPending", "submit stop 1.0 trail 300")


@both_sides
def test_without_a_native_trail_the_first_stop_stands_at_its_distance_from_the_last_price(side: PositionSide) -> None:
    stage = Stage(side, NO_TRAIL).accepted("entry").filled("entry", "1.0")
    assert_decision(stage, "ProtectionPending", "submit stop 1.0 at 97")


@both_sides
def test_a_stop_between_two_ticks_stands_at_the_one_away_from_the_market(side: PositionSide) -> None:
    stage = Stage(side, NO_TRAIL, trail_offset_bps=299).accepted("entry").filled("entry", "1.0")
    assert_decision(stage, "ProtectionPending", "submit stop 1.0 at 97")


def test_exposure_of_unknown_cost_without_any_price_gets_no_stop_at_a_guess_and_one_with_the_first_price() -> None:
    stage = Stage(capabilities=NO_TRAIL, adopted_px="unknown")
    assert_decision(stage, "EmergencyProtecting")
    stage.price(100)
    assert_decision(stage, "EmergencyProtecting", "submit stop 1.0 at 97")


def test_adopted_exposure_gets_its_stop_at_once() -> None:
    stage = Stage(adopted_px=100)
    assert stage.said() == ["submit stop 1.0 trail 300", "alert EXPOSURE_ADOPTED"]
    stage.accepted("stop")
    assert_decision(stage, "Protected")


# --- surplus --------------------------------------------------------------------------------------------------------


@both_sides
def test_a_manual_sale_amends_the_stop_down(side: PositionSide) -> None:
    stage = Stage(side, MARGIN).protected().sold_by_hand("0.4")
    assert_decision(stage, "Resizing", "amend stop qty 0.6")


def test_a_surplus_that_no_amend_can_take_is_cancelled_and_covered_anew() -> None:
    stage = Stage(capabilities=replace(NO_AMEND, holds_funds=False)).protected().sold_by_hand("0.4")
    assert_decision(stage, "Resizing", "cancel stop")
    stage.canceled("stop")
    assert_decision(stage, "ProtectionPending", "submit stop 0.6 trail 300")


def small_children(*, reduce_only: bool) -> Stage:
    """Two attached stops of the minimum size; then a lot goes, and neither can be amended under the minimum."""
    venue = replace(MARGIN, reduce_only=reduce_only)
    stage = Stage(capabilities=venue, instrument=COARSE, attach_stop=True, qty=D("0.4")).accepted("entry")
    stage.filled("entry", "0.2").child("0.2", "V-1").filled("entry", "0.2").child("0.2", "V-2")
    assert stage.state == "Protected"
    return stage.sold_by_hand("0.1")


def test_a_surplus_spread_over_stops_of_the_minimum_size_is_cancelled_and_covered_anew() -> None:
    stage = small_children(reduce_only=False)
    assert_decision(stage, "Resizing", "cancel stop")
    stage.canceled("stop")
    assert_decision(stage, "Resizing", "amend stop1 qty 0.3")


def test_a_surplus_that_reduce_only_makes_harmless_opens_no_gap() -> None:
    assert_decision(small_children(reduce_only=True), "Protected")


# --- exits ----------------------------------------------------------------------------------------------------------


@both_sides
def test_a_refused_exit_is_told_and_looked_into_before_the_next_attempt(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop")
    stage.rejected("exit")
    assert (stage.state, stage.step) == ("MarketExiting", ["refresh", "alert EXIT_REFUSED"])


@both_sides
def test_an_exit_is_sized_when_it_leaves_after_the_evidence_of_what_was_in_its_way(side: PositionSide) -> None:
    stage = Stage(side).protected().leave()
    assert_decision(stage, "CancelPending", "cancel stop")
    stage.filled("stop", "0.3", 97).canceled("stop", "0.3")
    assert_decision(stage, "MarketExiting", "submit exit 0.7")


@both_sides
def test_the_third_attempt_of_an_exit_is_a_limit_through_the_market(side: PositionSide) -> None:
    stage = Stage(side).protected().price(100).leave().canceled("stop")
    for _ in range(2):
        stage.rejected("exit", "venue_state").snapshot()
    assert_decision(stage, "MarketExiting", "submit exit 1.0 limit 99 ioc")


@both_sides
def test_a_patient_exit_rests_a_tick_on_our_side_and_is_post_only(side: PositionSide) -> None:
    stage = Stage(side).protected().price(101).leave("signal", patient=True).canceled("stop")
    assert_decision(stage, "MakerExiting", "submit tp 1.0 limit 101.1 post-only")


@both_sides
def test_exits_and_stops_on_margin_are_reduce_only_and_on_spot_cannot_be(side: PositionSide) -> None:
    for capabilities, reduce_only in ((MARGIN, True), (SPOT, False)):
        stage = Stage(side, capabilities).accepted("entry").filled("entry", "1.0")
        stop = last_command(stage)
        stage.accepted("stop").leave().canceled("stop")
        leave = last_command(stage)
        assert isinstance(stop, c.SubmitOrder)
        assert isinstance(leave, c.SubmitOrder)
        assert (stop.reduce_only, leave.reduce_only) == (reduce_only, reduce_only)
        checked(stage)


def test_an_exit_names_a_deadline_and_a_resting_one_does_not() -> None:
    market = Stage().protected().leave().canceled("stop")
    resting = Stage().protected().price(100).leave(patient=True).canceled("stop")
    assert [getattr(last_command(stage), "deadline_ns", None) for stage in (market, resting)] == [market.now_ns + 5_000_000_000, 0]


def test_every_id_of_a_life_is_new() -> None:
    stage = Stage().protected().leave().canceled("stop")
    for _ in range(5):
        stage.rejected("exit", "venue_state").snapshot().wait(40_000)
        if stage.state == "EmergencyProtecting":
            stage.rejected("stop")
    ids = [x.client_order_id for event in stage.events for x in event.commands if isinstance(x, c.SubmitOrder)]
    assert len(ids) > 6
    assert len(set(ids)) == len(ids)
    checked(stage)


def test_money_of_a_command_is_exact() -> None:
    stage = Stage(qty=D("0.003")).accepted("entry").filled("entry", "0.003", fee="0.0000078")
    stop = last_command(stage)
    assert isinstance(stop, c.SubmitOrder)
    assert (stop.qty, type(stop.qty)) == (D("0.002"), Decimal)


def test_a_limit_entry_names_a_deadline_too_or_its_absence_would_prove_nothing() -> None:
    # Found by the simulation: on a slow network it came to the venue after it had been declared absent.
    stage = Stage(entry_type="limit", entry_price=D(99))
    entry = last_command(stage)
    assert isinstance(entry, c.SubmitOrder)
    assert entry.deadline_ns == stage.now_ns + 5_000_000_000


def test_a_refused_exit_is_told_also_where_a_patient_one_could_rest_by_now() -> None:
    stage = Stage().protected().leave(patient=True).canceled("stop")
    assert (stage.state, orders_of(stage.step)) == ("MarketExiting", ["submit exit 1.0"])
    # Its first attempt left without a price; with the second one there is one, at which it could rest.
    stage.price(100).rejected("exit").wait(10_000)
    assert (stage.state, stage.order("exit2").status) == ("MarketExiting", "Submitted")
    stage.rejected("exit2")
    assert (stage.state, stage.step) == ("MarketExiting", ["refresh", "alert EXIT_REFUSED"])


@both_sides
def test_what_is_missing_goes_out_as_soon_as_the_market_takes_orders_again(side: PositionSide) -> None:
    stage = Stage(side).accepted("entry").filled("entry", "0.4")
    stage.take(f.VenueModeChanged(ts_recv_ns=stage.now_ns, mode="cancel_only")).rejected("stop").rejected("stop")
    assert stage.bare == D("0.4")
    stage.take(f.VenueModeChanged(ts_recv_ns=stage.now_ns, mode="online"))
    assert orders_of(stage.step) == ["submit stop 0.4 trail 300"]
    checked(stage)


def test_a_withdrawn_entry_does_not_take_the_stop_of_what_has_filled_along() -> None:
    stage = Stage(entry_type="limit", entry_price=100).accepted("entry").filled("entry", "0.4", cum="0.4").accepted("stop")
    stage.wait(60_000).unknown("entry", "cancel").wait(30_000)
    assert stage.state == "EntryCancelPending"
    assert {stage.name_of(x.client_order_id) for event in stage.events for x in event.commands if isinstance(x, c.CancelOrder)} == {"entry"}
    assert stage.bare == 0
