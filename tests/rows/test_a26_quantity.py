"""A26: what is held against what protects it, and against what the account holds; with typed outcomes (P17, P19, P30)."""

import pytest

from events import facts as f
from events.values import PositionSide
from fsm.monitor import quantity_mismatch
from holdfast.scenario.floor import SYMBOL, Floor, replayed
from replay.pipeline import Settings
from tests.fsm.stage import MARGIN, D, Stage

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def kind_of(stage: Stage) -> str | None:
    found = quantity_mismatch(stage.position)
    return None if found is None else found.kind


@both_sides
def test_a26_each_difference_between_held_and_protected_has_a_name(side: PositionSide) -> None:
    stage = Stage(side, MARGIN).accepted("entry")
    assert kind_of(stage) is None
    stage.filled("entry", "0.4")
    assert kind_of(stage) == "in_flight"
    stage.accepted("stop")
    assert kind_of(stage) is None
    stage.filled("entry", "0.6")
    assert kind_of(stage) == "short"
    stage.amended("stop", "1.0")
    assert kind_of(stage) is None
    stage.sold_by_hand("0.5")
    assert kind_of(stage) is None
    stage.amend_rejected("stop")
    assert kind_of(stage) == "surplus"
    stage.canceled("stop")
    assert kind_of(stage) == "in_flight"
    stage.rejected("stop").rejected("stop").rejected("stop")
    assert (stage.state, kind_of(stage)) == ("MarketExiting", "in_flight")


def behind_our_back(floor: Floor, sells: str = "", withdraws: str = "") -> None:
    """While the link is down the owner cancels our stop, because it holds the funds, and sells or withdraws."""
    floor.cut()
    order_id = floor.gateway.exchange.open_orders()[0].order_id
    floor.owner(lambda exchange, now_ns: exchange.cancel(order_id, "", now_ns))
    if sells:
        floor.by_hand("sell", sells)
    if withdraws:
        floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", -D(withdraws), now_ns))
    floor.connect()


def test_a26_part_of_a_spot_position_sold_by_its_owner_is_booked_at_the_owners_price_and_the_rest_protected() -> None:
    floor = Floor()
    position_id = floor.protected()
    behind_our_back(floor, sells="0.2")
    floor.wait(25)
    assert floor.state(position_id) == "Protected"
    assert [(x.side.value, x.last_qty) for x in floor.facts(f.ManualFillSeen)] == [("sell", D("0.2"))]
    assert floor.at_venue() == D("0.3")
    assert floor.resting() == ["trailing-stop sell 0.3"]
    assert replayed(floor)


def test_a26_a_spot_position_sold_whole_by_its_owner_is_closed_without_an_exit_of_ours() -> None:
    floor = Floor()
    position_id = floor.protected()
    behind_our_back(floor, sells="0.5")
    floor.wait(30)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert sum(x.last_qty for x in floor.facts(f.ManualFillSeen)) == D("0.5")
    assert replayed(floor)


def test_a26_what_no_trade_explains_is_an_adjustment_with_its_evidence() -> None:
    floor = Floor()
    position_id = floor.protected()
    behind_our_back(floor, withdraws="0.1")
    floor.wait(30)
    adjusted = floor.facts(f.PositionAdjusted)
    assert [(x.open_qty, x.reason) for x in adjusted] == [(D("0.40000000"), "external")]
    assert adjusted[0].evidence == "the account holds 0.4000000000 BTC, and no trade explains 0.1000000000"
    assert (floor.state(position_id), floor.resting()) == ("Protected", ["trailing-stop sell 0.4"])


def test_a26_what_the_account_holds_beyond_the_positions_is_the_owners_and_nothing_happens() -> None:
    floor = Floor()
    position_id = floor.protected()
    before = len(floor.events)
    floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("2"), now_ns))
    floor.by_hand("sell", "1.5")
    floor.wait(5)
    assert floor.facts(f.ManualFillSeen) + floor.facts(f.PositionAdjusted) == []
    assert floor.state(position_id) == "Protected"
    assert {type(event.fact).__name__ for event in floor.events[before:]} <= {"ManualOrderSeen"}


def test_a26_an_execution_of_ours_that_was_never_told_is_found_by_the_balance_and_nothing_is_adjusted() -> None:
    floor = Floor()
    position_id = floor.protected()
    # P17: the frames of the stop's executions are lost on a healthy stream; the balance still tells.
    floor.faults.arm("drop_frame", on="executions", count=6)
    floor.tick(floor.moved(PositionSide.LONG, -250))
    floor.wait(8)
    assert floor.state(position_id) == "Closed"
    assert floor.facts(f.PositionAdjusted) + floor.facts(f.ManualFillSeen) == []
    assert floor.at_venue() == 0


@both_sides
def test_a26_a_margin_position_closed_by_its_owner_shrinks_at_once(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    floor.by_hand(side.exit_side.value, "0.2", margin=True)
    floor.wait(2)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.3"))
    assert [text.split()[-1] for text in floor.resting()] == ["0.3"]
    floor.by_hand(side.exit_side.value, "0.3", margin=True)
    floor.wait(2)
    assert (floor.state(position_id), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert replayed(floor)


@both_sides
def test_a26_an_owner_who_closes_what_he_opened_himself_on_margin_touches_nothing_of_ours(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, margin=True)
    floor.by_hand(side.entry_side.value, "0.7", margin=True)
    floor.by_hand(side.exit_side.value, "0.7", margin=True)
    floor.wait(2)
    assert (floor.state(position_id), abs(floor.at_venue())) == ("Protected", D("0.5"))
    assert floor.facts(f.ManualFillSeen) == []


@both_sides
def test_a26_the_owners_order_on_the_symbol_is_told_once_and_never_touched(side: PositionSide) -> None:
    floor = Floor()
    floor.protected(side)
    floor.by_hand("buy", "0.1")
    floor.wait(25)
    assert [x.side.value for x in floor.facts(f.ManualOrderSeen)] == ["buy"]
    assert floor.alerts.count("MANUAL_ORDER") == 1


def test_a26_without_a_complete_snapshot_nothing_is_adjusted_and_a_person_is_told() -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,)))
    position_id = floor.protected()
    floor.cut()
    order_id = floor.gateway.exchange.open_orders()[0].order_id
    floor.owner(lambda exchange, now_ns: exchange.cancel(order_id, "", now_ns))
    for _ in range(60):
        floor.by_hand("sell", "0.001")
    # Nobody asks by REST here. The snapshot holds the last fifty trades: what happened before them nobody can say.
    floor.connect()
    floor.wait(60)
    assert floor.facts(f.PositionAdjusted) + floor.facts(f.ManualFillSeen) == []
    assert "BALANCE_UNEXPLAINED" in floor.pages
    assert floor.facts(f.BalanceShort, position_id)
