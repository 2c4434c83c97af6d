"""What a fact changes in a position, whatever the table says: quantities, costs, orders."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from events import commands as c
from events import facts as f
from events.ids import client_order_id_from
from events.values import Capabilities, PositionSide
from fsm.core import Core, evolve
from tests.fsm.stage import MARGIN, POSITION_ID, SPOT, D, Stage, assert_decision, checked, orders_of


def test_an_order_found_after_a_crash_adds_up_with_the_executions_that_were_listed_ahead_of_it() -> None:
    """Its event was lost with the process: the snapshot tells its executions first, then that the rest of it is open."""
    stage = Stage().protected()
    lost = client_order_id_from(POSITION_ID, 0, stage.position.version + 1, 0)
    stage.restart()
    stage.trades["T9"] = stage.trades["T1"].__class__(
        ts_recv_ns=stage.now_ns,
        client_order_id=lost,
        venue_order_id=f"V-{lost}",
        trade_id="T9",
        side=stage.side.exit_side,
        last_qty=stage.instrument.qty(400),
        last_px=stage.trades["T1"].last_px,
        cum_qty=stage.instrument.qty(400),
    )
    stage.take(stage.trades["T9"])
    stage.found(lost, "0.6", "exit")
    order = stage.order("exit")
    assert (order.qty_lots, order.filled_lots, order.leaves_lots) == (1_000, 400, 600)
    stage.filled("exit", "0.6", cum="1.0").completed("exit", cum="1.0")
    assert stage.order("exit").status == "Filled"
    assert stage.position.held_lots == 0
    checked(stage)


def test_an_order_found_by_a_snapshot_without_executions_is_not_filled_by_those_that_it_had_before() -> None:
    stage = Stage().protected()
    lost = client_order_id_from(POSITION_ID, 0, stage.position.version + 1, 0)
    stage.restart().link_live()
    stage.found(lost, "0.6", "exit", cum="0.4").filled("exit", "0.4", cum="0.4")
    order = stage.order("exit")
    assert (order.status, order.qty_lots, order.leaves_lots) == ("Live", 1_000, 600)
    stage.filled("exit", "0.6", cum="1.0").completed("exit", cum="1.0")
    assert (stage.order("exit").status, stage.position.held_lots) == ("Filled", 0)


@pytest.mark.parametrize("side", PositionSide)
def test_a_snapshot_asked_for_after_an_amend_shows_that_it_was_applied(side: PositionSide) -> None:
    stage = Stage(side).accepted("entry").filled("entry", "0.4").accepted("stop").filled("entry", "0.6")
    assert stage.order("stop").pending_qty_lots == 1_000
    stage.wait(500).accepted("stop", leaves="1.0", cum="0").snapshot("stop", asked_ms_ago=100)
    assert (stage.order("stop").pending, stage.order("stop").qty_lots, stage.state) == ("", 1_000, "Protected")
    checked(stage)


def test_a_snapshot_asked_for_after_an_amend_shows_that_it_was_lost_and_the_size_is_asked_for_again() -> None:
    stage = Stage().accepted("entry").filled("entry", "0.4").accepted("stop").filled("entry", "0.6")
    stage.said()
    stage.wait(500).accepted("stop", leaves="0.4", cum="0").snapshot("stop", asked_ms_ago=100)
    assert stage.position.tighten_attempts == 1
    assert_decision(stage, "Resizing", "submit stop 0.6 trail 300")


def test_a_snapshot_from_before_an_amend_says_nothing_about_it() -> None:
    stage = Stage().accepted("entry").filled("entry", "0.4").accepted("stop").wait(100).filled("entry", "0.6").wait(100)
    stage.accepted("stop", leaves="0.4", cum="0").snapshot("stop", asked_ms_ago=150)
    order = stage.order("stop")
    assert (order.pending, order.qty_lots, order.pending_qty_lots, order.listed_lots) == ("amend", 400, 1_000, None)
    checked(stage)


@pytest.mark.parametrize("side", PositionSide)
def test_a_list_that_was_answered_ahead_of_an_amend_protects_nothing_that_the_amend_takes_away(side: PositionSide) -> None:
    """It shows the old size, and the amend takes effect behind it: what came anew would be bare at the venue, and believed covered."""
    stage = Stage(side, MARGIN).protected().sold_by_hand("0.4")
    assert stage.said() == ["amend stop qty 0.6"]
    stage.wait(500).accepted("stop", leaves="1.0", cum="0").snapshot("stop", asked_ms_ago=100)
    order = stage.order("stop")
    assert (stage.state, order.pending, order.protects_lots, order.possible_lots) == ("Resizing", "amend", 600, 1_000)
    stage.sold_by_hand("0.4", side=stage.side.entry_side, trade_id="M2")
    assert (stage.held, stage.bare) == (D("1.0"), D("0.4"))
    stage.amended("stop", qty="0.6")
    assert_decision(stage, "Resizing", "amend stop qty 1.0")
    checked(stage)


def test_an_amend_to_a_smaller_size_that_was_lost_is_shown_by_the_look_after_its_time_is_up() -> None:
    stage = Stage(capabilities=MARGIN).protected().sold_by_hand("0.4").wait(5_500)
    stage.accepted("stop", leaves="1.0", cum="0").snapshot("stop", asked_ms_ago=100)
    assert (stage.state, stage.order("stop").pending, stage.order("stop").protects_lots) == ("Protected", "", 1_000)
    stage.said()
    stage.wait(10_000)
    assert "amend stop qty 0.6" in stage.said()
    checked(stage)


@pytest.mark.parametrize(("is_named", "known_ms"), [(True, 4_750), (False, 5_000)])
def test_beside_what_is_anothers_an_amend_is_settled_by_the_first_question_behind_its_last_moment(is_named: bool, known_ms: int) -> None:
    """A stop for the rest leaves only when the amend can come no more; where it names no last moment the venue's own counts."""
    capabilities = replace(SPOT, amend_deadline=True) if is_named else SPOT
    stage = Stage(capabilities=capabilities).accepted("entry").filled("entry", "0.4").accepted("stop").filled("entry", "0.6")
    (amend,) = [x for x in stage.made[0].commands if isinstance(x, c.AmendOrder)]
    assert amend.deadline_ns == (stage.now_ns + 4_750_000_000 if is_named else UNSET)
    stage.wait(5_500)
    stage.accepted("stop", leaves="0.4", cum="0").snapshot("stop", asked_ms_ago=5_500 - known_ms, shared=True)
    assert stage.order("stop").pending == "amend"
    stage.said()
    stage.accepted("stop", leaves="0.4", cum="0").snapshot("stop", asked_ms_ago=5_500 - known_ms - 1, shared=True)
    assert stage.said()[0] == "submit stop 0.6 trail 300"
    assert stage.order("stop1").pending == ""
    checked(stage)


