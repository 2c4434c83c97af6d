"""One pass of data: an input goes in, events and outgoing frames come out. The live engine and replay run this same code.

Inputs are what a session file records, in the order in which the core took them:

    frame   a venue's text, as it came           timer   the clock, when a deadline was looked at
    link    a channel opened, closed, was asked  sent    what the sender did with a command
    intent  what a person or the process asks

Nothing here reads a clock, draws an id or sends anything.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from events import commands as c
from events import facts as f
from events.commands import AnyCommand
from events.errors import BadInput
from events.record import PositionEvent
from events.values import Capabilities, Instrument
from fsm.desk import Desk, SnapshotOrder
from fsm.model import Position
from fsm.plans import check_plan
from fsm.position import RECONCILING
from venues import messages as m
from venues.kraken.capabilities import MARGIN, SPOT
from venues.kraken.translate import KrakenTranslator

from .intents import (
    EntriesHalted,
    EntriesResumed,
    ExitPosition,
    HaltPosition,
    OpenPosition,
    Restarted,
    TightenPosition,
    intent_from,
    link_from,
    sent_from,
)

PRIVATE = "private"
REFUSED_REFRESH_NS = 1_000_000_000


class Outgoing(NamedTuple):
    """A command of an event, and the frame that carries it ("" for notices and questions)."""

    event: PositionEvent
    command: AnyCommand
    frame: str


class Refusal(NamedTuple):
    """A wish that was not carried out, and why, in one sentence."""

    position_id: str
    reason: str


class Output(NamedTuple):
    """What one input made: events in order, what is to be sent, and what the process is to know."""

    events: tuple[PositionEvent, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    refresh: bool = False
    new_token: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides besides the inputs: stands in a session's manifest, so that replay decides alike."""

    namespace: str
    symbols: tuple[str, ...]
    max_positions: int = 100_000


