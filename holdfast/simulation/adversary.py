"""An adversarial venue for the core, driven by a seed: it may do to a position whatever a real one may.

It keeps its own books (orders, executions, what is really held) and delivers facts late, twice, out of order or never.
When the faults stop, everything undelivered comes by a fresh snapshot. Times are virtual.

`Life` draws what happens next, and time passes only between happenings: every order of things is tried. What may happen
beside loss, repetition and disorder is named by `Troubles`. `timed.TimedLife` runs the same venue on a clock, with latencies.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from events import commands as c
from events import facts as f
from events.record import PositionEvent
from events.values import Capabilities, Instrument, Mark, PositionSide, Side
from fsm.core import Core, Violation
from fsm.desk import Desk, SnapshotOrder
from fsm.model import Position

SYMBOL = "BTC/USD"
POSITION_ID = "hf000001"
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    base="BTC",
    quote="USD",
    price_increment=Decimal("0.1"),
    size_increment=Decimal("0.1"),
    min_qty=Decimal("0.2"),
    marginable=True,
)
SPOT = Capabilities(
    venue="model", native_trail=True, amend_in_place=True, holds_funds=True, reduce_only=False, attached_stop=True, one_child_per_fill=True
)
MARGIN = Capabilities(
    venue="model", native_trail=True, amend_in_place=True, holds_funds=False, reduce_only=True, attached_stop=True, one_child_per_fill=True
)
NO_AMEND = Capabilities(
    venue="model",
    native_trail=True,
    amend_in_place=False,
    holds_funds=True,
    reduce_only=False,
    attached_stop=False,
    one_child_per_fill=False,
)
MS = 1_000_000
# Kraken's taker fee of the lowest tier.
FEE_RATE = Decimal("0.0026")
OrderCommand = c.SubmitOrder | c.AmendOrder | c.CancelOrder


@dataclass(frozen=True)
class Troubles:
    """What a life may meet beside lost, repeated and disordered messages."""

    attached: bool = False  # the entry carries its stop: one child per fill, none where the fill is under the minimum
    base_fee: bool = False  # entries are charged in the base asset
    unpriced: bool = False  # some executions come without a price, the snapshot knows it
    late_link: bool = False  # commands bounce before anybody says that the link is gone
    restarts: bool = False  # the process dies; its last events may be lost, entries never
    hanging: bool = False  # some stops fire and never fill
    manual: bool = False  # the owner cancels our stops and trades by hand
    prices: bool = False  # the last price moves: levels are crossed
    closed_market: bool = False  # the venue is in post_only, limit_only or cancel_only for a while
    halts: bool = False  # somebody halts the position
    reported: bool = False  # the sender tells what left


EVERY = Troubles(**dict.fromkeys(Troubles.__dataclass_fields__, True))
MODES = ("post_only", "limit_only", "cancel_only")


@dataclass
class VenueOrder:
    """An order as the venue knows it. `parent` is the venue id of the entry whose attached stop it is."""

    client_order_id: str
    venue_order_id: str
    command: c.SubmitOrder
    qty: Decimal
    filled: Decimal = Decimal(0)
    open: bool = True
    triggered: bool = False
    hung: bool = False
    parent: str = ""

    @property
    def leaves(self) -> Decimal:
        return self.qty - self.filled if self.open else Decimal(0)

    @property
    def ids(self) -> dict[str, Any]:
        return {"client_order_id": self.client_order_id, "venue_order_id": self.venue_order_id}


@dataclass
class Life:
    """One position, one venue, one seed. `run()` returns the position at its end."""

    seed: int
    fault_rate: float = 0.15
    capabilities: Capabilities = SPOT
    side: PositionSide = PositionSide.LONG
    steps: int = 120
    plan_fields: dict[str, object] = field(default_factory=dict)
    troubles: Troubles = Troubles()
    trouble_rate: float = 0.1
    core: Core | None = None  # another machine than the product's own, where a harness is to find it

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.desk = Desk("hf", "flat", self.core)
        self.now_ns = 1_000 * MS
        self.orders: list[VenueOrder] = []
        self.trades: list[f.OrderFilled] = []
        self.manual_trades: list[f.ManualFillSeen] = []
        self.held = Decimal(0)
        self.inbox: list[f.AnyFact] = []
        self.wire: list[OrderCommand] = []
        self.link_up = True
        self.asked_ns = 0
        self.snapshot_asked = False
        self.events: list[PositionEvent] = []
        self.over_exit = Decimal(0)
        self.px = Decimal(100)
        self.mode = "online"
        self.epoch = 0
        self.ids = 0
        self.pages: list[str] = []
        self.injected: Counter[str] = Counter()

    # --- the engine's side ------------------------------------------------------------------------------------------

    def take(self, made: list[PositionEvent]) -> None:
        for event in made:
            self.events.append(event)
            for command in event.commands:
                if isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder):
                    self.send(command)
                elif isinstance(command, c.RefreshTruth):
                    self.snapshot_asked = True
                elif isinstance(command, c.Page):
                    self.pages.append(command.code)
        if self.desk.wants_refresh:
            self.desk.wants_refresh = False
            self.snapshot_asked = True

    def send(self, command: OrderCommand) -> None:
        if not self.link_up:
            self.inbox.append(self.not_sent(command))
            return
        self.wire.append(command)
        if self.troubles.reported and isinstance(command, c.SubmitOrder):
            self.inbox.append(f.OrderSubmitted(ts_recv_ns=self.now_ns, client_order_id=command.client_order_id))

    def not_sent(self, command: OrderCommand) -> f.OrderNotSent:
        kind = "submit" if isinstance(command, c.SubmitOrder) else "amend" if isinstance(command, c.AmendOrder) else "cancel"
        return f.OrderNotSent(ts_recv_ns=self.now_ns, client_order_id=command.client_order_id, operation=kind)  # type: ignore[arg-type]

    def start(self) -> None:
        fields: dict[str, object] = {
            "symbol": SYMBOL,
            "side": self.side,
            "qty": Decimal("1.0"),
            "trail_offset_bps": 50,
            "margin": self.capabilities.reduce_only,
            "time_stop_secs": 600,
            "panic_pnl_bps": -200,
            "attach_stop": self.troubles.attached and self.capabilities.attached_stop,
        }
        plan = f.Plan(**{**fields, **self.plan_fields})  # type: ignore[arg-type]
        self.take(
            self.desk.take(
                f.PositionRequested(
                    ts_recv_ns=self.now_ns, position_id=POSITION_ID, plan=plan, instrument=INSTRUMENT, capabilities=self.capabilities
                )
            )
        )

    @property
    def position(self) -> Position:
        found = self.desk.get(POSITION_ID)
        assert found is not None
        return found

    def deliver(self, fact: f.AnyFact) -> None:
        if not self.is_owned(fact):
            return
        if isinstance(fact, f.OrderFact):
            self.take(self.desk.take(fact))
        else:
            self.take(self.desk.take(fact, POSITION_ID))

    def tick(self, ms: int) -> None:
        self.now_ns += ms * MS
        self.take(self.desk.due(self.now_ns))

    def mark(self) -> Mark:
        return Mark(px=self.px, ts_event_ns=0, ts_recv_ns=self.now_ns)

    def ask_to_leave(self) -> None:
        self.deliver(f.ExitRequested(ts_recv_ns=self.now_ns, reason="operator", mark=self.mark()))

    # --- the venue's side -------------------------------------------------------------------------------------------

    def say(self, fact: f.AnyFact, faults: bool) -> None:
        if not self.link_up:
            return
        roll = self.rng.random()
        if faults and roll < self.fault_rate / 3:
            self.injected["lose_message"] += 1  # only a snapshot can tell
            return
        self.inbox.append(fact)
        if faults and roll < self.fault_rate:
            self.injected["repeat_message"] += 1
            self.inbox.append(fact)

    def is_owned(self, fact: f.AnyFact) -> bool:
        """Whether the translator can say whose order a fact is about: an attached stop has no client id, only a parent."""
        if not isinstance(fact, f.OrderFact) or fact.client_order_id:
            return True
        if isinstance(fact, f.ChildDiscovered):
            return self.position.order("", fact.parent_venue_order_id) is not None
        return self.position.order("", fact.venue_order_id) is not None

    def find(self, client_order_id: str, venue_order_id: str = "") -> VenueOrder | None:
        for order in self.orders:
            if (client_order_id and order.client_order_id == client_order_id) or (
                venue_order_id and order.venue_order_id == venue_order_id
            ):
                return order
        return None

    def process(self, command: OrderCommand, faults: bool) -> None:
        """Take one command off the wire, as the venue would."""
        if faults and self.rng.random() < self.fault_rate / 4:
            self.injected["lose_request"] += 1
            return
        if isinstance(command, c.SubmitOrder):
            self.process_submit(command, faults)
            return
        order = self.find(command.client_order_id, command.venue_order_id)
        ids = {"client_order_id": command.client_order_id, "ts_recv_ns": self.now_ns}
        if order is None or not order.open:
            word = f.AmendRejected if isinstance(command, c.AmendOrder) else f.CancelRejected
            self.say(word(reject_class="gone", text="Unknown order", **ids), faults)  # type: ignore[arg-type]
        elif isinstance(command, c.CancelOrder):
            if faults and self.rng.random() < self.fault_rate / 2:
                self.injected["fill_before_cancel"] += 1
                self.fill(order, self.part(order, faults), faults)
            if order.open:
                self.end(order, faults)
        else:
            self.process_amend(order, command, faults)

    def process_submit(self, command: c.SubmitOrder, faults: bool) -> None:
        if self.find(command.client_order_id) is not None:
            return
        refused = faults and self.rng.random() < self.fault_rate / 2
        self.injected["refuse_order"] += refused
        if self.is_closed_for(command):
            self.refuse(command, "venue_state", faults)
            return
        if refused or not self.affordable(command):
            self.refuse(command, "funds", faults)
            return
        self.ids += 1
        order = VenueOrder(command.client_order_id, f"V{self.ids}", command, command.qty)
        self.orders.append(order)
        self.say(f.OrderAccepted(ts_recv_ns=self.now_ns, **order.ids), faults)
        if command.order_type == "market" or command.immediate_or_cancel:
            self.fill(order, self.part(order, faults), faults)
            if order.open and self.rng.random() < 0.5:
                self.end(order, faults)

    def process_amend(self, order: VenueOrder, command: c.AmendOrder, faults: bool) -> None:
        ids = {"client_order_id": command.client_order_id, "ts_recv_ns": self.now_ns}
        is_shut = order.triggered or self.mode == "cancel_only"
        refused = not is_shut and faults and self.rng.random() < self.fault_rate
        self.injected["refuse_amend"] += refused
        if is_shut or refused:
            self.say(f.AmendRejected(reject_class="other", text="refused", **ids), faults)  # type: ignore[arg-type]
            return
        if command.order_qty is not None:
            if command.order_qty > order.qty and not self.has_funds(command.order_qty - order.qty, order.command.side):
                self.say(f.AmendRejected(reject_class="funds", text="refused", **ids), faults)  # type: ignore[arg-type]
                return
            order.qty = max(command.order_qty, order.filled)
            if order.leaves <= 0:
                self.end(order, faults)
                return
        trail = command.trail_offset_bps
        if trail is not None:
            order.command = replace(order.command, trail_offset_bps=trail)
        self.say(
            f.OrderAmended(ts_recv_ns=self.now_ns, order_qty=order.qty, trail_offset_bps=trail, **order.ids),
            faults,
        )

    def refuse(self, command: c.SubmitOrder, reject_class: f.RejectClass, faults: bool) -> None:
        word = f.OrderRejected(ts_recv_ns=self.now_ns, client_order_id=command.client_order_id, reject_class=reject_class, text="refused")
        self.say(word, faults)

    def is_closed_for(self, command: c.SubmitOrder) -> bool:
        if self.mode == "post_only":
            return not command.post_only
        return self.mode == "cancel_only" or (self.mode == "limit_only" and command.order_type == "market")

    def affordable(self, command: c.SubmitOrder) -> bool:
        return command.role in ("entry", "flatten") or self.has_funds(command.qty, command.side)

    def has_funds(self, qty: Decimal, side: Side) -> bool:
        if not self.capabilities.holds_funds:
            return True
        resting = sum((o.leaves for o in self.orders if o.command.side is side), Decimal(0))
        return resting + qty <= self.held

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
        # On margin fees are charged in the quote asset.
        fee = qty * FEE_RATE if entering and self.troubles.base_fee and not order.command.margin else Decimal(0)
        self.held += qty - fee if entering else -qty
        self.over_exit = min(self.over_exit, self.held)
        self.ids += 1
        trade = f.OrderFilled(
            ts_recv_ns=self.now_ns,
            trade_id=f"T{self.ids}",
            side=order.command.side,
            last_qty=qty,
            last_px=self.px,
            cum_qty=order.filled,
            fees=(f.Fee(asset="BTC", qty=fee),) if fee else (),
            **order.ids,
        )
        self.trades.append(trade)
        unpriced = self.troubles.unpriced and self.rng.random() < 0.3
        self.say(replace(trade, last_px=None) if unpriced else trade, faults)
        if order.command.attached is not None:
            self.attach(order, qty, faults)
        if order.filled >= order.qty:
            order.open = False
            self.say(f.OrderCompleted(ts_recv_ns=self.now_ns, cum_qty=order.filled, **order.ids), faults)

    def attach(self, parent: VenueOrder, qty: Decimal, faults: bool) -> None:
        """Create the attached stop of one fill: of its size, without client id, and not at all under the minimum."""
        if qty < INSTRUMENT.min_qty or self.mode != "online" or not self.has_funds(qty, self.side.exit_side):
            return
        self.ids += 1
        command = c.SubmitOrder(
            client_order_id="",
            symbol=SYMBOL,
            role="stop",
            side=self.side.exit_side,
            order_type="trailing-stop",
            qty=qty,
            trail_offset_bps=50,
            reduce_only=parent.command.margin and self.capabilities.reduce_only,
            margin=parent.command.margin,
        )
        child = VenueOrder("", f"V{self.ids}", command, qty, parent=parent.venue_order_id)
        self.orders.append(child)
        self.say(self.child_word(child), faults)

    def child_word(self, child: VenueOrder) -> f.ChildDiscovered:
        return f.ChildDiscovered(
            ts_recv_ns=self.now_ns,
            client_order_id="",
            venue_order_id=child.venue_order_id,
            parent_venue_order_id=child.parent,
            qty=child.qty,
            order_type="trailing-stop",
            trail_offset_bps=child.command.trail_offset_bps,
        )

    def end(self, order: VenueOrder, faults: bool) -> None:
        order.open = False
        self.say(f.OrderCanceled(ts_recv_ns=self.now_ns, cum_qty=order.filled, **order.ids), faults)

    def trigger(self, order: VenueOrder, faults: bool) -> None:
        order.triggered = True
        order.hung = self.troubles.hanging and self.rng.random() < 0.5
        self.say(f.OrderTriggered(ts_recv_ns=self.now_ns, **order.ids), faults)

    # --- snapshots --------------------------------------------------------------------------------------------------

    def snapshot(self) -> None:
        """Give the whole truth, asked for now: everything on the wire before it has been taken."""
        self.asked_ns = self.now_ns
        self.now_ns += MS
        self.snapshot_asked = False
        self.deliver_snapshot(self.asked_ns, list(self.truth()), [o for o in self.orders if o.open])

    def truth(self) -> Iterator[f.AnyFact]:
        """Yield what a snapshot frame says, in the translator's order: executions first, then the open orders."""
        base = {"ts_recv_ns": self.now_ns}
        for trade in self.trades:
            order = self.find("", trade.venue_order_id)
            if order is not None and order.parent:
                yield self.child_word(order)
            yield trade
        yield from self.manual_trades
        for order in [o for o in self.orders if o.open]:
            if order.parent:
                yield self.child_word(order)
            if order.triggered:
                yield f.OrderTriggered(**order.ids, **base)  # type: ignore[arg-type]
            else:
                yield f.OrderAccepted(leaves_qty=order.leaves, cum_qty=order.filled, **order.ids, **base)  # type: ignore[arg-type]

    def deliver_snapshot(self, asked_ns: int, said: list[f.AnyFact], listed: list[VenueOrder]) -> None:
        for fact in said:
            self.deliver(fact)
        for order in listed:
            self.discover(order)
        rows = [SnapshotOrder(o.client_order_id, o.venue_order_id) for o in listed]
        self.take(self.desk.snapshot(rows, True, asked_ns, self.now_ns))

    def discover(self, order: VenueOrder) -> None:
        """Complete the log with an order that left in the instant before a crash, as the pipeline does."""
        if not order.client_order_id or self.position.order(order.client_order_id, order.venue_order_id) is not None:
            return
        command = order.command
        fact = f.ChildDiscovered(
            ts_recv_ns=self.now_ns,
            parent_venue_order_id="",
            qty=order.leaves,
            role=role_of(command, self.side),
            order_type=command.order_type,
            trail_offset_bps=command.trail_offset_bps,
            **order.ids,
        )
        self.take(self.desk.take(fact, POSITION_ID))

    # --- the course of a life ---------------------------------------------------------------------------------------

    def step(self, faults: bool) -> None:
        if faults and self.troubles != _NONE and self.rng.random() < self.trouble_rate:
            self.trouble()
            return
        roll = self.rng.random()
        if self.wire and roll < 0.45:
            self.process(self.wire.pop(0), faults)
        elif self.inbox and roll < 0.85:
            index = self.rng.randrange(min(3, len(self.inbox))) if faults else 0
            self.injected["reorder_messages"] += index > 0
            self.deliver(self.inbox.pop(index))
        elif roll < 0.92:
            live = [o for o in self.orders if o.open]
            if live:
                self.move(self.rng.choice(live), faults)
        elif faults and roll < 0.94:
            self.injected["cut"] += 1
            self.cut()
        elif roll < 0.97 and self.snapshot_asked and self.link_up and not self.wire:
            self.snapshot()
        else:
            self.tick(self.rng.choice((50, 500, 3_000, 16_000)))

    def move(self, order: VenueOrder, faults: bool) -> None:
        if order.command.role == "stop" and not order.triggered:
            if self.rng.random() < 0.3:
                self.trigger(order, faults)
        elif not order.hung:
            self.fill(order, self.part(order, faults), faults)

    def trouble(self) -> None:
        """Let one of the troubles happen that this life may meet."""
        name = self.rng.choice([name for name, on in vars(self.troubles).items() if on])
        happening = {
            "late_link": self.bounce,
            "restarts": self.restart,
            "manual": self.meddle,
            "prices": self.move_price,
            "closed_market": self.change_mode,
            "halts": self.halt,
        }.get(name)
        if happening is not None:
            self.injected[name] += 1
            happening()

    def cut(self) -> None:
        """Close the link: what is on the wire may or may not have arrived; the snapshot comes with the next link."""
        self.lose_wire()
        self.inbox.clear()
        self.link_up = False
        self.deliver(f.ChannelClosed(ts_recv_ns=self.now_ns, reason="cut"))
        while self.inbox:
            self.deliver(self.inbox.pop(0))
        self.tick(self.rng.choice((10, 2_000, 20_000)))
        self.come_back()

    def lose_wire(self) -> None:
        for command in self.wire:
            if self.rng.random() < 0.5:
                self.process(command, False)
        self.wire.clear()

    def come_back(self) -> None:
        self.link_up = True
        while self.inbox:
            self.deliver(self.inbox.pop(0))
        self.deliver(f.ChannelLive(ts_recv_ns=self.now_ns))
        self.snapshot()

    def bounce(self) -> None:
        """The socket is dead, and nobody says so for a while: what is sent bounces, time goes on."""
        self.lose_wire()
        self.link_up = False
        for _ in range(self.rng.randint(1, 12)):
            while self.inbox and self.rng.random() < 0.8:
                self.deliver(self.inbox.pop(0))
            self.tick(self.rng.choice((1, 50, 2_000)))
        self.cut()

    def restart(self) -> None:
        """Kill the process: the last events may be lost, but never one that an entry waited for (contract 4)."""
        durable = 1 + max(number for number, e in enumerate(self.events) if any(c.is_risk_increasing(x) for x in e.commands))
        kept = max(durable, len(self.events) - self.rng.randint(0, 5))
        self.lose_wire()
        self.inbox.clear()
        self.events = self.events[:kept]
        self.desk = Desk("hf", "flat", self.core)
        self.desk.restore(self.events)
        self.epoch += 1
        self.link_up = False
        self.deliver(f.ChannelClosed(ts_recv_ns=self.now_ns, reason="restart", epoch=self.epoch))
        self.tick(self.rng.choice((10, 2_000, 20_000)))
        self.come_back()

    def meddle(self) -> None:
        """The account's owner cancels one of our orders, or sells part of what is held by hand."""
        live = [o for o in self.orders if o.open and not o.triggered and o.command.role == "stop"]
        if live and self.rng.random() < 0.5:
            self.end(self.rng.choice(live), True)
            return
        side = self.side.exit_side
        free = self.held
        if self.capabilities.holds_funds:
            free -= sum((o.leaves for o in self.orders if o.command.side is side), Decimal(0))
        lots = INSTRUMENT.floor_lots(max(free, Decimal(0)))
        if lots:
            qty = INSTRUMENT.qty(self.rng.randint(1, lots))
            self.held -= qty
            self.ids += 1
            trade = f.ManualFillSeen(ts_recv_ns=self.now_ns, trade_id=f"M{self.ids}", side=side, last_qty=qty, last_px=self.px)
            self.manual_trades.append(trade)
            self.say(trade, True)

    def move_price(self) -> None:
        bps = self.rng.randint(-150, 150)
        self.px = max(Decimal(80), min(Decimal(125), INSTRUMENT.price(INSTRUMENT.floor_ticks(self.px * (10_000 + bps) / 10_000))))
        self.take(self.desk.price(SYMBOL, self.px, self.now_ns, self.now_ns))

    def change_mode(self) -> None:
        self.mode = "online" if self.mode != "online" else self.rng.choice(MODES)

    def halt(self) -> None:
        if self.rng.random() < 0.2:
            self.deliver(f.HaltRequested(ts_recv_ns=self.now_ns, reason="a person said so"))

    def ended(self) -> bool:
        return POSITION_ID not in self.desk.positions

    def run(self) -> Position:
        """Live with faults, then without; the position is asked to close if it has not by then. Returns it at its end."""
        self.start()
        for _ in range(self.steps):
            if self.ended():
                break
            self.step(faults=True)
        self.mode = "online"
        for round_number in range(400):
            if self.ended():
                break
            self.settle()
            if round_number == 5 and not self.ended():
                self.ask_to_leave()
            self.tick(1_000)
        self.drain()
        return self.position

    def drain(self) -> None:
        """Deliver what was still under way when the position ended, and one more snapshot: nothing may be left behind."""
        for _ in range(3):
            self.settle()
            self.snapshot()

    def settle(self) -> None:
        while self.wire:
            self.process(self.wire.pop(0), False)
        while self.inbox:
            self.deliver(self.inbox.pop(0))
        for order in [o for o in self.orders if o.open and o.triggered and not o.hung]:
            self.fill(order, order.leaves, False)
        if self.snapshot_asked and not self.wire and not self.inbox:
            self.snapshot()

    @property
    def broken(self) -> list[Violation]:
        return self.desk.broken


_NONE = Troubles()


def role_of(command: c.SubmitOrder, side: PositionSide) -> c.Role:
    """Return the role that an order shows to a stranger who reads it off a snapshot (`replay.pipeline`)."""
    if command.side is side.entry_side:
        return "entry"
    if command.order_type in ("stop-loss", "trailing-stop"):
        return "stop"
    return "take_profit" if command.order_type == "limit" else "exit"


__all__ = ["EVERY", "MARGIN", "NO_AMEND", "SPOT", "Core", "Life", "Troubles"]