def test_a_change_of_the_level_names_no_last_moment() -> None:
    """Late it tightens all the same."""
    stage = Stage(capabilities=replace(SPOT, amend_deadline=True)).protected()
    stage.tighten(trail=100)
    (amend,) = [x for x in stage.made[0].commands if isinstance(x, c.AmendOrder)]
    assert (amend.trail_offset_bps, amend.deadline_ns) == (100, UNSET)


@pytest.mark.parametrize(("timeout_ms", "after_ms"), [(5_000, 4_750), (1_500, 1_250), (600, 500), (100, 500)])
def test_the_last_moment_of_an_amend_is_before_we_ask_and_not_nearer_than_the_venue_takes(timeout_ms: int, after_ms: int) -> None:
    stage = Stage(timing=f.Timing(amend_timeout_ms=timeout_ms))
    assert stage.position.resize_ns == after_ms * 1_000_000


def test_a_cancel_that_a_later_snapshot_contradicts_is_sent_again() -> None:
    stage = Stage().protected().leave()
    assert stage.sent() == ["cancel stop"]
    stage.wait(300).accepted("stop", leaves="1.0", cum="0").snapshot("stop", asked_ms_ago=100)
    assert_decision(stage, "CancelPending", "cancel stop")


def test_a_short_that_owes_its_base_fee_is_closed_by_buying_it_back_too() -> None:
    """What was borrowed is more than what was sold: buying that back is no reverse position."""
    stage = Stage(PositionSide.SHORT, MARGIN).accepted("entry").filled("entry", "1.0", fee="0.0026")
    assert (stage.held, stage.sent()[-1]) == (D("1.002"), "submit stop 1.002 trail 300")
    stage.accepted("stop").triggered().filled("stop", "1.002", 97)
    assert_decision(stage, "Closed")


