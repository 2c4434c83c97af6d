"""An adversarial venue for the core, driven by a seed: it may do to a position whatever a real one may.

It keeps its own books (orders, executions, what is really held) and delivers facts late, twice, out of order or never.
When the faults stop, everything undelivered comes by a fresh snapshot. Times are virtual.
"""

import random
from dataclasses import dataclass, field
from decimal import Decimal

from events import commands as c
from events import facts as f
from events.record import PositionEvent
from events.values import Capabilities, Instrument, Mark, PositionSide, Side
from fsm.core import Core, Violation
from fsm.desk import Desk, SnapshotOrder
from fsm.model import Position

SYMBOL = "BTC/USD"
INSTRUMENT = Instrument(
    symbol=SYMBOL, base="BTC", quote="USD", price_increment=Decimal("0.1"), size_increment=Decimal("0.1"), min_qty=Decimal("0.2"), marginable=True
)
SPOT = Capabilities(
    venue="model", native_trail=True, amend_in_place=True, holds_funds=True, reduce_only=False, attached_stop=True, one_child_per_fill=True
)
MARGIN = Capabilities(
    venue="model", native_trail=True, amend_in_place=True, holds_funds=False, reduce_only=True, attached_stop=True, one_child_per_fill=True
)
NO_AMEND = Capabilities(
    venue="model", native_trail=True, amend_in_place=False, holds_funds=True, reduce_only=False, attached_stop=False, one_child_per_fill=False
)
MS = 1_000_000


@dataclass
class VenueOrder:
    """An order as the venue knows it."""

    client_order_id: str
    venue_order_id: str
    command: c.SubmitOrder
    qty: Decimal
    filled: Decimal = Decimal(0)
    open: bool = True
    triggered: bool = False

    @property
    def leaves(self) -> Decimal:
        return self.qty - self.filled if self.open else Decimal(0)


