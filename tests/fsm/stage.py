"""A desk with one position, and short words for what may happen to it: given a history, when this, then that.

Orders are named by role and number, in the order in which the position came to know them: `stop1`, `stop2`; a role alone
means the latest. Commands read back as text (`brief`). For a short all prices are mirrored at 100, so that one history
serves both sides. Times are virtual; `wait` fires each deadline at its time.
"""

import re
from decimal import Decimal

from msgspec import UNSET
from msgspec.structs import replace

from events import commands as c
from events import facts as f
from events.record import PositionEvent, bytes_from
from events.values import Capabilities, Instrument, Mark, PositionSide, Side
from fsm.core import Core, Violation, evolve, verify
from fsm.coverage import unprotected_lots
from fsm.desk import Desk, SnapshotOrder
from fsm.model import Order, Position

D = Decimal
SYMBOL = "BTC/USD"
POSITION_ID = "hf000001"
MS = 1_000_000
START_NS = 1_000 * MS
# Prices are mirrored here for a short.
PIVOT = D(100)
INSTRUMENT = Instrument(
    symbol=SYMBOL, base="BTC", quote="USD", price_increment=D("0.1"), size_increment=D("0.001"), min_qty=D("0.002"), marginable=True
)
SPOT = Capabilities(
    venue="stage", native_trail=True, amend_in_place=True, holds_funds=True, reduce_only=False, attached_stop=True, one_child_per_fill=True
)
MARGIN = replace(SPOT, holds_funds=False, reduce_only=True)
NO_AMEND = replace(SPOT, amend_in_place=False, attached_stop=False, one_child_per_fill=False)
RESTING = ("TakeProfitWorking", "MakerExiting")


def plan_of(side: PositionSide = PositionSide.LONG, **fields: object) -> f.Plan:
    """Return a plan whose prices are given for a long."""
    sign_of = {"entry_price", "stop_price", "take_profit_price"}
    given = {"symbol": SYMBOL, "qty": D("1.0"), "trail_offset_bps": 300, **fields}
    for name in sign_of & set(given):
        price = given[name]
        given[name] = None if price is None else mirrored(side, D(str(price)))
    return f.Plan(side=side, **given)  # type: ignore[arg-type]


def mirrored(side: PositionSide, px: Decimal) -> Decimal:
    return px if side is PositionSide.LONG else 2 * PIVOT - px