def test_a_stop_for_the_gross_quantity_that_fires_before_the_fee_is_known_leaves_no_reverse_position() -> None:
    stage = Stage(capabilities=MARGIN).accepted("entry").filled("entry", "1.0", fee="0.0006").accepted("stop")
    stage.triggered().filled("stop", "1.0", 97)
    assert stage.position.reverse_lots == 0
    assert_decision(stage, "Closed")


@pytest.mark.parametrize("over", ["0.001", "0.002"])
def test_a_reverse_quantity_under_the_minimum_ends_the_position_and_one_above_it_is_closed(over: str) -> None:
    stage = Stage(capabilities=MARGIN).protected().canceled("stop")
    stage.said()
    stage.sold_by_hand(D("1.0") + D(over))
    if D(over) < stage.instrument.min_qty:
        # Nothing can be ordered that small: it is dust, and not waited for for ever.
        assert_decision(stage, "CancelPending", "cancel stop")
        stage.canceled("stop")
        assert_decision(stage, "Closed")
    else:
        assert_decision(stage, "Flattening", "submit flatten 0.002", "cancel stop")
        stage.accepted("flatten").filled("flatten", over).canceled("stop")
        assert_decision(stage, "Closed")


def test_an_amend_by_the_venue_itself_sets_the_quantity_that_it_names() -> None:
    stage = Stage().protected()
    stage.amended("stop", qty="0.7", by_venue=True)
    order = stage.order("stop")
    assert (order.qty_lots, order.protects_lots) == (700, 700)


def test_an_amend_that_names_a_level_of_zero_leaves_the_stop_where_it_was() -> None:
    stage = Stage(trail_offset_bps=None, stop_price=97).protected()
    before = stage.order("stop").trigger_ticks
    stage.amended("stop", at=0, by_venue=True)
    assert (before, stage.order("stop").trigger_ticks) == (970, 970)


STRANGE = {"client_order_id": "hfstranger", "venue_order_id": "V-stranger"}


@pytest.mark.parametrize(
    "word",
    [
        f.OrderAccepted(ts_recv_ns=1, leaves_qty=D(1), cum_qty=D(0), **STRANGE),
        f.OrderRejected(ts_recv_ns=1, reject_class="other", text="", **STRANGE),
        f.OrderTriggered(ts_recv_ns=1, **STRANGE),
        f.OrderAmended(ts_recv_ns=1, order_qty=D(1), **STRANGE),
        f.AmendRejected(ts_recv_ns=1, reject_class="other", text="", **STRANGE),
        f.OrderCanceled(ts_recv_ns=1, cum_qty=D(0), **STRANGE),
        f.CancelRejected(ts_recv_ns=1, reject_class="gone", text="", **STRANGE),
        f.OrderExpired(ts_recv_ns=1, cum_qty=D(0), **STRANGE),
        f.OrderCompleted(ts_recv_ns=1, cum_qty=D(1), **STRANGE),
        f.OrderNotFound(ts_recv_ns=1, trades_complete=True, asked_ns=1, **STRANGE),
        f.OrderNotSent(ts_recv_ns=1, client_order_id="hfstranger", operation="submit"),
        f.OutcomeUnknown(ts_recv_ns=1, operation="submit", reason="", **STRANGE),
        f.StopReported(ts_recv_ns=1, effective_stop=D(90), **STRANGE),
    ],
    ids=lambda word: type(word).__name__,
)
def test_the_word_of_an_order_that_the_log_lacks_changes_no_order_and_no_quantity(word: f.AnyFact) -> None:
    before = Stage().protected().position
    event = Core("flat").decide(before, replace(word, ts_recv_ns=before.state_ns + 1))
    after = evolve(before, event)
    assert (after.orders, after.held_lots, event.order_to) == (before.orders, before.held_lots, "")


