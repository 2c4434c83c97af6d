"""A venue repeats itself: what is known already is counted, decides nothing, and is not in the log a second time."""

from decimal import Decimal

from events import facts as f
from events.commands import SubmitOrder
from events.values import Capabilities, Instrument, PositionSide, Side
from fsm.desk import Desk

INSTRUMENT = Instrument(
    symbol="BTC/USD",
    base="BTC",
    quote="USD",
    price_increment=Decimal("0.1"),
    size_increment=Decimal("0.001"),
    min_qty=Decimal("0.002"),
    marginable=True,
)
SPOT = Capabilities(
    venue="x", native_trail=True, amend_in_place=True, holds_funds=True, reduce_only=False, attached_stop=True, one_child_per_fill=True
)
PLAN = f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=Decimal("0.1"), trail_offset_bps=100)


def refused(desk: Desk, now_ns: int) -> None:
    """Refuse whatever was submitted last."""
    position = desk.positions["hf000001"]
    order = position.open_orders("stop", "exit")[-1]
    desk.take(
        f.OrderRejected(ts_recv_ns=now_ns, client_order_id=order.client_order_id, reject_class="funds", text="EOrder:Insufficient funds")
    )


def test_a_fill_that_is_booked_decides_nothing_when_it_is_listed_again() -> None:
    desk = Desk("hf")
    request = f.PositionRequested(ts_recv_ns=1, position_id="hf000001", plan=PLAN, instrument=INSTRUMENT, capabilities=SPOT)
    (event,) = desk.take(request)
    entry = event.commands[0]
    assert isinstance(entry, SubmitOrder)
    fill = f.OrderFilled(
        ts_recv_ns=2,
        client_order_id=entry.client_order_id,
        venue_order_id="V1",
        trade_id="T1",
        side=Side.BUY,
        last_qty=PLAN.qty,
        last_px=Decimal(100),
    )
    desk.take(fill)
    while desk.positions["hf000001"].state != "MarketExiting":
        # Every stop is refused until the way out is the market.
        if desk.positions["hf000001"].open_orders("stop"):
            refused(desk, 3)
        else:
            desk.due(desk.next_deadline_ns() or 0)
    refused(desk, 4)
    assert desk.positions["hf000001"].state == "MarketExiting"
    duplicates = desk.counters["duplicates"]
    assert desk.take(fill) == []
    assert desk.counters["duplicates"] == duplicates + 1
