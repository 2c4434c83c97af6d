"""A25: a protective order that finds no funds: find what holds the balance, remedy it, else leave at market."""

import pytest

from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import MS, SYMBOL, Floor, replayed
from replay.pipeline import Settings
from tests.fsm.stage import D, Stage, assert_decision

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


@both_sides
def test_a25_a_stop_refused_for_want_of_funds_is_a_question_before_it_is_another_attempt(side: PositionSide) -> None:
    stage = Stage(side).entered().rejected("stop", "funds")
    assert_decision(stage, "EmergencyProtecting")
    assert "refresh" in stage.said()
    stage.snapshot()
    assert_decision(stage, "EmergencyProtecting", "submit stop 1.0 trail 300")


@both_sides
def test_a25_an_own_stop_that_holds_the_balance_is_found_and_counts(side: PositionSide) -> None:
    stage = Stage(side).entered().rejected("stop", "funds").found("hf00000100zz9a", "1.0", "stop", "trailing-stop")
    assert_decision(stage, "Protected")


@both_sides
def test_a25_an_own_exit_that_holds_the_balance_is_found_and_nothing_is_sent_beside_it(side: PositionSide) -> None:
    stage = Stage(side).entered().rejected("stop", "funds").found("hf00000100zz9a", "1.0", "take_profit", "limit")
    stage.snapshot("tp")
    assert not any(text.startswith("submit") for text in stage.sent())


def adjusted(stage: Stage, open_qty: str) -> Stage:
    """The account's balance says that less is held."""
    fact = f.PositionAdjusted(ts_recv_ns=stage.now_ns, open_qty=D(open_qty), reason="external", evidence="a test")
    return stage.take(fact)


@both_sides
@pytest.mark.parametrize("word", ["sold by hand", "adjusted"])
def test_a25_a_quantity_that_is_no_more_what_was_refused_is_protected_at_once(side: PositionSide, word: str) -> None:
    stage = Stage(side).entered().rejected("stop", "funds")
    stage.said()
    adjusted(stage, "0.6") if word == "adjusted" else stage.sold_by_hand("0.4")
    assert_decision(stage, "EmergencyProtecting", "submit stop 0.6 trail 300")
    # The next one changes nothing while that is out.
    stage.said()
    stage.sold_by_hand("0.1", trade_id="M2")
    assert stage.sent() == []


@both_sides
@pytest.mark.parametrize("word", ["sold by hand", "adjusted"])
def test_a25_an_exit_that_was_refused_for_good_leaves_at_once_with_another_quantity(side: PositionSide, word: str) -> None:
    stage = Stage(side).entered().leave()
    stage.rejected("stop", "funds")
    for _ in range(3):
        stage.rejected("exit", "funds").snapshot()
    stage.rejected("stop", "funds")
    assert (stage.state, stage.position.exit_reason, stage.position.open_orders()) == ("EmergencyProtecting", "operator", ())
    stage.said()
    # A look brings nothing new.
    stage.snapshot()
    assert_decision(stage, "EmergencyProtecting")
    adjusted(stage, "0.6") if word == "adjusted" else stage.sold_by_hand("0.4")
    assert_decision(stage, "MarketExiting", "submit exit 0.6")


@both_sides
def test_a25_where_nothing_is_found_the_third_refusal_ends_at_market(side: PositionSide) -> None:
    stage = Stage(side).entered().rejected("stop", "funds").snapshot().rejected("stop", "funds").snapshot().rejected("stop", "funds")
    assert_decision(stage, "MarketExiting", "submit exit 1.0")
    assert stage.position.exit_reason == "protection_failed"


def test_a25_through_the_engine_the_numbers_are_told_and_a_passing_refusal_costs_no_exit() -> None:
    floor = Floor()
    floor.faults.arm("reject", on="add_order:trailing-stop", text="EOrder:Insufficient funds", count=2)
    position_id = floor.open(qty="0.2")
    floor.wait(2)
    short = floor.facts(f.BalanceShort, position_id)
    assert [(x.asset, x.needed) for x in short] == [("BTC", D("0.2"))] * 2
    assert (floor.state(position_id), floor.reasons(position_id)) == ("Protected", [])
    assert floor.bare_ns <= 200 * MS
    assert replayed(floor)


def test_a25_through_the_engine_a_lasting_refusal_ends_flat() -> None:
    floor = Floor()
    floor.faults.arm("reject", on="add_order:trailing-stop", text="EOrder:Insufficient funds", count=None)
    position_id = floor.open()
    floor.wait(5)
    assert (floor.state(position_id), floor.reasons(position_id), floor.at_venue()) == ("Closed", ["protection_failed"], 0)


def test_a25_through_the_engine_the_owners_own_order_that_holds_the_balance_is_never_touched() -> None:
    floor = Floor()
    position_id = floor.protected()
    floor.cut()
    order_id = floor.gateway.exchange.open_orders()[0].order_id
    floor.owner(lambda exchange, now_ns: exchange.cancel(order_id, "", now_ns))
    floor.rest_by_hand("sell", "0.5", 70_000)
    floor.connect()
    floor.wait(20)
    assert "limit sell 0.5" in floor.resting()
    assert floor.pages
    assert floor.facts(f.ManualOrderSeen, position_id)


def told_of(floor: Floor) -> list[str]:
    """Collect what people are told from here on."""
    told: list[str] = []
    floor.watcher = lambda kind, output: told.extend(notice.text for notice in output.notices if notice.code == "FUNDS_HELD")
    return told


def test_a25_where_the_owners_order_holds_the_balance_a_person_learns_how_much_by_rest() -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,), asks_rest=True))
    position_id = floor.protected()
    told = told_of(floor)
    floor.cut()
    order_id = floor.gateway.exchange.open_orders()[0].order_id
    floor.owner(lambda exchange, now_ns: exchange.cancel(order_id, "", now_ns))
    floor.rest_by_hand("sell", "0.5", 70_000)
    floor.connect()
    floor.wait(20)
    text = f"{position_id}: needs 0.50000000 BTC; orders that are not its own hold 0.5000000000 of 0.5000000000: cancel them"
    assert told
    assert set(told) == {text}
    assert replayed(floor)


@pytest.mark.parametrize("fault", ["rest_empty", "rest_refused", "rest_429", ""], ids=lambda fault: fault or "answered")
def test_a25_where_nobody_else_holds_anything_or_rest_does_not_say_nobody_is_accused(fault: str) -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,), asks_rest=True))
    told = told_of(floor)
    if fault:
        floor.faults.arm(fault, on="rest:BalanceEx", count=None)
    floor.faults.arm("reject", on="add_order:trailing-stop", text="EOrder:Insufficient funds", count=2)
    position_id = floor.open(qty="0.2")
    floor.wait(5)
    assert (floor.state(position_id), told) == ("Protected", [])
    assert replayed(floor)
