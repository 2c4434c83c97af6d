"""A20: PnL and ledger through a flip, with fees in quote and in base: what the books say is what the account has lost."""

import pytest

from events.values import PositionSide
from holdfast.scenario.floor import D, Floor, replayed
from projections.books import Books
from replay.intents import ExitPosition
from tests.fsm.stage import MARGIN, SPOT, Stage, assert_decision

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def flipped(side: PositionSide, *, base_fee: bool = False) -> tuple[Floor, dict[str, D]]:
    """A position that is closed twice, by its patient exit and by a stop behind its end; its owner holds as much himself on spot."""
    floor = Floor()
    if side is PositionSide.LONG:
        floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("0.5"), now_ns))
    if base_fee:
        floor.faults.arm("base_fee", on="fill", count=99)
    account = floor.gateway.exchange.account
    before = dict(account.balances)
    position_id = floor.protected(side)
    (stop,) = [order for order in floor.gateway.exchange.open_orders() if order.trigger is not None]
    qty = stop.pair.instrument.qty(stop.leaves_lots)
    floor.faults.arm("ack_lost_not_applied", on="cancel_order:trailing-stop")
    floor.intent(ExitPosition(position_id=position_id, reason="operator", patient=True))
    floor.owner(lambda exchange, now_ns: exchange.tell_again(stop, "canceled", now_ns))
    assert floor.state(position_id) == "MakerExiting"
    floor.faults.arm("fill_during_cancel", on="cancel_order:limit")
    floor.owner(lambda exchange, now_ns: exchange.execute(stop, qty, now_ns))
    floor.wait(30)
    assert (floor.state(position_id), floor.resting()) == ("Closed", [])
    assert replayed(floor)
    return floor, {asset: account.balances[asset] - before.get(asset, D(0)) for asset in account.balances}


def books_of(floor: Floor) -> Books:
    books = Books()
    for number, event in enumerate(floor.events, 1):
        books.apply(number, event)
    return books


@both_sides
def test_a20_with_fees_in_quote_a_flip_costs_what_the_account_has_lost_to_the_last_digit(side: PositionSide) -> None:
    floor, change = flipped(side)
    books = books_of(floor)
    assert books.position_row("hf000001").realized_pnl == change["USD"]
    assert change["BTC"] == 0
    assert books.ledger.is_balanced


def test_a20_with_fees_in_base_what_the_fee_of_the_way_back_took_is_bought_back_too() -> None:
    floor, change = flipped(PositionSide.LONG, base_fee=True)
    assert "Flattening" in floor.states("hf000001")
    position = floor.position("hf000001")
    # Of the owner's coins less than the venue's smallest order is missing.
    assert abs(change["BTC"]) < position.instrument.min_qty
    books = books_of(floor)
    worth = change["USD"] + change["BTC"] * floor.px
    assert abs(books.position_row("hf000001").realized_pnl - worth) < D("1")
    assert books.ledger.is_balanced


def test_a20_a_fee_in_base_is_no_reverse_where_more_is_open_than_it_took() -> None:
    stage = Stage(capabilities=SPOT).accepted("entry").filled("entry", "1.0", fee="0.0026").accepted("stop")
    assert (stage.position.reverse_lots, str(stage.held)) == (0, "0.997")
    stage.triggered().filled("stop", "0.997", 97)
    assert_decision(stage, "Closed")


def test_a20_what_a_fee_in_base_leaves_of_a_reverse_is_closed_in_a_second_order() -> None:
    stage = Stage(capabilities=SPOT).accepted("entry").filled("entry", "1.0", fee="0.0026").accepted("stop")
    stage.triggered().sold_by_hand("0.997").filled("stop", "0.997", 97)
    assert_decision(stage, "Flattening", "submit flatten 0.996")
    stage.accepted("flatten").filled("flatten", "0.996", fee="0.0026")
    assert (stage.state, stage.position.reverse_lots) == ("Flattening", 3)
    stage.wait(5_100)
    assert "submit flatten 0.003" in stage.sent()
    stage.accepted("flatten").filled("flatten", "0.003")
    assert_decision(stage, "Closed")


def test_a20_on_margin_a_short_that_owes_its_fee_in_base_is_flat_when_that_is_bought_back() -> None:
    stage = Stage(PositionSide.SHORT, MARGIN).accepted("entry").filled("entry", "1.0", fee="0.0026")
    assert stage.position.reverse_lots == 0
    stage.accepted("stop").triggered().filled("stop", "1.002", 97)
    assert_decision(stage, "Closed")
