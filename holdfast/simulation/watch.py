"""What a simulation holds against the venue's own books, all the time and in the end.

    I1          what our positions hold at the venue and no stop there covers is bare; the engine must know it, or find it out
                within its own audit
    I2          no position is closed by more than it opened, or opened by more than was planned
    I9          each execution that the engine books is one of the venue's, with its order, side, quantity and price, once
    I14         no position makes more than `EVENTS_A_MINUTE` events within a minute: every loop with a venue is bounded
    broken      the core's own assertions (`desk.broken`: I1, I2, I3, I5)

The venue's books are read, never the engine's idea of them. What the owner trades by hand is told apart by the orders' ids. What he
sells of ours is taken off all positions of the pair together: of which one it was, nobody at the venue can tell.
"""

import re
from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from events.commands import SubmitOrder
from events.facts import OrderFilled, PositionAdopted
from events.ids import position_id_of
from events.record import PositionEvent
from events.values import PositionSide
from fsm.desk import Desk
from fsm.position import (
    AWAITING_OWNER,
    CANCEL_PENDING,
    EMERGENCY_PROTECTING,
    FLATTENING,
    MAKER_EXITING,
    MARKET_EXITING,
    PROTECTION_PENDING,
    RECONCILING,
    STOP_TRIGGERED,
    TAKE_PROFIT_WORKING,
)
from venues.kraken.translate import order_userref_of
from venues.simulated.exchange import Exchange
from venues.simulated.executions import Fill
from venues.simulated.orders import STOPS

NAMESPACE = "hf"
# States in which quantity is bare by choice or already on its way out, with a clock of the machine's own.
ON_THE_WAY = (
    CANCEL_PENDING, EMERGENCY_PROTECTING, FLATTENING, MAKER_EXITING, MARKET_EXITING, PROTECTION_PENDING, RECONCILING, STOP_TRIGGERED,
    TAKE_PROFIT_WORKING, AWAITING_OWNER,
)  # fmt: skip
NS = 1_000_000_000
_BEHIND_THE_END = re.compile(r"behind the end of (\w+)")
# Several times what a busy position needs; what goes round with the venue's own speed makes thousands.
EVENTS_A_MINUTE = 400


class Held(NamedTuple):
    """What one position has bought and sold at the venue, in base units; fees in base are taken off what it holds."""

    entered: Decimal
    exited: Decimal
    fees: Decimal

    @property
    def net(self) -> Decimal:
        return self.entered - self.exited - self.fees


Pair = tuple[str, bool]  # the symbol, and whether on margin
_NOTHING = Held(Decimal(0), Decimal(0), Decimal(0))
NO_STOPS: Counter[str] = Counter()


