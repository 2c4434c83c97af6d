"""The engine under proof: the real desk and core, one step at a time, on positions that are normalised and numbered.

`Engine.step` loads a mind (`mind.py`) into a `Desk`, feeds it one input, and returns the mind that follows with all that left. Minds are
few and states are many, so each (mind, input) is computed once and remembered.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from events import commands as c
from events import facts as f
from events.record import PositionEvent
from events.values import Capabilities, Instrument

from ..core import Core
from ..desk import Desk
from ..model import Position
from ..trail import SmartTrail
from .mind import LIVE, PID, VERSION, Mind, Time, number_of, renumbered
from .properties import Broken, broken_by_step
from .reading import Reader
from .venue import MID, Message, Rules

SYMBOL, NAMESPACE = "BTC/USD", "hf"


class Reaction(NamedTuple):
    """What one input led to: the mind after it, the commands that left, whether a snapshot was asked for, and what broke.

    `events` are those of its first occurrence, before normalisation: for telling the story.
    """

    mind: int
    sends: tuple[Message, ...]
    asks: bool
    broken: tuple[Broken, ...]
    events: tuple[PositionEvent, ...]


class _Watched(Desk):
    """A desk that shows each step to the properties."""

    def __init__(self, core: Core, see: Callable[[Position | None, PositionEvent, Position], None]) -> None:
        super().__init__(NAMESPACE, "flat", core)
        self._see = see

    def _take(self, event: PositionEvent, after: Position) -> Position:
        self._see(self.get(event.position_id), event, after)
        return super()._take(event, after)

    def load(self, mind: Mind, px: Decimal, now_ns: int) -> None:
        """Take up a mind where it was left."""
        position = mind.position
        (self.positions if position.state in LIVE else self.ended)[PID] = position
        self._by_venue_id = {o.venue_order_id: PID for o in position.orders if o.venue_order_id}
        self._missed = set(mind.missed)
        if mind.trail is not None:
            self._smart._trails[PID] = mind.trail
        self._rearm(position)
        market = self._markets[SYMBOL]
        market.mark = (px, 0, now_ns, 0)
        index, key = market.index, f"{PID}|stop|1"
        if mind.trail is not None:
            self._smart._watch(PID, index, now_ns)
            self._schedule_smart(PID)
            key = f"{PID}|smart_stop|1"
        if mind.peak and index.peak_of(key) is not None:
            distance = mind.trail.spec.trail_offset_bps if mind.trail is not None else position.wanted_trail_offset_bps
            index.trail(key, position.side.sign, distance or 1, mind.peak)

    def trail_of(self) -> tuple[int, SmartTrail | None]:
        """Return the peak that the price index keeps for the position, and its engine-kept trail."""
        trail = self._smart._trails.get(PID)
        key = f"{PID}|smart_stop|1" if trail is not None else f"{PID}|stop|1"
        index = self.index_of(SYMBOL)
        return (index.peak_of(key) or 0) if index is not None else 0, trail

    def missed(self) -> tuple[str, ...]:
        return tuple(sorted(self._missed))


class Engine:
    """All minds of one configuration. `rows`, `steps` and `order_steps` collect which rows of the tables were taken.

    A row is its id, and behind it the answers that were given, in the order of the cell.
    """

    def __init__(self, core: Core, plan: f.Plan, instrument: Instrument, capabilities: Capabilities, tick_ms: int, rules: Rules) -> None:
        self._core, self._rules = core, rules
        self.plan, self.instrument, self.capabilities = plan, instrument, capabilities
        self.time = Time(tick_ms)
        self.now_ns, self.tick_ns = self.time.now_ns, self.time.tick_ns
        self._reader = Reader(plan, instrument, rules, self.time)
        self.minds: list[Mind] = []
        self.rows: set[str] = set()
        self.steps: set[tuple[str, str, str]] = set()
        self.order_steps: set[tuple[str, str, str]] = set()
        self._numbers: dict[Mind, int] = {}
        self._reactions: dict[tuple[object, ...], Reaction] = {}

    # --- minds --------------------------------------------------------------------------------------------------------

    def birth(self, adopted: bool, reverses: bool = False) -> Reaction:
        """Return the reaction to the first fact of the position; `reverses`: it is the reverse of one that was closed twice."""
        fields: dict[str, Any] = {"position_id": PID, "plan": self.plan, "instrument": self.instrument, "capabilities": self.capabilities}
        if adopted:
            if reverses:
                fields["reverses"] = True
            mark = self._reader.mark(0)
            fact: f.AnyFact = f.PositionAdopted(ts_recv_ns=self.now_ns, px=Decimal(MID), evidence="proof", mark=mark, **fields)
        else:
            fact = f.PositionRequested(ts_recv_ns=self.now_ns, **fields)
        return self._react(None, 0, lambda desk: desk.take(fact))

    def step(self, mind: int, message: Message, fresh: int) -> Reaction:
        """Feed one input to a mind; a new order gets the number `fresh` and those after it."""
        key = (mind, message, fresh)
        found = self._reactions.get(key)
        if found is None:
            found = self._reactions[key] = self._compute(self.minds[mind], message, fresh)
        return found

    def _compute(self, mind: Mind, message: Message, fresh: int) -> Reaction:
        kind = message[0]
        if kind == "tick":
            return self._react(self.time.aged(mind), fresh, lambda desk: desk.due(self.now_ns, self._reader.shared))
        if kind == "sleep":
            return Reaction(self._number(self.time.normal(self.time.aged(mind))), (), False, (), ())
        if kind == "price":
            level = message[1]
            assert isinstance(level, int)
            px = Decimal(self._rules.px(level))
            known_px = Decimal(self._rules.px(mind.level))
            return self._react(mind._replace(level=level), fresh, lambda desk: desk.price(SYMBOL, px, self.now_ns, self.now_ns), known_px)
        if kind == "snapshot":
            return self._react(mind, fresh, lambda desk: self._reader.snapshot(desk, message, mind.asked_ns), answered=True)
        if kind == "gap":
            return self._react(mind, fresh, lambda desk: _wanting(desk))
        if kind == "cut":
            gone = f.ChannelClosed(ts_recv_ns=self.now_ns, reason="cut")
            return self._react(mind._replace(asked_ns=0, wanted=False, is_up=False), fresh, lambda desk: desk.take_all(gone))
        if kind == "restart":
            born_again = mind._replace(asked_ns=0, wanted=False, is_up=False, missed=(), peak=0, trail=None)
            gone = f.ChannelClosed(ts_recv_ns=self.now_ns, reason="restart", epoch=mind.position.epoch + 1)
            return self._react(born_again, fresh, lambda desk: [*desk.take_all(gone), *desk.due(self.now_ns, self._reader.shared)])
        if kind == "live":
            return self._react(mind._replace(is_up=True), fresh, lambda desk: _wanting(desk, self._live(desk)))
        fact = self._reader.fact(message)
        named = "" if isinstance(fact, f.OrderFact) else PID
        return self._react(mind, fresh, lambda desk: desk.take(fact, named))

    def _live(self, desk: Desk) -> list[PositionEvent]:
        word = f.ChannelLive(ts_recv_ns=self.now_ns)
        return [event for key in sorted(desk.positions) if desk.positions[key].state == "Reconciling" for event in desk.take(word, key)]

    def _react(
        self,
        mind: Mind | None,
        fresh: int,
        feed: Callable[[_Watched], Iterable[PositionEvent]],
        known_px: Decimal | None = None,
        answered: bool = False,
    ) -> Reaction:
        broken: list[Broken] = []

        def see(before: Position | None, event: PositionEvent, after: Position) -> None:
            self.rows.add(" ".join((event.row, *event.guards)))
            fact = event.fact
            known = before.order(fact.client_order_id, fact.venue_order_id) if before and isinstance(fact, f.OrderFact) else None
            if known is not None:
                self.order_steps.add((known.status, type(fact).__name__, event.order_to))
            self.steps.add((before.state if before is not None else "New", type(event.fact).__name__, after.state))
            broken.extend(broken_by_step(before, event, after))

        desk = _Watched(self._core, see)
        level = 0 if mind is None else mind.level
        if mind is not None:
            desk.load(mind, known_px or Decimal(self._rules.px(level)), self.now_ns)
        events = list(feed(desk))
        is_up = mind is None or mind.is_up
        sends = [x for e in events for x in e.commands if isinstance(x, c.SubmitOrder | c.AmendOrder | c.CancelOrder)]
        if is_up:
            for submit in [x for x in sends if isinstance(x, c.SubmitOrder)]:
                events += desk.take(f.OrderSubmitted(ts_recv_ns=self.now_ns, client_order_id=submit.client_order_id))
        asks = desk.wants_refresh or any(isinstance(x, c.RefreshTruth) for e in events for x in e.commands)
        position = desk.get(PID)
        assert position is not None
        peak, trail = desk.trail_of()
        asked_ns = 0 if mind is None or answered else mind.asked_ns
        wanted = mind is not None and mind.wanted
        asks = is_up and (asks or (answered and wanted))
        wanted = (asks and asked_ns != 0) or (wanted and not answered)
        after = Mind(position, desk.missed(), asked_ns, wanted, is_up, level, peak, trail)
        renamed = _renaming(position, fresh)
        normal = self.time.normal(after, renamed)
        asks = asks and not asked_ns
        if asks:
            # All that was decided before lies before the question; what follows does not.
            normal = self.time.normal(normal)._replace(asked_ns=self.now_ns)
        out = tuple([self._message(x, renamed) for x in sends])
        return Reaction(self._number(normal), out, asks, tuple(broken), tuple(events))

    def _number(self, mind: Mind) -> int:
        number = self._numbers.get(mind)
        if number is None:
            number = self._numbers[mind] = len(self.minds)
            self.minds.append(mind)
        return number

    def rename(self, mind: int, numbers: dict[int, int]) -> int:
        """Return the mind in which orders have other numbers; those that `numbers` lacks are forgotten."""
        return self._number(renumbered(self.minds[mind], numbers))

    # --- commands -----------------------------------------------------------------------------------------------------

    def _message(self, command: c.OrderCommand, renamed: dict[str, int]) -> Message:
        ref = renamed.get(command.client_order_id)
        if ref is None:
            ref = number_of(command.client_order_id)
        lots = self.instrument.floor_lots
        if isinstance(command, c.CancelOrder):
            return ("cancel", ref)
        if isinstance(command, c.AmendOrder):
            qty = 0 if command.order_qty is None else lots(command.order_qty)
            return ("amend", ref, qty, int(command.trigger_price or 0), command.trail_offset_bps or 0)
        attached = command.attached
        return (
            "submit",
            ref,
            command.role,
            _kind_of(command),
            lots(command.qty),
            int(command.trigger_price or command.limit_price or 0),
            command.trail_offset_bps or 0,
            command.reduce_only,
            None if attached is None else (int(attached.trigger_price or 0), attached.trail_offset_bps or 0),
        )


def _renaming(position: Position, fresh: int) -> dict[str, int]:
    renamed = {}
    for order in position.orders:
        if number_of(order.client_order_id) <= VERSION:
            continue
        if order.venue_order_id:
            renamed[order.client_order_id] = int(order.venue_order_id[1:])
        else:
            renamed[order.client_order_id] = fresh
            fresh += 1
    return renamed


def _wanting(desk: Desk, events: list[PositionEvent] | None = None) -> list[PositionEvent]:
    desk.wants_refresh = True
    return events or []


def _kind_of(command: c.SubmitOrder) -> str:
    if command.order_type == "trailing-stop":
        return "trailing"
    if command.order_type == "stop-loss":
        return "static"
    if command.order_type == "market":
        return "market"
    return "post" if command.post_only else "ioc" if command.immediate_or_cancel else "limit"
