"""What may happen next in a state: every step of the venue, the wire, the clock and the faults that the budgets still allow.

A state is five numbers, each of a table of parts (mind, saved mind, venue, channels, rest): parts are few, states are many, and two
states are one only if every part is equal. No fingerprint, so no collision.

Channels keep their order, as TCP does. Time passes in ticks, and only once nothing that a fault-free world does in time is left undone:
no message older than `age`, no order that the venue owes a fill for longer than a tick.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..core import Core
from ..coverage import unprotected_lots
from ..order import END_STATUSES
from ..position import HALTED, LIVE_STATES, PROTECTED, PROTECTED_PENDING_FILL
from .configuration import FAULTS, Configuration
from .engine import Engine, Reaction, number_of
from .properties import Broken, broken_by_command, broken_by_state
from .venue import CHILD, Message, Venue, snapshot_of

Channel = tuple[tuple[Message, int], ...]
Label = tuple[object, ...]
_LIVE = frozenset(LIVE_STATES)
ASK_TICKS = 5  # a question without an answer for so long means a dead socket
AGE_MAX = 90
_PLACE = {name: number for number, name in enumerate(FAULTS)}
BY_CHOICE, LEAVING, FIRED, ENTRY, OTHER = "resting exit", "leaving", "stop fired", "entry", "stop gone"


class Rest(NamedTuple):
    """The rest of a state. `link`: up, down or dead (no process); `since` its ticks. `gap`: a frame of the stream was lost.

    `lots` are the unprotected lots, by cause and age; `tightest` the narrowest trail and best level that a stop of ours ever had;
    `lag` is how many ticks the disk is behind.
    """

    link: str
    since: int
    gap: bool
    budgets: tuple[int, ...]
    lots: tuple[tuple[str, int], ...]
    tightest: tuple[int, int]
    loose: bool
    lag: int = 0


class State(NamedTuple):
    """One state. `saved` is the mind that the disk has where it lags behind, -1 where it does not."""

    mind: int
    saved: int
    venue: Venue
    up: Channel
    down: Channel
    rest: Rest


class World:
    """One configuration: its engine, and what may happen in each state. `broken` fills as moves are made."""

    def __init__(self, configuration: Configuration, core: Core) -> None:
        self.configuration = configuration
        self.rules = configuration.rules
        self.engine = Engine(
            core, configuration.plan_of(), configuration.instrument, configuration.capabilities, configuration.tick_ms, self.rules
        )
        self.guaranteed = configuration.margin
        self.broken: list[Broken] = []
        self.reactions: list[Reaction] = []
        self.is_telling = False
        self._tops: list[int] = []

    def start(self) -> State:
        """Return the state after the position's birth, with its first commands on the wire."""
        first = self.engine.birth(self.configuration.adopted)
        budgets = tuple(self.configuration.budgets.get(name, 0) for name in FAULTS)
        rest = Rest("up", 0, False, budgets, (), (0, 0), False)
        venue = Venue(held=self.configuration.lots if self.configuration.adopted else 0)
        if self.configuration.adopted:
            venue = venue._replace(entered=0)
        state = State(first.mind, -1, venue, (), (), rest)
        return self._ready(self._reacted(state, first), ENTRY)

    # --- what may happen ----------------------------------------------------------------------------------------------

    def moves(self, state: State) -> Iterator[tuple[Label, State]]:
        """Yield everything that may happen next, with its label; the first is what a fair world without faults does."""
        fair = self.fair(state)
        if fair is not None:
            yield fair
        yield from self._others(state, ("",) if fair is None else fair[0])

    def fair(self, state: State) -> tuple[Label, State] | None:
        """Return what a world without faults does: one thing after another, always the same one."""
        rest = state.rest
        if rest.link == "dead":
            return ("the process starts again",), self._restart(state)
        if rest.link == "down" and not state.down:
            return ("the link is back",), self._back(state)
        if state.up:
            return self._taken(state)
        if state.down:
            return self._heard(state)
        if self._mind(state).level != state.venue.level:
            return ("we see the price", state.venue.level), self._told(state, ("price", state.venue.level), OTHER)
        for order in state.venue.orders:
            if self.rules.owes(state.venue, order):
                return self._paid(state, order.ref, order.leaves)
        return self._tick(state, forced=True)

    def _others(self, state: State, fair: Label) -> Iterator[tuple[Label, State]]:
        rest, venue = state.rest, state.venue
        tick = self._tick(state) if fair[0] != "tick" else None
        if tick is not None:
            yield tick
        if rest.link == "dead":
            yield from self._market(state, fair)
            return
        # What the fair world does next is there already; of the two channels it takes the one to the venue first.
        if state.down and (state.up or fair[0] != "we get"):
            yield self._heard(state)
        if self._mind(state).level != venue.level and fair[0] != "we see the price":
            yield ("we see the price", venue.level), self._told(state, ("price", venue.level), OTHER)
        yield from self._market(state, fair)
        if not any(rest.budgets):
            return
        yield from self._faults(state)
        yield from self._wishes(state)

    def _market(self, state: State, fair: Label) -> Iterator[tuple[Label, State]]:
        venue = state.venue
        for order in venue.orders:
            if self.rules.owes(venue, order) and order.role == "stop" and order.status == "open":
                if fair != ("venue", "fires", order.ref):
                    yield self._paid(state, order.ref, 0)
                if self._left(state, "hang"):
                    after, words = self.rules.fire(venue, order, True)
                    yield ("venue", "fires, and it hangs", order.ref), self._said(self._spent(state, "hang"), after, words, FIRED)
            if self.rules.may_fill(venue, order):
                for lots in range(1, order.leaves + 1):
                    if fair != ("venue", "fills", order.ref, lots):
                        yield self._paid(state, order.ref, lots)
            if order.is_open and order.kind in ("market", "ioc") and self._left(state, "short"):
                after, words = self.rules.end(venue, order, "expired")
                yield ("venue", "lets expire", order.ref), self._said(self._spent(state, "short"), after, words, OTHER)
            if order.is_open and order.status == "open" and order.role == "stop" and self._left(state, "cancel"):
                after, words = self.rules.end(venue, order)
                yield ("owner", "cancels", order.ref), self._said(self._spent(state, "cancel"), after, words, OTHER)
        if self._left(state, "price"):
            for level in (-1, 0, 1):
                if level != venue.level and abs(level - venue.level) == 1:
                    yield ("price", level), self._ready(self._spent(state, "price")._replace(venue=self.rules.move(venue, level)), FIRED)
        if self._left(state, "sell"):
            sold = self.rules.by_hand(venue)
            if sold is not None:
                yield ("owner", "sells", 1), self._said(self._spent(state, "sell"), sold[0], sold[1], OTHER)
        if self._left(state, "mode") and venue.mode == "online":
            for mode in ("cancel_only", "post_only"):
                yield ("market", mode), self._ready(self._spent(state, "mode")._replace(venue=venue._replace(mode=mode)), OTHER)
        if venue.mode != "online":
            yield ("market", "online"), self._ready(state._replace(venue=venue._replace(mode="online")), OTHER)

    def _faults(self, state: State) -> Iterator[tuple[Label, State]]:
        up, down, rest = state.up, state.down, state.rest
        is_up = rest.link == "up"
        if up and self._left(state, "lost"):
            yield ("lost on the way to the venue", up[0][0]), self._ready(self._spent(state, "lost", True)._replace(up=up[1:]), OTHER)
        if down and is_up and self._left(state, "lost"):
            lost = self._spent(state, "lost", True)
            yield ("lost on the way to us", down[0][0]), self._ready(lost._replace(down=down[1:], rest=lost.rest._replace(gap=True)), OTHER)
        # A question is answered once: the frame of a snapshot does not say to which it belongs.
        if down and is_up and self._left(state, "dup") and down[0][0][0] != "snapshot":
            yield ("comes twice", down[0][0]), self._ready(self._spent(state, "dup")._replace(down=(down[0], *down)), OTHER)
        if len(down) > 1 and is_up and self._left(state, "swap"):
            swapped = self._spent(state, "swap", True)._replace(down=(down[1], down[0], *down[2:]))
            yield ("overtakes", down[1][0]), self._ready(swapped, OTHER)
        if up and self._left(state, "reject") and up[0][0][0] != "ask":
            yield self._taken(self._spent(state, "reject"), refuse=True)
        if up and up[0][0][0] == "ask" and self._left(state, "truncated"):
            yield from self._truncated(state)
        asks = [number for number, (command, _) in enumerate(up) if command[0] == "ask"]
        if asks and asks[0] and self._left(state, "old_answer"):
            place = asks[0]
            early = self._spent(state, "old_answer", True)._replace(up=(*up[:place], *up[place + 1 :]))
            yield ("answers ahead of what was sent",), self._words(early, (snapshot_of(state.venue),), OTHER)
        if is_up and self._left(state, "cut"):
            for taken in range(len(up) + 1):
                yield ("cut", taken), self._cut(self._spent(state, "cut"), taken, ("cut",))
        if self._left(state, "crash"):
            if state.saved < 0 and self._mind(state).position.state in _LIVE:
                yield ("the disk falls behind",), state._replace(saved=state.mind)
            for taken in range(len(up) + 1):
                yield ("crash", taken), self._crash(self._spent(state, "crash"), taken)

    def _truncated(self, state: State) -> Iterator[tuple[Label, State]]:
        rest = self._spent(state, "truncated", True)._replace(up=state.up[1:])
        yield ("answers without executions",), self._words(rest, (snapshot_of(state.venue, complete=False),), OTHER)
        for order in state.venue.orders:
            if order.is_open:
                yield ("answers without", order.ref), self._words(rest, (snapshot_of(state.venue, without=order.ref),), OTHER)

    def _wishes(self, state: State) -> Iterator[tuple[Label, State]]:
        position, level = self._mind(state).position, self._mind(state).level
        if position.state not in _LIVE:
            return
        trail = position.wanted_trail_offset_bps
        sign = self.rules.sign
        wishes: tuple[tuple[str, Message], ...] = (
            ("exit", ("exit", False, level)), ("patient", ("exit", True, level)), ("halt", ("halt",)), ("foreign", ("foreign",)),
            ("tighten", ("tighten", trail // 2, 0) if trail else ("tighten", 0, (position.wanted_stop_ticks or 0) + 10 * sign)),
            ("loosen", ("tighten", trail * 2, 0) if trail else ("tighten", 0, (position.wanted_stop_ticks or 0) - 10 * sign)),
            ("stale", ("stale",)), ("stale", ("short",)), ("stale", ("old price", level)), ("report", ("distance", (trail or 300) // 2)),
            ("report", ("market", "quiet")), ("adjust", ("adjusted", max(0, state.venue.held))),
        )  # fmt: skip
        for budget, message in wishes:
            if self._left(state, budget):
                yield ("wish", *message), self._told(self._spent(state, budget), message, OTHER)
        if self._left(state, "report"):
            for order in state.venue.orders:
                if order.protects:
                    for px in (self.rules.px(0), self.rules.px(-1)):
                        told = self._told(state, ("reported", order.ref, px), OTHER)
                        yield ("venue", "reports its stop", order.ref, px), self._spent(told, "report")

    # --- steps --------------------------------------------------------------------------------------------------------

    def _mind(self, state: State):  # type: ignore[no-untyped-def]
        return self.engine.minds[state.mind]

    def _left(self, state: State, name: str) -> int:
        return state.rest.budgets[_PLACE[name]]

    def _spent(self, state: State, name: str, loose: bool = False) -> State:
        budgets = list(state.rest.budgets)
        budgets[_PLACE[name]] -= 1
        return state._replace(rest=state.rest._replace(budgets=tuple(budgets), loose=state.rest.loose or loose))

    def _taken(self, state: State, refuse: bool = False) -> tuple[Label, State]:
        command = state.up[0][0]
        state = state._replace(up=state.up[1:])
        if command[0] == "ask":
            return ("venue", "answers"), self._words(state, (snapshot_of(state.venue),), OTHER)
        label = ("venue", "refuses" if refuse else "takes", *command)
        venue, words = self.rules.take(state.venue, command, refuse)
        self.broken += broken_by_command(state.venue, venue, command, state.rest.tightest, self.rules.sign, self.guaranteed)
        return label, self._said(state, venue, words, LEAVING)

    def _paid(self, state: State, ref: int, lots: int) -> tuple[Label, State]:
        order = state.venue.find(ref)
        assert order is not None
        if order.role == "stop" and order.status == "open":
            venue, words = self.rules.fire(state.venue, order, False)
            return ("venue", "fires", ref), self._said(state, venue, words, FIRED)
        venue, words = self.rules.fill(state.venue, order, lots)
        return ("venue", "fills", ref, lots), self._said(state, venue, words, ENTRY if order.role == "entry" else OTHER)

    def _said(self, state: State, venue: Venue, words: tuple[Message, ...], cause: str) -> State:
        rest = state.rest
        tightest = self._tightest(rest.tightest, venue)
        if tightest != rest.tightest:
            state = state._replace(rest=rest._replace(tightest=tightest))
        return self._words(state._replace(venue=venue), words, cause)

    def _words(self, state: State, words: tuple[Message, ...], cause: str) -> State:
        if state.rest.link == "up":
            state = state._replace(down=(*state.down, *((word, 0) for word in words)))
        return self._ready(state, cause)

    def _heard(self, state: State) -> tuple[Label, State]:
        message = state.down[0][0]
        gap = state.rest.gap and message[0] not in ("unsent", "snapshot")
        state = state._replace(down=state.down[1:])
        if gap:
            state = state._replace(rest=state.rest._replace(gap=False))
            state = self._reacted(state, self.engine.step(state.mind, ("gap",), self._fresh(state)))
        return ("we get", *message), self._told(state, message, LEAVING)

    def _told(self, state: State, message: Message, cause: str) -> State:
        return self._ready(self._reacted(state, self.engine.step(state.mind, message, self._fresh(state))), cause)

    def _reacted(self, state: State, reaction: Reaction) -> State:
        if self.is_telling:
            self.reactions.append(reaction)
        self.broken += reaction.broken
        up, down = state.up, state.down
        if state.rest.link == "up":
            up = (*up, *((command, 0) for command in reaction.sends))
            if reaction.asks:
                up = (*up, (("ask",), 0))
        else:
            down = (*down, *((("unsent", x[1], x[0]), 0) for x in reaction.sends))
        return state._replace(mind=reaction.mind, up=up, down=down)

    def _tick(self, state: State, forced: bool = False) -> tuple[Label, State] | None:
        rest, venue, age = state.rest, state.venue, self.configuration.age
        late = any(old >= age for _, old in (*state.up, *state.down)) or self._mind(state).level != venue.level
        late = late or any(o.due >= age for o in venue.orders if self.rules.owes(venue, o))
        if rest.link != "up" and rest.since >= self.configuration.down:
            return None
        if late and not forced:
            if not self._left(state, "delay"):
                return None
            state = self._spent(state, "delay", True)
            rest = state.rest
        orders = tuple([o._replace(due=o.due + 1) if self.rules.owes(venue, o) else o._replace(due=0) for o in venue.orders])
        rest = rest._replace(since=rest.since + 1 if rest.link != "up" else 0, lots=tuple([(c, min(a + 1, AGE_MAX)) for c, a in rest.lots]))
        state = state._replace(
            venue=venue._replace(orders=orders),
            up=tuple([(m, a + 1) for m, a in state.up]),
            down=tuple([(m, a + 1) for m, a in state.down]),
            rest=rest,
        )
        if state.saved >= 0 and rest.lag < self.configuration.lag:
            state = state._replace(saved=self.engine.step(state.saved, ("sleep",), 0).mind, rest=rest._replace(lag=rest.lag + 1))
        elif state.saved >= 0:
            state = state._replace(saved=-1, rest=rest._replace(lag=0))
        if rest.link == "dead":
            return ("tick",), self._ready(state._replace(mind=self.engine.step(state.mind, ("sleep",), 0).mind), OTHER)
        asked_ns = self._mind(state).asked_ns
        state = self._told(state, ("tick",), LEAVING)
        if asked_ns and rest.link == "up" and self.engine.now_ns - asked_ns >= (ASK_TICKS - 1) * self.engine.tick_ns and not state.up:
            return ("tick", "no answer: the socket is given up"), self._cut(state, 0, ("cut",))
        return ("tick",), state

    def _lose(self, state: State, taken: int) -> State:
        """Let the venue take the first commands of the wire; the others are gone, and so are the words to us."""
        venue = state.venue
        for command, _ in state.up[:taken]:
            if command[0] != "ask":
                venue, _words = self.rules.take(venue, command)
        return state._replace(venue=venue, up=(), down=())

    def _cut(self, state: State, taken: int, message: Message) -> State:
        state = self._lose(state, taken)
        state = state._replace(rest=state.rest._replace(link="down", since=0, gap=False))
        return self._told(state, message, OTHER)

    def _crash(self, state: State, taken: int) -> State:
        state = self._lose(state, taken)
        if state.saved >= 0:
            state = state._replace(mind=state.saved, saved=-1)
        return self._ready(state._replace(rest=state.rest._replace(link="dead", since=0, gap=False, lag=0)), OTHER)

    def _restart(self, state: State) -> State:
        state = state._replace(rest=state.rest._replace(link="down", since=0))
        return self._told(state, ("restart",), OTHER)

    def _back(self, state: State) -> State:
        state = state._replace(rest=state.rest._replace(link="up", since=0))
        return self._told(state, ("live",), OTHER)

    # --- after each step ----------------------------------------------------------------------------------------------

    def _fresh(self, state: State) -> int:
        """Return the first number that no order has: of either mind, at the venue, or on the wire."""
        top = max(self._top(state.mind), self._top(state.saved) if state.saved >= 0 else -1)
        for order in state.venue.orders:
            if top < order.ref < CHILD:
                top = order.ref
        for message, _ in state.up:
            if message[0] == "submit" and message[1] > top:  # type: ignore[operator]
                top = message[1]  # type: ignore[assignment]
        return top + 1

    def _top(self, mind: int) -> int:
        """Return the highest number of an order that a mind knows."""
        while mind >= len(self._tops):
            orders = self.engine.minds[len(self._tops)].position.orders
            self._tops.append(max((n for o in orders if (n := number_of(o.client_order_id)) < CHILD), default=-1))
        return self._tops[mind]

    def _numbers(self, state: State) -> Iterator[int]:
        for mind in (state.mind, state.saved):
            if mind >= 0:
                yield from (n for o in self.engine.minds[mind].position.orders if (n := number_of(o.client_order_id)) < CHILD)
        yield from (o.ref for o in state.venue.orders if o.ref < CHILD)
        for message, _ in state.up:
            if message[0] != "ask":
                yield message[1]  # type: ignore[misc]

    def _ready(self, state: State, cause: str) -> State:
        """Forget orders that nothing can speak of any more, and keep the clock of each unprotected lot."""
        if not self.configuration.attach:
            state = self._pruned(state)
        if not self.configuration.clock:
            return state
        lots = self._clocked(state, self.engine.minds[state.mind].position, state.rest.lots, cause)
        return state if lots == state.rest.lots else state._replace(rest=state.rest._replace(lots=lots))

    def judge(self, state: State) -> None:
        """Hold a new state against the venue's book."""
        if state.rest.link != "dead":
            self.broken += broken_by_state(self.engine.minds[state.mind].position, state.venue, self.guaranteed, state.rest.loose)

    def _tightest(self, known: tuple[int, int], venue: Venue) -> tuple[int, int]:
        trail, level = known
        for order in venue.orders:
            if order.role == "stop" and order.kind == "trailing":
                trail = min(trail or order.trail, order.trail)
            elif order.role == "stop" and (not level or (order.price - level) * self.rules.sign > 0):
                level = order.price
        return trail, level

    def _clocked(self, state: State, position, lots: tuple[tuple[str, int], ...], cause: str) -> tuple[tuple[str, int], ...]:  # type: ignore[no-untyped-def]
        """Keep one clock for each unprotected lot: what becomes covered stops the oldest, what becomes bare starts a new one."""
        bare = max(0, state.venue.held - state.venue.covered)
        if len(lots) > bare:
            return lots[len(lots) - bare :]
        if len(lots) < bare:
            if position.exit_reason and cause not in (ENTRY, FIRED):
                cause = BY_CHOICE if position.patient or position.plan.take_profit_style == "maker" else LEAVING
            elif cause == LEAVING:
                cause = OTHER
            return lots + ((cause, 0),) * (bare - len(lots))
        return lots

    def _pruned(self, state: State) -> State:
        orders = self.engine.minds[state.mind].position.orders
        gone = {number_of(o.client_order_id) for o in orders if o.status in END_STATUSES}
        over = {o.ref for o in state.venue.orders if not o.is_open}
        if not gone and not over:
            return state
        known = {number_of(o.client_order_id) for o in orders}
        candidates = (gone & over) | (gone - {o.ref for o in state.venue.orders}) | (over - known)
        if not candidates:
            return state
        spoken = {m[1] for m, _ in (*state.up, *state.down) if len(m) > 1 and m[0] != "snapshot"}
        listing = [m for m, _ in state.down if m[0] == "snapshot"]
        if listing:
            return state
        position = self.engine.minds[state.mind].position
        saved = self.engine.minds[state.saved].position if state.saved >= 0 else None
        free = {n for n in candidates if n not in spoken and self._is_booked(state.venue, n, position, saved)}
        if not free:
            return state
        kept = list(dict.fromkeys(n for n in (*(number_of(o.client_order_id) for o in orders), *self._numbers(state)) if n not in free))
        numbers = {n: n if n >= CHILD else place for place, n in enumerate(kept)}
        return State(
            self.engine.rename(state.mind, numbers),
            self.engine.rename(state.saved, numbers) if state.saved >= 0 else -1,
            state.venue._replace(orders=tuple([o._replace(ref=numbers[o.ref]) for o in state.venue.orders if o.ref in numbers])),
            tuple([(_renamed(m, numbers), a) for m, a in state.up]),
            tuple([(_renamed(m, numbers), a) for m, a in state.down]),
            state.rest,
        )

    def _is_booked(self, venue: Venue, number: int, position, saved) -> bool:  # type: ignore[no-untyped-def]
        order = venue.find(number)
        for known in (position, saved):
            if known is None:
                continue
            mine = next((o for o in known.orders if number_of(o.client_order_id) == number), None)
            if mine is not None and mine.status not in END_STATUSES:
                return False
            cum = 0
            for lots in order.fills if order is not None else ():
                cum += lots
                if f"T{number}.{cum}" not in known.trade_ids:
                    return False
        return True

    # --- where it is to come to ---------------------------------------------------------------------------------------

    def is_settled(self, state: State) -> bool:
        """Whether the position is closed with nothing left at the venue, covered there, or halted and covered (I13)."""
        position, venue = self.engine.minds[state.mind].position, state.venue
        if state.rest.link != "up":
            return False
        if position.state not in _LIVE:
            return venue.held <= 0 and not any(o.is_open for o in venue.orders)
        if venue.held > venue.covered or venue.held != position.held_lots or unprotected_lots(position):
            return False
        return position.state == HALTED or (position.state in (PROTECTED, PROTECTED_PENDING_FILL) and not position.exit_reason)


def _renamed(message: Message, numbers: dict[int, int]) -> Message:
    if message[0] in ("ask", "manual"):
        return message
    return (message[0], numbers[message[1]], *message[2:])  # type: ignore[index]