class VenueBooks:
    """Our positions as the venue's executions tell them."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.held: dict[str, Held] = {}
        self.fills: dict[str, Fill] = {}
        self.owner_of_fill: dict[str, str] = {}
        self.minimum: dict[str, Decimal] = {}
        # An entry with an attached stop has no client id at Kraken, only the number that is derived from it.
        self.owner_of_userref: dict[int, str] = {}
        # What closes a reverse position takes a double exit back, and enters nothing.
        self.flattening: set[str] = set()
        # What came to life behind the end of a position is protected and closed by another one: together they are one matter.
        self.root_of: dict[str, str] = {}
        # The symbol of each position, and whether it is on margin.
        self.pair_of: dict[str, Pair] = {}
        # What the orders of a position have closed of others: on margin the account is held net.
        self.beyond: Counter[str] = Counter()
        # What orders of others have closed of a position, less what its own have closed of others.
        self.by_others: Counter[str] = Counter()
        # What the stops of a position have closed, and what its other orders have.
        self._closed: Counter[tuple[str, bool]] = Counter()
        # What the owner has sold of what positions of a pair held, and whether they were long.
        self.taken: dict[Pair, tuple[Decimal, bool]] = {}
        self._read = 0

    def owner_of(self, order_id: str) -> str:
        """Return the position that an order of the venue belongs to, "" if it is not ours."""
        order = self.exchange.orders[order_id]
        if order.parent_id:
            return self.owner_of(order.parent_id)
        owner = position_id_of(order.cl_ord_id, NAMESPACE) or self.owner_of_userref.get(order.order_userref, "")
        return self.root_of.get(owner, owner)

    def family_of(self, position_id: str) -> list[str]:
        """Return a position and those that took over what came to life behind its end."""
        members = [position_id]
        if (pair := self.pair_of.get(position_id)) in self.taken:
            members = [key for key in sorted(self.pair_of) if self.pair_of[key] == pair]
        return [*members, *(heir for heir, root in self.root_of.items() if root in members)]

    def sum_of(self, pair: Pair) -> Decimal:
        """Return what the positions of a pair hold by their own orders, less what the owner has sold of it."""
        taken, _ = self.taken.get(pair, (Decimal(0), True))
        return sum((held.net for key, held in self.held.items() if self.pair_of[key] == pair), -taken)

    def there(self, pair: Pair, is_long: bool) -> Decimal:
        """Return what the account holds of a pair on that side, below zero where it is on the other one."""
        symbol, margin = pair
        instrument, account = self.exchange.pairs[symbol].instrument, self.exchange.account
        if not margin:
            return account.balances[instrument.base]
        lots = account.positions[symbol].lots if symbol in account.positions else 0
        return instrument.qty(lots if is_long else -lots)

    def take_sale(self, pair: Pair, is_long: bool) -> None:
        """Note what is less than what our positions hold, now that the owner has sold."""
        missing = self.sum_of(pair) - self.there(pair, is_long)
        if missing > 0:
            taken, _ = self.taken.get(pair, (Decimal(0), is_long))
            self.taken[pair] = taken + missing, is_long

    def left_of(self, position_id: str) -> Decimal:
        """Return what the venue still holds of a position; where the owner has sold of its pair, of all positions of the pair."""
        pair = self.pair_of[position_id]
        return self._left_in(pair) if pair in self.taken else self.held[position_id].net

    def _left_in(self, pair: Pair, covered: Counter[str] = NO_STOPS) -> Decimal:
        """Return what is left of a pair of which the owner has sold: by our orders, no more than the account holds, and not `covered`.

        An order of ours that was under way as he sold, or whose engine had not heard of it, may close what is not there any more.
        And each position may leave less than the venue's smallest order, which together may be more than that.
        """
        taken, is_long = self.taken[pair]
        ours = [key for key in self.held if self.pair_of[key] == pair]
        left = min(self.sum_of(pair), self.there(pair, is_long)) - sum((covered[key] for key in ours), Decimal(0))
        dust = sum((max(Decimal(0), min(self.minimum[key], self.held[key].net - covered[key])) for key in ours), Decimal(0))
        return Decimal(0) if -taken <= left < dust else left

    def read(self, sides: dict[str, PositionSide]) -> list[Fill]:
        """Take the executions that are new; `sides` names the side of each position. Return those of ours."""
        fresh: list[Fill] = []
        fills = self.exchange.account.fills
        while self._read < len(fills):
            fill = fills[self._read]
            self._read += 1
            self.fills[fill.exec_id] = fill
            owner = self.owner_of(fill.order_id)
            if not owner:
                continue
            self.owner_of_fill[fill.exec_id] = owner
            self.minimum[owner] = fill.pair.instrument.min_qty
            self.pair_of[owner] = fill.pair.symbol, self.exchange.orders[fill.order_id].margin
            fresh.append(fill)
            held = self.held.get(owner, _NOTHING)
            side = sides.get(owner)
            fee = fill.fee if fill.fee_asset == fill.pair.instrument.base else Decimal(0)
            if fill.cl_ord_id in self.flattening:
                self.held[owner] = held._replace(exited=held.exited - fill.qty, fees=held.fees + fee)
            elif side is not None and fill.buying == (side is PositionSide.LONG):
                self.held[owner] = held._replace(entered=held.entered + fill.qty, fees=held.fees + fee)
            else:
                self.held[owner] = held._replace(exited=held.exited + fill.qty, fees=held.fees + fee)
                self._closed[owner, self.exchange.orders[fill.order_id].order_type in STOPS] += fill.qty  # type: ignore[assignment]
                self._close_beyond(owner, fill.qty, sides)
        return fresh

    def _close_beyond(self, owner: str, qty: Decimal, sides: dict[str, PositionSide]) -> None:
        """Take what an order on margin has closed beyond its own position off the newest others of that side: those are what was there."""
        _, margin = pair = self.pair_of[owner]
        beyond = min(qty, self.held[owner].exited - self.held[owner].entered)
        for other in reversed(self.held):
            if not margin or beyond <= 0:
                return
            if other == owner or self.pair_of[other] != pair or sides.get(other) is not sides.get(owner):
                continue
            mine, its = self.held[owner], self.held[other]
            part = max(Decimal(0), min(beyond, its.net))
            self.held[owner], self.held[other] = mine._replace(exited=mine.exited - part), its._replace(exited=its.exited + part)
            self.beyond[owner] += part  # type: ignore[assignment]
            self.by_others[other] += part  # type: ignore[assignment]
            self.by_others[owner] -= part  # type: ignore[assignment]
            beyond -= part

    def has_doubled(self, position_id: str) -> bool:
        """Whether a position closed of others what its exits alone, or its stops alone, closed beyond what it had."""
        entered = self.held[position_id].entered
        return self.beyond[position_id] > 0 and any(self._closed[position_id, is_stop] > entered for is_stop in (False, True))

    def bare(self) -> dict[str, Decimal]:
        """Return what each position holds that no open stop of its own covers; what is below the smallest order does not count."""
        covered: Counter[str] = Counter()
        for order in self.exchange.open_orders():
            if order.order_type in STOPS:
                covered[self.owner_of(order.order_id)] += order.pair.instrument.qty(order.leaves_lots)  # type: ignore[assignment]
        found = {}
        for owner in sorted(self.held):
            least, held = self.minimum[owner], self.held[owner].net
            if held >= least and held - covered[owner] >= least:
                found[owner] = held - covered[owner]
        for pair in self.taken:
            ours = [key for key in found if self.pair_of[key] == pair]
            if ours and self._left_in(pair, covered) < self.minimum[ours[0]]:
                for key in ours:
                    del found[key]
        return found

    def ours_open(self, position_id: str = "") -> list[str]:
        """Return the ids of the open orders of ours, or of one position."""
        owners = {order.order_id: self.owner_of(order.order_id) for order in self.exchange.open_orders()}
        return [order_id for order_id, owner in owners.items() if owner and position_id in ("", owner)]


class Watch:
    """Looks at engine and venue all the time. `violations` says what it found, at which virtual second."""

    def __init__(self, exchange: Exchange, patience_s: float, has_hand: bool) -> None:
        self.books = VenueBooks(exchange)
        self.violations: list[str] = []
        self.transitions: Counter[tuple[str, str, str]] = Counter()
        self.rows: Counter[str] = Counter()
        self.sides: dict[str, PositionSide] = {}
        self.planned: dict[str, Decimal] = {}
        self.symbols: dict[str, str] = {}
        self.bare_ms_max = 0
        self._patience_ns = int(patience_s * NS)
        self._has_hand = has_hand
        self._states: dict[str, str] = {}
        self._bare_since: dict[str, int] = {}
        self._believed_since: dict[str, int] = {}
        self._broken = 0
        self._told: set[str] = set()
        self._pace: Counter[tuple[str, int]] = Counter()

    def say(self, now_ns: int, invariant: str, text: str) -> None:
        """Note a violation, each sentence once."""
        if text not in self._told:
            self._told.add(text)
            self.violations.append(f"{invariant} at {now_ns / NS:.3f} s: {text}")

    # --- each event -------------------------------------------------------------------------------------------------------

    def event(self, event: PositionEvent, now_ns: int) -> bool:
        """Look at an event that was just handed to the writer; tell whether its position has come to another state."""
        key = event.position_id
        fact = event.fact
        name = type(fact).__name__
        before = self._states.get(key, "New")
        self._states[key] = event.to
        self.transitions[before, name, event.to] += 1
        self.rows[event.row] += 1
        minute = now_ns // (60 * NS)
        self._pace[key, minute] += 1
        if self._pace[key, minute] > EVENTS_A_MINUTE:
            self.say(now_ns, "I14", f"{key}: more than {EVENTS_A_MINUTE} events within minute {minute}")
        for command in event.commands:
            if isinstance(command, SubmitOrder) and command.role == "flatten":
                self.books.flattening.add(command.client_order_id)
            if isinstance(command, SubmitOrder) and command.attached is not None:
                self.books.owner_of_userref[order_userref_of(command.client_order_id)] = key
        if isinstance(fact, PositionAdopted) and (found := _BEHIND_THE_END.search(fact.evidence)):
            self.books.root_of[key] = self.books.root_of.get(found[1], found[1])
        if isinstance(fact, OrderFilled):
            self._booked(key, fact, now_ns)
        return event.to != before

    def _booked(self, key: str, fact: OrderFilled, now_ns: int) -> None:
        self.look_at_books(now_ns)
        fill = self.books.fills.get(fact.trade_id)
        if fill is None:
            self.say(now_ns, "I9", f"{key} books execution {fact.trade_id}, which the venue does not know")
            return
        wrong = []
        if fill.order_id != fact.venue_order_id:
            wrong.append(f"order {fact.venue_order_id} instead of {fill.order_id}")
        if fill.qty != fact.last_qty:
            wrong.append(f"quantity {fact.last_qty} instead of {fill.qty}")
        if fact.last_px is not None and fact.last_px != fill.px:
            wrong.append(f"price {fact.last_px} instead of {fill.px}")
        if (fact.side.value == "buy") != fill.buying:
            wrong.append(f"side {fact.side.value}")
        if self.books.owner_of_fill.get(fact.trade_id) != self.books.root_of.get(key, key):
            wrong.append(f"the position, it is of {self.books.owner_of_fill.get(fact.trade_id) or 'the owner'}")
        if wrong:
            self.say(now_ns, "I9", f"{key} books execution {fact.trade_id} with {', '.join(wrong)}")

    def restored(self, states: dict[str, str]) -> None:
        """Take the states that a new life of the engine begins with."""
        self._states = dict(states)
        self._broken = 0
        self._believed_since.clear()

    # --- now and then -----------------------------------------------------------------------------------------------------

    def look_at_books(self, now_ns: int) -> None:
        """Take what the venue has executed, and see whether anything was doubled."""
        for fill in self.books.read(self.sides):
            owner = self.books.owner_of_fill[fill.exec_id]
            held = self.books.held[owner]
            planned = self.planned.get(owner)
            if planned is None:
                self.say(now_ns, "I12", f"{owner}: the venue has executions of a position that nobody asked for")
                continue
            # What a fee in the base asset took is bought anew, and no more of the plan.
            entered = held.entered - held.fees
            if entered > planned and not held.exited > held.entered and owner not in self.books.root_of.values():
                self.say(now_ns, "I2", f"{owner}: {entered} entered at the venue, {planned} were planned")
            exited = held.exited + self.books.beyond[owner]
            if exited > held.entered and not self._has_hand:
                self.say(now_ns, "I2", f"{owner}: {exited} left at the venue, {held.entered} had entered")

    def look_at_desk(self, desk: Desk, now_ns: int) -> None:
        """See whether a step of the core broke what it asserts itself."""
        while self._broken < len(desk.broken):
            violation = desk.broken[self._broken]
            self._broken += 1
            self.say(now_ns, violation.invariant, violation.text)

    @property
    def is_counting(self) -> bool:
        """Whether something is bare at the venue, so that a later look sees more of it."""
        return bool(self._bare_since)

    def look(self, desk: Desk | None, is_live: bool, now_ns: int) -> None:
        """Compare what is bare at the venue with what the engine believes; None and False where no engine runs."""
        self.look_at_books(now_ns)
        if desk is not None:
            self.look_at_desk(desk, now_ns)
        found = self.books.bare()
        for owner in sorted(self.books.held):
            bare = found.get(owner)
            if bare is None:
                self._bare_since.pop(owner, None)
                self._believed_since.pop(owner, None)
                continue
            since_ns = self._bare_since.setdefault(owner, now_ns)
            self.bare_ms_max = max(self.bare_ms_max, (now_ns - since_ns) // 1_000_000)
            family = [] if desk is None else [desk.positions[key] for key in self.books.family_of(owner) if key in desk.positions]
            is_known = any(desk is not None and (p.position_id in desk.unprotected or p.state in ON_THE_WAY) for p in family)
            if is_known or not is_live or desk is None:
                self._believed_since.pop(owner, None)
                continue
            believed_ns = self._believed_since.setdefault(owner, now_ns)
            if now_ns - believed_ns > self._patience_ns:
                state = ", ".join(p.state for p in family) or "no live position"
                self.say(
                    now_ns, "I1", f"{owner}: {bare} bare at the venue for {(now_ns - believed_ns) / NS:.0f} s, the engine has {state}"
                )
