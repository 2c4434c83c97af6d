from decimal import Decimal

import pytest
from booked import START_NS
from played import MS, Played

from events import facts as f
from projections.books import Books
from projections.orders import OrderRow

D = Decimal


def rows_of(played: Played) -> dict[str, OrderRow]:
    books = Books()
    for number, event in played.events:
        books.apply(number, event)
    return {row.role: row for row in books.orders.rows(books.positions["hf000001"])}


@pytest.fixture
def played() -> Played:
    played = Played()
    played.protected(fees={"USD": "0.26"})
    return played


def test_an_entry_is_told_from_decision_to_fill(played: Played) -> None:
    row = rows_of(played)["entry"]
    assert (row.status, row.qty, row.filled_qty, row.avg_px, row.fees) == ("Filled", D("1.0000"), D("1"), D("100"), "0.26 USD")
    assert [(ns - START_NS) // MS for ns in (row.decided_ns, row.accepted_ns, row.first_fill_ns, row.ended_ns)] == [0, 10, 20, 20]
    assert row.ack_latency_ns == 10 * MS
    assert row.decided_version == 1


def test_latency_counts_from_the_socket_where_the_sender_said_when(played: Played) -> None:
    played.at(100).exit("signal")
    played.at(101).take(f.OrderSubmitted(client_order_id=played.order("stop").client_order_id, ts_recv_ns=played.now_ns))
    played.at(110).canceled(played.order("stop"))
    order = played.order("exit")
    played.at(113).take(f.OrderSubmitted(client_order_id=order.client_order_id, ts_recv_ns=played.now_ns))
    played.at(120).accept(order)
    assert rows_of(played)["exit"].ack_latency_ns == 7 * MS


def test_a_stop_shows_its_amends_and_its_cancel(played: Played) -> None:
    played.take(f.PlanTightened(trail_offset_bps=50, ts_recv_ns=played.now_ns), "hf000001")
    played.at(80).amended(played.order("stop"))
    played.at(100).exit("signal")
    refused = f.CancelRejected(
        client_order_id=played.order("stop").client_order_id, reject_class="venue_state", text="EService:Busy", ts_recv_ns=played.now_ns
    )
    played.at(110).take(refused)
    row = rows_of(played)["stop"]
    assert (row.role, row.order_type, row.trail_offset_bps) == ("stop", "trailing-stop", 50)
    assert (row.amends_asked, row.amends_done, row.cancels_asked, row.cancels_refused) == (1, 1, 1, 1)
    assert row.reason == "EService:Busy"


def test_a_refused_order_carries_class_and_text() -> None:
    played = Played()
    played.request()
    played.at(10).rejected(played.order("entry"), "funds")
    row = rows_of(played)["entry"]
    assert (row.status, row.reject_class, row.reason, row.ack_latency_ns) == ("Rejected", "funds", "EOrder:refused", None)


def test_an_order_in_flight_when_the_link_drops_is_unknown() -> None:
    played = Played()
    played.request()
    played.at(10).take(f.ChannelClosed(reason="1006", ts_recv_ns=played.now_ns), "hf000001")
    assert rows_of(played)["entry"].status == "Unknown"


def test_a_discovered_child_is_an_order_of_its_own() -> None:
    played = Played()
    played.request()
    played.at(10).accept(played.order("entry"))
    entry = played.order("entry")
    child = f.ChildDiscovered(
        client_order_id="",
        venue_order_id="OCHILD",
        parent_venue_order_id=entry.venue_order_id,
        qty=D("1"),
        order_type="trailing-stop",
        trail_offset_bps=80,
        ts_recv_ns=played.now_ns,
    )
    played.take(child)
    row = rows_of(played)["stop"]
    assert (row.venue_order_id, row.side, row.status, row.qty) == ("OCHILD", "sell", "Live", D("1.0000"))


def test_an_average_price_waits_for_prices_and_counts_each_execution_once(played: Played) -> None:
    played.at(100).exit("signal")
    played.at(130).canceled(played.order("stop"))
    played.fill(played.order("exit"), "0.25", "101")
    played.fill(played.order("exit"), "0.75", "103")
    row = rows_of(played)["exit"]
    assert (row.avg_px, row.fills, row.filled_qty) == (D("102.5"), 2, D("1.00"))