class Stage:
    """One position on a desk: asked for, or adopted at `adopted_px` ("unknown" is a price too).

    `events` is its log, `paged` the codes of all pages so far.
    """

    def __init__(
        self,
        side: PositionSide = PositionSide.LONG,
        capabilities: Capabilities = SPOT,
        instrument: Instrument = INSTRUMENT,
        executor: str = "flat",
        adopted_px: object = None,
        hard_take_profit_bps: int = 0,
        **plan: object,
    ) -> None:
        self.side, self.instrument, self.capabilities = side, instrument, capabilities
        self.executor = executor
        self.hard_take_profit_bps = hard_take_profit_bps
        self.desk = Desk("hf", executor, hard_take_profit_bps=hard_take_profit_bps)
        self.now_ns = START_NS
        self.events: list[PositionEvent] = []
        self.broken: list[Violation] = []
        self.paged: list[str] = []
        self.made: list[PositionEvent] = []
        self.trades: dict[str, f.OrderFilled] = {}
        self.unprotected_ms = 0.0
        self.by_choice_ms = 0.0
        self.venue_ids: dict[str, str] = {}
        self._out: list[str] = []
        self.step: list[str] = []
        self._count = 0
        self.plan = plan_of(side, margin=capabilities.reduce_only, **plan)
        given = {"ts_recv_ns": self.now_ns, "position_id": POSITION_ID, "plan": self.plan, "instrument": instrument}
        if adopted_px is None:
            self.take(f.PositionRequested(**given, capabilities=capabilities))  # type: ignore[arg-type]
        else:
            px = None if adopted_px == "unknown" else mirrored(side, D(str(adopted_px)))
            self.take(f.PositionAdopted(**given, capabilities=capabilities, px=px, evidence="a test found it"))  # type: ignore[arg-type]

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        found = self.desk.get(POSITION_ID)
        assert found is not None
        return found

    @property
    def state(self) -> str:
        return self.position.state

    @property
    def held(self) -> Decimal:
        return self.instrument.qty(self.position.held_lots)

    @property
    def bare(self) -> Decimal:
        """What is held without live protection at the venue."""
        return self.instrument.qty(unprotected_lots(self.position))

    def names(self) -> dict[str, Order]:
        """Return the position's orders by name: `stop1`, `stop2`, ... and `stop` for the latest."""
        out: dict[str, Order] = {}
        counts: dict[str, int] = {}
        for order in self.position.orders:
            role = "tp" if order.role == "take_profit" else order.role
            counts[role] = counts.get(role, 0) + 1
            out[f"{role}{counts[role]}"] = out[role] = order
        return out

    def order(self, name: str) -> Order:
        found = self.names().get(name)
        assert found is not None, f"no order {name!r}; known: {sorted(self.names())}"
        return found

    def name_of(self, client_order_id: str) -> str:
        """Return the shortest name of an order: its role if it is the latest of it."""
        names = [name for name, order in self.names().items() if order.client_order_id == client_order_id]
        return min(names, key=len, default=client_order_id)

    def sent(self) -> list[str]:
        """Return the order commands since the last call, as text; pages, alerts and refreshes are left out."""
        return orders_of(self.said())

    def said(self) -> list[str]:
        """Return every command since the last call, as text."""
        out, self._out = self._out, []
        return out

    # --- what happens -----------------------------------------------------------------------------------------------

    def take(self, fact: f.AnyFact, position_id: str = POSITION_ID) -> "Stage":
        if isinstance(fact, f.OrderFact | f.PositionRequested | f.PositionAdopted):
            self.book(self.desk.take(fact))
        else:
            self.book(self.desk.take(fact, position_id))
        return self

    def book(self, made: list[PositionEvent]) -> None:
        self.made, self.step = made, []
        for event in made:
            self.events.append(event)
            self.step += [self.brief(x) for x in event.commands]
            self.paged += [x.code for x in event.commands if isinstance(x, c.Page)]
        self._out += self.step
        self.broken += self.desk.broken
        self.desk.broken = []

    def brief(self, command: c.AnyCommand) -> str:
        """Return a command as text: `submit stop 1.0 trail 300`, `amend stop qty 0.5`, `cancel stop`, `page CODE`."""
        if isinstance(command, c.Page | c.RaiseAlert):
            return f"{'page' if isinstance(command, c.Page) else 'alert'} {command.code}"
        if isinstance(command, c.SubmitOrder):
            role = "tp" if command.role == "take_profit" else command.role
            return " ".join(["submit", role, _short(command.qty), *self._terms(command)])
        if isinstance(command, c.AmendOrder):
            qty = [] if command.order_qty is None else ["qty", _short(command.order_qty)]
            return " ".join(["amend", self.name_of(command.client_order_id), *qty, *self._terms(command)])
        if isinstance(command, c.CancelOrder):
            return f"cancel {self.name_of(command.client_order_id)}"
        return {"RefreshTruth": "refresh"}.get(type(command).__name__, type(command).__name__)

    def _terms(self, command: c.SubmitOrder | c.AmendOrder) -> list[str]:
        out = []
        if command.trigger_price is not None:
            out += ["at", _short(mirrored(self.side, command.trigger_price))]
        if command.trail_offset_bps is not None:
            out += ["trail", str(command.trail_offset_bps)]
        if command.limit_price is not None:
            out += ["limit", _short(mirrored(self.side, command.limit_price))]
        if isinstance(command, c.SubmitOrder):
            out += [word for word, on in (("post-only", command.post_only), ("ioc", command.immediate_or_cancel)) if on]
            out += ["attached"] if command.attached is not None else []
        return out

    def wait(self, ms: float) -> "Stage":
        """Let time pass; every deadline fires when it is due."""
        until_ns = self.now_ns + int(ms * MS)
        made: list[PositionEvent] = []
        step: list[str] = []
        while True:
            due_ns = self.desk.next_deadline_ns()
            if due_ns is None or due_ns > until_ns:
                break
            self._pass(max(due_ns, self.now_ns))
            self.book(self.desk.due(self.now_ns))
            made, step = made + self.made, step + self.step
        self._pass(until_ns)
        self.made, self.step = made, step
        return self

    def _pass(self, now_ns: int) -> None:
        if unprotected_lots(self.position) and POSITION_ID in self.desk.positions:
            ms = (now_ns - self.now_ns) / MS
            if self.state in RESTING:
                self.by_choice_ms += ms
            else:
                self.unprotected_ms += ms
        self.now_ns = now_ns

    def ids(self, name: str) -> dict[str, object]:
        order = self.order(name)
        venue_order_id = order.venue_order_id or self.venue_ids.setdefault(order.client_order_id, f"V-{order.client_order_id}")
        return {"ts_recv_ns": self.now_ns, "client_order_id": order.client_order_id, "venue_order_id": venue_order_id}

    def accepted(self, name: str, leaves: object = None, cum: object = None, stop: object = None) -> "Stage":
        effective = None if stop is None else mirrored(self.side, D(str(stop)))
        return self.take(f.OrderAccepted(**self.ids(name), leaves_qty=_qty(leaves), cum_qty=_qty(cum), effective_stop=effective))  # type: ignore[arg-type]

    def rejected(self, name: str, reject_class: f.RejectClass = "other") -> "Stage":
        return self.take(f.OrderRejected(**self.ids(name), reject_class=reject_class, text=reject_class))  # type: ignore[arg-type]

    def filled(
        self,
        name: str,
        qty: object,
        px: object = 100,
        *,
        cum: object = None,
        fee: object = None,
        trade_id: str = "",
        unpriced: bool = False,
        worth: object = None,
    ) -> "Stage":
        """Tell an execution; `cum` is counted if it is not given. The same `trade_id` again is the same execution again.

        `worth`: what its fee is worth in the quote asset, where it is not told in which asset it was taken.
        """
        if trade_id in self.trades:
            return self.take(replace(self.trades[trade_id], ts_recv_ns=self.now_ns))
        order = self.order(name)
        self._count += 1
        trade_id = trade_id or f"T{self._count}"
        entering = order.role in ("entry", "flatten")
        side = self.side.entry_side if entering else self.side.exit_side
        total = self.instrument.qty(order.filled_lots) + D(str(qty)) if cum is None else _qty(cum)
        self.trades[trade_id] = f.OrderFilled(
            **self.ids(name),
            trade_id=trade_id,
            side=side,
            last_qty=D(str(qty)),
            last_px=mirrored(self.side, D(str(px))),
            cum_qty=total,
            fees=() if fee is None else (f.Fee(asset="BTC", qty=D(str(fee))),),
            fee_worth=UNSET if worth is None else D(str(worth)),
        )  # type: ignore[arg-type]
        return self.take(replace(self.trades[trade_id], last_px=None) if unpriced else self.trades[trade_id])

    def charged(self, trade_id: str, fee: object, asset: str = "BTC") -> "Stage":
        """Tell an execution once more, with its fee."""
        fees = (f.Fee(asset=asset, qty=D(str(fee))),)
        return self.take(replace(self.trades[trade_id], ts_recv_ns=self.now_ns, fees=fees))

    def completed(self, name: str, cum: object = None) -> "Stage":
        return self.take(f.OrderCompleted(**self.ids(name), cum_qty=_qty(cum)))  # type: ignore[arg-type]

    def triggered(self, name: str = "stop") -> "Stage":
        return self.take(f.OrderTriggered(**self.ids(name)))  # type: ignore[arg-type]

    def amended(self, name: str, qty: object = None, trail: int | None = None, at: object = None, *, by_venue: bool = False) -> "Stage":
        trigger = None if at is None else mirrored(self.side, D(str(at)))
        return self.take(
            f.OrderAmended(**self.ids(name), order_qty=_qty(qty), trail_offset_bps=trail, trigger_price=trigger, by_venue=by_venue)  # type: ignore[arg-type]
        )

    def amend_rejected(self, name: str, reject_class: f.RejectClass = "other") -> "Stage":
        return self.take(f.AmendRejected(**self.ids(name), reject_class=reject_class, text=reject_class))  # type: ignore[arg-type]

    def canceled(self, name: str, cum: object = 0, *, by_hand: bool = False) -> "Stage":
        fields: dict[str, object] = {"by_hand": True} if by_hand else {}
        return self.take(f.OrderCanceled(**self.ids(name), cum_qty=_qty(cum), **fields))  # type: ignore[arg-type]

    def ask_for_protection(self) -> "Stage":
        return self.take(f.ProtectionRequested(ts_recv_ns=self.now_ns, reason="the owner wants it back"))

    def cancel_rejected(self, name: str, reject_class: f.RejectClass = "gone") -> "Stage":
        return self.take(f.CancelRejected(**self.ids(name), reject_class=reject_class, text=reject_class))  # type: ignore[arg-type]

    def expired(self, name: str, cum: object = 0) -> "Stage":
        return self.take(f.OrderExpired(**self.ids(name), cum_qty=_qty(cum)))  # type: ignore[arg-type]

    def unknown(self, name: str, operation: str = "submit") -> "Stage":
        return self.take(f.OutcomeUnknown(**self.ids(name), operation=operation, reason="no answer"))  # type: ignore[arg-type]

    def left(self, name: str) -> "Stage":
        """The sender says that the order's frame was handed to the socket."""
        return self.take(f.OrderSubmitted(ts_recv_ns=self.now_ns, client_order_id=self.order(name).client_order_id))

    def not_sent(self, name: str, operation: str = "submit") -> "Stage":
        order = self.order(name)
        return self.take(f.OrderNotSent(ts_recv_ns=self.now_ns, client_order_id=order.client_order_id, operation=operation))  # type: ignore[arg-type]

    def stop_reported(self, name: str, stop: object) -> "Stage":
        return self.take(f.StopReported(**self.ids(name), effective_stop=mirrored(self.side, D(str(stop)))))  # type: ignore[arg-type]

    def child(self, qty: object, venue_order_id: str, parent: str = "entry", trail: int | None = 300) -> "Stage":
        """An attached stop comes to life from a fill of `parent`: the venue gives it no client id."""
        return self.take(
            f.ChildDiscovered(
                ts_recv_ns=self.now_ns,
                client_order_id="",
                venue_order_id=venue_order_id,
                parent_venue_order_id=str(self.ids(parent)["venue_order_id"]),
                qty=D(str(qty)),
                order_type="trailing-stop",
                trail_offset_bps=trail,
            )
        )

    def found(
        self, client_order_id: str, qty: object, role: c.Role, order_type: c.OrderType = "market", cum: object = None
    ) -> "Stage":
        """An order of ours that the log does not know rests at the venue: it left in the last instant before a crash."""
        fact = f.ChildDiscovered(
            ts_recv_ns=self.now_ns,
            client_order_id=client_order_id,
            venue_order_id=f"V-{client_order_id}",
            parent_venue_order_id="",
            qty=D(str(qty)),
            cum_qty=_qty(cum),
            role=role,
            order_type=order_type,
            trail_offset_bps=300 if order_type == "trailing-stop" else None,
        )
        self.book(self.desk.take(fact, POSITION_ID))
        return self

    def snapshot(self, *names: str, complete: bool = True, asked_ms_ago: float = 1, shared: bool = False) -> "Stage":
        """Compare a snapshot that lists these orders as open, asked for that long ago; what it says of each came before.

        `shared`: the account holds more than this position.
        """
        listed = [SnapshotOrder(str(ids["client_order_id"]), str(ids["venue_order_id"])) for ids in (self.ids(name) for name in names)]
        others = (POSITION_ID,) if shared else ()
        self.book(self.desk.snapshot(listed, complete, self.now_ns - int(asked_ms_ago * MS), self.now_ns, others))
        return self

    def price(self, px: object) -> "Stage":
        self.book(self.desk.price(SYMBOL, mirrored(self.side, D(str(px))), self.now_ns, self.now_ns))
        return self

    def mark(self) -> Mark | None:
        return self.desk.mark_of(SYMBOL, self.now_ns)

    def leave(self, reason: f.ExitReason = "operator", *, patient: bool = False) -> "Stage":
        return self.take(f.ExitRequested(ts_recv_ns=self.now_ns, reason=reason, patient=patient, mark=self.mark()))

    def tighten(self, trail: int | None = None, stop: object = None) -> "Stage":
        price = None if stop is None else mirrored(self.side, D(str(stop)))
        return self.take(f.PlanTightened(ts_recv_ns=self.now_ns, trail_offset_bps=trail, stop_price=price))

    def halt(self) -> "Stage":
        return self.take(f.HaltRequested(ts_recv_ns=self.now_ns, reason="a person said so"))

    def link_closed(self) -> "Stage":
        return self.take(f.ChannelClosed(ts_recv_ns=self.now_ns, reason="cut"))

    def link_live(self) -> "Stage":
        return self.take(f.ChannelLive(ts_recv_ns=self.now_ns))

    def sold_by_hand(self, qty: object, px: object = 100, side: Side | None = None, trade_id: str = "M1") -> "Stage":
        """The account's owner trades away (or, with the entry's side, adds) part of what is held."""
        fact = f.ManualFillSeen(
            ts_recv_ns=self.now_ns,
            trade_id=trade_id,
            side=side or self.side.exit_side,
            last_qty=D(str(qty)),
            last_px=mirrored(self.side, D(str(px))),
        )
        return self.take(fact)

    def restart(self, lost: int = 0) -> "Stage":
        """Kill the process, whose last `lost` events were not durable, and begin again from the log with the next epoch."""
        self.events = self.events[: len(self.events) - lost]
        epoch = self.position.epoch + 1
        self.desk = Desk("hf", self.executor, hard_take_profit_bps=self.hard_take_profit_bps)
        self.desk.restore(self.events)
        self._out = []
        return self.take(f.ChannelClosed(ts_recv_ns=self.now_ns, reason="restart", epoch=epoch))

    # --- histories --------------------------------------------------------------------------------------------------

    def entered(self, qty: object = "1.0", px: object = 100) -> "Stage":
        """The entry is accepted and fills; nothing protects it yet."""
        self.accepted("entry").filled("entry", qty, px)
        self.said()
        return self

    def protected(self, qty: object = "1.0", px: object = 100) -> "Stage":
        """The entry is filled whole, and its stop rests."""
        self.entered(qty, px).accepted("stop")
        self.said()
        assert self.state == "Protected", self.state
        return self


