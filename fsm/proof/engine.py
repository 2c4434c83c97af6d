"""The engine under proof: the real desk and core, one step at a time, on positions that are normalised and numbered.

A *mind* is what one engine knows: its position, and what the process keeps beside the log. `Engine.step` loads a mind into a `Desk`,
feeds it one input, and returns the mind that follows with all that left. Minds are few and states are many, so each (mind, input) is
computed once and remembered.

Normalisation, so that two minds that can never behave differently are one. Docs: docs/proof.md.

    time      now is always `NOW`; a tick moves everything that is remembered one tick into the past. Within a tick only "before or
              after the latest question" is kept; beyond `HORIZON` ticks, and where a moment is never looked at again, nothing is.
    ids       client order ids become the explorer's numbers, versions and epochs a constant
    counters  stop where no row or policy tells the numbers apart any more
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from events import commands as c
from events import facts as f
from events.ids import base36
from events.record import PositionEvent
from events.values import Capabilities, Instrument, Mark

from ..core import Core
from ..desk import Desk, SnapshotOrder
from ..model import Order, Position
from ..order import END_STATUSES, SUBMITTED, UNKNOWN
from ..position import EXIT_ATTEMPTS, LIVE_STATES, PROTECTED, PROTECTED_PENDING_FILL
from ..timers import LONGEST_PAUSE
from ..trail import SmartTrail
from .properties import Broken, broken_by_step
from .venue import CHILD, MID, Message, Rules

MS = 1_000_000
SYMBOL, PID, NAMESPACE = "BTC/USD", "hf000001", "hf"
VERSION = 100_000  # above every number that an order is given, so that a new id is known by its version
HORIZON = 80
_LIVE = frozenset(LIVE_STATES)
replace = msgspec.structs.replace


class Mind(NamedTuple):
    """What an engine knows. `asked_ns`: when the question was asked whose answer is still to come, 0 for none.

    `wanted`: another question is to follow that answer. `level` is the last price that it has seen, `peak` that of its trail.
    """

    position: Position
    missed: tuple[str, ...] = ()
    asked_ns: int = 0
    wanted: bool = False
    is_up: bool = True
    level: int = 0
    peak: int = 0
    trail: SmartTrail | None = None


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
        (self.positions if position.state in _LIVE else self.ended)[PID] = position
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
    """All minds of one configuration. `rows`, `steps` and `order_steps` collect which rows of the tables were taken."""

    def __init__(self, core: Core, plan: f.Plan, instrument: Instrument, capabilities: Capabilities, tick_ms: int, rules: Rules) -> None:
        self._core, self._rules = core, rules
        self.plan, self.instrument, self.capabilities = plan, instrument, capabilities
        self.tick_ns = tick_ms * MS
        self.base_ns = 1_000 * HORIZON * self.tick_ns
        self.now_ns = self.base_ns + 1
        self.floor_ns = self.base_ns - HORIZON * self.tick_ns
        self.minds: list[Mind] = []
        self.rows: set[str] = set()
        self.steps: set[tuple[str, str, str]] = set()
        self.order_steps: set[tuple[str, str, str]] = set()
        self._numbers: dict[Mind, int] = {}
        self._reactions: dict[tuple[object, ...], Reaction] = {}

    # --- minds --------------------------------------------------------------------------------------------------------

    def birth(self, adopted: bool) -> Reaction:
        """Return the reaction to the first fact of the position."""
        fields: dict[str, Any] = {"position_id": PID, "plan": self.plan, "instrument": self.instrument, "capabilities": self.capabilities}
        if adopted:
            fact: f.AnyFact = f.PositionAdopted(ts_recv_ns=self.now_ns, px=Decimal(MID), evidence="proof", mark=self._mark(0), **fields)
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
            return self._react(self._aged(mind), fresh, lambda desk: desk.due(self.now_ns))
        if kind == "sleep":
            return Reaction(self._number(self._normal(self._aged(mind))), (), False, (), ())
        if kind == "price":
            level = message[1]
            assert isinstance(level, int)
            px = Decimal(self._rules.px(level))
            known_px = Decimal(self._rules.px(mind.level))
            return self._react(mind._replace(level=level), fresh, lambda desk: desk.price(SYMBOL, px, self.now_ns, self.now_ns), known_px)
        if kind == "snapshot":
            return self._react(mind, fresh, lambda desk: self._snapshot(desk, message, mind.asked_ns), answered=True)
        if kind == "gap":
            return self._react(mind, fresh, lambda desk: _wanting(desk))
        if kind == "cut":
            gone = f.ChannelClosed(ts_recv_ns=self.now_ns, reason="cut")
            return self._react(mind._replace(asked_ns=0, wanted=False, is_up=False), fresh, lambda desk: desk.take_all(gone))
        if kind == "restart":
            born_again = mind._replace(asked_ns=0, wanted=False, is_up=False, missed=(), peak=0, trail=None)
            gone = f.ChannelClosed(ts_recv_ns=self.now_ns, reason="restart", epoch=mind.position.epoch + 1)
            return self._react(born_again, fresh, lambda desk: [*desk.take_all(gone), *desk.due(self.now_ns)])
        if kind == "live":
            return self._react(mind._replace(is_up=True), fresh, lambda desk: _wanting(desk, self._live(desk)))
        fact = self._fact(message)
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
            self.rows.add(event.row)
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
        renamed = self._renaming(position, fresh)
        normal = self._normal(after, renamed)
        asks = asks and not asked_ns
        if asks:
            # All that was decided before lies before the question; what follows does not.
            normal = self._normal(normal)._replace(asked_ns=self.now_ns)
        out = tuple([self._message(x, renamed) for x in sends])
        return Reaction(self._number(normal), out, asks, tuple(broken), tuple(events))

    def _number(self, mind: Mind) -> int:
        number = self._numbers.get(mind)
        if number is None:
            number = self._numbers[mind] = len(self.minds)
            self.minds.append(mind)
        return number

    # --- inputs -------------------------------------------------------------------------------------------------------

    def _mark(self, level: int) -> Mark:
        return Mark(px=Decimal(self._rules.px(level)), ts_event_ns=0, ts_recv_ns=self.now_ns)

    def _fact(self, message: Message) -> f.AnyFact:
        """Return the fact that a word of the venue, or of anybody else, is."""
        kind: Any = message[0]
        now_ns, qty = self.now_ns, self.instrument.qty
        if kind in _WISHES:
            return self._wish(message)
        ref: Any = message[1]
        if kind == "unsent":
            return f.OrderNotSent(ts_recv_ns=now_ns, client_order_id=client_id(ref), operation=message[2])  # type: ignore[arg-type]
        rest: Any = message[2:]
        if kind == "manual":
            enters, lots = rest
            side = self.plan.side.entry_side if enters else self.plan.side.exit_side
            return f.ManualFillSeen(ts_recv_ns=now_ns, trade_id=f"M{ref}", side=side, last_qty=qty(lots), last_px=Decimal(MID))
        ids: dict[str, Any] = {"ts_recv_ns": now_ns, "client_order_id": client_id(ref) if ref < CHILD else "", "venue_order_id": f"V{ref}"}
        if kind == "accepted":
            return f.OrderAccepted(**ids)
        if kind == "rejected":
            return f.OrderRejected(reject_class=rest[0], text="refused", **{**ids, "venue_order_id": ""})
        if kind == "filled":
            enters, lots, cum = rest
            return self._execution(ids, ref, enters, lots, cum)
        if kind == "completed":
            return f.OrderCompleted(cum_qty=qty(rest[0]), **ids)
        if kind == "triggered":
            return f.OrderTriggered(**ids)
        if kind == "amended":
            lots, price, trail = rest
            return f.OrderAmended(
                order_qty=qty(lots), trigger_price=Decimal(price) if price else None, trail_offset_bps=trail or None, **ids
            )
        if kind == "amend-rejected":
            return f.AmendRejected(reject_class=rest[0], text="refused", **ids)
        if kind == "canceled":
            return f.OrderCanceled(cum_qty=qty(rest[0]), **ids)
        if kind == "cancel-rejected":
            return f.CancelRejected(reject_class=rest[0], text="refused", **ids)
        if kind == "expired":
            return f.OrderExpired(cum_qty=qty(rest[0]), **ids)
        if kind == "reported":
            return f.StopReported(effective_stop=Decimal(rest[0]), **ids)
        assert kind == "child", kind
        parent, lots, price, trail = rest
        return self._child(ids, parent, lots, price, trail)

    def _wish(self, message: Message) -> f.AnyFact:
        kind, now_ns = message[0], self.now_ns
        rest: Any = message[1:]
        if kind == "exit":
            return f.ExitRequested(ts_recv_ns=now_ns, reason="operator", patient=rest[0], mark=self._mark(rest[1]))
        if kind == "tighten":
            return f.PlanTightened(ts_recv_ns=now_ns, trail_offset_bps=rest[0] or None, stop_price=Decimal(rest[1]) if rest[1] else None)
        if kind == "distance":
            return f.TrailDistanceChanged(ts_recv_ns=now_ns, trail_offset_bps=rest[0], basis="proof")
        if kind == "market":
            return f.MarketModeChanged(ts_recv_ns=now_ns, mode=rest[0], basis="proof")
        if kind == "halt":
            return f.HaltRequested(ts_recv_ns=now_ns, reason="proof")
        if kind == "foreign":
            return f.ManualOrderSeen(ts_recv_ns=now_ns, venue_order_id="foreign", side=self.plan.side.exit_side, qty=self.instrument.qty(1))
        if kind == "stale":
            return f.TruthStale(ts_recv_ns=now_ns, age_ns=self.tick_ns)
        if kind == "short":
            return f.BalanceShort(ts_recv_ns=now_ns, asset="BTC", needed=self.plan.qty, available=Decimal(0))
        if kind == "old price":
            level = rest[0]
            mark = replace(self._mark(level), age_ns=(self.plan.timing.max_price_age_ms + 1) * MS)
            return f.LevelCrossed(ts_recv_ns=now_ns, level="stop", mark=mark)
        assert kind == "adjusted", kind
        return f.PositionAdjusted(ts_recv_ns=now_ns, open_qty=self.instrument.qty(rest[0]), reason="proof", evidence="proof")

    def _execution(self, ids: dict[str, Any], ref: int, enters: bool, lots: int, cum: int) -> f.OrderFilled:
        qty = self.instrument.qty
        fee = self._rules.fee_of(enters, lots, cum)
        return f.OrderFilled(
            trade_id=f"T{ref}.{cum}",
            side=self.plan.side.entry_side if enters else self.plan.side.exit_side,
            last_qty=qty(lots),
            last_px=Decimal(MID),
            cum_qty=qty(cum),
            fees=(f.Fee(asset=self.instrument.base, qty=qty(fee)),) if fee else (),
            **ids,
        )

    def _child(self, ids: dict[str, Any], parent: int, lots: int, price: int, trail: int) -> f.ChildDiscovered:
        return f.ChildDiscovered(
            parent_venue_order_id=f"V{parent}",
            qty=self.instrument.qty(lots),
            order_type="trailing-stop" if trail else "stop-loss",
            trigger_price=Decimal(price) if price else None,
            trail_offset_bps=trail or None,
            **ids,
        )

    def _snapshot(self, desk: Desk, message: Message, asked_ns: int) -> list[PositionEvent]:
        """Read a snapshot as the pipeline does: executions, open orders, orders that the log does not know, then the comparison."""
        _, complete, executions, manual, listed = message
        out: list[PositionEvent] = []
        qty, now_ns = self.instrument.qty, self.now_ns

        def ids(ref: int) -> dict[str, Any]:
            return {"ts_recv_ns": now_ns, "client_order_id": client_id(ref) if ref < CHILD else "", "venue_order_id": f"V{ref}"}

        for ref, enters, lots, cum, parent in executions:  # type: ignore[attr-defined]
            if ref >= CHILD and desk.owner_of("", f"V{ref}") is None:
                out += desk.take(self._child(ids(ref), parent, lots, 0, 0))
            out += desk.take(self._execution(ids(ref), ref, enters, lots, cum))
        for trade in manual:  # type: ignore[attr-defined]
            out += desk.take(self._fact(("manual", *trade)), PID)
        rows: list[tuple[Any, ...]] = list(listed)  # type: ignore[call-overload]
        for ref, _role, _kind, total, filled, price, trail, is_armed, parent in rows:
            if ref >= CHILD:
                out += desk.take(self._child(ids(ref), parent, total - filled, price, trail))
            if is_armed:
                out += desk.take(f.OrderAccepted(leaves_qty=qty(total - filled), cum_qty=qty(filled), **ids(ref)))
            else:
                out += desk.take(f.OrderTriggered(**ids(ref)))
        for ref, role, kind, total, filled, price, trail, _armed, _parent in rows:
            position = desk.get(PID)
            if ref < CHILD and position is not None and position.order(client_id(ref), f"V{ref}") is None:
                stopped = kind in ("static", "trailing")
                found = f.ChildDiscovered(
                    parent_venue_order_id="",
                    qty=qty(total - filled),
                    role=_role_shown(role, kind),  # type: ignore[arg-type]
                    order_type=_TYPES[kind],  # type: ignore[arg-type]
                    trigger_price=Decimal(price) if stopped and price else None,
                    trail_offset_bps=trail or None,
                    **ids(ref),
                )
                out += desk.take(found, PID)
        rows_listed = [SnapshotOrder(client_id(r[0]) if r[0] < CHILD else "", f"V{r[0]}") for r in rows]
        return out + desk.snapshot(rows_listed, bool(complete), asked_ns, now_ns)

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

    # --- normalisation ------------------------------------------------------------------------------------------------

    def rename(self, mind: int, numbers: dict[int, int]) -> int:
        """Return the mind in which orders have other numbers; those that `numbers` lacks are forgotten."""
        known = self.minds[mind]
        position = known.position
        orders = []
        for order in position.orders:
            new = numbers.get(number_of(order.client_order_id))
            if new is not None:
                venue_id = f"V{new}" if order.venue_order_id else ""
                orders.append(replace(order, client_order_id=client_id(new), venue_order_id=venue_id))
        trades = set()
        for trade in position.trade_ids:
            if trade[0] == "M":
                trades.add(trade)
                continue
            old, cum = trade[1:].split(".")
            if int(old) in numbers:
                trades.add(f"T{numbers[int(old)]}.{cum}")
        strays = []
        for name, lots in position.strays:
            number = int(name[1:]) if name[0] == "V" else number_of(name)
            if number in numbers:
                strays.append((f"V{numbers[number]}" if name[0] == "V" else client_id(numbers[number]), lots))
        position = replace(position, orders=tuple(orders), trade_ids=frozenset(trades), strays=tuple(strays))
        missed = tuple(sorted(client_id(numbers[number_of(x)]) for x in known.missed if number_of(x) in numbers))
        return self._number(known._replace(position=position, missed=missed))

    def _renaming(self, position: Position, fresh: int) -> dict[str, int]:
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

    def _aged(self, mind: Mind) -> Mind:
        """Move everything that is remembered one tick into the past."""
        position = mind.position
        tick = self.tick_ns

        def older(at_ns: int) -> int:
            return at_ns - tick if at_ns else 0

        fields = {name: older(getattr(position, name)) for name in _POSITION_TIMES}
        orders = tuple([replace(o, **{name: older(getattr(o, name)) for name in _ORDER_TIMES}) for o in position.orders])
        trail = mind.trail
        if trail is not None:
            spec = replace(trail.spec, opened_ns=older(trail.spec.opened_ns))
            trail = replace(trail, spec=spec, activated_ns=older(trail.activated_ns), placed_ns=older(trail.placed_ns))
        return mind._replace(position=replace(position, orders=orders, **fields), asked_ns=older(mind.asked_ns), trail=trail)

    def _normal(self, mind: Mind, renamed: dict[str, int] | None = None) -> Mind:
        position, asked_ns = mind.position, mind.asked_ns
        is_live = position.state in _LIVE
        if not is_live:
            asked_ns = 0

        def moment(at_ns: int) -> int:
            if not at_ns:
                return 0
            if asked_ns and asked_ns <= at_ns < asked_ns + self.tick_ns - 1:
                return asked_ns
            return max(self.floor_ns, at_ns - (at_ns - self.base_ns) % self.tick_ns)

        def past(at_ns: int) -> int:
            """Keep only whether it was, and on which side of the question."""
            return 0 if not at_ns else moment(at_ns) if asked_ns and at_ns >= asked_ns else self.floor_ns

        names = renamed or {}
        orders = tuple([self._normal_order(o, names, is_live, moment, past) for o in position.orders])
        entering = any(o.role == "entry" and o.is_open for o in orders)
        timed = position.plan.time_stop_secs is not None and not position.exit_reason and not position.time_stop_passed
        kept = position.plan.trail_style == "engine"
        covered = position.state in (PROTECTED, PROTECTED_PENDING_FILL)
        rungs = EXIT_ATTEMPTS * (LONGEST_PAUSE + 2)
        exits = position.exit_attempts
        position = replace(
            position,
            version=VERSION,
            epoch=0,
            orders=orders,
            requested_ns=moment(position.requested_ns) if entering and not position.entry_expired_ns and is_live else self.floor_ns,
            opened_ns=moment(position.opened_ns) if timed and is_live else past(position.opened_ns),
            state_ns=moment(position.state_ns) if kept and is_live else self.floor_ns,
            watch_ns=moment(position.watch_ns) if is_live else self.floor_ns,
            entry_expired_ns=moment(position.entry_expired_ns) if entering and is_live else past(position.entry_expired_ns),
            shadow_ns=moment(position.shadow_ns) if is_live else 0,
            shadow_px=position.shadow_px if is_live else None,
            trail_activated_ns=past(position.trail_activated_ns),
            mark=None if position.mark is None or not is_live else Mark(px=position.mark.px, ts_event_ns=0, ts_recv_ns=self.floor_ns),
            best_px=position.best_px if is_live else None,
            watch_count=0 if covered or not is_live else min(position.watch_count, 4),
            protect_attempts=min(position.protect_attempts, 4) if is_live else 0,
            tighten_attempts=min(position.tighten_attempts, 6) if is_live else 0,
            maker_attempts=min(position.maker_attempts, 1) if is_live else 0,
            stops_lost=min(position.stops_lost, 2) if is_live else 0,
            exit_attempts=(exits if exits < rungs else rungs + (exits - rungs) % EXIT_ATTEMPTS) if is_live else 0,
        )
        trail = mind.trail
        if trail is not None:
            spec = replace(trail.spec, opened_ns=self.floor_ns)
            trail = replace(trail, spec=spec, activated_ns=past(trail.activated_ns), placed_ns=moment(trail.placed_ns), update_count=0)
        if not is_live:
            return Mind(position, is_up=mind.is_up, level=mind.level)
        return mind._replace(position=position, asked_ns=asked_ns, trail=trail)

    def _normal_order(
        self, order: Order, names: dict[str, int], is_live: bool, moment: Callable[[int], int], past: Callable[[int], int]
    ) -> Order:
        ref = names.get(order.client_order_id)
        new_id = order.client_order_id if ref is None else client_id(ref)
        if order.status in END_STATUSES or not is_live:
            return replace(
                order, client_order_id=new_id, decided_ns=self.floor_ns, sent_ns=self.floor_ns, accepted_ns=self.floor_ns,
                ended_ns=0, pending_ns=0 if not order.pending else self.floor_ns, deadline_ns=0, reject_class="", cancel_refused=False,
                listed_lots=None,
            )  # fmt: skip
        waits = order.status in (SUBMITTED, UNKNOWN)
        at = moment if waits or order.role == "take_profit" else past
        return replace(
            order,
            client_order_id=new_id,
            decided_ns=at(order.decided_ns),
            sent_ns=at(order.sent_ns),
            accepted_ns=past(order.accepted_ns) and self.floor_ns,
            pending_ns=moment(order.pending_ns),
            deadline_ns=moment(order.deadline_ns) if waits else 0,
            reject_class="",
        )


_WISHES = frozenset({"exit", "tighten", "distance", "market", "halt", "foreign", "stale", "short", "old price", "adjusted"})
_POSITION_TIMES = ("requested_ns", "opened_ns", "state_ns", "watch_ns", "entry_expired_ns", "shadow_ns", "trail_activated_ns")
_ORDER_TIMES = ("decided_ns", "deadline_ns", "sent_ns", "accepted_ns", "ended_ns", "pending_ns")
_TYPES = {"market": "market", "ioc": "limit", "limit": "limit", "post": "limit", "static": "stop-loss", "trailing": "trailing-stop"}


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


def _role_shown(role: str, kind: str) -> str:
    """Return the role that an order shows to a stranger who reads it off a snapshot (`replay.pipeline`)."""
    if role in ("entry", "flatten"):
        return "entry"
    if kind in ("static", "trailing"):
        return "stop"
    return "exit" if kind == "market" else "take_profit"


def client_id(ref: int) -> str:
    """Return the client order id that stands for an order's number."""
    return PID + "0" + base36(ref, 4) + "0"


def number_of(client_order_id: str) -> int:
    """Return the number that a client order id stands for; above `VERSION` it is one that the core has just derived."""
    return int(client_order_id[9:13], 36)


__all__ = ["Engine", "Mind", "Reaction", "client_id", "number_of"]
