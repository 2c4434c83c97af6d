"""Many positions: whom a fact belongs to, which clocks run, which prices are armed, and what a snapshot proves."""

import msgspec
import pytest

from events import facts as f
from events.errors import BadInput
from events.values import PositionSide
from fsm.desk import Desk
from tests.fsm.stage import INSTRUMENT, MARGIN, NO_AMEND, SYMBOL, D, Stage, assert_decision, assert_unchanged, checked

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def closed(side: PositionSide) -> Stage:
    """A position that was stopped out whole."""
    stage = Stage(side, MARGIN).protected().triggered().filled("stop", "1.0", 97)
    assert stage.state == "Closed"
    stage.said()
    return stage


# --- after the end --------------------------------------------------------------------------------------------------


@both_sides
def test_an_order_of_which_nothing_rests_any_more_is_no_evidence_against_the_end(side: PositionSide) -> None:
    stage = Stage(side).entered().leave().cancel_rejected("stop", "gone").filled("stop", "0.5").filled("stop", "0.5")
    stage.said()
    stage.accepted("stop", leaves="0", cum="1.0", stop="97")
    assert (stage.state, stage.said()) == ("Closed", [])


@both_sides
def test_an_order_of_which_nothing_rests_but_that_has_executed_more_than_is_booked_is_evidence_against_the_end(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop").filled("exit", "1.0")
    stage.said()
    stage.accepted("stop", leaves="0", cum="1.0", stop="97")
    assert (stage.state, stage.said()) == ("Closed", ["page LATE_EVIDENCE"])


@both_sides
def test_a_stop_that_shows_itself_alive_after_the_end_is_cancelled_until_it_is_gone(side: PositionSide) -> None:
    stage = closed(side).child("1.0", "V-late")
    assert stage.said() == ["cancel stop", "page LATE_EVIDENCE"]
    # An order shows itself several times as it arrives; seen when its cancel must have been answered, it is cancelled once more.
    stage.accepted("stop", leaves="1.0", cum="0")
    assert stage.said() == []
    for _ in range(2):
        stage.wait(stage.plan.timing.cancel_timeout_ms)
        stage.accepted("stop", leaves="1.0", cum="0")
        assert stage.said() == ["cancel stop", "page LATE_EVIDENCE"]
    stage.canceled("stop")
    assert_decision(stage, "Closed")
    stage.accepted("stop", leaves="1.0", cum="0")
    assert stage.said() == []


@both_sides
def test_what_is_left_of_an_ended_position_is_gone_when_two_snapshots_lack_it(side: PositionSide) -> None:
    stage = closed(side).child("1.0", "V-late")
    stage.wait(10)
    for _ in range(2):
        assert stage.order("stop").status == "Live"
        stage.snapshot()
        stage.wait(10)
    assert stage.order("stop").status == "Absent"
    checked(stage)


@both_sides
def test_what_is_known_of_an_ended_position_is_no_news(side: PositionSide) -> None:
    stage = closed(side)
    before = stage.position
    for name, trade_id in (("entry", "T1"), ("stop", "T2")):
        stage.filled(name, "1.0", trade_id=trade_id)
        assert_unchanged(stage, before)
        stage.completed(name, "1.0")
        assert_unchanged(stage, before)
    checked(stage)


# --- prices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("px", ["0", "-96", "NaN", "sNaN", "Infinity", "-Infinity", "1e18", "9e37", "9.9e55"])
def test_a_price_that_is_none_triggers_nothing_and_is_nobodys_last_price(px: str) -> None:
    stage = Stage(stop_price=97).protected().price(101)
    before = stage.position
    stage.book(stage.desk.price(SYMBOL, D(px), stage.now_ns, stage.now_ns))
    assert_unchanged(stage, before)
    mark = stage.mark()
    assert mark is not None
    assert (mark.px, stage.desk.counters["bad_prices"]) == (D(101), 1)
    stage.price(96)
    assert stage.position.shadow_ns == stage.now_ns


@pytest.mark.parametrize("px", ["1e18", "9.9e55"])
def test_a_price_beyond_all_measure_is_none_also_where_nothing_is_armed(px: str) -> None:
    stage = Stage(stop_price=97)
    stage.book(stage.desk.price(SYMBOL, D(px), stage.now_ns, stage.now_ns))
    stage.protected().price(101)
    stage.book(stage.desk.price(SYMBOL, D(px), stage.now_ns, stage.now_ns))
    assert stage.mark().px == D(101)
    assert stage.desk.counters["bad_prices"] == 2


def test_a_stored_event_with_numbers_beyond_all_measure_is_refused_with_its_place() -> None:
    log = list(Stage(stop_price=97).protected().events)
    number, accepted = next((n, event) for n, event in enumerate(log) if isinstance(event.fact, f.OrderAccepted))
    huge = msgspec.structs.replace(accepted.fact, leaves_qty=D("9e999999"), cum_qty=D("9e999999"))
    log[number] = msgspec.structs.replace(accepted, fact=huge)
    with pytest.raises(BadInput, match=f"version {accepted.version}: its numbers are beyond all measure"):
        Desk("hf").restore(log)


def test_an_attached_stop_is_taken_before_its_entry_has_an_id_of_the_venue_where_somebody_knows_whose_it_is() -> None:
    stage = Stage(attach_stop=True)
    child = f.ChildDiscovered(
        ts_recv_ns=stage.now_ns,
        client_order_id="",
        venue_order_id="V-child",
        parent_venue_order_id="V-entry",
        qty=D("1.0"),
        order_type="trailing-stop",
        trail_offset_bps=300,
    )
    assert stage.desk.take(child) == []
    stage.desk.note_owner("V-entry", stage.position.position_id)
    assert [event.position_id for event in stage.desk.take(child)] == [stage.position.position_id]
    assert [o.venue_order_id for o in stage.position.open_orders("stop")] == ["V-child"]


def test_a_market_whose_price_is_under_one_has_prices_like_any_other() -> None:
    penny = msgspec.structs.replace(INSTRUMENT, price_increment=D("0.001"))
    stage = Stage(instrument=penny, panic_pnl_bps=-1_000, trail_offset_bps=3_000).protected("1.0", "0.5")
    stage.price("0.449")
    assert (stage.desk.counters["bad_prices"], stage.state, stage.position.exit_reason) == (0, "CancelPending", "panic")


def test_a_desk_that_was_restored_says_how_many_events_it_took() -> None:
    stage = Stage().protected()
    assert Desk("hf", "flat").restore(stage.events) == len(stage.events) > 3


@both_sides
def test_a_position_that_is_leaving_is_looked_at_by_no_trail_any_more(side: PositionSide) -> None:
    stage = Stage(side, NO_AMEND, trail_style="engine").protected().price(100).price("100.1")
    assert stage.desk.index_of(SYMBOL).peak_of("hf000001|smart_stop|1") is not None
    stage.leave()
    index = stage.desk.index_of(SYMBOL)
    assert index.peak_of("hf000001|smart_stop|1") is None
    assert index.on_tick(1) == index.on_tick(10_000_000) == (), "no price wakes it"


def test_each_word_about_an_order_that_nobody_owns_is_counted_once() -> None:
    stage = Stage().protected()
    for number in (1, 2):
        assert stage.desk.take(f.OrderAccepted(ts_recv_ns=stage.now_ns, client_order_id="somebody", venue_order_id="O-9")) == []
        assert stage.desk.counters["unowned"] == number
