"""One pass of data: an input goes in, events and outgoing frames come out. The live engine and replay run this same code.

Inputs are what a session file records, in the order in which the core took them:

    frame   a venue's text, as it came           timer   the clock, when a deadline was looked at
    link    a channel opened, closed, was asked  sent    what the sender did with a command
    intent  what a person or the process asks    answer  to a question beside the stream

Nothing here reads a clock, draws an id or sends anything.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from events import commands as c
from events import facts as f
from events.commands import AnyCommand
from events.errors import BadInput
from events.record import PositionEvent
from events.values import Capabilities, Instrument, PositionSide, Side
from fsm import link as links
from fsm.band import Band
from fsm.dead_man import DeadMan
from fsm.desk import Desk, SnapshotOrder
from fsm.lag import Lag
from fsm.model import Position
from fsm.monitor import Vigil
from fsm.order import CANCELED, EXPIRED, REJECTED
from fsm.outage import Outage
from fsm.plans import check_plan
from fsm.position import ENTRY_PENDING, FLATTENING, MAKER_EXITING, RECONCILING, TAKE_PROFIT_WORKING
from fsm.ranges import Ranges
from venues import messages as m
from venues.kraken.budget import YOUNG
from venues.kraken.capabilities import MARGIN, SPOT
from venues.kraken.translate import KrakenTranslator

from .custody import Custody
from .intents import (
    AdoptExposure,
    EntriesHalted,
    EntriesResumed,
    ExitPosition,
    HaltPosition,
    OpenPosition,
    Restarted,
    TightenPosition,
    answer_from,
    intent_from,
    link_from,
    sent_from,
)

PRIVATE = "private"
# A print that comes later than this decides nothing, whatever a plan allows; venues.md: a stalled socket tells everything at once.
LATE_NS = 5_000_000_000
REFUSED_REFRESH_NS = 1_000_000_000
# The venue's clock and ours may be that far apart.
CLOCKS_APART_NS = 5_000_000_000
# A stop that no list names for that long is told to a person, and then again and again.
UNLISTED_NS, UNLISTED_AGAIN_NS = 30_000_000_000, 300_000_000_000
# How long after a refusal because of the link it may be asked again.
LINK_LOOK_NS = 1_000_000_000


class Outgoing(NamedTuple):
    """A command of an event, and the frame that carries it ("" for notices and questions)."""

    event: PositionEvent
    command: AnyCommand
    frame: str


class Refusal(NamedTuple):
    """A wish that was not carried out, and why, in one sentence. `again_ns`: in how long it may be asked again, 0 if that is of no use."""

    position_id: str
    reason: str
    again_ns: int = 0


class Notice(NamedTuple):
    """Something about the link that people should know; `page` wakes one."""

    page: bool
    code: str
    text: str


class Exposure(NamedTuple):
    """What an execution behind the end of position `of` has opened: the process gives it an id and asks for its adoption (A8)."""

    of: str
    side: PositionSide
    qty: Decimal
    px: Decimal | None


class Output(NamedTuple):
    """What one input made: events in order, what is to be sent, and what the process is to do and to know.

    `frames` belong to no command, and leave before everything else.
    """

    events: tuple[PositionEvent, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    refresh: bool = False
    new_token: bool = False
    reconnect: bool = False
    notices: tuple[Notice, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    questions: tuple[m.Question, ...] = ()
    frames: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides besides the inputs: stands in a session's manifest, so that replay decides alike."""

    namespace: str
    symbols: tuple[str, ...]
    max_positions: int = 100_000
    link: links.Thresholds = links.Thresholds()
    taker_fee_bps: Decimal = Decimal(26)
    hard_take_profit_bps: int = 0
    asks_rest: bool = False
    dead_man_secs: int = 0


