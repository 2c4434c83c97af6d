from decimal import Decimal

import pytest
from played import Played

from events import facts as f
from events.values import PositionSide, Side
from projections.books import Books
from projections.exits import ExitRow

D = Decimal


@pytest.fixture
def played() -> Played:
    played = Played()
    played.protected()
    return played


def paths_of(played: Played) -> list[ExitRow]:
    return list(books_of(played).exits.rows("hf000001"))


def books_of(played: Played) -> Books:
    books = Books()
    for number, event in played.events:
        books.apply(number, event)
    return books


def test_a_cancel_first_exit_tells_reason_states_orders_and_what_it_got(played: Played) -> None:
    played.at(100).exit("time_stop")
    played.at(130).canceled(played.order("stop"))
    exit_id = played.order("exit").client_order_id
    played.at(170).fill(played.order("exit"), "1", "101")
    (path,) = paths_of(played)
    assert (path.reason, path.fact, path.outcome, path.closed_by) == ("time_stop", "ExitRequested", "closed", "exit")
    assert path.states == "CancelPending > MarketExiting > Closed"
    assert (path.orders, path.exited_qty, path.avg_px) == (exit_id, D("1"), D("101"))
    assert path.mark_px == D("101")
    assert path.row.startswith("position:")


def test_a_stop_that_fires_is_a_path_without_a_decision(played: Played) -> None:
    played.at(200).triggered(played.order("stop"))
    played.at(215).fill(played.order("stop"), "1", "99.2")
    (path,) = paths_of(played)
    assert (path.reason, path.closed_by, path.outcome, path.states) == ("stop", "stop", "closed", "StopTriggered > Closed")
    assert books_of(played).position_row("hf000001").exit_path == "trailing_stop"


def test_an_exit_that_the_stop_overtakes_was_left_by_the_stop(played: Played) -> None:
    played.at(100).exit("take_profit")
    played.at(105).fill(played.order("stop"), "1", "99.2")
    books = books_of(played)
    (path,) = books.exits.rows("hf000001")
    assert (path.reason, path.closed_by, path.outcome) == ("take_profit", "stop", "closed")
    row = books.position_row("hf000001")
    assert (row.exit_reason, row.exit_path, row.state) == ("take_profit", "trailing_stop", "Closed")


def test_a_stop_that_fired_and_does_not_fill_is_superseded_by_the_next_decision(played: Played) -> None:
    played.at(200).triggered(played.order("stop"))
    for ms in range(5_000, 60_000, 5_000):
        played.at(ms).keep(played.desk.due(played.now_ns))
    reasons = [(path.reason, path.outcome) for path in paths_of(played)]
    assert reasons[:2] == [("stop", "superseded"), ("stop_unfilled", "")]


def test_what_the_owner_sold_by_hand_is_a_path_too_and_the_rest_stays_protected(played: Played) -> None:
    sold = f.ManualFillSeen(trade_id="M1", side=Side.SELL, last_qty=D("0.4"), last_px=D("102"), ts_recv_ns=played.now_ns)
    played.take(sold, "hf000001")
    played.at(90).amended(played.order("stop"))
    (path,) = paths_of(played)
    assert (path.reason, path.closed_by, path.exited_qty, path.outcome) == ("manual", "manual", D("0.4"), "protected")


def test_an_adjustment_to_nothing_is_how_the_position_was_left(played: Played) -> None:
    played.take(f.PositionAdjusted(open_qty=D("0"), reason="sold elsewhere", evidence="balances", ts_recv_ns=played.now_ns), "hf000001")
    played.at(90).canceled(played.order("stop"))
    books = books_of(played)
    assert [path.reason for path in books.exits.rows("hf000001")] == ["adjustment"]
    row = books.position_row("hf000001")
    assert (row.exit_path, row.qty, row.is_uncertain) == ("adjustment", D(0), True)


def test_a_static_stop_is_left_by_stop_loss() -> None:
    played = Played()
    played.protected(plan=f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=D("1"), stop_price=D("99")))
    played.at(200).triggered(played.order("stop"))
    played.at(215).fill(played.order("stop"), "1", "98.9")
    assert books_of(played).position_row("hf000001").exit_path == "stop_loss"


@pytest.mark.parametrize(
    ("filled_by", "way"), [("take_profit", "take_profit_maker"), ("exit", "take_profit_timeout")], ids=["it fills", "nobody comes"]
)
def test_a_take_profit_that_rested_says_whether_it_filled_there_or_the_market_was_taken(filled_by: str, way: str) -> None:
    played = Played()
    resting = f.Plan(
        symbol="BTC/USD", side=PositionSide.LONG, qty=D("1"), trail_offset_bps=120, take_profit_price=D("110"), take_profit_style="maker"
    )
    played.protected(plan=resting)
    played.at(100).exit("take_profit")
    played.at(130).canceled(played.order("stop"))
    played.at(150).accept(played.order("take_profit"))
    if filled_by == "exit":
        for ms in range(1_000, 60_000, 1_000):
            played.at(ms).keep(played.desk.due(played.now_ns))
        played.canceled(played.order("take_profit"))
    played.fill(played.order(filled_by), "1", "110")
    row = books_of(played).position_row("hf000001")
    assert (row.state, row.exit_path, row.exit_reason) == ("Closed", way, "take_profit")
