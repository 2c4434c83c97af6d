"""Many positions: whom a fact belongs to, which clocks run, which prices are armed. Pure; one writer (contract 6).

Facts go in, `PositionEvent`s come out, in an order that depends on nothing but the order of the facts. What a fact does
not change is not an event: a venue repeats itself (snapshots list the same orders and trades again and again), and
duplicates are counted, not stored.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple

from msgspec import UNSET, UnsetType

from events import commands as c
from events import facts as f
from events.errors import BadInput
from events.ids import client_order_id_from, position_id_of
from events.record import PositionEvent
from events.values import Mark

from .booking import LACKING_NS, arrived_by_ns, book, replace
from .core import Core, Violation, evolve, evolve_booked, violations
from .coverage import unprotected_lots
from .levels import ArmedLevel, ArmedTrail, armed_levels, armed_trail, trail_start_ticks
from .model import Position
from .monitor import Mismatch, quantity_mismatch, stop_mismatch
from .order import LIVE, SUBMITTED, TRIGGERED, UNKNOWN
from .position import LIVE_STATES, RECONCILING
from .prices import FAR, PriceIndex
from .smart import LOOK, STOP, Smart
from .timers import deadlines, first_deadline

_LIVE = frozenset(LIVE_STATES)
_SMART = "|smart"
# Index of the local id of an attached stop: beyond any command of one event.
_CHILD_INDEX = 35
# How long an ended position is kept at least: executions that a venue tells late come within seconds, after a long outage later.
ENDED_KEPT_NS = 3_600_000_000_000
# A trailing stop moves with every new peak; the log keeps the steps that a person wants to see.
STOP_NEWS_BPS = 10
_BIRTHS = (f.PositionRequested, f.PositionAdopted)
# Facts that a venue repeats: without effect they are no event.
_REPEATED = (
    f.OrderAccepted, f.OrderFilled, f.OrderCompleted, f.OrderTriggered, f.OrderAmended, f.OrderCanceled, f.OrderExpired, f.OrderNotFound,
    f.StopReported, f.ChildDiscovered, f.SnapshotAgreed, f.OrderSubmitted, f.ManualFillSeen,
)  # fmt: skip


class SnapshotOrder(NamedTuple):
    """One open order of a snapshot, as far as the desk compares it."""

    client_order_id: str
    venue_order_id: str


class Armed(NamedTuple):
    """What is armed in the index for one position."""

    levels: tuple[ArmedLevel, ...]
    trail: ArmedTrail | None


_UNARMED = Armed((), None)


class _Market:
    """What the desk knows of a symbol: its last price, the index, and the prices of `index` between which nothing happens.

    `quiet_from` to `quiet_below` are the index's bounds as prices, so that a quiet tick is compared and not divided.
    """

    __slots__ = ("_high", "_low", "increment", "index", "mark", "quiet_below", "quiet_from")

    def __init__(self) -> None:
        self.mark: tuple[Decimal, int, int, int] | None = None
        self.index = PriceIndex()
        self.increment = Decimal(0)  # until a position gives it; nothing is armed before

    def begin(self, increment: Decimal) -> None:
        """Take the grid from the first position of the symbol."""
        self.increment = increment
        self._bound()

    def is_quiet(self, px: Decimal) -> bool:
        """Whether a last price crosses nothing and makes no new peak."""
        if not self.increment:
            return 0 < px < FAR
        if self.index.quiet_low != self._low or self.index.quiet_high != self._high:
            self._bound()
        return self.quiet_from <= px < self.quiet_below

    def _bound(self) -> None:
        self._low, self._high = self.index.quiet_low, self.index.quiet_high
        # A price between two ticks counts as the lower one.
        self.quiet_from, self.quiet_below = self.increment * max(self._low + 1, 1), self.increment * self._high


class Desk:
    """All positions of one engine on one account.

    `positions` holds live ones, `ended` those that are over and not forgotten yet, both by id. `counters` tells what was left out and why.
    `unprotected` holds the ids of positions that have quantity without live protection now. `wants_refresh` is set when only
    a fresh snapshot can tell; whoever asks for one clears it.

    `hard_take_profit_bps` is the monitor's take-profit over every position (A9), 0 for none.

    `broken` collects invariants that a step broke (`core.violations`); it stays empty.
    """

    def __init__(self, namespace: str, executor: str = "machine", core: Core | None = None, hard_take_profit_bps: int = 0) -> None:
        self._namespace = namespace
        self._hard_take_profit_bps = hard_take_profit_bps
        self._core = core or Core(executor)
        self.positions: dict[str, Position] = {}
        self.ended: dict[str, Position] = {}
        self.broken: list[Violation] = []
        self.counters: dict[str, int] = {"duplicates": 0, "unowned": 0, "bad_prices": 0}
        self._by_venue_id: dict[str, str] = {}
        self._markets: dict[str, _Market] = {}
        self._armed: dict[str, Armed] = {}
        self._clock: list[tuple[int, str]] = []
        self._due_ns: dict[str, int] = {}
        self._smart = Smart(executor)
        self._missed: set[str] = set()
        # Ended positions of which an order was seen alive: how that one ends is still to be heard.
        self._lingering: set[str] = set()
        self.unprotected: set[str] = set()
        self.wants_refresh = False

    # --- facts in -----------------------------------------------------------------------------------------------------

    def restore(self, events: Iterable[PositionEvent]) -> int:
        """Take the positions from a log, in its order; return how many events were read. Decides nothing.

        Raises:
            BadInput: an event has numbers that cannot be counted with. No event of ours has: a venue's are bounded as they are read.
        """
        count = 0
        for event in events:
            try:
                self._take(event, evolve(self._known(event.position_id), event))
            except ArithmeticError:
                place = f"stored event, position {event.position_id} version {event.version}"
                raise BadInput(place, "its numbers are beyond all measure", "restore the store from a copy") from None
            count += 1
        for position in list(self.positions.values()):
            self._rearm(position)
        return count

    def take(self, fact: f.AnyFact, position_id: str = "") -> list[PositionEvent]:
        """Decide one fact: a birth, an order fact (its position is found), or a fact of the position that is named."""
        if isinstance(fact, _BIRTHS):
            return self._step(None, fact)
        if isinstance(fact, f.OrderFact) and not position_id:
            return self._order_fact(fact)
        position = self._known(position_id)
        return [] if position is None else self._step(position, fact)

    def take_all(self, fact: f.AnyFact) -> list[PositionEvent]:
        """Decide one fact for every live position, by id."""
        return [event for key in sorted(self.positions) for event in self._step(self.positions[key], fact)]

    def price(self, symbol: str, px: Decimal, ts_event_ns: int, ts_recv_ns: int, lag_ns: int = 0) -> list[PositionEvent]:
        """Take a last price, `lag_ns` old when it came: the mark of its symbol, and every level that it crosses."""
        market = self._markets.get(symbol)
        if market is None:
            market = self._markets[symbol] = _Market()
        try:
            is_quiet = market.is_quiet(px)
        except InvalidOperation:
            is_quiet = False
        if not is_quiet and not (px.is_finite() and 0 < px < FAR * (market.increment or 1)):
            # A price of nothing, or beyond all measure, moves nothing, and is nobody's last price (I15).
            self.counters["bad_prices"] += 1
            return []
        market.mark = (px, ts_event_ns, ts_recv_ns, lag_ns)
        if is_quiet:
            return []
        ticks = int(px // market.increment)
        crossed = market.index.on_tick(ticks)
        if not crossed:
            return []
        mark = Mark(px=px, ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns, age_ns=lag_ns)
        out: list[PositionEvent] = []
        for key in crossed:
            position_id, level, step = key.split("|")
            position = self.positions.get(position_id)
            if level in (LOOK, STOP):
                out += self._look(position_id, ticks, mark, ts_recv_ns)
                continue
            # What the first crossing of a tick decided may have disarmed the next one of the same position.
            if position is not None and self._forget(position_id, key):
                fact = f.LevelCrossed(
                    ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns, level=_LEVELS[level], step=int(step), mark=mark
                )
                out += self._step(position, fact)
        return out

    def index_of(self, symbol: str) -> PriceIndex | None:
        """Return the armed prices of a symbol, to be read by whoever skips over recorded ticks; None before its first price."""
        market = self._markets.get(symbol)
        return None if market is None else market.index

    def has_price(self, symbol: str) -> bool:
        """Whether a last price of the symbol is known."""
        market = self._markets.get(symbol)
        return market is not None and market.mark is not None

    def next_deadline_ns(self) -> int | None:
        """Return when the next clock runs out, None if none runs."""
        while self._clock and self._due_ns.get(self._clock[0][1]) != self._clock[0][0]:
            heapq.heappop(self._clock)
        return self._clock[0][0] if self._clock else None

    def due(self, now_ns: int, shared: Callable[[], Collection[str]] = frozenset) -> list[PositionEvent]:
        """Decide every deadline that has passed at `now_ns`, in order of time, then of position.

        `shared` is asked, as late as it decides something, for what `snapshot` takes under that name.
        """
        out: list[PositionEvent] = []
        at_ns = self.next_deadline_ns()
        while at_ns is not None and at_ns <= now_ns:
            _, position_id = heapq.heappop(self._clock)
            self._due_ns.pop(position_id, None)
            if position_id.endswith(_SMART):
                out += self._pause_over(position_id.removesuffix(_SMART), now_ns)
                at_ns = self.next_deadline_ns()
                continue
            before = deadlines(self.positions[position_id])
            out += self._deadline(self.positions[position_id], now_ns, shared)
            after = self.positions.get(position_id)
            # A deadline that fires without effect would fire for ever.
            assert after is None or deadlines(after) != before, f"{position_id}: {before[0]} changed nothing in {after.state}"
            at_ns = self.next_deadline_ns()
        return out

    def snapshot(
        self, orders: Sequence[SnapshotOrder], trades_complete: bool, asked_ns: int, now_ns: int, shared: Collection[str] = ()
    ) -> list[PositionEvent]:
        """Compare a fresh snapshot with every live position: what it lacks becomes `OrderNotFound`, then agreed or differed.

        The same for what is left of an ended one. `shared` are the ids of positions that the account holds more of than they do
        (`fsm.account.Account.shared`).
        """
        venue_ids = {o.venue_order_id for o in orders}
        client_ids = {o.client_order_id for o in orders if o.client_order_id}
        out: list[PositionEvent] = []
        for key in sorted({*self.positions, *self._lingering}):
            differences = 0
            doubted = False
            is_shared: Literal[True] | UnsetType = True if key in shared else UNSET
            compared = self._known(key)
            for order in () if compared is None else compared.open_orders():
                if order.venue_order_id in venue_ids or order.client_order_id in client_ids or order.decided_ns >= asked_ns:
                    self._missed.discard(order.client_order_id)
                    continue
                own = self._known(key)
                assert own is not None
                is_guarded = own.is_guarded(shared=key in shared)
                must_be_there = not is_guarded and asked_ns >= arrived_by_ns(own, order, shared=key in shared)
                # A further list that proves nothing is no reason to ask for another: two orders in turn would do so for ever.
                is_news = trades_complete or not order.unlisted_ns
                doubtful = is_news and (order.status in (LIVE, TRIGGERED) or must_be_there)
                if doubtful and order.client_order_id not in self._missed:
                    # It rested, and nobody said that it ended: a snapshot can be cut short. Only a second one is believed. The same for
                    # what must have arrived, where nothing at the venue stops the second order that a wrong belief would send.
                    self._missed.add(order.client_order_id)
                    doubted = self.wants_refresh = True
                    continue
                self._missed.discard(order.client_order_id)
                # A stop that was sent and that nobody confirmed may be in a list's gap as one that rested may: unknown, and not for ever.
                is_waited_for = order.role == "stop" and order.status in (SUBMITTED, UNKNOWN)
                is_unlisted = bool(order.status in (LIVE, TRIGGERED) or order.unlisted_ns or is_waited_for)
                fact = f.OrderNotFound(
                    ts_recv_ns=now_ns,
                    client_order_id=order.client_order_id,
                    venue_order_id=order.venue_order_id,
                    asked_ns=asked_ns,
                    trades_complete=trades_complete,
                    shared=is_shared,
                    repeated=True if is_unlisted and not trades_complete else UNSET,
                )
                found = self._step(own, fact)
                differences += bool(found)
                out += found
            position = self.positions.get(key)
            if position is not None and not trades_complete and _may_lack_child(position, now_ns):
                # Its stop may have come and gone among the executions that are missing.
                continue
            if position is not None and not doubted:
                mark = self._mark(position, now_ns)
                lacking: Literal[True] | UnsetType = True if not trades_complete and _has_attached(position) else UNSET
                word: f.AnyFact = f.SnapshotAgreed(ts_recv_ns=now_ns, asked_ns=asked_ns, mark=mark, shared=is_shared, lacking=lacking)
                if differences:
                    word = f.SnapshotDiffered(
                        ts_recv_ns=now_ns, asked_ns=asked_ns, differences=differences, mark=mark, shared=is_shared, lacking=lacking
                    )
                out += self._step(position, word)
        if trades_complete:
            self._forget_ended(asked_ns)
        return out

    def _forget_ended(self, asked_ns: int) -> None:
        """Forget what ended long before a list was asked for that lacks no execution: all of it is booked, and nothing of it rests."""
        for key in [key for key, x in self.ended.items() if asked_ns - x.state_ns >= ENDED_KEPT_NS and key not in self._lingering]:
            for order in self.ended.pop(key).orders:
                if self._by_venue_id.get(order.venue_order_id) == key:
                    del self._by_venue_id[order.venue_order_id]

    @property
    def unlisted(self) -> dict[tuple[str, str], int]:
        """Stops of live positions that lists in a row lack without proof of their end: (position, order), since when."""
        stops = ((key, order) for key in sorted(self.positions) for order in self.positions[key].open_orders("stop"))
        return {(key, order.client_order_id): order.unlisted_ns for key, order in stops if order.unlisted_ns}

    def mark_of(self, symbol: str, now_ns: int) -> Mark | None:
        """Return the last price of a symbol with its age at `now_ns`, None if there was none."""
        market = self._markets.get(symbol)
        if market is None or market.mark is None:
            return None
        px, ts_event_ns, ts_recv_ns, lag_ns = market.mark
        return Mark(px=px, ts_event_ns=ts_event_ns, ts_recv_ns=ts_recv_ns, age_ns=max(0, now_ns - ts_recv_ns) + lag_ns)

    def owner_of(self, client_order_id: str, venue_order_id: str = "") -> str | None:
        """Return the id of the position that an order belongs to, None if it is not ours (I12)."""
        found = self._by_venue_id.get(venue_order_id) if venue_order_id else None
        return found or position_id_of(client_order_id, self._namespace)

    def note_owner(self, venue_order_id: str, position_id: str) -> None:
        """Note whose order a venue's order is: an attached stop can show itself before its entry has an id of the venue in the log."""
        self._by_venue_id.setdefault(venue_order_id, position_id)

    def get(self, position_id: str) -> Position | None:
        """Return a position, live or ended."""
        return self._known(position_id)

    def findings(self) -> tuple[Mismatch, ...]:
        """Return what differs in any live position: held against protected, the venue's stop against our own (A9, A26)."""
        out = []
        for key in sorted(self.positions):
            position = self.positions[key]
            out += [x for x in (quantity_mismatch(position), stop_mismatch(position, self.peak_ticks(key))) if x is not None]
        return tuple(out)

    def peak_ticks(self, position_id: str) -> int | None:
        """Return the exact best price since the position's shadow trail was armed, in ticks."""
        position = self.positions.get(position_id)
        index = None if position is None else self.index_of(position.plan.symbol)
        return None if index is None else index.peak_of(f"{position_id}|stop|1")

    # --- one step -----------------------------------------------------------------------------------------------------

    def _known(self, position_id: str) -> Position | None:
        return self.positions.get(position_id) or self.ended.get(position_id)

    def _order_fact(self, fact: Any) -> list[PositionEvent]:
        parent = fact.parent_venue_order_id if isinstance(fact, f.ChildDiscovered) else ""
        position_id = self.owner_of(fact.client_order_id, fact.venue_order_id) or self.owner_of("", parent)
        position = None if position_id is None else self._known(position_id)
        if position is None:
            self.counters["unowned"] += 1
            return []
        if isinstance(fact, f.ChildDiscovered) and not fact.client_order_id:
            known = position.order("", fact.venue_order_id)
            derived = client_order_id_from(position.position_id, position.epoch, position.version + 1, _CHILD_INDEX)
            local = known.client_order_id if known else derived
            fact = replace(fact, client_order_id=local)
        elif not fact.client_order_id:
            known = position.order("", fact.venue_order_id)
            fact = replace(fact, client_order_id=known.client_order_id) if known else fact
        return self._step(position, fact)

    def _step(self, position: Position | None, fact: f.AnyFact) -> list[PositionEvent]:
        event, booked = self._core.decided(position, fact)
        if position is not None and isinstance(fact, _REPEATED) and self._is_repeat(position, booked, event):
            self.counters["duplicates"] += 1
            return []
        after = self._take(event, evolve_booked(booked, event))
        self.broken += violations(position, after, event)
        self._rearm(after)
        return [event]

    def _is_repeat(self, position: Position, booked: Position, event: PositionEvent) -> bool:
        # An ended position pages for anything that reaches it; what it knows already is no evidence against its end.
        # A booked execution decides nothing again: each snapshot lists it, and what it makes us ask for would be a snapshot.
        # What only asks and tells is not worth saying twice.
        sends = any(isinstance(x, c.SubmitOrder | c.AmendOrder | c.CancelOrder) for x in event.commands)
        decides = event.to != position.state or event.exit_reason or sends
        if decides and not (isinstance(event.fact, f.OrderFilled | f.ManualFillSeen) and event.fact.trade_id in position.trade_ids):
            return False
        if isinstance(event.fact, f.StopReported):
            return not _is_news(position, event.fact, event.fact.effective_stop)
        if isinstance(event.fact, f.OrderAccepted) and event.fact.effective_stop is not None:
            if _is_news(position, event.fact, event.fact.effective_stop):
                return False
            booked = book(position, replace(event.fact, effective_stop=None), event.order_to)
        return replace(booked, mark=position.mark, best_px=position.best_px) == position

    def _take(self, event: PositionEvent, after: Position) -> Position:
        key = event.position_id
        if after.state in _LIVE and unprotected_lots(after):
            self.unprotected.add(key)
        else:
            # What an ended position turns out to hold is taken over by another one (A8).
            self.unprotected.discard(key)
        if after.state in _LIVE:
            self.positions[key] = after
        else:
            self.positions.pop(key, None)
            self.ended[key] = after
            (self._lingering.add if after.open_orders() else self._lingering.discard)(key)
        for order in after.orders:
            if order.venue_order_id and order.venue_order_id not in self._by_venue_id:
                self._by_venue_id[order.venue_order_id] = key
        return after

    def _deadline(self, position: Position, now_ns: int, shared: Callable[[], Collection[str]]) -> list[PositionEvent]:
        first = first_deadline(position)
        if first is None or first.at_ns > now_ns:
            self._schedule(position)
            return []
        fact: f.AnyFact
        if first.which == "ack":
            order = position.order(first.client_order_id)
            fact = f.OutcomeUnknown(
                ts_recv_ns=now_ns,
                client_order_id=first.client_order_id,
                venue_order_id=order.venue_order_id if order else "",
                operation=first.operation,
                reason="no answer in time",
            )
        else:
            is_shared: Literal[True] | UnsetType = True if position.unseen_child_lots and position.position_id in shared() else UNSET
            mark = self._mark(position, now_ns)
            fact = f.DeadlinePassed(ts_recv_ns=now_ns, which=first.which, at_ns=first.at_ns, mark=mark, shared=is_shared)
        return self._step(position, fact)

    def _mark(self, position: Position, now_ns: int) -> Mark | None:
        return self.mark_of(position.plan.symbol, now_ns)

    # --- clocks and prices ---------------------------------------------------------------------------------------------

    def _look(self, position_id: str, ticks: int, mark: Mark, now_ns: int) -> list[PositionEvent]:
        """Let an engine-kept trail look at the market, and take what it asks for as a fact of its position."""
        position = self.positions.get(position_id)
        if position is None:
            return []
        seen = ticks if position.is_fresh(mark) else None
        look = self._smart.look(position, self._markets[position.plan.symbol].index, seen, now_ns)
        self._schedule_smart(position_id)
        if look.exits:
            return self._step(position, f.LevelCrossed(ts_event_ns=mark.ts_event_ns, ts_recv_ns=now_ns, level="stop", mark=mark))
        if look.better_stop_ticks is None:
            return []
        stop = position.instrument.price(look.better_stop_ticks)
        return self._step(position, f.PlanTightened(ts_event_ns=mark.ts_event_ns, ts_recv_ns=now_ns, stop_price=stop, by_trail=True))

    def _follow(self, position: Position, index: PriceIndex) -> None:
        """Begin, keep or end the engine-kept trail; a new one looks at the last price with the next tick or pause."""
        now_ns = max(position.state_ns, position.watch_ns)
        if self._smart.follow(position, index, now_ns) and position.plan.trail_activation_bps is None:
            # It is active from the first price on: any price of either side of the last one will do.
            index.arm(f"{position.position_id}|{LOOK}|0", "at_or_above", 1)
        self._schedule_smart(position.position_id)

    def _pause_over(self, position_id: str, now_ns: int) -> list[PositionEvent]:
        position = self.positions.get(position_id)
        mark = None if position is None else self._mark(position, now_ns)
        if position is None or mark is None:
            return []
        return self._look(position_id, int(mark.px // position.instrument.price_increment), mark, now_ns)

    def _schedule_smart(self, position_id: str) -> None:
        key, at_ns = position_id + _SMART, self._smart.due_ns.get(position_id)
        if at_ns is None:
            self._due_ns.pop(key, None)
        elif self._due_ns.get(key) != at_ns:
            self._due_ns[key] = at_ns
            heapq.heappush(self._clock, (at_ns, key))

    def _rearm(self, after: Position) -> None:
        self._schedule(after)
        symbol = after.plan.symbol
        key = after.position_id
        market = self._markets.get(symbol)
        if market is None:
            market = self._markets[symbol] = _Market()
        if not market.increment:
            market.begin(after.instrument.price_increment)
        index = market.index
        if after.plan.trail_style == "engine":
            self._follow(after, index)
        levels, trail = armed_levels(after, self._hard_take_profit_bps), armed_trail(after)
        armed = self._armed.get(key, _UNARMED)
        if levels == armed.levels and trail == armed.trail:
            return
        for old in armed.levels:
            if old not in levels:
                index.disarm(_level_key(key, old))
        for level in levels:
            if level not in armed.levels:
                index.arm(_level_key(key, level), level.direction, level.ticks)
        if trail != armed.trail:
            self._rearm_trail(index, after, trail)
        if levels or trail:
            self._armed[key] = Armed(levels, trail)
        else:
            self._armed.pop(key, None)

    def _forget(self, position_id: str, fired: str) -> bool:
        """The index disarmed what fired; so must we, or it would not be armed again. False if it was not armed any more."""
        armed = self._armed.get(position_id, _UNARMED)
        is_trail = armed.trail is not None and fired == f"{position_id}|stop|1"
        if not is_trail and fired not in {_level_key(position_id, level) for level in armed.levels}:
            return False
        levels = tuple(level for level in armed.levels if _level_key(position_id, level) != fired)
        self._armed[position_id] = Armed(levels, None if is_trail else armed.trail)
        return True

    def _rearm_trail(self, index: PriceIndex, position: Position, wanted: ArmedTrail | None) -> None:
        trail_key = f"{position.position_id}|stop|1"
        if wanted is None:
            index.disarm(trail_key)
            return
        # A narrower trail keeps its peak in the index: resetting it would loosen the stop (P27).
        index.trail(trail_key, wanted.side, wanted.trail_offset_bps, trail_start_ticks(position))

    def _schedule(self, position: Position) -> None:
        key = position.position_id
        first = first_deadline(position)
        if first is None:
            self._due_ns.pop(key, None)
        elif self._due_ns.get(key) != first.at_ns:
            self._due_ns[key] = first.at_ns
            heapq.heappush(self._clock, (first.at_ns, key))


def _is_news(position: Position, fact: f.OrderFact, effective_stop: Decimal) -> bool:
    """Whether a report of the venue's stop is to be an event: it loosened, or has moved by `STOP_NEWS_BPS` since the last one."""
    order = position.order(fact.client_order_id, fact.venue_order_id)
    if order is None or order.effective_stop_ticks is None:
        return order is not None
    known = position.instrument.price(order.effective_stop_ticks)
    moved = (effective_stop - known) * position.side.sign
    return moved <= -position.instrument.price_increment or moved * 10_000 >= known * STOP_NEWS_BPS


def _may_lack_child(position: Position, now_ns: int) -> bool:
    """Whether a list that may lack executions is no word about an attached stop that is waited for; not for ever (I13)."""
    return bool(position.unseen_child_lots) and position.state != RECONCILING and now_ns - position.state_ns < LACKING_NS


def _has_attached(position: Position) -> bool:
    """Whether a stop of the position can have come to life, and gone, with an execution of its entry that nobody has told yet."""
    attaches = position.plan.attach_stop and position.capabilities.attached_stop
    return attaches and bool(position.untold_child_lots or position.open_orders("entry"))


def _level_key(position_id: str, armed: ArmedLevel) -> str:
    return f"{position_id}|{armed.level}|{armed.step if armed.level == 'tighten' else 0}"


_LEVELS: dict[str, f.Level] = {
    "take_profit": "take_profit", "panic": "panic", "stop": "stop", "tighten": "tighten", "hard_take_profit": "hard_take_profit",
    "activation": "activation", "first_price": "first_price",
}  # fmt: skip
