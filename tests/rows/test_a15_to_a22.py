"""A15, A17, A19, A20, A21 and A22 through the pipeline: closed channels, deadlines, exact sizes, exact books, no REST, lost words."""

import json
from decimal import Decimal

import pytest

from events import commands as c
from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import SECOND, SYMBOL, D, Floor, commands_of, replayed
from projections.books import Books
from replay.pipeline import Settings
from tests.fsm.stage import Stage, assert_decision
from venues.kraken.times import ns_from_rfc3339
from venues.simulated.settings import VenueSettings

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)


def books_of(floor: Floor) -> Books:
    books = Books()
    for number, event in enumerate(floor.events, 1):
        books.apply(number, event)
    return books


@both_sides
def test_a15_a_closed_channel_is_an_error_that_escalates_and_a_quiet_one_is_not(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    floor.wait(20, trades=False)
    assert (floor.state(position_id), floor.alerts) == ("Protected", [])
    floor.cut()
    assert floor.state(position_id) == "Reconciling"
    assert "PRIVATE_STREAM_DEGRADED" in floor.alerts
    floor.wait(70, trades=False)
    assert "LINK_DOWN" in floor.pages
    floor.connect()
    floor.wait(2)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)


@both_sides
def test_a17_market_orders_carry_a_deadline_of_five_seconds_and_resting_ones_none(side: PositionSide) -> None:
    floor = Floor()
    sent: list[str] = []
    floor.listener = sent.append
    position_id = floor.protected(side, qty="0.1")
    floor.leave(position_id)
    floor.wait(2)
    orders = [json.loads(text)["params"] for text in sent if "add_order" in text]
    assert [x["order_type"] for x in orders] == ["market", "trailing-stop", "market"]
    assert ["deadline" in x for x in orders] == [True, False, True]
    decided_ns = [e.fact.ts_recv_ns for e in floor.events for x in e.commands if isinstance(x, c.SubmitOrder) and x.role == "exit"]
    assert ns_from_rfc3339(orders[-1]["deadline"]) - decided_ns[0] == 5 * SECOND


