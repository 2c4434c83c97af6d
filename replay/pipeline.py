"""One pass of data: an input goes in, events and outgoing frames come out. The live engine and replay run this same code.

Inputs are what a session file records, in the order in which the core took them:

    frame   a venue's text, as it came           timer   the clock, when a deadline was looked at
    link    a channel opened, closed, was asked  sent    what the sender did with a command
    intent  what a person or the process asks    answer  to a question beside the stream

What is decided on the way, and by whom:

    private_link.py  what the link asks for      market.py    which prices may decide
    admission.py     who may open a position     reserve.py   who waits for the rate limit
    custody.py       the account                 takeover.py  what the log does not know
    recall.py        what a log tells            output.py    what an input has made
    steady.py        what time it is

Nothing here reads a clock, draws an id or sends anything.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from events import commands as c
from events import facts as f
from events.errors import BadInput
from events.record import PositionEvent
from events.values import Instrument
from fsm import link as links
from fsm.dead_man import DeadMan
from fsm.desk import Desk, SnapshotOrder
from fsm.model import Position
from fsm.monitor import Vigil
from fsm.notice import Notice
from fsm.order import ENDED
from fsm.position import RECONCILING
from fsm.ranges import KeptBars, Ranges
from fsm.unlisted import Unlisted
from venues import messages as m
from venues.kraken.modes import VenueModes
from venues.kraken.translate import KrakenTranslator

from .admission import Admission, EntryWait
from .custody import Custody
from .intents import (
    AdoptExposure,
    BarsRecalled,
    EntriesHalted,
    EntriesResumed,
    ExitAll,
    ExitPosition,
    OpenPosition,
    ProtectPosition,
    Restarted,
    TightenPosition,
    Wish,
    answer_from,
    intent_from,
    link_from,
    sent_from,
)
from .market import Markets
from .output import NOTHING, Made, Outgoing, Output, Refusal
from .private_link import PRIVATE, PrivateLink
from .recall import teach
from .reserve import Reserve
from .steady import Steady
from .takeover import adoption_of, exposure_of, exposure_of_fee, found_order, passed_on

REFUSED_REFRESH_NS = 1_000_000_000
# The venue's clock and ours may be that far apart.
CLOCKS_APART_NS = 5_000_000_000
_MISMATCH_CODES = {"bare": "QUANTITY_MISMATCH", "short": "QUANTITY_MISMATCH", "surplus": "QUANTITY_MISMATCH", "stop_drift": "STOP_DRIFT"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides besides the inputs: stands in a session's manifest, so that replay decides alike."""

    namespace: str
    symbols: tuple[str, ...]
    max_positions: int = 100_000
    link: links.Thresholds = links.Thresholds()
    taker_fee_bps: Decimal = Decimal(26)
    hard_take_profit_bps: int = 0
    asks_rest: bool = False
    asks_ledgers: bool = False
    states_owned: bool = False
    names_ended: bool = False
    amends_expire: bool = False
    doubts_unbacked: bool = False
    asks_missing: bool = False
    awaits_found: bool = False
    reads_back: bool = False
    dead_man_secs: int = 0
    dead_man_left_secs: int = 0


# What decides today besides. Sessions of before did not decide by it, say nothing of it, and replay without.
TODAY: dict[str, Any] = {
    "states_owned": True,
    "names_ended": True,
    "amends_expire": True,
    "doubts_unbacked": True,
    "awaits_found": True,
    "reads_back": True,
}