@dataclass
class Life:
    """One position, one venue, one seed. `run()` returns the position at its end."""

    seed: int
    fault_rate: float = 0.15
    capabilities: Capabilities = SPOT
    side: PositionSide = PositionSide.LONG
    steps: int = 120
    plan_fields: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.desk = Desk("hf", "flat")
        self.now_ns = 1_000 * MS
        self.orders: list[VenueOrder] = []
        self.trades: list[f.OrderFilled] = []
        self.held = Decimal(0)
        self.inbox: list[f.AnyFact] = []
        self.wire: list[c.AnyCommand] = []
        self.link_up = True
        self.asked_ns = 0
        self.snapshot_asked = False
        self.events: list[PositionEvent] = []
        self.over_exit = Decimal(0)
        self.px = Decimal(100)
        self.ids = 0

    # --- the engine's side ------------------------------------------------------------------------------------------

    def take(self, made: list[PositionEvent]) -> None:
        for event in made:
            self.events.append(event)
            for command in event.commands:
                if isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder):
                    if self.link_up:
                        self.wire.append(command)
                    else:
                        self.inbox.append(self.not_sent(command))
                elif isinstance(command, c.RefreshTruth):
                    self.snapshot_asked = True

    def not_sent(self, command: c.SubmitOrder | c.AmendOrder | c.CancelOrder) -> f.OrderNotSent:
        kind = "submit" if isinstance(command, c.SubmitOrder) else "amend" if isinstance(command, c.AmendOrder) else "cancel"
        return f.OrderNotSent(ts_recv_ns=self.now_ns, client_order_id=command.client_order_id, operation=kind)  # type: ignore[arg-type]

    def start(self) -> None:
        fields: dict[str, object] = {
            "symbol": SYMBOL, "side": self.side, "qty": Decimal("1.0"), "trail_offset_bps": 50, "margin": self.capabilities is MARGIN,
            "time_stop_secs": 600, "panic_pnl_bps": -200,
        }  # fmt: skip
        plan = f.Plan(**{**fields, **self.plan_fields})  # type: ignore[arg-type]
        self.take(
            self.desk.take(
                f.PositionRequested(
                    ts_recv_ns=self.now_ns, position_id="hf000001", plan=plan, instrument=INSTRUMENT, capabilities=self.capabilities
                )
            )
        )

    @property
    def position(self) -> Position:
        found = self.desk.get("hf000001")
        assert found is not None
        return found

    def deliver(self, fact: f.AnyFact) -> None:
        if isinstance(fact, f.OrderFact):
            self.take(self.desk.take(fact))
        else:
            self.take(self.desk.take(fact, "hf000001"))

    def tick(self, ms: int) -> None:
        self.now_ns += ms * MS
        self.take(self.desk.due(self.now_ns))

    # --- the venue's side -------------------------------------------------------------------------------------------

    def say(self, fact: f.AnyFact, faults: bool) -> None:
        if not self.link_up:
            return
        roll = self.rng.random()
        if faults and roll < self.fault_rate / 3:
            return  # lost: only a snapshot can tell
        self.inbox.append(fact)
        if faults and roll < self.fault_rate:
            self.inbox.append(fact)

    def find(self, client_order_id: str) -> VenueOrder | None:
        return next((o for o in self.orders if o.client_order_id == client_order_id), None)

    def process(self, command: c.AnyCommand, faults: bool) -> None:
        """Take one command off the wire, as the venue would."""
        if faults and self.rng.random() < self.fault_rate / 4:
            return  # lost on the way
        base = {"ts_recv_ns": self.now_ns}
        if isinstance(command, c.SubmitOrder):
            if self.find(command.client_order_id) is not None:
                return
            refused = faults and self.rng.random() < self.fault_rate / 2
            if refused or not self.affordable(command):
                self.say(f.OrderRejected(client_order_id=command.client_order_id, reject_class="funds", text="refused", **base), faults)
                return
            self.ids += 1
            order = VenueOrder(command.client_order_id, f"V{self.ids}", command, command.qty)
            self.orders.append(order)
            self.say(f.OrderAccepted(client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, **base), faults)
            if command.order_type == "market" or command.immediate_or_cancel:
                self.fill(order, self.part(order, faults), faults)
                if order.open and self.rng.random() < 0.5:
                    self.end(order, faults)
            return
        order = self.find(command.client_order_id)  # type: ignore[union-attr]
        ids = {"client_order_id": command.client_order_id}  # type: ignore[union-attr]
        if order is None or not order.open:
            word = f.AmendRejected if isinstance(command, c.AmendOrder) else f.CancelRejected
            self.say(word(reject_class="gone", text="Unknown order", **ids, **base), faults)
            return
        if isinstance(command, c.CancelOrder):
            if faults and self.rng.random() < self.fault_rate / 2:
                self.fill(order, self.part(order, faults), faults)
            if order.open:
                self.end(order, faults)
        elif isinstance(command, c.AmendOrder):
            if order.triggered or (faults and self.rng.random() < self.fault_rate):
                self.say(f.AmendRejected(reject_class="other", text="refused", **ids, **base), faults)
                return
            if command.order_qty is not None:
                order.qty = max(command.order_qty, order.filled)
                if order.leaves <= 0:
                    self.end(order, faults)
                    return
            trail = command.trail_offset_bps
            self.say(f.OrderAmended(**ids, venue_order_id=order.venue_order_id, order_qty=order.qty, trail_offset_bps=trail, **base), faults)

    def affordable(self, command: c.SubmitOrder) -> bool:
        if command.role in ("entry", "flatten") or not self.capabilities.holds_funds:
            return True
        resting = sum((o.leaves for o in self.orders if o.command.side is command.side), Decimal(0))
        return resting + command.qty <= self.held

    def part(self, order: VenueOrder, faults: bool) -> Decimal:
        lots = int(order.leaves / INSTRUMENT.size_increment)
        return INSTRUMENT.size_increment * (self.rng.randint(1, lots) if faults and lots > 1 else lots)

    def fill(self, order: VenueOrder, qty: Decimal, faults: bool) -> None:
        entering = order.command.side is self.side.entry_side
        if not entering and order.command.reduce_only:
            qty = min(qty, max(Decimal(0), self.held))
            if qty <= 0:
                self.end(order, faults)
                return
        qty = min(qty, order.leaves)
        if qty <= 0:
            return
        order.filled += qty
        self.held += qty if entering else -qty
        self.over_exit = min(self.over_exit, self.held)
        self.ids += 1
        trade = f.OrderFilled(
            ts_recv_ns=self.now_ns, client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, trade_id=f"T{self.ids}",
            side=order.command.side, last_qty=qty, last_px=self.px, cum_qty=order.filled,
        )  # fmt: skip
        self.trades.append(trade)
        self.say(trade, faults)
        if order.filled >= order.qty:
            order.open = False
            self.say(
                f.OrderCompleted(
                    ts_recv_ns=self.now_ns, client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, cum_qty=order.filled
                ),
                faults,
            )

    def end(self, order: VenueOrder, faults: bool) -> None:
        order.open = False
        self.say(
            f.OrderCanceled(
                ts_recv_ns=self.now_ns, client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, cum_qty=order.filled
            ),
            faults,
        )

    def trigger(self, order: VenueOrder, faults: bool) -> None:
        order.triggered = True
        self.say(f.OrderTriggered(ts_recv_ns=self.now_ns, client_order_id=order.client_order_id, venue_order_id=order.venue_order_id), faults)

    def snapshot(self) -> None:
        """Give the whole truth, asked for now: everything on the wire before it has been taken."""
        self.asked_ns = self.now_ns
        self.now_ns += MS
        self.snapshot_asked = False
        for order in [o for o in self.orders if o.open]:
            self.deliver(
                f.OrderAccepted(
                    ts_recv_ns=self.now_ns, client_order_id=order.client_order_id, venue_order_id=order.venue_order_id, leaves_qty=order.leaves,
                    cum_qty=order.filled,
                )
            )
            if order.triggered:
                self.deliver(
                    f.OrderTriggered(ts_recv_ns=self.now_ns, client_order_id=order.client_order_id, venue_order_id=order.venue_order_id)
                )
        for trade in self.trades:
            self.deliver(trade)
        listed = [SnapshotOrder(o.client_order_id, o.venue_order_id) for o in self.orders if o.open]
        self.take(self.desk.snapshot(listed, True, self.asked_ns, self.now_ns))

    # --- the course of a life ---------------------------------------------------------------------------------------

    def step(self, faults: bool) -> None:
        roll = self.rng.random()
        if self.wire and roll < 0.45:
            self.process(self.wire.pop(0), faults)
        elif self.inbox and roll < 0.85:
            index = self.rng.randrange(min(3, len(self.inbox))) if faults else 0
            self.deliver(self.inbox.pop(index))
        elif roll < 0.92:
            live = [o for o in self.orders if o.open]
            if live:
                order = self.rng.choice(live)
                if order.command.role == "stop" and not order.triggered:
                    if self.rng.random() < 0.3:
                        self.trigger(order, faults)
                else:
                    self.fill(order, self.part(order, faults), faults)
        elif faults and roll < 0.94:
            self.cut()
        elif roll < 0.97 and self.snapshot_asked and self.link_up and not self.wire:
            self.snapshot()
        else:
            self.tick(self.rng.choice((50, 500, 3_000, 16_000)))

    def cut(self) -> None:
        """Close the link: what is on the wire may or may not have arrived; the snapshot comes with the next link."""
        for command in self.wire:
            if self.rng.random() < 0.5:
                self.process(command, False)
        self.wire.clear()
        self.inbox.clear()
        self.link_up = False
        self.deliver(f.ChannelClosed(ts_recv_ns=self.now_ns, reason="cut"))
        while self.inbox:
            self.deliver(self.inbox.pop(0))
        self.tick(self.rng.choice((10, 2_000, 20_000)))
        self.link_up = True
        while self.inbox:
            self.deliver(self.inbox.pop(0))
        self.snapshot()

    def ended(self) -> bool:
        return "hf000001" not in self.desk.positions

    def run(self) -> Position:
        """Live with faults, then without; the position is asked to close if it has not by then. Returns it at its end."""
        self.start()
        for _ in range(self.steps):
            if self.ended():
                break
            self.step(faults=True)
        for round_number in range(400):
            if self.ended():
                break
            while self.wire:
                self.process(self.wire.pop(0), False)
            while self.inbox:
                self.deliver(self.inbox.pop(0))
            for order in [o for o in self.orders if o.open and o.triggered]:
                self.fill(order, order.leaves, False)
            if self.snapshot_asked and not self.wire and not self.inbox:
                self.snapshot()
            if round_number == 5 and not self.ended():
                mark = Mark(px=self.px, ts_event_ns=0, ts_recv_ns=self.now_ns)
                self.deliver(f.ExitRequested(ts_recv_ns=self.now_ns, reason="operator", mark=mark))
            self.tick(1_000)
        return self.position

    @property
    def broken(self) -> list[Violation]:
        return self.desk.broken


__all__ = ["MARGIN", "NO_AMEND", "SPOT", "Core", "Life"]