class Pipeline:
    """The deterministic engine: translator, desk, the private link's machine, and what they need of the venue.

    `counters` counts messages by kind and refusals by code; `entries_halted` is the reason that the process gave, "" if none.
    """

    def __init__(self, settings: Settings, executor: str = "machine") -> None:
        self.settings = settings
        self.desk = Desk(settings.namespace, executor, hard_take_profit_bps=settings.hard_take_profit_bps)
        self.translator = KrakenTranslator(settings.namespace, settings.symbols)
        self.instruments: dict[str, Instrument] = {}
        self.venue_system = ""
        self._statuses: dict[str, str] = {}
        self._unlisted_next_ns: dict[tuple[str, str], int] = {}
        self.link = links.new_link(PRIVATE, 0, settings.link)
        self.ranges = Ranges(settings.taker_fee_bps)
        self._markets: dict[str, _Market] = {}
        self._private_lag = Lag()
        self.vigil = Vigil()
        self._outage = Outage()
        self.dead_man = DeadMan(settings.dead_man_secs)
        self._dead_man_seen: tuple[str, bool] | None = None
        self.custody = Custody(self.desk, self.instruments)
        self._link_rows = links.LINK.flat() if executor == "flat" else None
        self.entries_halted = ""
        self.counters: Counter[str] = Counter()
        self._asked_ns = 0
        self._refused_ns = -REFUSED_REFRESH_NS
        self._is_connecting = False
        self._spare: _Made | None = None

    def restore(self, events: Iterable[PositionEvent]) -> int:
        """Take positions from a log, before the first input; return how many events were read.

        The translator learns the ids of their orders and executions too: a snapshot can then prove that it is complete.
        """
        taken = list(events)
        count = self.desk.restore(taken)
        orders: list[tuple[str, str]] = []
        attached: list[c.SubmitOrder] = []
        for event in taken:
            attached += [x for x in event.commands if isinstance(x, c.SubmitOrder) and x.attached is not None]
        known = {**self.desk.ended, **self.desk.positions}
        for key in sorted(known):
            orders += [(o.client_order_id, o.venue_order_id) for o in known[key].orders if o.venue_order_id]
        fills = [event.fact for event in taken if isinstance(event.fact, f.OrderFilled | f.ManualFillSeen)]
        # Of the owner's trades the log does not say whether something before them was missing.
        doubtful = [x.trade_id for x in fills if isinstance(x, f.ManualFillSeen) or x.behind_gap is True]
        stops = [event.fact for event in taken if isinstance(event.fact, f.ChildDiscovered)]
        over = _without_unnamed(known.values(), stops)
        self.translator.restore(orders, attached, [x.trade_id for x in fills], doubtful, over)
        return count

    def feed(self, kind: str, ts_recv_ns: int, source: str, payload: str | bytes) -> Output:
        """Take one input.

        Raises:
            BadInput: the record is not one of the kinds above, or its payload is not of its shape; nothing has changed.
        """
        # Most inputs are quotes and prints that make nothing: what they have not touched serves the next one.
        made, self._spare = self._spare or _Made(), None
        if kind == "frame":
            self._frame(made, payload if isinstance(payload, str) else payload.decode(), ts_recv_ns, source)
            return self._out(made, ts_recv_ns)
        data = payload.encode() if isinstance(payload, str) else payload
        if kind == "timer":
            self._timer(made, ts_recv_ns)
        elif kind == "link":
            self._link(made, data, ts_recv_ns, source)
        elif kind == "sent":
            self._sent(made, data, ts_recv_ns)
        elif kind == "intent":
            self._intent(made, data, ts_recv_ns)
        elif kind == "answer":
            self._answer(made, data, ts_recv_ns, source)
        else:
            raise BadInput("session record", f"kind {kind!r} is not known", "read it with the version that wrote it")
        return self._out(made, ts_recv_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when the next clock runs out, of a position, of the link or of the account."""
        clocks = (
            self.desk.next_deadline_ns(),
            self._link_deadline_ns(),
            self.custody.deadline_ns(),
            self.vigil.deadline_ns(),
            self._outage.deadline_ns() if self.desk.positions else None,
            self.translator.lookups.next_due_ns(),
            self.dead_man.deadline_ns(),
        )
        return min((at_ns for at_ns in clocks if at_ns is not None), default=None)

    # --- frames -------------------------------------------------------------------------------------------------------

    def _frame(self, made: "_Made", text: str, ts_recv_ns: int, source: str) -> None:
        is_truth = False
        items = self.translator.decode(text, ts_recv_ns)
        for item in items:
            if type(item) is m.TradePrinted:
                self._print(made, item, ts_recv_ns)
            elif type(item) is m.QuoteChanged:
                self._quote(made, item, ts_recv_ns)
            elif isinstance(item, f.Fact):
                is_truth = True
                self._fact(made, item)
            else:
                self._message(made, item, ts_recv_ns, source)
        if source == PRIVATE:
            if not any(isinstance(item, m.SnapshotTaken | m.BalanceChanged) for item in items):
                self._lateness(made, items, ts_recv_ns)
            self._step_link(made, links.MessageArrived(ts_recv_ns=ts_recv_ns, is_truth=is_truth))

    def _print(self, made: "_Made", trade: m.TradePrinted, ts_recv_ns: int) -> None:
        """Take a print of the market, unless it is too old to decide anything or not of this market (A14, I15)."""
        market = self._market_of(trade.symbol)
        lag_ns = market.lag.of(trade.ts_event_ns, ts_recv_ns)
        if not market.band.admits(trade.px, ts_recv_ns):
            self.counters["off_band"] += 1
            return
        if lag_ns <= LATE_NS:
            market.is_late = False
            made.events += self.desk.price(trade.symbol, trade.px, trade.ts_event_ns, ts_recv_ns, lag_ns)
        else:
            self.counters["late_price"] += 1
            if not market.is_late:
                text = f"{trade.symbol}: prices come {lag_ns // 1_000_000} ms late and decide nothing; the stops at the venue stand"
                made.notices.append(Notice(False, "PRICE_STALE", text))
            market.is_late = True
        self._range(made, trade, ts_recv_ns)

    def _quote(self, made: "_Made", quote: m.QuoteChanged, ts_recv_ns: int) -> None:
        """Take the touch of a market."""
        self._market_of(quote.symbol).band.quote(quote.bid, quote.ask, ts_recv_ns)
        # The last price of a ticker may lag the trades: it only serves until the first trade has come.
        if not self.desk.has_price(quote.symbol):
            made.events += self.desk.price(quote.symbol, quote.last, quote.ts_event_ns, ts_recv_ns)

    def _market_of(self, symbol: str) -> "_Market":
        market = self._markets.get(symbol)
        if market is None:
            market = self._markets[symbol] = _Market()
        return market

    def _lateness(self, made: "_Made", items: Iterable[object], ts_recv_ns: int) -> None:
        """Tell the private link how late its own words are, where that is worth telling (A22); a snapshot speaks of old times."""
        times = [item.ts_event_ns for item in items if isinstance(item, f.Fact | m.VenueMessage) and item.ts_event_ns]
        lag_ns = min((self._private_lag.of(at_ns, ts_recv_ns) for at_ns in times), default=None)
        if lag_ns is not None and (self.link.is_late or lag_ns >= self.settings.link.lag_ms * 1_000_000):
            self._step_link(made, links.LagNoticed(ts_recv_ns=ts_recv_ns, lag_ns=lag_ns))

    def _answer(self, made: "_Made", data: bytes, ts_recv_ns: int, source: str) -> None:
        """Take what an answer beside the stream adds; it may be a minute old, so it is no sign of a link that lives (K9)."""
        answer = answer_from(data)
        told = m.QuestionAnswered(
            number=answer.number, asked_ns=answer.asked_ns, ts_recv_ns=ts_recv_ns, text=answer.text, problem=answer.problem
        )
        for item in self.translator.lookups.answered(told):
            if isinstance(item, f.Fact):
                self._fact(made, item)
            else:
                self._message(made, item, ts_recv_ns, source)

    def _question(self, event: PositionEvent, command: c.QueryOrder, now_ns: int) -> None:
        if not self.settings.asks_rest:
            return
        position = self.desk.get(event.position_id)
        order = None if position is None else position.order(command.client_order_id, command.venue_order_id)
        sent_ns = 0 if order is None else max(order.sent_ns, order.decided_ns)
        self.translator.lookups.order(command.client_order_id, command.venue_order_id, sent_ns, now_ns)

    def _bridge(self, newest_trade_ns: int, now_ns: int) -> None:
        """Read the executions that a snapshot no longer lists; nothing before the oldest position that lives matters.

        But its newest execution is read too, however old: a list with it is as new as the snapshot, and closes the gap at once.
        """
        since_ns = min((position.requested_ns for position in self.desk.positions.values()), default=now_ns)
        since_ns = min(since_ns, newest_trade_ns or now_ns)
        self.translator.lookups.bridge(max(0, since_ns - CLOCKS_APART_NS), now_ns, now_ns)

    def _fact(self, made: "_Made", fact: f.AnyFact) -> None:
        """Take a venue's word about an order of ours, and what it means for the account and for what has ended."""
        if isinstance(fact, f.ChildDiscovered):
            owner = self.desk.owner_of(self.translator.known_client_id(fact.parent_venue_order_id))
            if owner is not None:
                self.desk.note_owner(fact.parent_venue_order_id, owner)
        is_late = isinstance(fact, f.OrderFilled) and self._is_late(fact)
        events = self.desk.take(fact)
        made.events += events
        if events and isinstance(fact, f.ChildDiscovered):
            self._note_age(events[0].position_id, fact)
        if not events or not isinstance(fact, f.OrderFilled | f.OrderRejected):
            return
        position = self.desk.get(events[0].position_id)
        assert position is not None
        if isinstance(fact, f.OrderFilled):
            self.custody.take_own_fill(position, fact)
            made.exposures += _exposure_of(position, fact) if is_late else []
        elif fact.reject_class == "funds":
            short = self.custody.short_for(position, fact)
            if short is not None:
                made.events += self.desk.take(short, position.position_id)
                if self.settings.asks_rest:
                    self.translator.lookups.balance(short.asset, fact.ts_recv_ns)
        elif fact.reject_class == "reduce_only" and _is_net(position, fact) and not self.translator.has_gap:
            # The account is held net: what was closed twice was somebody else's, and nothing is left that could be closed back (P24).
            # Behind a gap an entry may be what is missing, and no reverse position was ever there.
            nothing = f.PositionAdjusted(ts_recv_ns=fact.ts_recv_ns, open_qty=Decimal(0), reason="no such position", evidence=fact.text)
            made.take_adjusted(self.desk.take(nothing, position.position_id))

    def _note_age(self, position_id: str, fact: f.ChildDiscovered) -> None:
        """Note how young a stop is that the venue itself made: its cancel costs as much as that of one of ours (I14)."""
        position = self.desk.get(position_id)
        child = None if position is None else position.order(fact.client_order_id, fact.venue_order_id)
        if child is not None:
            self.translator.budget.touch(child.client_order_id, fact.ts_recv_ns)

    def _is_late(self, fact: f.OrderFilled) -> bool:
        """Whether an execution is news behind the end of its position; one that was booked before is told again with its price."""
        ended = self.desk.ended.get(self.desk.owner_of(fact.client_order_id, fact.venue_order_id) or "")
        return ended is not None and fact.trade_id not in ended.trade_ids

    def _range(self, made: "_Made", trade: m.TradePrinted, ts_recv_ns: int) -> None:
        """Keep the symbol's bars; with a new minute trails may become narrower, and an ignition may have to be left."""
        instrument = self.instruments.get(trade.symbol)
        if instrument is None or not self.ranges.trade(instrument, trade.ts_event_ns, trade.px, trade.qty):
            return
        for key in sorted(self.desk.positions):
            position = self.desk.positions[key]
            for fact in self.ranges.changes_for(position, ts_recv_ns) if position.plan.symbol == trade.symbol else ():
                made.events += self.desk.take(fact, key)

    def _message(self, made: "_Made", item: object, ts_recv_ns: int, source: str) -> None:
        if isinstance(item, m.SnapshotTaken):
            self._snapshot(made, item, ts_recv_ns)
            self._step_link(made, links.SnapshotArrived(ts_recv_ns=ts_recv_ns, asked_ns=self._asked_ns))
        elif isinstance(item, m.BalanceChanged | m.ForeignFill | m.ForeignOrder):
            self.counters[type(item).__name__] += 1
            made.events += self.custody.take(item)
        elif isinstance(item, m.BalanceHeld):
            made.notices += [Notice(False, "FUNDS_HELD", text) for text in self.custody.held_by_others(item)]
        elif isinstance(item, m.TradesCompleted):
            self.counters["trades_completed"] += 1
            made.refresh = True
        elif isinstance(item, m.InstrumentsListed):
            self.instruments.update((i.symbol, i) for i in item.instruments)
            self._statuses.update((i.symbol, status) for i, status in zip(item.instruments, item.statuses, strict=True))
            self._tell_modes(made, ts_recv_ns)
        elif isinstance(item, m.VenueStatus):
            self._system(made, item.system, ts_recv_ns)
        elif isinstance(item, m.SequenceGap):
            self.counters["sequence_gap"] += 1
            made.refresh = True
            self._step_link(made, links.SequenceGapSeen(ts_recv_ns=ts_recv_ns, expected=item.expected, got=item.got))
        elif isinstance(item, m.TokenRefused):
            made.new_token = True
        elif isinstance(item, m.DeadManAnswered):
            self._dead_man_answered(made, item)
        elif isinstance(item, m.ReferenceDiffers):
            stop = item.client_order_id or item.venue_order_id
            text = f"stop {stop}: the venue triggers it on the {item.reference} price, not on the last trade"
            made.notices.append(Notice(True, "STOP_REFERENCE_DIFFERS", text))
        elif isinstance(item, m.FrameRefused):
            # Truth may be missing in what was not understood (I11); what is odd in every snapshot must not ask for ever.
            self.counters[f"refused_{item.code}"] += 1
            if source == PRIVATE and ts_recv_ns - self._refused_ns >= REFUSED_REFRESH_NS:
                self._refused_ns = ts_recv_ns
                made.refresh = True
        else:
            self.counters[type(item).__name__] += 1

    def _system(self, made: "_Made", system: str, ts_recv_ns: int) -> None:
        self.venue_system = system
        mode = _RESTRICTED.get(system)
        fact = links.MaintenanceOver(ts_recv_ns=ts_recv_ns) if mode is None else links.Maintenance(ts_recv_ns=ts_recv_ns, mode=mode)
        self._step_link(made, fact)
        self._tell_modes(made, ts_recv_ns)

    def _tell_modes(self, made: "_Made", ts_recv_ns: int) -> None:
        """Tell each position what the venue takes for its symbol, where it knows otherwise (X16)."""
        for key in sorted(self.desk.positions):
            position = self.desk.positions[key]
            mode = self._mode_of(position.plan.symbol, position.venue_mode)
            if mode != position.venue_mode:
                made.events += self.desk.take(f.VenueModeChanged(ts_recv_ns=ts_recv_ns, mode=mode), key)

    def _mode_of(self, symbol: str, before: str = "") -> f.VenueMode:
        """Return the narrower of what the whole venue and this pair take; `before`: what stands until the pair is listed."""
        said = {self.venue_system, _PAIR_MODES.get(status := self._statuses.get(symbol, before), status)}
        return next((mode for mode in _MODES if mode in said), "online")

    def _snapshot(self, made: "_Made", snapshot: m.SnapshotTaken, ts_recv_ns: int) -> None:
        self.counters["snapshot"] += 1
        if not snapshot.trades_complete and self.settings.asks_rest:
            self._bridge(snapshot.newest_trade_ns, ts_recv_ns)
        for order in snapshot.open_orders:
            made.events += self._found(order, ts_recv_ns)
        # The account first: what is put back or sold because of this snapshot is sized by what is left.
        judged = self.custody.judge(snapshot.trades_complete, self.translator.is_settled, self._asked_ns, ts_recv_ns)
        made.take_adjusted(judged.events)
        made.notices += [Notice(True, "BALANCE_UNEXPLAINED", text) for text in judged.unexplained]
        listed = [SnapshotOrder(o.client_order_id, o.venue_order_id) for o in snapshot.open_orders]
        made.events += self.desk.snapshot(listed, snapshot.trades_complete, self._asked_ns, ts_recv_ns)
        made.notices += [Notice(False, _MISMATCH_CODES[x.kind], x.text) for x in self.custody.look(ts_recv_ns)]
        self._tell_unlisted(made, ts_recv_ns)

    def _tell_unlisted(self, made: "_Made", now_ns: int) -> None:
        """Page for each stop that counts as live and that the venue does not list: without all executions nothing proves its end (P15)."""
        next_ns: dict[tuple[str, str], int] = {}
        for at, since_ns in self.desk.unlisted.items():
            next_ns[at] = self._unlisted_next_ns.get(at, since_ns + UNLISTED_NS)
            if now_ns >= next_ns[at]:
                next_ns[at] = now_ns + UNLISTED_AGAIN_NS
                (key, stop), secs = at, (now_ns - since_ns) // 1_000_000_000
                text = f"{key}: the venue has not listed its stop {stop} for {secs} s, and what it executed is not known"
                made.notices.append(Notice(True, "STOP_NOT_LISTED", f"{text}: look there, act by hand"))
        self._unlisted_next_ns = next_ns

    def _found(self, order: m.OpenOrder, ts_recv_ns: int) -> list[PositionEvent]:
        """Complete the log with an order of ours that rests without its knowledge.

        It left in the instant before a crash (contract 4), or the venue called it over and lists it after that (P08).
        """
        owner = self.desk.owner_of(order.client_order_id, order.venue_order_id)
        position = None if owner is None else self.desk.get(owner)
        known = None if position is None else position.order(order.client_order_id, order.venue_order_id)
        if position is None or (known is not None and not (known.status in _CALLED_OVER and known.ended_ns < self._asked_ns)):
            return []
        if order.leaves_qty is None or order.side is None or (known is None and order.parent_venue_order_id):
            return []
        fact = f.ChildDiscovered(
            ts_recv_ns=ts_recv_ns,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            parent_venue_order_id="",
            qty=order.leaves_qty,
            cum_qty=order.cum_qty or None,
            trigger_price=order.effective_stop,
            trail_offset_bps=order.trail_offset_bps,
            role=_role_of(position, order),
            order_type=_order_type_of(order),
        )
        self.counters["found_after_crash" if known is None else "found_after_its_end"] += 1
        return self.desk.take(fact, position.position_id)

    # --- links, sender, wishes ----------------------------------------------------------------------------------------

    def _timer(self, made: "_Made", now_ns: int) -> None:
        at_ns = self._link_deadline_ns()
        if at_ns is not None and at_ns <= now_ns:
            self._step_link(made, links.DeadlineReached(ts_recv_ns=now_ns, at_ns=at_ns))
        made.events += self.desk.due(now_ns)
        made.refresh = self.custody.due(now_ns) or made.refresh
        for position_id, bare_ns in self.vigil.due(now_ns):
            text = f"{position_id}: unprotected for {bare_ns // 1_000_000_000} s in {self.desk.positions[position_id].state}; act by hand"
            made.notices.append(Notice(True, "UNPROTECTED_TOO_LONG", text))
            made.refresh = True
        told = self._outage.due(now_ns) if self.desk.positions else None
        if told is not None:
            away_ns, is_page = told
            text = f"no market data for {away_ns // 1_000_000_000} s: no price decides anything; the stops at the venue stand"
            made.notices.append(Notice(is_page, "PRICES_AWAY", text))
        self.translator.lookups.due(now_ns)

    def _link_deadline_ns(self) -> int | None:
        # Before the session's first word there is no connection to have a clock.
        return links.deadline_ns(self.link) if self._is_connecting else None

    def _link(self, made: "_Made", data: bytes, ts_recv_ns: int, source: str) -> None:
        link = link_from(data)
        if link.state == "closed":
            self.translator.reset_link("private" if source == PRIVATE else "public")
        if source != PRIVATE:
            if link.state == "closed":
                self._outage.began(ts_recv_ns)
            elif link.state == "open":
                self._outage.ended()
                # What traded while the market data were away is not known: the bars under way are not whole (A12).
                self.ranges.interrupt(ts_recv_ns)
            return
        if link.state == "connecting" and not self._is_connecting:
            self._is_connecting = True
            self.link = links.new_link(PRIVATE, ts_recv_ns, self.settings.link)
        elif link.state == "asked":
            self._asked_ns = ts_recv_ns
        elif link.state == "open":
            self._step_link(made, links.LinkOpened(ts_recv_ns=ts_recv_ns))
        elif link.state == "closed":
            self._step_link(made, links.LinkClosed(ts_recv_ns=ts_recv_ns, reason=link.reason, code=link.code))

    def _step_link(self, made: "_Made", fact: links.AnyLinkFact) -> None:
        """Feed the link's machine and carry out what it asks for; positions hear of their channel through it."""
        self.link, outputs = links.step(self.link, fact, self._link_rows)
        now_ns = fact.ts_recv_ns
        for output in outputs:
            if output == "tell_positions_closed":
                made.events += self.desk.take_all(f.ChannelClosed(ts_recv_ns=now_ns, reason=getattr(fact, "reason", "") or self.link.state))
            elif output == "tell_positions_live":
                for key in sorted(self.desk.positions):
                    if self.desk.positions[key].state == RECONCILING:
                        made.events += self.desk.take(f.ChannelLive(ts_recv_ns=now_ns), key)
            elif output == "tell_positions_stale":
                # A covered position has nothing to do about it, and its log nothing to gain: the link itself raises the alert.
                for key in sorted(self.desk.unprotected):
                    stale = f.TruthStale(ts_recv_ns=now_ns, age_ns=max(0, now_ns - self.link.truth_ns))
                    made.events += self.desk.take(stale, key)
            elif output == "refresh_truth":
                made.refresh = True
            elif output == "reconnect":
                made.reconnect = True
            elif output in ("alert_degraded", "page_link"):
                code = "PRIVATE_STREAM_DEGRADED" if output == "alert_degraded" else "LINK_DOWN"
                text = f"the private link is {self.link.state} after {type(fact).__name__}; protection rests at the venue, entries wait"
                made.notices.append(Notice(output == "page_link", code, text))

    def _sent(self, made: "_Made", data: bytes, ts_recv_ns: int) -> None:
        sent = sent_from(data)
        if not sent.ok:
            made.events += self.desk.take(
                f.OrderNotSent(ts_recv_ns=ts_recv_ns, client_order_id=sent.client_order_id, operation=sent.operation)
            )
        elif sent.operation == "submit":
            made.events += self.desk.take(f.OrderSubmitted(ts_recv_ns=ts_recv_ns, client_order_id=sent.client_order_id))

    def _intent(self, made: "_Made", data: bytes, ts_recv_ns: int) -> None:
        intent = intent_from(data)
        if isinstance(intent, OpenPosition):
            self._open(made, intent, ts_recv_ns)
        elif isinstance(intent, Restarted):
            self.dead_man.restarted(ts_recv_ns)
            self._outage.began(ts_recv_ns)
            made.events += self.desk.take_all(f.ChannelClosed(ts_recv_ns=ts_recv_ns, reason="restart", epoch=intent.epoch))
        elif isinstance(intent, AdoptExposure):
            self._adopt(made, intent, ts_recv_ns)
        elif isinstance(intent, EntriesHalted):
            self.entries_halted = intent.reason
        elif isinstance(intent, EntriesResumed):
            self.entries_halted = ""
        else:
            self._ask(made, intent, ts_recv_ns)

    def _ask(self, made: "_Made", intent: ExitPosition | TightenPosition | HaltPosition, ts_recv_ns: int) -> None:
        position = self.desk.get(intent.position_id)
        if position is None:
            made.refusals.append(Refusal(intent.position_id, f"position {intent.position_id} does not exist"))
            return
        fact: f.AnyFact
        if isinstance(intent, ExitPosition):
            mark = self.desk.mark_of(position.plan.symbol, ts_recv_ns)
            fact = f.ExitRequested(ts_recv_ns=ts_recv_ns, reason=intent.reason, patient=intent.patient, mark=mark)
        elif isinstance(intent, TightenPosition):
            fact = f.PlanTightened(ts_recv_ns=ts_recv_ns, trail_offset_bps=intent.trail_offset_bps, stop_price=intent.stop_price)
        else:
            fact = f.HaltRequested(ts_recv_ns=ts_recv_ns, reason=intent.reason)
        made.events += self.desk.take(fact, position.position_id)

    def _adopt(self, made: "_Made", intent: AdoptExposure, ts_recv_ns: int) -> None:
        """Take exposure over that nobody protects: a halt of entries does not stop it, it adds no risk (I16)."""
        ended = self.desk.get(intent.of)
        if ended is None or self.desk.get(intent.position_id) is not None:
            made.refusals.append(Refusal(intent.position_id, f"exposure of {intent.of} cannot be taken over: it is not known"))
            return
        symbol, sign = ended.plan.symbol, intent.side.sign
        mark = self.desk.mark_of(symbol, ts_recv_ns)
        believed = mark is not None and ended.is_fresh(mark)
        pnl_bps = None if mark is None or not believed or not intent.px else int((mark.px - intent.px) * sign * 10_000 / intent.px)
        distance = self.ranges.emergency_of(symbol, pnl_bps, self.link.state in (links.STALE, links.DEGRADED), ts_recv_ns)
        plan = f.Plan(
            symbol=symbol,
            side=intent.side,
            qty=intent.qty,
            margin=ended.plan.margin,
            trail_offset_bps=distance.trail_offset_bps,
            timing=ended.plan.timing,
        )
        made.events += self.desk.take(
            f.PositionAdopted(
                ts_recv_ns=ts_recv_ns,
                position_id=intent.position_id,
                plan=plan,
                instrument=ended.instrument,
                capabilities=ended.capabilities,
                px=intent.px,
                evidence=f"an execution behind the end of {intent.of}; trail: {distance.basis}",
                mark=mark,
                epoch=intent.epoch,
            )
        )
        self._tell_modes(made, ts_recv_ns)

    def _open(self, made: "_Made", intent: OpenPosition, ts_recv_ns: int) -> None:
        plan = intent.plan
        if plan.trail_auto:
            distance = self.ranges.distance_of(plan, ts_recv_ns)
            plan = msgspec.structs.replace(plan, trail_offset_bps=distance.trail_offset_bps)
        try:
            instrument, capabilities = self._may_open(intent)
            mark = self.desk.mark_of(plan.symbol, ts_recv_ns)
            check_plan(plan, instrument, capabilities, mark, self.settings.taker_fee_bps)
        except BadInput as refused:
            halted = self.link.entries_halted and not self.entries_halted
            made.refusals.append(Refusal(intent.position_id, str(refused), LINK_LOOK_NS if halted else 0))
            return
        wait_ns = self._entry_wait_ns(plan.symbol, self._on_pair(plan.symbol), ts_recv_ns)
        if wait_ns:
            made.refusals.append(Refusal(intent.position_id, self._no_points(intent.position_id, plan.symbol, wait_ns), wait_ns))
            return
        made.events += self.desk.take(
            f.PositionRequested(
                ts_recv_ns=ts_recv_ns,
                position_id=intent.position_id,
                plan=plan,
                instrument=instrument,
                capabilities=capabilities,
                epoch=intent.epoch,
            )
        )
        mode = self.ranges.mode_for(self.desk.positions[intent.position_id], ts_recv_ns)
        if mode is not None:
            made.events += self.desk.take(mode, intent.position_id)

    def _may_open(self, intent: OpenPosition) -> tuple[Instrument, Capabilities]:
        place = f"position {intent.position_id}"
        if self.entries_halted:
            raise BadInput(place, f"entries are halted: {self.entries_halted}", "mend that first; protection and exits go on")
        if self.venue_system not in ("", "online"):
            raise BadInput(place, f"the venue is in {self.venue_system}", "ask again when it is online")
        if (mode := self._mode_of(intent.plan.symbol)) != "online":
            raise BadInput(place, f"{intent.plan.symbol} is in {mode}", "ask again when it is online")
        if self.link.entries_halted:
            raise BadInput(place, f"the private link is {self.link.state}", "ask again when it is live; protection and exits go on")
        if self.desk.get(intent.position_id) is not None:
            raise BadInput(place, "it exists already", "ask with another id")
        if len(self.desk.positions) >= self.settings.max_positions:
            raise BadInput(place, f"{len(self.desk.positions)} positions are open", "raise risk.max_positions")
        instrument = self.instruments.get(intent.plan.symbol)
        if instrument is None:
            known = ", ".join(sorted(self.instruments)) or "none yet"
            raise BadInput(place, f"symbol {intent.plan.symbol!r} is not listed by the venue", f"use one of: {known}")
        return instrument, MARGIN if intent.plan.margin else SPOT

    # --- rate limit ---------------------------------------------------------------------------------------------------

    def wait_ns(self, command: c.SubmitOrder | c.AmendOrder, now_ns: int) -> int:
        """Return how long a command has to wait, so that the venue's rate limit has room for protection and exits (I14)."""
        budget = self.translator.budget
        if not budget.wait_ns(command, len(self.desk.positions), now_ns):
            return 0
        here = self._on_pair(command.symbol)
        if isinstance(command, c.AmendOrder):
            return budget.wait_ns(command, len(here), now_ns)
        # Entries that wait themselves have nothing to leave yet; else none of them could ever go.
        return self._entry_wait_ns(command.symbol, [x for x in here if not _is_waiting(x)], now_ns)

    def _entry_wait_ns(self, symbol: str, others: Sequence[Position], now_ns: int) -> int:
        budget = self.translator.budget
        points = (budget.leave_points([stop.client_order_id for stop in x.open_orders("stop")], now_ns) for x in others)
        return budget.entry_wait_ns(symbol, YOUNG + sum(points) + sum(map(_is_waiting, others)), now_ns)

    def _on_pair(self, symbol: str) -> list[Position]:
        return [position for position in self.desk.positions.values() if position.plan.symbol == symbol]

    def _no_points(self, position_id: str, symbol: str, wait_ns: int) -> str:
        limit, here = self.translator.budget.limit, len(self._on_pair(symbol))
        problem = f"the venue's rate limit of {symbol}, {limit} points, is kept for the exits of the {here} positions that are there"
        again = f"ask again in {-(-wait_ns // 1_000_000_000)} s, or use another pair"
        return str(BadInput(f"position {position_id}", problem, again))

    def _left_out(self, event: PositionEvent, command: c.AmendOrder, now_ns: int) -> list[PositionEvent]:
        """Leave a tightening out: the stop stands as it was, and the position tries again later, as after a refusal for rate."""
        self.counters["tightening_left_out"] += 1
        fact = f.AmendRejected(
            ts_recv_ns=now_ns,
            client_order_id=command.client_order_id,
            venue_order_id=command.venue_order_id,
            reject_class="rate",
            text="not sent: what is left of the rate limit is kept for protection and exits",
        )
        return self.desk.take(fact, event.position_id)

    # --- out ----------------------------------------------------------------------------------------------------------

    def _out(self, made: "_Made", now_ns: int) -> Output:
        """Tell the link how many positions are exposed, encode what is to be sent, and hand everything out."""
        if len(self.desk.unprotected) != self.link.unprotected:
            self._step_link(made, links.ExposureChanged(ts_recv_ns=now_ns, unprotected=len(self.desk.unprotected)))
        if self.desk.unprotected or not self.vigil.is_idle:
            positions = self.desk.positions
            self.vigil.watch((x for x in self.desk.unprotected if positions[x].state not in (TAKE_PROFIT_WORKING, MAKER_EXITING)), now_ns)
        if self.desk.wants_refresh:
            self.desk.wants_refresh = False
            made.refresh = True
        frames = self._dead_man(made, now_ns)
        lookups = self.translator.lookups
        if made.is_empty and not lookups.questions and not frames:
            self._spare = made
            return _NOTHING
        outgoing: list[Outgoing] = []
        for event in made.events:
            for command in event.commands:
                frame = ""
                if isinstance(command, c.AmendOrder) and self.wait_ns(command, now_ns):
                    # The list grows while it is walked: what follows from it is sent behind it.
                    made.events += self._left_out(event, command, now_ns)
                elif isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder):
                    frame = self.translator.encode(command, now_ns).frame_text
                elif isinstance(command, c.RefreshTruth | c.QueryOrder):
                    made.refresh = True
                    if not isinstance(command, c.RefreshTruth):
                        self._question(event, command, now_ns)
                outgoing.append(Outgoing(event, command, frame))
        questions, lookups.questions = tuple(lookups.questions), []
        return Output(
            tuple(made.events),
            tuple(outgoing),
            tuple(made.refusals),
            made.refresh,
            made.new_token,
            made.reconnect,
            tuple(made.notices),
            tuple(made.exposures),
            questions,
            frames,
        )

    def _dead_man(self, made: "_Made", now_ns: int) -> tuple[str, ...]:
        """Return the frame that the venue's dead-man switch needs now, if any."""
        if not self.settings.dead_man_secs:
            return ()
        # Every position is looked at: not for a tick that changed none of them.
        seen, due_ns = (self.link.state, self.link.entries_halted), self.dead_man.deadline_ns()
        if not made.events and seen == self._dead_man_seen and (due_ns is None or now_ns < due_ns):
            return ()
        self._dead_man_seen = seen
        is_linked = self.link.state not in (links.CONNECTING, links.CLOSED)
        positions = self.desk.positions.values()
        is_known = not self.link.entries_halted and all(position.state != RECONCILING for position in positions)
        timeout_secs = self.dead_man.look(positions, is_linked, is_known, now_ns)
        if timeout_secs is None:
            return ()
        if self.dead_man.is_stuck:
            text = "the venue's dead-man switch cannot be switched off; when it fires, every stop is cancelled and put back"
            made.notices.append(Notice(True, "DEAD_MAN_STILL_ON", text))
        return (self.translator.encode_dead_man(timeout_secs),)

    def _dead_man_answered(self, made: "_Made", answer: m.DeadManAnswered) -> None:
        if not answer.text:
            self.dead_man.confirmed(answer.timeout_secs, answer.ts_recv_ns)
        else:
            text = f"the venue refused to set its dead-man switch to {answer.timeout_secs} s: {answer.text}"
            made.notices.append(Notice(False, "DEAD_MAN_REFUSED", text))