@both_sides
def test_a17_every_order_that_takes_carries_the_deadline_whatever_it_is_for(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop").price(100)
    for _ in range(2):
        stage.rejected("exit", "venue_state").snapshot()
    stage.filled("stop", "1.0", cum="1.0").filled("exit", "1.0")
    assert stage.state == "Flattening"
    sent = [(x, event.fact.ts_recv_ns) for event in stage.events for x in event.commands if isinstance(x, c.SubmitOrder)]
    assert [x.role for x, _ in sent] == ["entry", "stop", "exit", "exit", "exit", "flatten"]
    assert [x.deadline_ns and x.deadline_ns - at_ns for x, at_ns in sent] == [5 * SECOND, 0, *[5 * SECOND] * 4]


@both_sides
def test_a17_an_elapsed_deadline_means_look_and_the_exit_goes_out_again(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    floor.faults.arm("late_request", on="add_order:market", seconds=7, count=1)
    floor.leave(position_id)
    floor.wait(25)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)
    assert replayed(floor)


@both_sides
def test_a19_what_is_left_of_a_lot_after_fees_is_dust_and_never_an_order(side: PositionSide) -> None:
    floor = Floor(faults=("base_fee/p=1",))
    position_id = floor.protected(side, qty="0.12345678")
    floor.leave(position_id)
    floor.wait(4)
    assert (floor.state(position_id), floor.resting()) == ("Closed", [])
    assert abs(floor.at_venue()) < D("0.00005")
    assert all(x.qty > 0 and x.qty % D("0.00000001") == 0 for x in commands_of(floor, position_id, c.SubmitOrder))
    assert books_of(floor).ledger.is_balanced


def test_a19_dust_is_booked_and_leaves_nothing_held() -> None:
    floor = Floor(faults=("base_fee/p=1",))
    position_id = floor.protected(qty="0.12345678")
    floor.leave(position_id)
    floor.wait(4)
    left = floor.at_venue()
    assert left != 0
    ledger = books_of(floor).ledger
    assert (ledger.balance("dust:kraken", "BTC"), ledger.balance(f"position:{position_id}", "BTC")) == (left, 0)


@both_sides
def test_a19_a_remainder_under_the_minimum_ends_the_position(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop").filled("exit", "0.999").canceled("exit", cum="0.999").snapshot()
    assert_decision(stage, "Closed")


@both_sides
@pytest.mark.parametrize("faults", [(), ("split_fill/p=1/n=5",), ("base_fee/p=0.5", "split_fill/p=1/n=3"), ("duplicate_frame/p=0.3",)])
def test_a20_profit_and_ledger_equal_the_venues_own_books_to_the_last_digit(side: PositionSide, faults: tuple[str, ...]) -> None:
    start = {"USD": D(1_000_000), "BTC": D(0)}
    floor = Floor(faults=faults, venue=VenueSettings(balances=dict(start)))
    for number, bps in enumerate((40, -30, 10)):
        position_id = floor.protected(side, qty="0.3", trail_offset_bps=400 + number)
        floor.tick(floor.moved(side, bps))
        floor.wait(1)
        floor.leave(position_id)
        floor.wait(3)
        assert floor.state(position_id) == "Closed"
    books = books_of(floor)
    assert books.ledger.is_balanced
    fills = {x.trade_id: x for x in floor.facts(f.OrderFilled)}
    venue = floor.gateway.exchange.account.books()["fills"]
    assert len(fills) == len(venue)
    assert sum((Decimal(str(x["qty"])) for x in venue), D(0)) == sum((x.last_qty for x in fills.values()), D(0))


@both_sides
def test_a20_profit_is_the_cash_that_the_venue_pays_fees_in_quote_included(side: PositionSide) -> None:
    start = D(1_000_000)
    floor = Floor(faults=("split_fill/p=1/n=3",), venue=VenueSettings(balances={"USD": start, "BTC": D(0)}))
    realized = D(0)
    for number, bps in enumerate((40, -30, 10)):
        position_id = floor.protected(side, qty="0.3", trail_offset_bps=400 + number)
        floor.tick(floor.moved(side, bps))
        floor.wait(1)
        floor.leave(position_id)
        floor.wait(3)
        realized += books_of(floor).position_row(position_id).realized_pnl
    assert (floor.at_venue(), realized != 0) == (0, True)
    assert floor.gateway.exchange.account.balances["USD"] - start == realized


@both_sides
def test_a21_with_rest_at_hand_a_healthy_life_asks_it_nothing(side: PositionSide) -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=(SYMBOL,), asks_rest=True))
    asked: list[object] = []
    floor.watcher = lambda kind, output: asked.extend(output.questions)
    position_id = floor.protected(side, time_stop_secs=30, panic_pnl_bps=-100)
    floor.tick(floor.moved(side, 30))
    floor.wait(40)
    assert (floor.state(position_id), floor.at_venue(), asked) == ("Closed", 0, [])


def test_a21_the_hot_path_sends_nothing_but_orders_over_the_socket() -> None:
    floor = Floor()
    sent: list[str] = []
    floor.listener = sent.append
    position_id = floor.protected()
    floor.leave(position_id)
    floor.wait(3)
    assert {json.loads(text)["method"] for text in sent} <= {"add_order", "amend_order", "cancel_order"}


@both_sides
def test_a22_a_lost_private_message_is_noticed_by_the_next_one_and_asked_for(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side)
    floor.faults.arm("drop_frame", on="executions", count=1)
    floor.leave(position_id)
    floor.by_hand("buy", "0.001", margin=True)
    floor.wait(15)
    assert "PRIVATE_STREAM_DEGRADED" in floor.alerts
    assert floor.pipeline.counters["sequence_gap"] == 1
    # The owner's margin buy closed that much of a short of ours, and is the owner's own beside a long.
    owners = D("0.001") if side is PositionSide.LONG else D(0)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", owners)
