"""A27, P24: what closes a closed position once more is seen, and its reverse is closed at once, with what it cost in the books."""

import json

import pytest

from events import commands as c
from events import facts as f
from events.values import PositionSide
from holdfast.scenario.floor import SECOND, Floor, replayed
from projections.books import Books
from replay.pipeline import Settings
from tests.fsm.stage import D
from tests.rows.test_a26_quantity import untold

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
LATE = "hf000002"


def late_stop(floor: Floor, position_id: str, qty: str, *, exec_id: str = "LATE-1", px: object = None, is_told_only: bool = False) -> None:
    """The venue tells an execution of a stop that it has confirmed as cancelled, and the account holds what that sold or bought."""
    position = floor.position(position_id)
    stop = next(order for order in position.orders if order.role == "stop")
    side = position.side.exit_side.value
    if is_told_only:
        pass
    elif position.plan.margin:
        floor.by_hand(side, qty, margin=True)
    else:
        floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", -D(qty), now_ns))
    data = {
        "order_id": stop.venue_order_id, "cl_ord_id": stop.client_order_id, "exec_type": "trade", "exec_id": exec_id, "symbol": "BTC/USD",
        "side": side, "last_qty": float(qty), "last_price": float(str(px or floor.px)), "order_status": "partially_filled",
        "timestamp": "2023-11-14T22:13:30.000000Z",
    }  # fmt: skip
    floor.feed("frame", "private", json.dumps({"channel": "executions", "type": "update", "data": [data]}))


def with_owners(side: PositionSide) -> tuple[Floor, str]:
    """A closed position on an account whose owner holds as much himself: on spot nothing can be sold twice without that."""
    floor = Floor()
    if side is PositionSide.LONG:
        floor.owner(lambda exchange, now_ns: exchange.change_balance("BTC", D("0.5"), now_ns))
    position_id = floor.protected(side)
    floor.leave(position_id)
    floor.wait(1)
    return floor, position_id


@both_sides
def test_a27_the_reverse_of_a_closed_position_is_an_incident_of_its_own_and_closed_at_once(side: PositionSide) -> None:
    floor, position_id = with_owners(side)
    before = floor.at_venue()
    late_stop(floor, position_id, "0.5")
    # Not a stop first, which would have to be cancelled again.
    (exit_order,) = [x for event in floor.events if event.position_id == LATE for x in event.commands if isinstance(x, c.SubmitOrder)]
    assert (exit_order.role, exit_order.side, exit_order.qty) == ("exit", side.entry_side, D("0.5"))
    assert exit_order.reduce_only is (side is PositionSide.SHORT)
    floor.wait(2)
    assert (floor.state(position_id), floor.state(LATE), floor.reasons(LATE)) == ("Closed", "Closed", ["reversed"])
    assert (floor.at_venue(), floor.resting()) == (before, [])
    assert floor.pages == ["LATE_EVIDENCE"]
    assert "EXPOSURE_ADOPTED" in floor.alerts
    assert floor.bare_ns < SECOND
    assert replayed(floor)


@both_sides
def test_a27_what_the_reverse_cost_stands_in_its_own_books(side: PositionSide) -> None:
    floor, position_id = with_owners(side)
    # Sold at 1 % worse than it can be bought back.
    late_stop(floor, position_id, "0.5", px=floor.moved(side, -100))
    floor.wait(2)
    books = Books()
    for number, event in enumerate(floor.events, 1):
        books.apply(number, event)
    row = books.position_row(LATE)
    exit_px = next(fill.last_px for fill in floor.facts(f.OrderFilled, LATE))
    assert exit_px is not None
    lost = abs(exit_px - floor.moved(side, -100)) * D("0.5")
    assert row.exit_path == "reversed"
    # Besides the fee of the order that closed it.
    assert -(lost + exit_px) <= row.realized_pnl < -lost
    assert books.ledger.is_balanced


@both_sides
def test_a27_each_part_of_a_late_execution_is_taken_back(side: PositionSide) -> None:
    floor, position_id = with_owners(side)
    before = floor.at_venue()
    late_stop(floor, position_id, "0.2", exec_id="LATE-1")
    late_stop(floor, position_id, "0.3", exec_id="LATE-2")
    late_stop(floor, position_id, "0.3", exec_id="LATE-2", is_told_only=True)
    floor.wait(2)
    assert [floor.state(x) for x in ("hf000002", "hf000003")] == ["Closed", "Closed"]
    assert floor.at_venue() == before


@both_sides
def test_a27_a_reverse_that_cannot_be_closed_gets_a_stop_and_a_person_is_told(side: PositionSide) -> None:
    floor, position_id = with_owners(side)
    label = f"add_order:market:{side.entry_side.value}"
    floor.faults.arm("reject", on=label, text="EOrder:Trading agreement required", count=9)
    floor.faults.arm("reject", on=label.replace("market", "limit"), text="EOrder:Trading agreement required", count=9)
    late_stop(floor, position_id, "0.5")
    floor.wait(20)
    assert "EXIT_NOT_POSSIBLE" in floor.pages
    assert len(floor.resting()) == 1
    floor.wait(120)
    assert floor.state(LATE) == "Closed"


def test_a27_what_a_late_stop_closed_on_margin_is_taken_off_the_position_that_holds_the_pair_now() -> None:
    floor = Floor(settings=Settings(namespace="hf", symbols=("BTC/USD",), asks_rest=True))
    first = floor.protected(PositionSide.SHORT, "0.4")
    floor.leave(first)
    floor.wait(1)
    second = floor.protected(PositionSide.SHORT, "1.0")
    untold(floor, "buy", "0.4")
    late_stop(floor, first, "0.4", is_told_only=True)
    floor.wait(30)
    # Its reverse is not there: the account is held net.
    assert (floor.state("hf000003"), floor.at_venue()) == ("Closed", D("-0.6"))
    assert floor.resting() == ["trailing-stop buy 0.6"]
    floor.leave(second)
    floor.wait(2)
    assert (floor.state(second), floor.at_venue(), floor.resting()) == ("Closed", 0, [])
    assert "EXIT_NOT_POSSIBLE" not in floor.pages
    assert replayed(floor)


def test_a27_where_the_quantity_was_once_adjusted_nothing_is_bought_back_on_spot_and_a_person_is_told() -> None:
    # What was taken for the owner's withdrawal may have been this execution: then nothing was sold twice.
    floor = Floor()
    position_id = floor.protected(PositionSide.LONG)
    adjusted = f.PositionAdjusted(ts_recv_ns=floor.now_ns, open_qty=D(0), reason="external", evidence="a test")
    floor.pipeline.desk.take(adjusted, position_id)
    (stop,) = floor.position(position_id).open_orders("stop")
    floor.pipeline.desk.take(f.OrderCanceled(ts_recv_ns=floor.now_ns, client_order_id=stop.client_order_id, cum_qty=D(0)), position_id)
    assert floor.state(position_id) == "Closed"
    late_stop(floor, position_id, "0.4", is_told_only=True)
    assert floor.facts(f.PositionAdopted) == []
    assert "LATE_EVIDENCE" in floor.pages
