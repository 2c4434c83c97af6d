"""One step at a time: how the venue, the wire, the clock and the engine change a state. `moves.py` says when each may happen."""

from ..core import Core
from ..model import Position
from ..order import END_STATUSES
from .configuration import FAULTS, Configuration
from .engine import Engine, Reaction
from .mind import LIVE, Mind, number_of
from .parts import Channel, Label, Rest, State, Tables, remembered
from .properties import Broken, broken_by_command
from .venue import CHILD, Message, Venue, Words, snapshot_of

ASK_TICKS = 5  # a question without an answer for so long means a dead socket
AGE_MAX = 90
_PLACE = {name: number for number, name in enumerate(FAULTS)}
_REFUSALS = {"": "takes", "other": "refuses", "funds": "refuses for want of funds", "through_market": "refuses as through the market"}
BY_CHOICE, LEAVING, FIRED, ENTRY, OTHER = "resting exit", "leaving", "stop fired", "entry", "stop gone"


class Steps:
    """One configuration: its engine, its parts, and every single step. `broken` fills as steps are made."""

    def __init__(self, configuration: Configuration, core: Core) -> None:
        self.configuration = configuration
        self.rules = configuration.rules
        self.engine = Engine(
            core, configuration.plan_of(), configuration.instrument, configuration.capabilities, configuration.tick_ms, self.rules
        )
        self.tables = Tables()
        self.venues, self.channels, self.rests = self.tables.venues.parts, self.tables.channels.parts, self.tables.rests.parts
        self.silence = self.tables.words.number(())
        self.empty = self.tables.channels.number(())
        self.broken: list[Broken] = []
        self.reactions: list[Reaction] = []
        self.is_telling = False

    def start(self) -> State:
        """Return the state after the position's birth, with its first commands on the wire."""
        first = self.engine.birth(self.configuration.adopted, self.configuration.reverses)
        budgets = tuple(self.configuration.budgets.get(name, 0) for name in FAULTS)
        rest = self.tables.rests.number(Rest("up", 0, False, budgets, (), (0, 0), False))
        venue = Venue(held=self.configuration.lots if self.configuration.adopted else 0)
        state = State(first.mind, -1, self.tables.venues.number(venue), self.empty, self.empty, rest)
        return self._ready(self._reacted(state, first), ENTRY)

    def _mind(self, state: State) -> Mind:
        return self.engine.minds[state.mind]

    # --- the rest of a state ------------------------------------------------------------------------------------------

    @remembered
    def _allowed(self, rest: int) -> frozenset[str]:
        """Return the faults of which some are left."""
        return frozenset(name for name, count in zip(FAULTS, self.rests[rest].budgets, strict=True) if count)

    @remembered
    def _spent(self, rest: int, name: str, loose: bool = False) -> int:
        known = self.rests[rest]
        budgets = list(known.budgets)
        budgets[_PLACE[name]] -= 1
        return self.tables.rests.number(known._replace(budgets=tuple(budgets), loose=known.loose or loose))

    @remembered
    def _with_gap(self, rest: int, gap: bool) -> int:
        return self.tables.rests.number(self.rests[rest]._replace(gap=gap))

    @remembered
    def _linked(self, rest: int, link: str) -> int:
        """Return the rest with another link; what was lost on the old one is forgotten with it."""
        known = self.rests[rest]
        gap = known.gap and link == "up"
        return self.tables.rests.number(known._replace(link=link, since=0, gap=gap, lag=0 if link == "dead" else known.lag))

    @remembered
    def _lagging(self, rest: int, lag: int) -> int:
        return self.tables.rests.number(self.rests[rest]._replace(lag=lag))

    @remembered
    def _older_rest(self, rest: int) -> int:
        known = self.rests[rest]
        lots = tuple([(cause, min(age + 1, AGE_MAX)) for cause, age in known.lots])
        return self.tables.rests.number(known._replace(since=known.since + 1 if known.link != "up" else 0, lots=lots))

    @remembered
    def _tightened(self, rest: int, venue: int) -> int:
        """Return the rest that has seen the stops of a venue."""
        known = self.rests[rest]
        trail, level = known.tightest
        for order in self.venues[venue].orders:
            if order.role == "stop" and order.kind == "trailing":
                trail = min(trail or order.trail, order.trail)
            elif order.role == "stop" and (not level or (order.price - level) * self.rules.sign > 0):
                level = order.price
        return self.tables.rests.number(known._replace(tightest=(trail, level)))

    # --- channels -----------------------------------------------------------------------------------------------------

    @remembered
    def _first(self, channel: int) -> tuple[Message, int]:
        """Return the first message of a channel, and the channel without it."""
        known = self.channels[channel]
        return known[0][0], self.tables.channels.number(known[1:])

    @remembered
    def _behind(self, channel: int, words: int) -> int:
        return self.tables.channels.number((*self.channels[channel], *((word, 0) for word in self.tables.words.parts[words])))

    @remembered
    def _older(self, channel: int) -> int:
        return self.tables.channels.number(tuple([(message, age + 1) for message, age in self.channels[channel]]))

    @remembered
    def _oldest(self, channel: int) -> int:
        return max((age for _, age in self.channels[channel]), default=-1)

    def _channel(self, channel: Channel) -> int:
        return self.tables.channels.number(channel)

    # --- the venue ----------------------------------------------------------------------------------------------------

    @remembered
    def _took(self, venue: int, command: Message, refuse: str, tightest: tuple[int, int]) -> tuple[int, int, tuple[Broken, ...]]:
        """Return the venue after a command, its words, and what the command broke."""
        before = self.venues[venue]
        after, words = self.rules.take(before, command, refuse)
        broken = broken_by_command(before, after, command, tightest, self.rules.sign, self.configuration.margin)
        return self.tables.venues.number(after), self.tables.words.number(words), tuple(broken)

    @remembered
    def _answer(self, venue: int, complete: bool = True, without: int = -1) -> int:
        return self.tables.words.number((snapshot_of(self.venues[venue], without, complete),))

    @remembered
    def _owing(self, venue: int) -> tuple[int, int, int]:
        """Return the first order that the venue owes something, -1 for none; its lots; and how long the longest was owed."""
        known = self.venues[venue]
        owed = [o for o in known.orders if self.rules.owes(known, o)]
        return (owed[0].ref, owed[0].leaves, max(o.due for o in owed)) if owed else (-1, 0, -1)

    @remembered
    def _older_venue(self, venue: int) -> int:
        known = self.venues[venue]
        orders = tuple([o._replace(due=o.due + 1) if self.rules.owes(known, o) else o._replace(due=0) for o in known.orders])
        return self.tables.venues.number(known._replace(orders=orders))

    @remembered
    def _payment(self, venue: int, ref: int, lots: int) -> tuple[Label, int, int, str]:
        """Fire a stop, or execute `lots` of an order: label, venue, words, cause."""
        known = self.venues[venue]
        order = known.find(ref)
        assert order is not None
        if order.role == "stop" and order.status == "open":
            after, words = self.rules.fire(known, order, False)
            return ("venue", "fires", ref), *self._numbered(after, words), FIRED
        after, words = self.rules.fill(known, order, lots)
        return ("venue", "fills", ref, lots), *self._numbered(after, words), ENTRY if order.role == "entry" else OTHER

    def _numbered(self, venue: Venue, words: Words) -> tuple[int, int]:
        return self.tables.venues.number(venue), self.tables.words.number(words)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _taken(self, state: State, rest: int, refuse: str = "") -> tuple[Label, State]:
        mind, saved, venue, up, down, _ = state
        command, up = self._first(up)
        if command[0] == "ask":
            return ("venue", "answers"), self._words(State(mind, saved, venue, up, down, rest), self._answer(venue), OTHER)
        venue, words, broken = self._took(venue, command, refuse, self.rests[rest].tightest)
        self.broken += broken
        label = ("venue", _REFUSALS[refuse], *command)
        return label, self._said(State(mind, saved, venue, up, down, rest), words, LEAVING)

    def _paid(self, state: State, ref: int, lots: int) -> tuple[Label, State]:
        label, venue, words, cause = self._payment(state.venue, ref, lots)
        return label, self._said(State(state.mind, state.saved, venue, state.up, state.down, state.rest), words, cause)

    def _said(self, state: State, words: int, cause: str) -> State:
        mind, saved, venue, up, down, rest = state
        return self._words(State(mind, saved, venue, up, down, self._tightened(rest, venue)), words, cause)

    def _words(self, state: State, words: int, cause: str) -> State:
        mind, saved, venue, up, down, rest = state
        if words != self.silence and self.rests[rest].link == "up":
            state = State(mind, saved, venue, up, self._behind(down, words), rest)
        return self._ready(state, cause)

    def _heard(self, state: State) -> tuple[Label, State]:
        mind, saved, venue, up, down, rest = state
        message, down = self._first(down)
        state = State(mind, saved, venue, up, down, rest)
        if self.rests[rest].gap and message[0] not in ("unsent", "snapshot"):
            state = State(mind, saved, venue, up, down, self._with_gap(rest, False))
            state = self._reacted(state, self.engine.step(state.mind, ("gap",), self._fresh(state)))
        return ("we get", *message), self._told(state, message, LEAVING)

    def _told(self, state: State, message: Message, cause: str) -> State:
        return self._ready(self._reacted(state, self.engine.step(state.mind, message, self._fresh(state))), cause)

    def _reacted(self, state: State, reaction: Reaction) -> State:
        if self.is_telling:
            self.reactions.append(reaction)
        if reaction.broken:
            self.broken += reaction.broken
        _, saved, venue, up, down, rest = state
        if self.rests[rest].link == "up":
            if reaction.sends or reaction.asks:
                asks: Channel = ((("ask",), 0),) if reaction.asks else ()
                up = self._channel((*self.channels[up], *((command, 0) for command in reaction.sends), *asks))
        elif reaction.sends:
            down = self._channel((*self.channels[down], *((("unsent", x[1], x[0]), 0) for x in reaction.sends)))
        return State(reaction.mind, saved, venue, up, down, rest)

    def _tick(self, state: State, forced: bool = False) -> tuple[Label, State] | None:
        mind, saved, venue, up, down, rest = state
        age, link = self.configuration.age, self.rests[rest].link
        if link != "up" and self.rests[rest].since >= self.configuration.down:
            return None
        if not forced:
            late = self._oldest(up) >= age or self._oldest(down) >= age or self._owing(venue)[2] >= age
            if late or self._mind(state).level != self.venues[venue].level:
                if "delay" not in self._allowed(rest):
                    return None
                rest = self._spent(rest, "delay", True)
        rest = self._older_rest(rest)
        if saved >= 0:
            lag = self.rests[rest].lag
            if lag < self.configuration.lag:
                saved, rest = self.engine.step(saved, ("sleep",), 0).mind, self._lagging(rest, lag + 1)
            else:
                saved, rest = -1, self._lagging(rest, 0)
        state = State(mind, saved, self._older_venue(venue), self._older(up), self._older(down), rest)
        if link == "dead":
            return ("tick",), self._ready(state._replace(mind=self.engine.step(mind, ("sleep",), 0).mind), OTHER)
        asked_ns = self._mind(state).asked_ns
        state = self._told(state, ("tick",), LEAVING)
        if asked_ns and link == "up" and self.engine.now_ns - asked_ns >= (ASK_TICKS - 1) * self.engine.tick_ns and state.up == self.empty:
            return ("tick", "no answer: the socket is given up"), self._cut(state, 0, state.rest)
        return ("tick",), state

    def _lost(self, state: State, taken: int, rest: int) -> State:
        """Let the venue take the first commands of the wire; the others are gone, and so are the words to us."""
        venue = self.venues[state.venue]
        for command, _ in self.channels[state.up][:taken]:
            if command[0] != "ask":
                venue, _words = self.rules.take(venue, command)
        return State(state.mind, state.saved, self.tables.venues.number(venue), self.empty, self.empty, rest)

    def _cut(self, state: State, taken: int, rest: int) -> State:
        return self._told(self._lost(state, taken, self._linked(rest, "down")), ("cut",), OTHER)

    def _crash(self, state: State, taken: int, rest: int) -> State:
        state = self._lost(state, taken, self._linked(rest, "dead"))
        if state.saved >= 0:
            state = state._replace(mind=state.saved, saved=-1)
        return self._ready(state, OTHER)

    def _restart(self, state: State) -> State:
        return self._told(state._replace(rest=self._linked(state.rest, "down")), ("restart",), OTHER)

    def _back(self, state: State) -> State:
        return self._told(state._replace(rest=self._linked(state.rest, "up")), ("live",), OTHER)

    # --- after each step ----------------------------------------------------------------------------------------------

    def _fresh(self, state: State) -> int:
        """Return the first number that no order has: of either mind, at the venue, or on the wire."""
        mind, saved, venue, up, _, _ = state
        top = max(self._top_of_mind(mind), self._top_of_venue(venue), self._top_of_wire(up))
        return max(top, self._top_of_mind(saved)) + 1 if saved >= 0 else top + 1

    @remembered
    def _top_of_mind(self, mind: int) -> int:
        return max((n for n in self._orders_of(mind)[0] if n < CHILD), default=-1)

    @remembered
    def _top_of_venue(self, venue: int) -> int:
        return max((o.ref for o in self.venues[venue].orders if o.ref < CHILD), default=-1)

    @remembered
    def _top_of_wire(self, up: int) -> int:
        return max((m[1] for m, _ in self.channels[up] if m[0] == "submit"), default=-1)  # type: ignore[type-var, return-value]

    @remembered
    def _orders_of(self, mind: int) -> tuple[tuple[int, ...], frozenset[int]]:
        """Return the numbers of the orders that a mind knows, and of those that are over."""
        orders = self.engine.minds[mind].position.orders
        numbers = tuple([number_of(o.client_order_id) for o in orders])
        return numbers, frozenset(n for n, o in zip(numbers, orders, strict=True) if o.status in END_STATUSES)

    def _ready(self, state: State, cause: str) -> State:
        """Forget orders that nothing can speak of any more, and keep the clock of each unprotected lot."""
        if not self.configuration.attach and self._ended(state.mind, state.venue):
            state = self._pruned(state)
        if not self.configuration.clock:
            return state
        mind, saved, venue, up, down, rest = state
        known = self.venues[venue]
        bare = max(0, known.held - known.covered)
        if bare == len(self.rests[rest].lots):
            return state
        return State(mind, saved, venue, up, down, self._clocked(rest, bare, self._cause(mind, cause)))

    @remembered
    def _cause(self, mind: int, cause: str) -> str:
        """Return why a lot becomes bare in a step of this cause: a position that leaves names its leaving."""
        position = self.engine.minds[mind].position
        if position.exit_reason and cause not in (ENTRY, FIRED):
            return BY_CHOICE if position.patient or position.plan.take_profit_style == "maker" else LEAVING
        return OTHER if cause == LEAVING else cause

    @remembered
    def _clocked(self, rest: int, bare: int, cause: str) -> int:
        """Keep one clock for each unprotected lot: what becomes covered stops the oldest, what becomes bare starts a new one."""
        lots = self.rests[rest].lots
        lots = lots[len(lots) - bare :] if len(lots) > bare else lots + ((cause, 0),) * (bare - len(lots))
        return self.tables.rests.number(self.rests[rest]._replace(lots=lots))

    # --- forgetting orders --------------------------------------------------------------------------------------------

    @remembered
    def _ended(self, mind: int, venue: int) -> frozenset[int]:
        """Return the orders that are over on both sides, or over on one and not known to the other."""
        known, gone = self._orders_of(mind)
        orders = self.venues[venue].orders
        over = {o.ref for o in orders if not o.is_open}
        return (gone & over) | (gone - {o.ref for o in orders}) | over.difference(known)

    @remembered
    def _spoken(self, channel: int) -> frozenset[int] | None:
        """Return the orders that a channel speaks of, None where a snapshot is in it."""
        messages = [message for message, _ in self.channels[channel]]
        if any(m[0] == "snapshot" for m in messages):
            return None
        return frozenset(m[1] for m in messages if len(m) > 1)  # type: ignore[misc]

    @remembered
    def _free(self, mind: int, saved: int, venue: int) -> frozenset[int]:
        """Return the ended orders of which every execution is booked, and whose level no later stop is held to."""
        ours = [self.engine.minds[m].position for m in (mind, saved) if m >= 0]
        kept = {n for p in ours for n in _tightest(p)}
        return frozenset(n for n in self._ended(mind, venue) - kept if all(_is_booked(self.venues[venue], n, p) for p in ours))

    def _pruned(self, state: State) -> State:
        mind, saved, venue, up, down, rest = state
        spoken_down, spoken_up = self._spoken(down), self._spoken(up)
        if spoken_down is None or spoken_up is None:
            return state
        free = self._free(mind, saved, venue) - spoken_up - spoken_down
        if not free:
            return state
        known = self.venues[venue]
        listed = [n for m in (mind, saved) if m >= 0 for n in self._orders_of(m)[0] if n < CHILD]
        wired = [m[1] for m, _ in self.channels[up] if m[0] != "ask"]
        everywhere = (*self._orders_of(mind)[0], *listed, *(o.ref for o in known.orders if o.ref < CHILD), *wired)
        kept = list(dict.fromkeys(n for n in everywhere if n not in free))
        numbers: dict[int, int] = {n: n if n >= CHILD else place for place, n in enumerate(kept)}  # type: ignore[misc, operator]
        orders = tuple([o._replace(ref=numbers[o.ref]) for o in known.orders if o.ref in numbers])
        return State(
            self.engine.rename(mind, numbers),
            self.engine.rename(saved, numbers) if saved >= 0 else -1,
            self.tables.venues.number(known._replace(orders=orders)),
            self._channel(tuple([(_renamed(m, numbers), a) for m, a in self.channels[up]])),
            self._channel(tuple([(_renamed(m, numbers), a) for m, a in self.channels[down]])),
            rest,
        )


def _tightest(position: Position) -> set[int]:
    """Return the number of the stop that stood nearest where the level of a new one is not looser than those before it (I3)."""
    if position.state not in LIVE or position.wanted_stop_ticks is not None:
        return set()
    sign, stops = position.side.sign, [o for o in position.orders if o.role == "stop"]
    levels = [(o.trigger_ticks * sign, number_of(o.client_order_id)) for o in stops if o.trigger_ticks is not None]
    return {max(levels)[1]} if levels else set()


def _is_booked(venue: Venue, number: int, position: Position) -> bool:
    order = venue.find(number)
    mine = next((o for o in position.orders if number_of(o.client_order_id) == number), None)
    if mine is not None and mine.status not in END_STATUSES:
        return False
    cum = 0
    for lots in order.fills if order is not None else ():
        cum += lots
        if f"T{number}.{cum}" not in position.trade_ids:
            return False
    return True


def _renamed(message: Message, numbers: dict[int, int]) -> Message:
    if message[0] in ("ask", "manual"):
        return message
    return (message[0], numbers[message[1]], *message[2:])  # type: ignore[index]