class Pipeline:
    """The deterministic engine: translator, desk, and what both need of the venue.

    `counters` counts messages by kind and refusals by code; `entries_halted` is the reason, "" while entries may leave.
    """

    def __init__(self, settings: Settings, executor: str = "machine") -> None:
        self.settings = settings
        self.desk = Desk(settings.namespace, executor)
        self.translator = KrakenTranslator(settings.namespace)
        self.instruments: dict[str, Instrument] = {}
        self.venue_system = ""
        self.entries_halted = ""
        self.counters: Counter[str] = Counter()
        self._asked_ns = 0
        self._refused_ns = -REFUSED_REFRESH_NS

    def restore(self, events: Iterable[PositionEvent]) -> int:
        """Take positions from a log, before the first input; return how many events were read.

        The translator learns the ids of their orders and executions too: a snapshot can then prove that it is complete.
        """
        taken = list(events)
        count = self.desk.restore(taken)
        orders: list[tuple[str, str]] = []
        attached: list[str] = []
        for event in taken:
            attached += [x.client_order_id for x in event.commands if isinstance(x, c.SubmitOrder) and x.attached is not None]
        for key in sorted(self.desk.positions):
            orders += [(o.client_order_id, o.venue_order_id) for o in self.desk.positions[key].orders if o.venue_order_id]
        trades = [event.fact.trade_id for event in taken if isinstance(event.fact, f.OrderFilled | f.ManualFillSeen)]
        self.translator.restore(orders, attached, trades)
        return count

    def feed(self, kind: str, ts_recv_ns: int, source: str, payload: str | bytes) -> Output:
        """Take one input.

        Raises:
            BadInput: the record is not one of the kinds above, or its payload is not of its shape; nothing has changed.
        """
        if kind == "frame":
            return self._frame(payload if isinstance(payload, str) else payload.decode(), ts_recv_ns, source)
        data = payload.encode() if isinstance(payload, str) else payload
        if kind == "timer":
            return self._out(self.desk.due(ts_recv_ns), ts_recv_ns)
        if kind == "link":
            return self._link(data, ts_recv_ns, source)
        if kind == "sent":
            return self._sent(data, ts_recv_ns)
        if kind == "intent":
            return self._intent(data, ts_recv_ns)
        raise BadInput("session record", f"kind {kind!r} is not known", "read it with the version that wrote it")

    def next_deadline_ns(self) -> int | None:
        """Return when the next clock runs out."""
        return self.desk.next_deadline_ns()

    # --- frames -------------------------------------------------------------------------------------------------------

    def _frame(self, text: str, ts_recv_ns: int, source: str) -> Output:
        events: list[PositionEvent] = []
        refresh = new_token = False
        for item in self.translator.decode(text, ts_recv_ns):
            if isinstance(item, m.TradePrinted):
                events += self.desk.price(item.symbol, item.px, item.ts_event_ns, ts_recv_ns)
            elif isinstance(item, f.Fact):
                events += self.desk.take(item)
            elif isinstance(item, m.SnapshotTaken):
                events += self._snapshot(item, ts_recv_ns)
            elif isinstance(item, m.QuoteChanged):
                # The last price of a ticker may lag the trades: it only serves until the first trade has come.
                if item.symbol not in self.desk.marks:
                    events += self.desk.price(item.symbol, item.last, item.ts_event_ns, ts_recv_ns)
            elif isinstance(item, m.InstrumentsListed):
                self.instruments.update((i.symbol, i) for i in item.instruments)
            elif isinstance(item, m.VenueStatus):
                self.venue_system = item.system
            elif isinstance(item, m.SequenceGap):
                refresh = True
                self.counters["sequence_gap"] += 1
            elif isinstance(item, m.TokenRefused):
                new_token = True
            elif isinstance(item, m.FrameRefused):
                # Truth may be missing in what was not understood (I11); what is odd in every snapshot must not ask for ever.
                self.counters[f"refused_{item.code}"] += 1
                if source == PRIVATE and ts_recv_ns - self._refused_ns >= REFUSED_REFRESH_NS:
                    self._refused_ns = ts_recv_ns
                    refresh = True
            else:
                self.counters[type(item).__name__] += 1
        if self.desk.wants_refresh:
            self.desk.wants_refresh = False
            refresh = True
        if not events and not refresh and not new_token:
            return _NOTHING
        return self._out(events, ts_recv_ns, refresh=refresh, new_token=new_token)

    def _snapshot(self, snapshot: m.SnapshotTaken, ts_recv_ns: int) -> list[PositionEvent]:
        events: list[PositionEvent] = []
        self.counters["snapshot"] += 1
        for order in snapshot.open_orders:
            events += self._found(order, ts_recv_ns)
        listed = [SnapshotOrder(o.client_order_id, o.venue_order_id) for o in snapshot.open_orders]
        events += self.desk.snapshot(listed, snapshot.trades_complete, self._asked_ns, ts_recv_ns)
        return events

    def _found(self, order: m.OpenOrder, ts_recv_ns: int) -> list[PositionEvent]:
        """Complete the log with an order of ours that it does not know: it left in the instant before a crash (contract 4)."""
        owner = self.desk.owner_of(order.client_order_id, order.venue_order_id)
        position = None if owner is None else self.desk.get(owner)
        if position is None or position.order(order.client_order_id, order.venue_order_id) is not None:
            return []
        if order.leaves_qty is None or order.side is None or order.parent_venue_order_id:
            return []
        fact = f.ChildDiscovered(
            ts_recv_ns=ts_recv_ns,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            parent_venue_order_id="",
            qty=order.leaves_qty,
            trigger_price=order.effective_stop,
            trail_offset_bps=order.trail_offset_bps,
            role=_role_of(position, order),
            order_type=_order_type_of(order),
        )
        self.counters["found_after_crash"] += 1
        return self.desk.take(fact, position.position_id)

    # --- links, sender, wishes ----------------------------------------------------------------------------------------

    def _link(self, data: bytes, ts_recv_ns: int, source: str) -> Output:
        link = link_from(data)
        if link.state == "closed":
            self.translator.reset_link("private" if source == PRIVATE else "public")
        if source != PRIVATE:
            return _NOTHING
        if link.state == "asked":
            self._asked_ns = ts_recv_ns
            return _NOTHING
        if link.state == "closed":
            return self._out(self.desk.take_all(f.ChannelClosed(ts_recv_ns=ts_recv_ns, reason=link.reason or str(link.code))), ts_recv_ns)
        events: list[PositionEvent] = []
        if link.state == "open":
            for key in sorted(self.desk.positions):
                if self.desk.positions[key].state == RECONCILING:
                    events += self.desk.take(f.ChannelLive(ts_recv_ns=ts_recv_ns), key)
        return self._out(events, ts_recv_ns)

    def _sent(self, data: bytes, ts_recv_ns: int) -> Output:
        sent = sent_from(data)
        if not sent.ok:
            fact: f.AnyFact = f.OrderNotSent(ts_recv_ns=ts_recv_ns, client_order_id=sent.client_order_id, operation=sent.operation)
        elif sent.operation == "submit":
            fact = f.OrderSubmitted(ts_recv_ns=ts_recv_ns, client_order_id=sent.client_order_id)
        else:
            return _NOTHING
        return self._out(self.desk.take(fact), ts_recv_ns)

    def _intent(self, data: bytes, ts_recv_ns: int) -> Output:
        intent = intent_from(data)
        if isinstance(intent, OpenPosition):
            return self._open(intent, ts_recv_ns)
        if isinstance(intent, Restarted):
            gone = f.ChannelClosed(ts_recv_ns=ts_recv_ns, reason="restart", epoch=intent.epoch)
            return self._out(self.desk.take_all(gone), ts_recv_ns)
        if isinstance(intent, EntriesHalted):
            self.entries_halted = intent.reason
            return _NOTHING
        if isinstance(intent, EntriesResumed):
            self.entries_halted = ""
            return _NOTHING
        position = self.desk.get(intent.position_id)
        if position is None:
            return Output(refusals=(Refusal(intent.position_id, f"position {intent.position_id} does not exist"),))
        fact: f.AnyFact
        if isinstance(intent, ExitPosition):
            mark = self.desk.mark_of(position.plan.symbol, ts_recv_ns)
            fact = f.ExitRequested(ts_recv_ns=ts_recv_ns, reason=intent.reason, patient=intent.patient, mark=mark)
        elif isinstance(intent, TightenPosition):
            fact = f.PlanTightened(ts_recv_ns=ts_recv_ns, trail_offset_bps=intent.trail_offset_bps)
        else:
            assert isinstance(intent, HaltPosition)
            fact = f.HaltRequested(ts_recv_ns=ts_recv_ns, reason=intent.reason)
        return self._out(self.desk.take(fact, position.position_id), ts_recv_ns)

    def _open(self, intent: OpenPosition, ts_recv_ns: int) -> Output:
        plan = intent.plan
        try:
            instrument, capabilities = self._may_open(intent)
            check_plan(plan, instrument, capabilities, self.desk.mark_of(plan.symbol, ts_recv_ns))
        except BadInput as refused:
            return Output(refusals=(Refusal(intent.position_id, str(refused)),))
        fact = f.PositionRequested(
            ts_recv_ns=ts_recv_ns,
            position_id=intent.position_id,
            plan=plan,
            instrument=instrument,
            capabilities=capabilities,
            epoch=intent.epoch,
        )
        return self._out(self.desk.take(fact), ts_recv_ns)

    def _may_open(self, intent: OpenPosition) -> tuple[Instrument, Capabilities]:
        place = f"position {intent.position_id}"
        if self.entries_halted:
            raise BadInput(place, f"entries are halted: {self.entries_halted}", "mend that first; protection and exits go on")
        if self.venue_system not in ("", "online"):
            raise BadInput(place, f"the venue is in {self.venue_system}", "ask again when it is online")
        if self.desk.get(intent.position_id) is not None:
            raise BadInput(place, "it exists already", "ask with another id")
        if len(self.desk.positions) >= self.settings.max_positions:
            raise BadInput(place, f"{len(self.desk.positions)} positions are open", "raise risk.max_positions")
        instrument = self.instruments.get(intent.plan.symbol)
        if instrument is None:
            known = ", ".join(sorted(self.instruments)) or "none yet"
            raise BadInput(place, f"symbol {intent.plan.symbol!r} is not listed by the venue", f"use one of: {known}")
        return instrument, MARGIN if intent.plan.margin else SPOT

    # --- out ----------------------------------------------------------------------------------------------------------

    def _out(self, events: Iterable[PositionEvent], now_ns: int, *, refresh: bool = False, new_token: bool = False) -> Output:
        made = tuple(events)
        outgoing: list[Outgoing] = []
        for event in made:
            for command in event.commands:
                frame = ""
                if isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder):
                    frame = self.translator.encode(command, now_ns).frame_text
                elif isinstance(command, c.RefreshTruth | c.QueryOrder | c.QueryTrades):
                    refresh = True
                outgoing.append(Outgoing(event, command, frame))
        return Output(made, tuple(outgoing), (), refresh, new_token)


_NOTHING = Output()


def _role_of(position: Position, order: m.OpenOrder) -> c.Role:
    if order.side is position.side.entry_side:
        return "entry"
    if order.order_type in ("stop-loss", "trailing-stop") or order.effective_stop is not None:
        return "stop"
    return "take_profit" if order.order_type == "limit" else "exit"


def _order_type_of(order: m.OpenOrder) -> c.OrderType:
    if order.order_type in ("trailing-stop", "trailing-stop-limit"):
        return "trailing-stop"
    if order.order_type in ("stop-loss", "stop-loss-limit"):
        return "stop-loss"
    return "limit" if order.order_type == "limit" else "market"