def orders_of(texts: list[str]) -> list[str]:
    """Return the commands that act on orders."""
    return [text for text in texts if text.split()[0] in ("submit", "amend", "cancel")]


def checked(stage: Stage) -> Stage:
    """Assert what holds after every history: invariants, both executors, and that the log alone gives the same position."""
    assert stage.broken == []
    assert verify(stage.events, Core("machine")) == []
    position: Position | None = None
    for event in stage.events:
        position = evolve(position, event)
    assert position == stage.position
    assert len({bytes_from(event) for event in stage.events}) == len(stage.events)
    return stage


def assert_decision(stage: Stage, state: str, *commands: str) -> None:
    """Assert where the last step led and which orders it sent; the history must hold what every history holds."""
    assert (stage.state, orders_of(stage.step)) == (state, list(commands))
    checked(stage)


def assert_unchanged(stage: Stage, before: Position) -> None:
    """Assert that the last step made no event and changed nothing."""
    assert (stage.made, stage.position) == ([], before)


def _qty(value: object) -> Decimal | None:
    return None if value is None else D(str(value))


def _short(value: Decimal) -> str:
    text = f"{value.normalize():f}"
    return text if re.search(r"\.", text) else f"{text}.0" if value < 10 else text


__all__ = [
    "INSTRUMENT",
    "MARGIN",
    "MS",
    "NO_AMEND",
    "POSITION_ID",
    "SPOT",
    "START_NS",
    "SYMBOL",
    "D",
    "Stage",
    "assert_decision",
    "assert_unchanged",
    "checked",
    "mirrored",
    "orders_of",
    "plan_of",
]
