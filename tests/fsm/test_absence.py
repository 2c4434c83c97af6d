"""An order that a snapshot does not list may still be under way: what would double it is not sent before its deadline."""

from decimal import Decimal

import pytest

from events import facts as f
from events.commands import SubmitOrder
from events.values import Capabilities, Instrument, PositionSide
from fsm.desk import Desk

SECOND = 1_000_000_000
START_NS = 1_000 * SECOND
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


class Scene:
    """One position whose order was sent just before the link ended."""

    def __init__(self, **plan_fields: object) -> None:
        self.desk = Desk("hf")
        plan = f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=Decimal("0.1"), trail_offset_bps=100, **plan_fields)  # type: ignore[arg-type]
        request = f.PositionRequested(ts_recv_ns=START_NS, position_id="hf000001", plan=plan, instrument=INSTRUMENT, capabilities=SPOT)
        self.desk.take(request)

    @property
    def position(self):
        return self.desk.get("hf000001")

    def sent(self, now_ns: int) -> SubmitOrder:
        order = self.position.orders[-1]
        self.desk.take(f.OrderSubmitted(ts_recv_ns=now_ns, client_order_id=order.client_order_id))
        return order

    def relinked(self, now_ns: int) -> None:
        """The link ends and begins again at once; the snapshot lists nothing."""
        self.desk.take_all(f.ChannelClosed(ts_recv_ns=now_ns, reason="cut"))
        self.looked(now_ns + SECOND // 10)

    def looked(self, now_ns: int) -> None:
        self.desk.snapshot((), True, now_ns - 1, now_ns)

    def accepted(self, order, now_ns: int) -> None:
        venue_order_id = order.client_order_id + "V"
        self.desk.take(f.OrderAccepted(ts_recv_ns=now_ns, client_order_id=order.client_order_id, venue_order_id=venue_order_id))

    def filled(self, order, now_ns: int) -> None:
        side = self.position.side.entry_side if order.role == "entry" else self.position.side.exit_side
        self.desk.take(
            f.OrderFilled(
                ts_recv_ns=now_ns,
                client_order_id=order.client_order_id,
                venue_order_id=order.client_order_id + "V",
                trade_id=order.client_order_id + "T",
                side=side,
                last_qty=Decimal("0.1"),
                last_px=Decimal(100),
            )
        )


@pytest.mark.parametrize("entry", [{}, {"entry_type": "limit", "entry_price": Decimal(100)}])
def test_an_entry_that_no_snapshot_lists_is_not_given_up_before_its_deadline(entry) -> None:
    scene = Scene(**entry)
    order = scene.sent(START_NS)
    scene.relinked(START_NS + 1)
    assert scene.position.state == "EntryPending"
    scene.filled(order, START_NS + SECOND)
    assert scene.position.state == "ProtectionPending"
    assert scene.position.orders[-1].role == "stop"


def test_an_entry_that_is_not_there_after_its_deadline_never_was() -> None:
    scene = Scene()
    scene.sent(START_NS)
    scene.relinked(START_NS + 1)
    scene.looked(START_NS + 5 * SECOND)
    assert scene.position.state == "EntryPending"
    scene.looked(START_NS + 5 * SECOND + 2)
    assert scene.position.state == "Abandoned"


def test_no_second_exit_is_sent_while_the_first_may_be_under_way() -> None:
    scene = Scene()
    scene.filled(scene.sent(START_NS), START_NS)
    stop = scene.sent(START_NS)
    scene.accepted(stop, START_NS)
    scene.desk.take(f.ExitRequested(ts_recv_ns=START_NS + 1, reason="signal"), "hf000001")
    scene.desk.take(f.OrderCanceled(ts_recv_ns=START_NS + 2, client_order_id=stop.client_order_id, cum_qty=Decimal(0)))
    exit_order = scene.sent(START_NS + 3)
    assert exit_order.role == "exit"
    scene.relinked(START_NS + 4)
    assert scene.position.orders[-1].client_order_id == exit_order.client_order_id
    scene.filled(exit_order, START_NS + SECOND)
    assert scene.position.state == "Closed"
