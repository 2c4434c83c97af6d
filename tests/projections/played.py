"""Histories that the real core decided: facts go into a `Desk`, its events come out with notification ids."""

from decimal import Decimal

from booked import INSTRUMENT, START_NS, VENUE
from hypothesis import strategies as st

from events import facts as f
from events.commands import AmendOrder, CancelOrder, SubmitOrder
from events.record import PositionEvent
from events.values import Mark, PositionSide
from fsm.desk import Desk
from fsm.model import Order, Position

MS = 1_000_000
D = Decimal
PLAN = f.Plan(symbol="BTC/USD", side=PositionSide.LONG, qty=D("1"), trail_offset_bps=80)


class Played:
    """One desk, its clock (`ms` after the start), and every event so far."""

    def __init__(self) -> None:
        self.desk = Desk("hf")
        self.events: list[tuple[int, PositionEvent]] = []
        self.ms = 0
        self._trades = 0

    @property
    def now_ns(self) -> int:
        return START_NS + self.ms * MS

    def take(self, fact: f.AnyFact, position_id: str = "") -> list[PositionEvent]:
        return self.keep(self.desk.take(fact, position_id))

    def keep(self, events: list[PositionEvent]) -> list[PositionEvent]:
        self.events += list(enumerate(events, len(self.events) + 1))
        return events

    def at(self, ms: int) -> "Played":
        """Move the clock to `ms`; deadlines on the way are not fired."""
        self.ms = ms
        return self

    def request(self, plan: f.Plan = PLAN, position_id: str = "hf000001") -> None:
        fact = f.PositionRequested(position_id=position_id, plan=plan, instrument=INSTRUMENT, capabilities=VENUE, ts_recv_ns=self.now_ns)
        self.take(fact)

    def position(self, position_id: str = "hf000001") -> Position:
        position = self.desk.get(position_id)
        assert position is not None
        return position

    def order(self, role: str, position_id: str = "hf000001") -> Order:
        """Return the last order of a role."""
        return [order for order in self.position(position_id).orders if order.role == role][-1]

    def accept(self, order: Order) -> None:
        self.take(
            f.OrderAccepted(client_order_id=order.client_order_id, venue_order_id=f"V{order.client_order_id}", ts_recv_ns=self.now_ns)
        )

    def fill(self, order: Order, qty: str, px: str | None, fees: dict[str, str] | None = None, cum: str | None = None) -> None:
        self._trades += 1
        side = self.position(order.client_order_id[:8]).side
        fact = f.OrderFilled(
            client_order_id=order.client_order_id,
            trade_id=f"T{self._trades}",
            side=side.entry_side if order.role in ("entry", "flatten") else side.exit_side,
            last_qty=D(qty),
            last_px=None if px is None else D(px),
            cum_qty=None if cum is None else D(cum),
            fees=tuple(f.Fee(asset=asset, qty=D(fee)) for asset, fee in (fees or {}).items()),
            ts_recv_ns=self.now_ns,
        )
        self.take(fact)

    def amended(self, order: Order) -> None:
        self.take(f.OrderAmended(client_order_id=order.client_order_id, ts_recv_ns=self.now_ns))

    def canceled(self, order: Order, cum: str = "0") -> None:
        self.take(f.OrderCanceled(client_order_id=order.client_order_id, cum_qty=D(cum), ts_recv_ns=self.now_ns))

    def rejected(self, order: Order, reject_class: f.RejectClass = "venue_state") -> None:
        fact = f.OrderRejected(
            client_order_id=order.client_order_id, reject_class=reject_class, text="EOrder:refused", ts_recv_ns=self.now_ns
        )
        self.take(fact)

    def triggered(self, order: Order) -> None:
        self.take(f.OrderTriggered(client_order_id=order.client_order_id, ts_recv_ns=self.now_ns))

    def exit(self, reason: f.ExitReason, position_id: str = "hf000001") -> None:
        self.take(f.ExitRequested(reason=reason, mark=self.mark("101"), ts_recv_ns=self.now_ns), position_id)

    def mark(self, px: str) -> Mark:
        return Mark(px=D(px), ts_event_ns=self.now_ns, ts_recv_ns=self.now_ns)

    def protected(self, qty: str = "1", px: str = "100", plan: f.Plan = PLAN, fees: dict[str, str] | None = None) -> None:
        """Play an entry that fills at once and whose stop is confirmed 40 ms later."""
        self.request(plan)
        self.at(self.ms + 10).accept(self.order("entry"))
        self.at(self.ms + 10).fill(self.order("entry"), qty, px, fees)
        self.at(self.ms + 40).accept(self.order("stop"))

    def last_commands(self) -> list[SubmitOrder | AmendOrder | CancelOrder]:
        return [c for c in self.events[-1][1].commands if isinstance(c, SubmitOrder | AmendOrder | CancelOrder)]