class _Market:
    """What is known of one symbol's public stream."""

    __slots__ = ("band", "is_late", "lag")

    def __init__(self) -> None:
        self.lag, self.band, self.is_late = Lag(), Band(), False


class _Made:
    """What one input has made so far."""

    __slots__ = ("events", "exposures", "new_token", "notices", "reconnect", "refresh", "refusals")

    def __init__(self) -> None:
        self.events: list[PositionEvent] = []
        self.refusals: list[Refusal] = []
        self.notices: list[Notice] = []
        self.exposures: list[Exposure] = []
        self.refresh = self.new_token = self.reconnect = False

    def take_adjusted(self, events: Iterable[PositionEvent]) -> None:
        """Take events; an adjustment of what a position holds is told: its profit is not certain any more (P30)."""
        for event in events:
            self.events.append(event)
            if isinstance(event.fact, f.PositionAdjusted):
                text = f"{event.position_id} is set to {event.fact.open_qty}: {event.fact.reason}, {event.fact.evidence}"
                self.notices.append(Notice(False, "POSITION_ADJUSTED", text))

    @property
    def is_empty(self) -> bool:
        return not (
            self.events or self.refusals or self.notices or self.exposures or self.refresh or self.new_token or self.reconnect
        )


_NOTHING = Output()
_CALLED_OVER = (CANCELED, EXPIRED, REJECTED)
_RESTRICTED: dict[str, Literal["maintenance", "cancel_only", "post_only", "limit_only"]] = {
    "maintenance": "maintenance",
    "cancel_only": "cancel_only",
    "post_only": "post_only",
    "limit_only": "limit_only",
}


