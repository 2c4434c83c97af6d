"""A8, P24: what a late order of an ended position closes is taken off the one that took over what it left, and is not closed once more."""

import json

import pytest
from msgspec import UNSET

from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import BALANCES, Floor, replayed
from projections.books import Books
from replay.pipeline import Settings
from tests.fsm.stage import D
from tests.rows.test_a26_quantity import untold
from venues.simulated.settings import VenueSettings

KINDS = [(PositionSide.LONG, False), (PositionSide.LONG, True), (PositionSide.SHORT, True)]
three_kinds = pytest.mark.parametrize(("side", "margin"), KINDS, ids=["spot", "margin-long", "margin-short"])
THIRD, ENDED, HEIR, NEXT = "hf000001", "hf000002", "hf000003", "hf000004"


def unheard(floor: Floor, side: str, qty: str, *, margin: bool) -> None:
    """An order executes at the venue, and the engine is not told of it yet."""
    if margin:
        untold(floor, side, qty)
    else:
        signed = D(qty) if side == "buy" else -D(qty)
        floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", signed, now_ns))


def trade(floor: Floor, role: str, qty: str, exec_id: str) -> dict[str, object]:
    """What the venue says of an execution of an order of the ended position that it has confirmed as cancelled."""
    position = floor.position(ENDED)
    order = next(order for order in position.orders if order.role == role)
    side = position.side.entry_side if role == "entry" else position.side.exit_side
    return {
        "order_id": order.venue_order_id, "cl_ord_id": order.client_order_id, "exec_type": "trade", "exec_id": exec_id,
        "symbol": "BTC/USD", "side": side.value, "last_qty": float(qty), "last_price": float(floor.px),
        "order_status": "partially_filled", "timestamp": "2023-11-14T22:13:30.000000Z",
    }  # fmt: skip


def tell(floor: Floor, *trades: dict[str, object]) -> None:
    floor.feed("frame", "private", json.dumps({"channel": "executions", "type": "update", "data": trades}))


def late(floor: Floor, role: str, qty: str, exec_id: str) -> None:
    """An order of the ended position that the venue has confirmed as cancelled executes all the same, and the engine is told of it."""
    data = trade(floor, role, qty, exec_id)
    unheard(floor, str(data["side"]), qty, margin=floor.position(ENDED).plan.margin)
    tell(floor, data)


def with_ended(side: PositionSide, *, margin: bool, settings: Settings | None = None) -> Floor:
    """One position that is protected, 0.3, and one that has ended."""
    # A stop that holds no funds is what makes it possible on spot.
    floor = Floor(settings=settings, venue=VenueSettings(balances=dict(BALANCES), stops_hold_funds=False))
    assert floor.protected(side, "0.3", margin=margin) == THIRD
    assert floor.protected(side, "0.5", margin=margin) == ENDED
    floor.leave(ENDED)
    floor.wait(1)
    assert floor.state(ENDED) == "Closed"
    return floor


def with_heir(side: PositionSide, *, margin: bool, settings: Settings | None = None) -> Floor:
    """Besides them, the one that took 0.5 over behind that end."""
    floor = with_ended(side, margin=margin, settings=settings)
    late(floor, "entry", "0.5", "LATE-1")
    floor.wait(1)
    assert floor.state(HEIR) == "Protected"
    return floor


def third_alone(floor: Floor) -> None:
    """Nothing is left but what was there before, and it is as it was."""
    assert floor.state(THIRD) == "Protected"
    assert floor.at_venue() == D("0.3") * floor.position(THIRD).side.sign
    assert [text.split()[-1] for text in floor.resting()] == ["0.3"]
    assert floor.facts(f.PositionAdjusted) == []
    assert replayed(floor)


def heir_is_over(floor: Floor) -> None:
    """Let time pass: the heir has ended, and the third position has lost nothing."""
    floor.wait(30)
    assert floor.state(HEIR) == "Closed"
    third_alone(floor)


@three_kinds
def test_a_late_stop_of_the_ended_position_closes_its_heir_which_sells_nothing_more(side: PositionSide, margin: bool) -> None:
    floor = with_heir(side, margin=margin)
    late(floor, "stop", "0.5", "LATE-2")
    assert floor.position(HEIR).held_lots == 0
    heir_is_over(floor)


@three_kinds
def test_a_part_of_it_is_taken_off_the_heir_and_its_stop_follows(side: PositionSide, margin: bool) -> None:
    floor = with_heir(side, margin=margin)
    late(floor, "stop", "0.2", "LATE-2")
    floor.wait(1)
    assert sorted(text.split()[-1] for text in floor.resting()) == ["0.3", "0.3"]
    late(floor, "stop", "0.3", "LATE-3")
    heir_is_over(floor)


@three_kinds
def test_who_is_the_heir_is_known_from_the_log_after_a_restart(side: PositionSide, margin: bool) -> None:
    floor = with_heir(side, margin=margin)
    floor.kill()
    floor.wait(2)
    late(floor, "stop", "0.5", "LATE-2")
    assert floor.position(HEIR).held_lots == 0
    floor.kill()
    tell(floor, trade(floor, "stop", "0.5", "LATE-2"))
    heir_is_over(floor)