@pytest.mark.parametrize("answer", ["not sent", "refused"])
def test_a_cancel_that_comes_to_nothing_leaves_the_amend_before_it_without_an_answer(answer: str) -> None:
    """The amend to a smaller size may have been applied: the smaller one protects, the larger may still fill (I1, I2)."""
    stage = Stage().protected().sold_by_hand("0.4")
    assert stage.order("stop").pending_qty_lots == 600
    stage.leave()
    assert stage.order("stop").pending == "cancel"
    if answer == "not sent":
        stage.not_sent("stop", "cancel")
    else:
        stage.cancel_rejected("stop", "other")
    assert (stage.order("stop").pending, stage.order("stop").protects_lots, stage.order("stop").possible_lots) == ("", 600, 1_000)
    checked(stage)


def test_an_amend_that_is_refused_behind_a_cancel_leaves_the_size_that_was_confirmed() -> None:
    stage = Stage().protected().sold_by_hand("0.4").leave().amend_rejected("stop")
    assert (stage.order("stop").pending, stage.order("stop").protects_lots) == ("cancel", 1_000)
    stage.cancel_rejected("stop", "other")
    assert (stage.order("stop").pending, stage.order("stop").protects_lots, stage.order("stop").possible_lots) == ("", 1_000, 1_000)
    checked(stage)


@pytest.mark.parametrize("told", ["by a report", "by a list"])
@pytest.mark.parametrize("capabilities", [SPOT, MARGIN], ids=["spot", "margin"])
def test_an_amend_that_comes_behind_the_stop_for_the_rest_takes_that_one_back_at_once(capabilities: Capabilities, told: str) -> None:
    """A list showed it not applied, and it lay in the venue's queue: both stops together are more than is held, and both can fire (I2)."""
    stage = Stage(capabilities=capabilities).accepted("entry").filled("entry", "0.4").accepted("stop").filled("entry", "0.6")
    stage.wait(7_000).accepted("stop", leaves="0.4", cum="0").snapshot("stop", asked_ms_ago=100)
    stage.said()
    assert (stage.order("stop1").leaves_lots, stage.order("stop2").leaves_lots) == (400, 600)
    stage.accepted("stop2")
    if told == "by a report":
        stage.amended("stop1", qty="1.0")
    else:
        stage.accepted("stop1", leaves="1.0", cum="0")
    assert orders_of(stage.said()) == ["cancel stop"]
    assert stage.order("stop2").pending == "cancel"
    checked(stage)


def test_a_look_that_came_after_an_amend_and_names_no_total_ends_the_waiting_for_its_answer() -> None:
    """A venue that lists the stop without a quantity, or one that is cancelled meanwhile: what was asked for is not known to be applied."""
    stage = Stage().protected()
    stage.tighten(trail=100)
    assert stage.order("stop").pending == "amend"
    stage.wait(500).snapshot("stop", asked_ms_ago=100)
    assert (stage.order("stop").pending, stage.order("stop").trail_offset_bps) == ("", 300)
    checked(stage)


# --- a fee of which it is not known in which asset it was taken ----------------------------------------------------


def test_a_fee_that_is_told_later_is_booked_once_and_the_stop_shrinks_to_what_is_left() -> None:
    stage = Stage().accepted("entry").filled("entry", "1.0", trade_id="T1", worth="0.26").accepted("stop")
    assert (stage.position.held_lots, stage.position.sellable_lots, stage.state) == (1_000, 997, "Protected")
    stage.said()
    stage.charged("T1", "0.0026")
    assert (stage.position.fee_base, stage.position.held_lots, stage.position.sellable_lots) == (D("0.0026"), 997, 997)
    assert_decision(stage, "Resizing", "amend stop qty 0.997")
    stage.charged("T1", "0.0026").charged("T1", "0.0026")
    assert (stage.position.fee_base, stage.position.held_lots) == (D("0.0026"), 997)
    checked(stage)