# The narrowest first. An unknown word is taken for online: then the venue's refusals tell.
_MODES: tuple[f.VenueMode, ...] = ("maintenance", "cancel_only", "post_only", "limit_only")
_PAIR_MODES = {"delisted": "cancel_only", "work_in_progress": "cancel_only"}
_MISMATCH_CODES = {"bare": "QUANTITY_MISMATCH", "short": "QUANTITY_MISMATCH", "surplus": "QUANTITY_MISMATCH", "stop_drift": "STOP_DRIFT"}


def patience_ns(plan: f.Plan) -> int:
    """Return how long the entry of a plan may wait to be sent: not beyond the deadline in its frame, nor until nobody knows of it."""
    timing = plan.timing
    return min(timing.market_deadline_ms, timing.entry_ttl_ms, timing.ack_timeout_ms) * 1_000_000


def _is_waiting(position: Position) -> bool:
    return position.state == ENTRY_PENDING and not any(order.sent_ns for order in position.orders)


def _without_unnamed(positions: Iterable[Position], stops: Iterable[f.ChildDiscovered]) -> set[str]:
    """Return the entries that have ended and of which every attached stop has shown itself: no execution is of another one."""
    shown: dict[str, Decimal] = {}
    for stop in stops:
        shown[stop.parent_venue_order_id] = shown.get(stop.parent_venue_order_id, Decimal(0)) + stop.qty
    return {
        order.client_order_id
        for position in positions
        for order in position.orders
        if order.role == "entry" and order.venue_order_id and not order.is_open
        if position.instrument.qty(order.filled_lots) <= shown.get(order.venue_order_id, Decimal(0))
    }