PLANS = (
    PLAN,
    f.Plan(symbol="BTC/USD", side=PositionSide.SHORT, qty=D("0.5"), margin=True, stop_price=D("103"), panic_pnl_bps=-300),
    f.Plan(
        symbol="BTC/USD",
        side=PositionSide.LONG,
        qty=D("2"),
        trail_offset_bps=120,
        attach_stop=True,
        take_profit_price=D("110"),
        take_profit_style="maker",
        time_stop_secs=60,
    ),
)
_REASONS: tuple[f.ExitReason, ...] = ("signal", "operator", "take_profit", "panic")
_LEVELS: tuple[f.Level, ...] = ("take_profit", "panic", "stop", "tighten")
_REJECTS: tuple[f.RejectClass, ...] = ("funds", "venue_state", "through_market", "post_only")


@st.composite
def played_histories(draw: st.DrawFn) -> Played:
    """Return what the core made of some positions to which anything happened, in any order: acks, fills, refusals, silence."""
    played = Played()
    ids = [f"hf00000{n}" for n in range(1, draw(st.integers(1, 3)) + 1)]
    for position_id in ids:
        played.request(draw(st.sampled_from(PLANS)), position_id)
    for _ in range(draw(st.integers(0, 25))):
        played.at(played.ms + draw(st.integers(0, 9_000)))
        _happen(draw, played, draw(st.sampled_from(ids)))
    return played


def _happen(draw: st.DrawFn, played: Played, position_id: str) -> None:
    orders = played.position(position_id).orders
    order = draw(st.sampled_from(orders))
    px = str(draw(st.integers(9_000, 12_000)) / D(100))
    action = draw(st.integers(0, 13))
    if action <= 2:
        played.accept(order)
    elif action <= 5:
        lots = draw(st.integers(1, max(1, order.qty_lots)))
        fees = draw(st.sampled_from([{}, {"USD": "0.13"}, {"BTC": "0.00021"}, {"KFEE": "3"}]))
        played.fill(order, str(INSTRUMENT.qty(lots)), draw(st.sampled_from([px, px, px, None])), fees)
    elif action == 6:
        played.canceled(order, str(INSTRUMENT.qty(order.filled_lots)))
    elif action == 7:
        played.rejected(order, draw(st.sampled_from(_REJECTS)))
    elif action == 8:
        played.triggered(order) if order.role == "stop" else played.amended(order)
    elif action == 9:
        played.exit(draw(st.sampled_from(_REASONS)), position_id)
    elif action == 10:
        played.keep(played.desk.due(played.now_ns))
    elif action == 11:
        level = draw(st.sampled_from(_LEVELS))
        played.take(f.LevelCrossed(level=level, mark=played.mark(px), ts_recv_ns=played.now_ns), position_id)
    elif action == 12:
        _by_hand(draw, played, position_id, px)
    else:
        played.take(f.ChannelClosed(reason="1006", ts_recv_ns=played.now_ns), position_id)
        played.keep(played.desk.snapshot([], draw(st.booleans()), played.now_ns, played.now_ns))


def _by_hand(draw: st.DrawFn, played: Played, position_id: str, px: str) -> None:
    lots = draw(st.integers(0, 3_000))
    if draw(st.booleans()):
        fact: f.AnyFact = f.PositionAdjusted(open_qty=INSTRUMENT.qty(lots), reason="r", evidence="e", ts_recv_ns=played.now_ns)
    else:
        side = played.position(position_id).side.exit_side
        fact = f.ManualFillSeen(
            trade_id=f"M{len(played.events)}", side=side, last_qty=INSTRUMENT.qty(lots + 1), last_px=D(px), ts_recv_ns=played.now_ns
        )
    played.take(fact, position_id)
