"""Custody: the account and the positions, held against each other (A9, A25, A26, P17, P19); between the pipeline and the pure core.

Messages about the account come in, facts of positions go to the desk. Everything that is known here comes from inputs in their
order, so that replay knows the same.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from msgspec import UNSET

from events import facts as f
from events.record import PositionEvent
from events.values import Instrument, Side
from fsm.account import Account, Due
from fsm.desk import Desk
from fsm.holdings import OwnerTrade
from fsm.model import Position
from fsm.monitor import Mismatch, Monitor
from fsm.position import FLATTENING
from venues import messages as m

ORDERS_KEPT = 1_000
NOTHING_DUE = Due(False, ())


class Judged(NamedTuple):
    """What the truth says of the account: events, and sentences for a person."""

    events: list[PositionEvent]
    unexplained: tuple[str, ...]


class Custody:
    """What one account holds beside the positions of `desk`; `instruments` are those that the venue has listed by now."""

    def __init__(self, desk: Desk, instruments: Mapping[str, Instrument], *, doubts_unbacked: bool) -> None:
        self._desk, self._instruments = desk, instruments
        self._account = Account(doubts_unbacked=doubts_unbacked)
        self._monitor = Monitor()
        self._needed: dict[str, f.BalanceShort] = {}
        self._seen_orders: deque[str] = deque(maxlen=ORDERS_KEPT)

    def take(self, message: m.BalanceChanged | m.BalancesListed | m.ForeignFill | m.ForeignOrder) -> list[PositionEvent]:
        """Take a word about what is not ours; return what it means for positions at once."""
        if isinstance(message, m.BalanceChanged):
            self._account.take_balance(message.asset, message.balance, message.of_trade, message.ts_event_ns, message.ts_recv_ns)
            return []
        if isinstance(message, m.BalancesListed):
            self._account.take_list(message.assets, message.ts_event_ns)
            return []
        if isinstance(message, m.ForeignOrder):
            return self._owners_order(message)
        instrument = self._instruments.get(message.symbol)
        if instrument is None:
            return []
        trade = OwnerTrade(
            trade_id=message.trade_id,
            symbol=message.symbol,
            base=instrument.base,
            side=message.side,
            qty=message.last_qty,
            px=message.last_px,
            fees=message.fees,
            margin=message.margin,
            ts_event_ns=message.ts_event_ns,
            ts_recv_ns=message.ts_recv_ns,
        )
        facts = self._account.take_trade(trade, self._desk.positions.values())
        return [event for key, fact in facts for event in self._desk.take(fact, key)]

    def _owners_order(self, order: m.ForeignOrder) -> list[PositionEvent]:
        """Tell the positions of its symbol, once, that somebody else trades there too (I12)."""
        if order.status != "new" or order.side is None or order.qty is None or order.venue_order_id in self._seen_orders:
            return []
        self._seen_orders.append(order.venue_order_id)
        out: list[PositionEvent] = []
        for key in sorted(self._desk.positions):
            if self._desk.positions[key].plan.symbol == order.symbol:
                fact = f.ManualOrderSeen(ts_recv_ns=order.ts_recv_ns, venue_order_id=order.venue_order_id, side=order.side, qty=order.qty)
                out += self._desk.take(fact, key)
        return out

    def entering(self, wanted: f.PositionRequested) -> f.Owned | None:
        """Note what is the owner's of what an entry will buy, before it is sent; return it, None if nobody knows or it buys nothing."""
        if wanted.plan.margin or wanted.plan.side.sign < 0:
            return None
        return self._account.entering(wanted.instrument.base, self._desk.positions.values())

    def recall(self, events: Iterable[PositionEvent]) -> None:
        """Take from a log what was the owner's when an entry was sent that is in question, and what is booked of the owner's trades.

        Not for an entry that rests: while it did, what the account got was the owner's, and the log does not tell of it.
        """
        owned: dict[str, f.Owned] = {}
        booked: dict[str, Decimal] = {}
        for event in events:
            if isinstance(event.fact, f.ManualFillSeen) and event.fact.of is UNSET:
                booked[event.fact.trade_id] = booked.get(event.fact.trade_id, Decimal(0)) + event.fact.last_qty
            if isinstance(event.fact, f.PositionRequested) and event.fact.owned is not UNSET:
                position = self._desk.positions.get(event.position_id)
                if position is not None and any(not o.accepted_ns or o.order_type == "market" for o in position.open_orders("entry")):
                    owned[position.instrument.base] = event.fact.owned
        self._account.recall(owned)
        self._account.margin.recall(booked)

    def take_own_fill(self, position: Position, fact: f.OrderFilled) -> None:
        """Note an execution of ours; one on margin moves no balance of the base asset, but what is held on margin."""
        if position.plan.margin:
            self._account.margin.take_fill(position.plan.symbol, fact.ts_recv_ns)
        else:
            asset = position.instrument.base
            fees = sum((fee.qty for fee in fact.fees if fee.asset == asset), Decimal(0))
            qty = (fact.last_qty if fact.side is Side.BUY else -fact.last_qty) - fees
            self._account.take_own_fill(asset, fact.trade_id, fact.ts_event_ns, qty)

    def short_for(self, position: Position, fact: f.OrderRejected) -> f.BalanceShort | None:
        """Return what an order that was refused for want of funds needed, and what is there for it; None for an entry (A25)."""
        order = position.order(fact.client_order_id, fact.venue_order_id)
        if order is None or order.role not in ("stop", "take_profit", "exit") or position.plan.margin or position.side.sign < 0:
            return None
        asset, qty = position.instrument.base, position.instrument.qty
        self._account.doubt(asset, fact.ts_recv_ns)
        short = self._account.short_of(asset, qty(order.qty_lots), qty(self._leaves_of(asset)), fact.ts_recv_ns)
        self._needed[position.position_id] = short
        return short

    def nothing_for(self, position: Position, fact: f.OrderRejected) -> f.PositionAdjusted | None:
        """Return that nothing is left of a position whose order to close it was refused as not reducing any (P24), None for others.

        Only what our books alone hold: a reverse position, or one taken over from behind an end. The account is held net: what was closed
        twice was somebody else's. An exit leaves when every stop has ended by proof, so that its refusal is no question of a fill that
        is not told yet.
        """
        order = position.order(fact.client_order_id, fact.venue_order_id)
        if position.state != FLATTENING and not (position.adopted and order is not None and order.role == "exit"):
            return None
        return f.PositionAdjusted(ts_recv_ns=fact.ts_recv_ns, open_qty=Decimal(0), reason="no such position", evidence=fact.text)

    def nothing_to_close(self, position: Position, now_ns: int, *, has_ended: bool) -> None:
        """Note that the venue refused an exit on margin because nothing is there to close, and whether that ended the position."""
        lots = (position.held_lots - position.reverse_lots) * position.side.sign if has_ended else 0
        self._account.margin.doubt(position.plan.symbol, position.position_id, now_ns, position.instrument.qty(lots))

    def began(self) -> None:
        """Note that what is held now is from before this life of the process."""
        self._account.began(self._desk.positions)

    def restarted(self, symbols: Iterable[str], now_ns: int) -> None:
        """Note that what happened on margin before now is not known, of `symbols` and of what is held."""
        held = {position.plan.symbol for position in self._desk.positions.values() if position.plan.margin}
        self._account.margin.restarted(sorted({*symbols, *held}), now_ns)

    def margin_due(self, now_ns: int) -> bool:
        """Tell whether what the account holds on margin is to be asked for."""
        return self._account.margin.due(now_ns)

    def take_margin(self, told: m.MarginHeld, is_complete: bool) -> Judged:
        """Take what the account holds on margin; return what is adjusted, and what differs and is asked for once more (A26)."""
        answer = self._account.margin.answer(
            dict(told.holdings), self._desk.positions.values(), is_complete, told.asked_ns, told.as_of_ns, told.ts_recv_ns
        )
        events = [event for key, fact in answer.facts for event in self._desk.take(fact, key)]
        return Judged(events, answer.differs)

    def held_by_others(self, told: m.BalanceHeld) -> tuple[str, ...]:
        """Return a sentence for each position whose order found too little of an asset, where orders that are not ours hold it (A25)."""
        out = []
        for key in sorted(key for key, short in self._needed.items() if short.asset == told.asset):
            needed, position = self._needed.pop(key).needed, self._desk.positions.get(key)
            if position is None or told.balance - told.held >= needed:
                continue
            others = told.held - position.instrument.qty(self._leaves_of(told.asset))
            if others > 0:
                text = f"{key}: needs {needed:f} {told.asset}; orders that are not its own hold {others:f} of {told.balance:f}: cancel them"
                out.append(text)
        return tuple(out)

    def _leaves_of(self, asset: str) -> int:
        """Return what our own orders that sell hold of an asset, in lots."""
        return sum(o.leaves_lots for p in self._sharing(asset) for o in p.open_orders("stop", "take_profit", "exit"))

    def _sharing(self, asset: str) -> list[Position]:
        positions = self._desk.positions
        spot = (x for key in sorted(positions) if (x := positions[key]).instrument.base == asset and not x.plan.margin)
        return [position for position in spot if position.side.sign > 0]

    def deadline_ns(self) -> int | None:
        """Return when `due` has something to do."""
        return self._account.deadline_ns()

    def due(self, now_ns: int) -> Due:
        """Judge the balances that have settled."""
        at_ns = self._account.deadline_ns()
        return NOTHING_DUE if at_ns is None or at_ns > now_ns else self._account.due(self._desk.positions.values(), now_ns)

    def belies(self, snapshot: m.SnapshotTaken) -> bool:
        """Return whether a snapshot without executions calls itself complete, and a balance says that one of ours may be missing in it."""
        return snapshot.trades_complete and not snapshot.newest_trade_ns and self._account.belies(self._desk.positions.values())

    def told_until(self, as_of_ns: int) -> bool:
        """Take it that every execution until `as_of_ns` is booked; return whether more of an asset is the owner's than was known."""
        return self._account.told_until(self._desk.positions.values(), as_of_ns)

    def judge(self, snapshot: m.SnapshotTaken, is_complete: bool, is_settled: bool, asked_ns: int, now_ns: int) -> Judged:
        """Judge the account by a snapshot, asked for at `asked_ns`, whose executions are booked; before positions act on it.

        `is_complete`: no execution can be missing in it; `is_settled`: nothing that was said is held back for want of an owner.
        """
        listed = {o.client_order_id or o.venue_order_id: o.cum_qty for o in snapshot.open_orders if o.cum_qty is not None}
        is_settled = is_settled and not self._is_owed()
        answer = self._account.answer(self._desk.positions.values(), is_complete, is_settled, asked_ns, now_ns, listed)
        events = [event for key, fact in answer.facts for event in self._desk.take(fact, key)]
        return Judged(events, answer.unexplained)

    def _is_owed(self) -> bool:
        """Whether the venue has stated executions of ours that are not booked yet: adjusted for, they would count twice once they come."""
        return any(o.cum_lots > o.filled_lots for p in self._desk.positions.values() for o in p.open_orders())

    def shared(self) -> frozenset[str]:
        """Return the ids of the live positions beside which the account holds more of the same (`Account.shared`)."""
        return self._account.shared(self._desk.positions.values())

    def look(self, now_ns: int) -> tuple[Mismatch, ...]:
        """Look at every position once more; return the mismatches that have lasted (A9, A26)."""
        return self._monitor.look(self._desk.findings(), now_ns)