def _is_net(position: Position, fact: f.OrderRejected) -> bool:
    """Whether a refused order was to close what only our books hold: a reverse position, or one taken over from behind an end.

    An exit leaves when every stop has ended by proof, so that its refusal is no question of a fill that is not told yet.
    """
    order = position.order(fact.client_order_id, fact.venue_order_id)
    return position.state == FLATTENING or (position.adopted and order is not None and order.role == "exit")


def _exposure_of(position: Position, fact: f.OrderFilled) -> list[Exposure]:
    """Return what an execution behind the end of a position has opened; nothing under the venue's smallest order.

    On spot an execution of the exit side sold what was the owner's: there is nothing to protect, and a person was paged.
    """
    entered = fact.side is position.side.entry_side
    if not entered and not position.plan.margin:
        return []
    fees = sum((fee.qty for fee in fact.fees if fee.asset == position.instrument.base), Decimal(0))
    lots = position.instrument.floor_lots(max(Decimal(0), fact.last_qty - (fees if fact.side is Side.BUY else -fees)))
    if lots < position.min_lots:
        return []
    side = position.side if entered else _OTHER_SIDE[position.side]
    return [Exposure(position.position_id, side, position.instrument.qty(lots), fact.last_px)]


_OTHER_SIDE = {PositionSide.LONG: PositionSide.SHORT, PositionSide.SHORT: PositionSide.LONG}


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