def test_a_fee_that_turns_out_to_be_taken_of_the_quote_asset_changes_nothing_that_is_held() -> None:
    stage = Stage().accepted("entry").filled("entry", "1.0", trade_id="T1", worth="0.26").accepted("stop")
    stage.said()
    stage.charged("T1", "0.26", "USD")
    assert (stage.position.held_lots, stage.position.sellable_lots, stage.position.feeless) == (1_000, 1_000, ())
    assert_decision(stage, "Protected")


def test_an_execution_that_is_repeated_without_its_fee_says_nothing_of_it() -> None:
    stage = Stage().accepted("entry").filled("entry", "1.0", trade_id="T1", worth="0.26").accepted("stop")
    before = stage.position
    stage.filled("entry", "1.0", trade_id="T1")
    assert stage.position.feeless == before.feeless


@pytest.mark.parametrize(("asset", "fee", "left"), [("BTC", "0.0026", "0"), ("USD", "0.26", "0.003")])
def test_an_exit_leaves_at_once_with_what_is_certain_and_the_rest_waits_for_the_word_of_its_fee(asset: str, fee: str, left: str) -> None:
    stage = Stage().accepted("entry").filled("entry", "1.0", trade_id="T1", worth="0.26").accepted("stop").leave()
    stage.canceled("stop")
    assert_decision(stage, "MarketExiting", "submit exit 0.997")
    stage.accepted("exit").filled("exit", "0.997").completed("exit")
    assert stage.state == "MarketExiting"
    stage.said()
    stage.snapshot()
    assert (stage.state, stage.said()) == ("MarketExiting", [])
    stage.charged("T1", fee, asset)
    if asset == "BTC":
        assert stage.state == "Closed"
        return
    stage.snapshot()
    assert_decision(stage, "MarketExiting", f"submit exit {left}")
    stage.accepted("exit").filled("exit", left).completed("exit")
    assert stage.state == "Closed"
    checked(stage)


def test_a_position_that_would_be_too_small_to_be_sold_without_what_the_fee_may_have_taken_leaves_whole() -> None:
    stage = Stage().accepted("entry").filled("entry", "0.005", trade_id="T1", worth="0.0013")
    assert (stage.position.held_lots, stage.position.sellable_lots) == (5, 4)
    smallest = replace(stage.position, min_lots=5)
    assert smallest.sellable_lots == 5
    assert replace(smallest, exited_lots=1, filled_lots=6).sellable_lots == 4


def test_a_fee_that_is_told_behind_an_adjustment_to_what_the_venue_holds_is_in_it_already() -> None:
    stage = Stage().accepted("entry").filled("entry", "1.0", trade_id="T1", worth="0.26").accepted("stop")
    stage.take(f.PositionAdjusted(ts_recv_ns=stage.now_ns, open_qty=D("0.997"), reason="external", evidence="a balance"))
    assert (stage.position.held_lots, stage.position.feeless) == (997, ())
    stage.charged("T1", "0.0026")
    assert (stage.position.held_lots, stage.position.fee_base) == (997, 0)


def test_a_short_waits_for_no_fee_with_its_exit() -> None:
    stage = Stage(PositionSide.SHORT, MARGIN).accepted("entry").filled("entry", "1.0", worth="0.26")
    assert stage.position.sellable_lots == stage.position.held_lots == 1_000


def test_a_fee_told_behind_the_end_is_booked_and_wakes_nobody() -> None:
    stage = Stage().accepted("entry").filled("entry", "1.0").accepted("stop").leave().canceled("stop").accepted("exit")
    stage.filled("exit", "1.0", trade_id="T2", worth="0.26").completed("exit")
    assert stage.state == "Closed"
    stage.said()
    stage.charged("T2", "0.0026")
    assert (stage.position.reverse_lots, stage.said(), stage.state) == (2, [], "Closed")