class Pipeline:
    """The deterministic engine: translator, desk, the private link, and what they need of the venue.

    `counters` counts messages by kind and refusals by code.
    """

    def __init__(self, settings: Settings, executor: str = "machine") -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.instruments: dict[str, Instrument] = {}
        self.desk = Desk(settings.namespace, executor, hard_take_profit_bps=settings.hard_take_profit_bps)
        self.translator = KrakenTranslator(settings.namespace, settings.symbols, asks_ledgers=settings.asks_ledgers)
        self.link = PrivateLink(self.desk, settings.link, executor)
        self.custody = Custody(self.desk, self.instruments, doubts_unbacked=settings.doubts_unbacked)
        self.dead_man = DeadMan(settings.dead_man_secs, settings.dead_man_left_secs)
        self._has_switch = bool(settings.dead_man_secs or settings.dead_man_left_secs)
        self._vigil, self._unlisted, self._modes = Vigil(), Unlisted(), VenueModes()
        self._ranges = Ranges(settings.taker_fee_bps)
        self._markets = Markets(settings.symbols, self.desk, self._ranges, self.instruments, self.counters)
        self._reserve = Reserve(self.desk, self.translator.budget)
        self._admission = Admission(
            self.desk,
            self.link,
            self._modes,
            self.instruments,
            self._ranges,
            self._reserve,
            max_positions=settings.max_positions,
            taker_fee_bps=settings.taker_fee_bps,
            amends_expire=settings.amends_expire,
        )
        self._steady = Steady()
        self._ended: list[tuple[str, f.OrderFact]] = []
        self._refused_ns = -REFUSED_REFRESH_NS
        self._spare: Made | None = None

    def restore(self, events: Iterable[PositionEvent]) -> int:
        """Take positions from a log, before the first input; return how many events were read.

        The translator learns the ids of their orders and executions too: a snapshot can then prove that it is complete.
        """
        taken = list(events)
        count = self.desk.restore(taken)
        teach(self.translator, taken, {**self.desk.ended, **self.desk.positions})
        self.custody.recall(taken)
        return count

    def kept_bars(self) -> dict[str, KeptBars]:
        """Return the bars with which the next life of the process need not begin without a range, by symbol."""
        return self._ranges.kept()

    def feed(self, kind: str, ts_recv_ns: int, source: str, payload: str | bytes) -> Output:
        """Take one input.

        Raises:
            BadInput: the record is not one of the kinds above, or its payload is not of its shape; nothing has changed.
        """
        # Most inputs are quotes and prints that make nothing: what they have not touched serves the next one.
        made, self._spare = self._spare or Made(), None
        ts_recv_ns = self._steady.of(kind, ts_recv_ns)
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
        first_ns = self.desk.next_deadline_ns()
        for at_ns in (
            self.link.deadline_ns(),
            self.custody.deadline_ns(),
            self._vigil.deadline_ns(),
            self._markets.deadline_ns(),
            self.translator.lookups.next_due_ns(),
            self.dead_man.deadline_ns(),
        ):
            if at_ns is not None and (first_ns is None or at_ns < first_ns):
                first_ns = at_ns
        return None if first_ns is None else first_ns - self._steady.behind_ns

    def entry_wait(self, entry: c.SubmitOrder, now_ns: int) -> EntryWait:
        """Return in how long to look again whether an entry that was decided may leave; for all else nobody need ask (I14)."""
        return self._admission.entry_wait(entry, now_ns + self._steady.behind_ns)

    # --- frames and answers -------------------------------------------------------------------------------------------

    def _frame(self, made: Made, text: str, ts_recv_ns: int, source: str) -> None:
        items: Sequence[f.AnyFact | m.AnyMessage] = self.translator.decode(text, ts_recv_ns)
        if source == PRIVATE and self.settings.awaits_found:
            items = self._with_found_stops(items, ts_recv_ns)
        for item in items:
            if type(item) is m.Heartbeat:
                # Half of all that a quiet market says.
                self.counters["Heartbeat"] += 1
            elif type(item) is m.TradePrinted:
                self._markets.trade(made, item, ts_recv_ns)
            elif type(item) is m.QuoteChanged:
                self._markets.quote(made, item, ts_recv_ns)
            elif isinstance(item, f.Fact):
                self._fact(made, item)
            else:
                self._message(made, item, ts_recv_ns, source)
        if self._ended:
            self._ask_for_missing(made, ts_recv_ns)
        if source == PRIVATE:
            self.link.heard(made, items, ts_recv_ns)

    def _answer(self, made: Made, data: bytes, ts_recv_ns: int, source: str) -> None:
        """Take what an answer beside the stream adds; it may be a minute old, so it is no sign of a link that lives (K9)."""
        answer = answer_from(data)
        asked_ns = self._steady.asked(answer.asked_ns, ts_recv_ns)
        told = m.QuestionAnswered(number=answer.number, asked_ns=asked_ns, ts_recv_ns=ts_recv_ns, text=answer.text, problem=answer.problem)
        self._looked_up(made, self.translator.lookups.answered(told), ts_recv_ns, source)
        # Whoever asked reads the executions of what has ended by himself.
        self._ended.clear()

    def _looked_up(self, made: Made, items: Iterable[f.AnyFact | m.AnyMessage], ts_recv_ns: int, source: str) -> None:
        for item in items:
            if isinstance(item, f.Fact):
                self._fact(made, item)
            else:
                self._message(made, item, ts_recv_ns, source)

    def _fact(self, made: Made, fact: f.AnyFact) -> None:
        """Take a venue's word about an order of ours, and what it means for the account and for what has ended."""
        if isinstance(fact, f.ChildDiscovered):
            owner = self.desk.owner_of(self.translator.known_client_id(fact.parent_venue_order_id))
            if owner is not None:
                self.desk.note_owner(fact.parent_venue_order_id, owner)
        if isinstance(fact, f.OrderNotFound) and self.desk.owner_of(fact.client_order_id, fact.venue_order_id) in self.custody.shared():
            fact = msgspec.structs.replace(fact, shared=True)
        ended = None
        if isinstance(fact, f.OrderFilled):
            ended = self.desk.ended.get(self.desk.owner_of(fact.client_order_id, fact.venue_order_id) or "")
            if ended is not None and self.settings.names_ended:
                self._pass_on(made, ended, fact)
        events = self.desk.take(fact)
        made.events += events
        if events and isinstance(fact, f.ChildDiscovered):
            self._note_age(events[0].position_id, fact)
        if events and isinstance(fact, f.OrderCompleted | f.OrderCanceled | f.OrderExpired):
            self._ended.append((events[0].position_id, fact))
        if not events or not isinstance(fact, f.OrderFilled | f.OrderRejected):
            return
        position = self.desk.get(events[0].position_id)
        assert position is not None
        if isinstance(fact, f.OrderFilled):
            self.custody.take_own_fill(position, fact)
            if ended is not None:
                # As its books were before: what they had already is told again, with its price or its fee.
                made.exposures += [] if fact.trade_id in ended.trade_ids else exposure_of(position, fact)
                made.exposures += exposure_of_fee(position, fact.last_px) if fact.fees and ended.awaits_fee_of(fact.trade_id) else []
        elif fact.reject_class == "funds":
            short = self.custody.short_for(position, fact)
            if short is not None:
                made.events += self.desk.take(short, position.position_id)
                if self.settings.asks_rest:
                    self.translator.lookups.balance(short.asset, fact.ts_recv_ns)
        elif fact.reject_class == "reduce_only":
            # Behind a gap an entry may be what is missing, and no reverse position was ever there.
            nothing = None if self.translator.has_gap else self.custody.nothing_for(position, fact)
            if nothing is not None:
                made.take_adjusted(self.desk.take(nothing, position.position_id))
            if position.plan.margin and self.settings.asks_rest:
                # What was closed twice may have been another's of the pair.
                self.custody.nothing_to_close(position, fact.ts_recv_ns, has_ended=nothing is not None)

    def _note_age(self, position_id: str, fact: f.ChildDiscovered) -> None:
        """Note how young a stop is that the venue itself made: its cancel costs as much as that of one of ours (I14)."""
        position = self.desk.get(position_id)
        child = None if position is None else position.order(fact.client_order_id, fact.venue_order_id)
        if child is not None:
            self.translator.budget.touch(child.client_order_id, fact.ts_recv_ns)

    def _pass_on(self, made: Made, ended: Position, fact: f.OrderFilled) -> None:
        """Take what an order of an ended position has closed off those who took over what it left (A8).

        Before that one books it: where the process dies between the two, the execution is news once more, and known to the heirs.
        """
        passed = passed_on(ended, fact, (*self.desk.positions.values(), *self.desk.ended.values()), made.exposures)
        made.exposures = list(passed.awaited)
        for heir_id, closed in passed.facts:
            made.events += self.desk.take(closed, heir_id)
            heir = self.desk.ended.get(heir_id)
            if heir is not None:
                made.exposures += exposure_of(heir, closed)

    def _message(self, made: Made, item: object, ts_recv_ns: int, source: str) -> None:
        if isinstance(item, m.SubscriptionAcked):
            self.counters["SubscriptionAcked"] += 1
            if source != PRIVATE and not item.ended:
                self._markets.confirmed(item.channel, item.symbol)
        elif isinstance(item, m.SnapshotTaken):
            self._snapshot(made, item, ts_recv_ns)
            self.link.step(made, links.SnapshotArrived(ts_recv_ns=ts_recv_ns, asked_ns=self.link.asked_ns))
        elif isinstance(item, m.BalanceChanged | m.BalancesListed | m.ForeignFill | m.ForeignOrder):
            self.counters[type(item).__name__] += 1
            made.events += self.custody.take(item)
        elif isinstance(item, m.BalanceHeld):
            made.notices += [Notice(False, "FUNDS_HELD", text) for text in self.custody.held_by_others(item)]
        elif isinstance(item, m.MarginHeld):
            judged = self.custody.take_margin(item, not self.translator.has_gap)
            made.take_adjusted(judged.events, page=True)
            made.notices += [Notice(False, "QUANTITY_MISMATCH", text) for text in judged.unexplained]
        elif isinstance(item, m.FeeUnknown):
            made.notices.append(Notice(False, "FEE_ASSET_UNKNOWN", item.text))
        elif isinstance(item, m.TradesCompleted):
            self.counters["trades_completed"] += 1
            made.refresh = True
        elif isinstance(item, m.TradesRead):
            if self.settings.reads_back and self.custody.told_until(item.as_of_ns):
                made.refresh = True
        elif isinstance(item, m.InstrumentsListed):
            self.instruments.update((i.symbol, i) for i in item.instruments)
            self._modes.take_pairs(item.instruments, item.statuses)
            self._tell_modes(made, ts_recv_ns)
        elif isinstance(item, m.VenueStatus):
            self._system(made, item.system, ts_recv_ns)
        elif isinstance(item, m.SequenceGap):
            self.counters["sequence_gap"] += 1
            made.refresh = True
            self.link.step(made, links.SequenceGapSeen(ts_recv_ns=ts_recv_ns, expected=item.expected, got=item.got))
        elif isinstance(item, m.TokenRefused):
            made.new_token = True
        elif isinstance(item, m.DeadManAnswered):
            told = self.dead_man.answered(item.timeout_secs, item.text, item.ts_recv_ns)
            made.notices += [] if told is None else [told]
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

    def _system(self, made: Made, system: str, ts_recv_ns: int) -> None:
        self._modes.system = system
        mode = self._modes.of_venue()
        over, under = links.MaintenanceOver, links.Maintenance
        self.link.step(made, over(ts_recv_ns=ts_recv_ns) if mode == "online" else under(ts_recv_ns=ts_recv_ns, mode=mode))
        self._tell_modes(made, ts_recv_ns)

    def _tell_modes(self, made: Made, ts_recv_ns: int) -> None:
        """Tell each position what the venue takes for its symbol, where it knows otherwise (X16)."""
        for key in sorted(self.desk.positions):
            position = self.desk.positions[key]
            mode = self._modes.of(position.plan.symbol, position.venue_mode)
            if mode != position.venue_mode:
                made.events += self.desk.take(f.VenueModeChanged(ts_recv_ns=ts_recv_ns, mode=mode), key)

    def _snapshot(self, made: Made, snapshot: m.SnapshotTaken, ts_recv_ns: int) -> None:
        self.counters["snapshot"] += 1
        is_complete = snapshot.trades_complete
        if is_complete and self.custody.belies(snapshot):
            # What this list lacks the next ones lack too, however well they join it.
            is_complete = False
            self.translator.open_gap()
        if not is_complete and self.settings.asks_rest:
            self._bridge(snapshot.newest_trade_ns, ts_recv_ns)
        for order in snapshot.open_orders:
            made.events += self._found(order, ts_recv_ns)
        # The account first: what is put back or sold because of this snapshot is sized by what is left.
        judged = self.custody.judge(snapshot, is_complete, self.translator.is_settled, self.link.asked_ns, ts_recv_ns)
        made.take_adjusted(judged.events)
        made.notices += [Notice(True, "BALANCE_UNEXPLAINED", text) for text in judged.unexplained]
        listed = [SnapshotOrder(o.client_order_id, o.venue_order_id) for o in snapshot.open_orders]
        made.events += self.desk.snapshot(listed, is_complete, self.link.asked_ns, ts_recv_ns, self.custody.shared())
        made.notices += [Notice(False, _MISMATCH_CODES[x.kind], x.text) for x in self.custody.look(ts_recv_ns)]
        made.notices += self._unlisted.look(self.desk.unlisted, ts_recv_ns)

    def _with_found_stops(self, items: Sequence[f.AnyFact | m.AnyMessage], ts_recv_ns: int) -> Sequence[f.AnyFact | m.AnyMessage]:
        """Put the stops that a list names and the log does not know right behind the executions that it tells of their positions.

        A stop that was sent for those meanwhile could only be taken back by a cancel, and both may fire before (I2).
        """
        snapshot = next((item for item in items if type(item) is m.SnapshotTaken), None)
        unknown = [] if snapshot is None else [self._unknown(order, ts_recv_ns) for order in snapshot.open_orders]
        found = [(x[0], x[1]) for x in unknown if x is not None and x[1].role == "stop"]
        lacking = {p.position_id: p for p, stop in found if p.order(stop.client_order_id, stop.venue_order_id) is None}
        if not lacking:
            return items
        out, behind = list(items), 0
        for place, item in enumerate(items):
            if isinstance(item, f.OrderFilled):
                position = lacking.get(self.desk.owner_of(item.client_order_id, item.venue_order_id) or "")
                if position is not None and item.trade_id not in position.trade_ids:
                    out[place], behind = msgspec.structs.replace(item, ahead_of_stop=True), place + 1
        if behind:
            self.counters["found_after_crash"] += len(lacking)
            out[behind:behind] = [stop for position, stop in found if position.position_id in lacking]
        return out

    def _unknown(self, order: m.OpenOrder, ts_recv_ns: int) -> tuple[Position, f.ChildDiscovered] | None:
        owner = self.desk.owner_of(order.client_order_id, order.venue_order_id)
        position = None if owner is None else self.desk.get(owner)
        fact = None if position is None else found_order(position, order, self.link.asked_ns, ts_recv_ns)
        return None if position is None or fact is None else (position, fact)

    def _found(self, order: m.OpenOrder, ts_recv_ns: int) -> list[PositionEvent]:
        """Complete the log with an order of ours that rests without its knowledge."""
        found = self._unknown(order, ts_recv_ns)
        if found is None:
            return []
        position, fact = found
        is_known = position.order(order.client_order_id, order.venue_order_id) is not None
        self.counters["found_after_its_end" if is_known else "found_after_crash"] += 1
        return self.desk.take(fact, position.position_id)

    # --- links, sender, wishes ----------------------------------------------------------------------------------------

    def _timer(self, made: Made, now_ns: int) -> None:
        self.link.due(made, now_ns)
        made.events += self.desk.due(now_ns, self.custody.shared)
        balances = self.custody.due(now_ns)
        made.refresh = balances.asks or made.refresh
        made.notices += [Notice(True, "BALANCE_UNEXPLAINED", text) for text in balances.unexplained]
        if self.custody.margin_due(now_ns):
            self.translator.lookups.margin(now_ns)
        overdue = self._vigil.due(self.desk.positions, now_ns)
        made.refresh = bool(overdue) or made.refresh
        made.notices += overdue
        self._markets.due(made, now_ns)
        self.translator.lookups.due(now_ns)

    def _link(self, made: Made, data: bytes, ts_recv_ns: int, source: str) -> None:
        link = link_from(data)
        if link.state == "closed":
            self.translator.reset_link("private" if source == PRIVATE else "public")
        if source == PRIVATE:
            self.link.take(made, link, ts_recv_ns)
        elif link.state == "closed":
            self._markets.away(ts_recv_ns)
        elif link.state == "open":
            self._markets.opened(ts_recv_ns)

    def _sent(self, made: Made, data: bytes, ts_recv_ns: int) -> None:
        sent = sent_from(data)
        if not sent.ok:
            made.events += self.desk.take(
                f.OrderNotSent(ts_recv_ns=ts_recv_ns, client_order_id=sent.client_order_id, operation=sent.operation)
            )
        elif sent.operation == "submit":
            made.events += self.desk.take(f.OrderSubmitted(ts_recv_ns=ts_recv_ns, client_order_id=sent.client_order_id))
            self._reserve.sent(sent.client_order_id, ts_recv_ns)

    def _intent(self, made: Made, data: bytes, ts_recv_ns: int) -> None:
        intent = intent_from(data)
        if isinstance(intent, OpenPosition):
            self._open(made, intent, ts_recv_ns)
        elif isinstance(intent, Restarted):
            self.dead_man.restarted(ts_recv_ns)
            self.custody.began()
            if self.settings.asks_rest:
                self.custody.restarted(self.settings.symbols, ts_recv_ns)
            self._markets.away(ts_recv_ns)
            made.events += self.desk.take_all(f.ChannelClosed(ts_recv_ns=ts_recv_ns, reason="restart", epoch=intent.epoch))
            self._looked_up(made, self.translator.lookups.without_ledger(ts_recv_ns), ts_recv_ns, PRIVATE)
        elif isinstance(intent, ExitAll):
            self._exit_all(made, intent, ts_recv_ns)
        elif isinstance(intent, BarsRecalled):
            is_taken = self._ranges.recall(intent.symbol, intent.price_increment, intent.interval_ns, intent.bars)
            self.counters["bars_recalled" if is_taken else "bars_refused"] += len(intent.bars)
        elif isinstance(intent, AdoptExposure):
            self._adopt(made, intent, ts_recv_ns)
        elif isinstance(intent, EntriesHalted):
            self._admission.halted = intent.reason
        elif isinstance(intent, EntriesResumed):
            self._admission.halted = ""
        else:
            self._ask(made, intent, ts_recv_ns)

    def _ask(self, made: Made, intent: Wish, ts_recv_ns: int) -> None:
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
        elif isinstance(intent, ProtectPosition):
            fact = f.ProtectionRequested(ts_recv_ns=ts_recv_ns, reason=intent.reason)
        else:
            fact = f.HaltRequested(ts_recv_ns=ts_recv_ns, reason=intent.reason)
        made.events += self.desk.take(fact, position.position_id)

    def _exit_all(self, made: Made, intent: ExitAll, ts_recv_ns: int) -> None:
        """Tell every position to leave: none needs a price for it, and none is left out in silence."""
        for key in sorted(self.desk.positions):
            mark = self.desk.mark_of(self.desk.positions[key].plan.symbol, ts_recv_ns)
            made.events += self.desk.take(f.ExitRequested(ts_recv_ns=ts_recv_ns, reason=intent.reason, mark=mark), key)
            after = self.desk.positions.get(key)
            if after is not None and after.state == RECONCILING:
                text = f"{key}: it is to leave ({intent.reason}) and waits for the venue's word on what it holds; its stop stands"
                made.notices.append(Notice(True, "EXIT_WAITS_FOR_LINK", text))

    def _adopt(self, made: Made, intent: AdoptExposure, ts_recv_ns: int) -> None:
        """Take exposure over that nobody protects: a halt of entries does not stop it, it adds no risk (I16)."""
        ended = self.desk.get(intent.of)
        if ended is None or self.desk.get(intent.position_id) is not None:
            made.refusals.append(Refusal(intent.position_id, f"exposure of {intent.of} cannot be taken over: it is not known"))
            return
        is_degraded = self.link.state in (links.STALE, links.DEGRADED)
        mark = self.desk.mark_of(ended.plan.symbol, ts_recv_ns)
        made.events += self.desk.take(adoption_of(intent, ended, mark, self._ranges, is_degraded, self.settings.names_ended, ts_recv_ns))
        self._tell_modes(made, ts_recv_ns)

    def _open(self, made: Made, wish: OpenPosition, ts_recv_ns: int) -> None:
        verdict = self._admission.judge(wish, ts_recv_ns)
        if isinstance(verdict, Refusal):
            made.refusals.append(verdict)
            return
        self.translator.lookups.know((wish.plan.symbol,))
        owned = self.custody.entering(verdict)
        if owned is not None and self.settings.states_owned:
            verdict = msgspec.structs.replace(verdict, owned=owned)
        made.events += self.desk.take(verdict)
        mode = self._ranges.mode_for(self.desk.positions[wish.position_id], ts_recv_ns)
        if mode is not None:
            made.events += self.desk.take(mode, wish.position_id)

    # --- out ----------------------------------------------------------------------------------------------------------

    def _out(self, made: Made, now_ns: int) -> Output:
        """Tell the link how many positions are exposed, encode what is to be sent, and hand everything out."""
        unprotected = self.desk.unprotected
        if len(unprotected) != self.link.known.unprotected:
            self.link.step(made, links.ExposureChanged(ts_recv_ns=now_ns, unprotected=len(unprotected)))
        if unprotected or not self._vigil.is_idle:
            self._vigil.watch(self.desk.positions, unprotected, now_ns)
        if self.desk.wants_refresh:
            self.desk.wants_refresh = False
            made.refresh = True
        frames = self._dead_man(made, now_ns) if self._has_switch else ()
        lookups = self.translator.lookups
        if made.is_empty and not lookups.questions and not frames:
            self._spare = made
            return NOTHING
        outgoing: list[Outgoing] = []
        for event in made.events:
            for command in event.commands:
                # The list of events grows while it is walked: what follows from a command is sent behind it.
                outgoing.append(Outgoing(event, command, self._frame_of(made, event, command, now_ns)))
        questions, lookups.questions = lookups.questions, []
        return made.output(outgoing, questions, frames)

    def _frame_of(self, made: Made, event: PositionEvent, command: c.AnyCommand, now_ns: int) -> str:
        """Return the frame of a command, "" for one that has none, or is left out."""
        if isinstance(command, c.SubmitOrder | c.AmendOrder | c.CancelOrder):
            left_out = self._reserve.left_out(command, now_ns) if isinstance(command, c.AmendOrder) else None
            if left_out is None:
                return self.translator.encode(command, now_ns).frame_text
            self.counters["tightening_left_out"] += 1
            made.events += self.desk.take(left_out, event.position_id)
        elif isinstance(command, c.RefreshTruth | c.QueryOrder):
            made.refresh = True
            if isinstance(command, c.QueryOrder):
                self._question(event.position_id, command, now_ns)
        return ""

    def _dead_man(self, made: Made, now_ns: int) -> tuple[str, ...]:
        """Return the frame that the venue's dead-man switch needs now, if any."""
        timeout_secs = self.dead_man.look(self.desk.positions, self.link.known, bool(made.events), now_ns)
        if timeout_secs is None:
            return ()
        alarm = self.dead_man.alarm()
        made.notices += [] if alarm is None else [alarm]
        return (self.translator.encode_dead_man(timeout_secs),)

    # --- questions beside the stream ----------------------------------------------------------------------------------

    def _question(self, position_id: str, about: c.QueryOrder | f.OrderFact, now_ns: int) -> None:
        if not self.settings.asks_rest:
            return
        position = self.desk.get(position_id)
        order = None if position is None else position.order(about.client_order_id, about.venue_order_id)
        sent_ns = 0 if order is None else max(order.sent_ns, order.decided_ns)
        self.translator.lookups.order(about.client_order_id, about.venue_order_id, sent_ns, now_ns)

    def _ask_for_missing(self, made: Made, now_ns: int) -> None:
        """Ask for the executions of orders that a frame has ended with more than it has booked: what is held of them has no stop."""
        ended, self._ended = self._ended, []
        for position_id, fact in ended:
            position = self.desk.get(position_id)
            order = None if position is None else position.order(fact.client_order_id, fact.venue_order_id)
            if order is None or order.status != ENDED:
                continue
            made.refresh = True
            if self.settings.asks_missing:
                # A snapshot tells the execution in the words in which the stream told it.
                self._question(position_id, fact, now_ns)

    def _bridge(self, newest_trade_ns: int, now_ns: int) -> None:
        """Read the executions that a snapshot no longer lists; nothing before the oldest position that lives matters.

        But its newest execution is read too, however old: a list with it is as new as the snapshot, and closes the gap at once.
        """
        since_ns = min((position.requested_ns for position in self.desk.positions.values()), default=now_ns)
        since_ns = min(since_ns, newest_trade_ns or now_ns)
        self.translator.lookups.bridge(max(0, since_ns - CLOCKS_APART_NS), now_ns, now_ns)