@three_kinds
def test_it_is_taken_off_once_where_the_process_dies_before_the_ended_position_has_booked_it(side: PositionSide, margin: bool) -> None:
    floor = with_heir(side, margin=margin)
    data = trade(floor, "stop", "0.2", "LATE-2")
    unheard(floor, str(data["side"]), "0.2", margin=margin)
    tell(floor, data)
    order = [event.position_id for event in floor.events]
    assert order[-3:] == [HEIR, ENDED, HEIR], "the last one is what its stop was made to be"
    floor.lose(2)
    floor.kill()
    tell(floor, data)
    floor.wait(30)
    assert [fact.last_qty for fact in floor.facts(f.ManualFillSeen, HEIR)] == [D("0.2")]
    assert floor.position(HEIR).held_lots == D("0.3") / floor.position(HEIR).instrument.size_increment
    assert sorted(text.split()[-1] for text in floor.resting()) == ["0.3", "0.3"]


@three_kinds
def test_what_came_and_went_in_one_frame_is_taken_over_by_nobody(side: PositionSide, margin: bool) -> None:
    floor = with_ended(side, margin=margin)
    tell(floor, trade(floor, "entry", "0.5", "LATE-1"), trade(floor, "stop", "0.5", "LATE-2"))
    floor.wait(30)
    assert floor.facts(f.PositionAdopted) == []
    third_alone(floor)


@three_kinds
def test_what_is_left_of_what_came_and_went_in_one_frame_is_taken_over(side: PositionSide, margin: bool) -> None:
    floor = with_ended(side, margin=margin)
    unheard(floor, side.entry_side.value, "0.3", margin=margin)
    tell(floor, trade(floor, "entry", "0.5", "LATE-1"), trade(floor, "stop", "0.2", "LATE-2"))
    floor.wait(1)
    assert [fact.plan.qty for fact in floor.facts(f.PositionAdopted)] == [D("0.3")]
    assert sorted(text.split()[-1] for text in floor.resting()) == ["0.3", "0.3"]


def test_what_the_heir_has_closed_already_was_closed_twice_and_is_bought_back() -> None:
    floor = with_heir(PositionSide.LONG, margin=False)
    floor.leave(HEIR)
    floor.wait(1)
    assert floor.state(HEIR) == "Closed"
    late(floor, "stop", "0.3", "LATE-2")
    floor.wait(2)
    (adopted,) = [fact for fact in floor.facts(f.PositionAdopted) if fact.reverses is True]
    assert (adopted.position_id, adopted.of, adopted.plan.qty) == (NEXT, HEIR, D("0.3"))
    assert floor.state(NEXT) == "Closed"
    third_alone(floor)


def test_it_is_taken_off_the_newest_of_several_heirs_first() -> None:
    floor = with_heir(PositionSide.LONG, margin=False)
    late(floor, "entry", "0.4", "LATE-2")
    floor.wait(1)
    late(floor, "stop", "0.6", "LATE-3")
    assert [fact.last_qty for key in (HEIR, NEXT) for fact in floor.facts(f.ManualFillSeen, key)] == [D("0.2"), D("0.4")]
    floor.wait(30)
    assert (floor.state(NEXT), floor.at_venue()) == ("Closed", D("0.6"))
    assert sorted(text.split()[-1] for text in floor.resting()) == ["0.3", "0.3"]


def test_where_an_adjustment_may_have_had_it_in_it_nothing_is_taken_off() -> None:
    floor = with_heir(PositionSide.LONG, margin=False)
    adjusted = f.PositionAdjusted(ts_recv_ns=floor.now_ns, open_qty=D("0.4"), reason="external", evidence="a test")
    floor.pipeline.desk.take(adjusted, HEIR)
    tell(floor, trade(floor, "stop", "0.1", "LATE-2"))
    assert floor.facts(f.ManualFillSeen) == []


def test_a_price_that_comes_later_completes_the_heirs_books_too() -> None:
    floor = with_heir(PositionSide.LONG, margin=False)
    data = trade(floor, "stop", "0.5", "LATE-2")
    unheard(floor, "sell", "0.5", margin=False)
    tell(floor, {key: value for key, value in data.items() if key != "last_price"})
    assert floor.position(HEIR).price_pending
    tell(floor, data)
    assert not floor.position(HEIR).price_pending
    assert [fact.last_px for fact in floor.facts(f.ManualFillSeen, HEIR)] == [None, floor.px]


@three_kinds
def test_the_heir_realizes_what_the_late_order_got(side: PositionSide, margin: bool) -> None:
    floor = with_heir(side, margin=margin)
    entered, floor.px = floor.px, floor.moved(side, 100)
    late(floor, "stop", "0.5", "LATE-2")
    books = Books()
    for number, event in enumerate(floor.events, 1):
        books.apply(number, event)
    assert books.position_row(HEIR).realized_pnl == abs(floor.px - entered) * D("0.5")
    assert (books.ledger.balance("adopted:kraken", "BTC"), books.ledger.balance("adopted:kraken", "USD")) == (0, 0)
    assert books.ledger.is_balanced
    assert books.position_row(HEIR).exit_path == "late_order"
    assert [(path.reason, path.closed_by, path.outcome) for path in books.exits.rows(HEIR)] == [("late_order", "late_order", "closed")]


def test_a_session_from_before_replays_as_it_was() -> None:
    floor = with_heir(PositionSide.LONG, margin=False, settings=Settings(namespace="hf", symbols=("BTC/USD",), asks_rest=True))
    late(floor, "stop", "0.5", "LATE-2")
    assert floor.facts(f.ManualFillSeen) == []
    assert [fact.of for fact in floor.facts(f.PositionAdopted)] == [UNSET]
