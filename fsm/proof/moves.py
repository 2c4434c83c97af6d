"""What may happen next in a state: every step of the venue, the wire, the clock and the faults that the budgets still allow.

Channels keep their order, as TCP does. Time passes in ticks, and only once nothing that a fault-free world does in time is left undone:
no message older than `age`, no order that the venue owes a fill for longer than a tick.
"""

from collections.abc import Iterator

from ..core import Core
from ..coverage import unprotected_lots
from ..position import HALTED, PROTECTED, PROTECTED_PENDING_FILL
from .configuration import Configuration
from .mind import LIVE
from .parts import Label, State, remembered
from .properties import Broken, broken_by_state
from .steps import FIRED, OTHER, Steps
from .venue import Message


class World(Steps):
    """One configuration, and what may happen in each of its states."""

    def __init__(self, configuration: Configuration, core: Core) -> None:
        super().__init__(configuration, core)
        self._guaranteed = configuration.margin

    def moves(self, state: State) -> Iterator[tuple[Label, State]]:
        """Yield everything that may happen next, with its label; the first is what a fair world without faults does."""
        fair = self.fair(state)
        if fair is not None:
            yield fair
        yield from self._others(state, ("",) if fair is None else fair[0])

    def fair(self, state: State) -> tuple[Label, State] | None:
        """Return what a world without faults does: one thing after another, always the same one."""
        link = self.rests[state.rest].link
        if link == "dead":
            return ("the process starts again",), self._restart(state)
        if link == "down" and state.down == self.empty:
            return ("the link is back",), self._back(state)
        if state.up != self.empty:
            return self._taken(state, state.rest)
        if state.down != self.empty:
            return self._heard(state)
        level = self.venues[state.venue].level
        if self._mind(state).level != level:
            return ("we see the price", level), self._told(state, ("price", level), OTHER)
        if (mode := self._unheard_mode(state)) is not None:
            return ("we hear what the market takes", mode), self._told(state, ("venue mode", mode), OTHER)
        ref, lots, _ = self._owing(state.venue)
        if ref >= 0:
            return self._paid(state, ref, lots)
        if self.venues[state.venue].mode != "online":
            # A market that is shut is a fault too, and faults stop.
            return self._open_again(state)
        return self._tick(state, forced=True)

    def _others(self, state: State, fair: Label) -> Iterator[tuple[Label, State]]:
        tick = self._tick(state) if fair[0] != "tick" else None
        if tick is not None:
            yield tick
        is_dead = self.rests[state.rest].link == "dead"
        if not is_dead:
            # What the fair world does next is there already; of the two channels it takes the one to the venue first.
            if state.down != self.empty and (state.up != self.empty or fair[0] != "we get"):
                yield self._heard(state)
            level = self.venues[state.venue].level
            if self._mind(state).level != level and fair[0] != "we see the price":
                yield ("we see the price", level), self._told(state, ("price", level), OTHER)
            mode = self._unheard_mode(state)
            if mode is not None and fair[0] != "we hear what the market takes":
                yield ("we hear what the market takes", mode), self._told(state, ("venue mode", mode), OTHER)
        mind, saved, _, up, down, _ = state
        for label, venue, words, rest, cause in self._market(state.venue, state.rest):
            if label != fair:
                yield label, self._said(State(mind, saved, venue, up, down, rest), words, cause)
        allowed = self._allowed(state.rest)
        if allowed and not is_dead:
            yield from self._faults(state, allowed)
            yield from self._wishes(state, allowed)

    def _open_again(self, state: State) -> tuple[Label, State]:
        venue, words = self._numbered(self.venues[state.venue]._replace(mode="online"), ())
        return ("market", "online"), self._said(state._replace(venue=venue), words, OTHER)

    def _unheard_mode(self, state: State) -> str | None:
        """Return what the market takes where the position knows otherwise; each connection begins with the venue's word on it."""
        mode, position = self.venues[state.venue].mode, self._mind(state).position
        is_news = mode != position.venue_mode and position.state in LIVE and self.rests[state.rest].link == "up"
        return mode if is_news else None

    @remembered
    def _market(self, number: int, rest: int) -> tuple[tuple[Label, int, int, int, str], ...]:
        """Return what may happen at the venue by itself: label, venue, words, rest, cause."""
        venue, allowed, rules = self.venues[number], self._allowed(rest), self.rules
        out: list[tuple[Label, int, int, int, str]] = []
        for order in venue.orders:
            ref = order.ref
            if order.role == "stop" and order.status == "open" and rules.owes(venue, order):
                label, after, words, cause = self._payment(number, ref, 0)
                out.append((label, after, words, rest, cause))
                if "hang" in allowed:
                    hung = self._numbered(*rules.fire(venue, order, True))
                    out.append((("venue", "fires, and it hangs", ref), *hung, self._spent(rest, "hang"), FIRED))
            if rules.may_fill(venue, order):
                for lots in range(1, order.leaves + 1):
                    label, after, words, cause = self._payment(number, ref, lots)
                    out.append((label, after, words, rest, cause))
            if order.is_open and order.kind in ("market", "ioc") and "short" in allowed:
                ended = self._numbered(*rules.end(venue, order, "expired"))
                out.append((("venue", "lets expire", ref), *ended, self._spent(rest, "short"), OTHER))
            if order.status == "open" and order.role == "stop" and "cancel" in allowed:
                ended = self._numbered(*rules.end(venue, order, "canceled by hand"))
                out.append((("owner", "cancels", ref), *ended, self._spent(rest, "cancel"), OTHER))
        if "price" in allowed:
            for level in (-1, 0, 1):
                if abs(level - venue.level) == 1:
                    out.append((("price", level), *self._numbered(rules.move(venue, level), ()), self._spent(rest, "price"), FIRED))
        sold = rules.by_hand(venue) if "sell" in allowed else None
        if sold is not None:
            out.append((("owner", "sells", 1), *self._numbered(*sold), self._spent(rest, "sell"), OTHER))
        if "mode" in allowed and venue.mode == "online":
            for mode in ("cancel_only", "post_only"):
                out.append((("market", mode), *self._numbered(venue._replace(mode=mode), ()), self._spent(rest, "mode"), OTHER))
        if venue.mode != "online":
            out.append((("market", "online"), *self._numbered(venue._replace(mode="online"), ()), rest, OTHER))
        return tuple(out)

    def _faults(self, state: State, allowed: frozenset[str]) -> Iterator[tuple[Label, State]]:
        mind, saved, venue, up, down, rest = state
        sent, told = self.channels[up], self.channels[down]
        is_up = self.rests[rest].link == "up"
        if "lost" in allowed:
            lost = self._spent(rest, "lost", True)
            if sent:
                command, less = self._first(up)
                yield ("lost on the way to the venue", command), self._ready(State(mind, saved, venue, less, down, lost), OTHER)
            if told and is_up:
                message, less = self._first(down)
                after = State(mind, saved, venue, up, less, self._with_gap(lost, True))
                yield ("lost on the way to us", message), self._ready(after, OTHER)
        # A question is answered once: the frame of a snapshot does not say to which it belongs.
        if told and is_up and "dup" in allowed and told[0][0][0] != "snapshot":
            twice = State(mind, saved, venue, up, self._channel((told[0], *told)), self._spent(rest, "dup"))
            yield ("comes twice", told[0][0]), self._ready(twice, OTHER)
        if len(told) > 1 and is_up and "swap" in allowed:
            swapped = State(mind, saved, venue, up, self._channel((told[1], told[0], *told[2:])), self._spent(rest, "swap", True))
            yield ("overtakes", told[1][0]), self._ready(swapped, OTHER)
        if sent and sent[0][0][0] != "ask":
            yield from self._refusals(state, allowed)
        if sent and sent[0][0][0] == "ask" and "truncated" in allowed:
            yield from self._truncated(state)
        if sent and sent[0][0][0] == "ask" and "unlisted" in allowed:
            yield from self._unlisted(state)
        asks = [number for number, (command, _) in enumerate(sent) if command[0] == "ask"]
        if asks and asks[0] and "old_answer" in allowed:
            less = self._channel((*sent[: asks[0]], *sent[asks[0] + 1 :]))
            early = State(mind, saved, venue, less, down, self._spent(rest, "old_answer", True))
            yield ("answers ahead of what was sent",), self._words(early, self._answer(venue), OTHER)
        if is_up and "cut" in allowed:
            for taken in range(len(sent) + 1):
                yield ("cut", taken), self._cut(state, taken, self._spent(rest, "cut"))
        if "crash" in allowed:
            if saved < 0 and self._mind(state).position.state in LIVE:
                yield ("the disk falls behind",), state._replace(saved=mind)
            for taken in range(len(sent) + 1):
                yield ("crash", taken), self._crash(state, taken, self._spent(rest, "crash"))

    def _refusals(self, state: State, allowed: frozenset[str]) -> Iterator[tuple[Label, State]]:
        mind, saved, venue, up, down, rest = state
        if "reject" in allowed:
            yield self._taken(state, self._spent(rest, "reject"), "other")
        command, less = self._first(up)
        for budget, reason in (("funds", "funds"), ("through", "through_market")):
            if budget in allowed and command[0] == "submit" and command[2] == "stop":
                yield self._taken(state, self._spent(rest, budget), reason)
        if "unsent" in allowed and self.rests[rest].link == "up":
            # The socket took no frame any more, and nobody has said yet that it is gone.
            back = self._behind(down, self.tables.words.number((("unsent", command[1], command[0]),)))
            yield ("never leaves", command), self._ready(State(mind, saved, venue, less, back, self._spent(rest, "unsent")), OTHER)

    def _truncated(self, state: State) -> Iterator[tuple[Label, State]]:
        mind, saved, venue, up, down, rest = state
        cut_short = State(mind, saved, venue, self._first(up)[1], down, self._spent(rest, "truncated", True))
        yield ("answers without executions",), self._words(cut_short, self._answer(venue, False), OTHER)
        for order in self.venues[venue].orders:
            if order.is_open:
                yield ("answers without", order.ref), self._words(cut_short, self._answer(venue, True, order.ref), OTHER)

    def _unlisted(self, state: State) -> Iterator[tuple[Label, State]]:
        mind, saved, venue, up, down, rest = state
        lacking = State(mind, saved, venue, self._first(up)[1], down, self._spent(rest, "unlisted", True))
        # What has ended is in no list; of what rests one may be left out.
        for ref in (-1, *(order.ref for order in self.venues[venue].orders if order.is_open)):
            yield ("answers without executions and without", ref), self._words(lacking, self._answer(venue, False, ref), OTHER)

    @remembered
    def _wishes_of(self, mind: int, held: int) -> tuple[tuple[str, Message], ...]:
        """Return what people and other parts of the engine may want of a position, with the budget that it takes."""
        position, level = self.engine.minds[mind].position, self.engine.minds[mind].level
        if position.state not in LIVE:
            return ()
        trail, stop = position.wanted_trail_offset_bps, position.wanted_stop_ticks or 0
        sign = self.rules.sign
        return (
            ("exit", ("exit", False, level)), ("patient", ("exit", True, level)), ("halt", ("halt",)), ("foreign", ("foreign",)),
            ("protect", ("protect",)),
            ("tighten", ("tighten", trail // 2, 0) if trail else ("tighten", 0, stop + 10 * sign)),
            ("loosen", ("tighten", trail * 2, 0) if trail else ("tighten", 0, stop - 10 * sign)),
            ("stale", ("stale",)), ("stale", ("short",)), ("stale", ("old price", level)), ("report", ("distance", (trail or 300) // 2)),
            ("report", ("market", "quiet")), ("adjust", ("adjusted", max(0, held))),
        )  # fmt: skip

    def _wishes(self, state: State, allowed: frozenset[str]) -> Iterator[tuple[Label, State]]:
        mind, saved, number, up, down, rest = state
        venue = self.venues[number]
        wishes = self._wishes_of(mind, venue.held)
        for budget, message in wishes:
            if budget in allowed:
                wished = State(mind, saved, number, up, down, self._spent(rest, budget))
                yield ("wish", *message), self._told(wished, message, OTHER)
        if "report" in allowed and wishes:
            for order in venue.orders:
                if order.protects:
                    for px in (self.rules.px(0), self.rules.px(-1)):
                        told = self._told(state, ("reported", order.ref, px), OTHER)
                        yield ("venue", "reports its stop", order.ref, px), told._replace(rest=self._spent(told.rest, "report"))

    # --- what is judged -----------------------------------------------------------------------------------------------

    def judge(self, state: State) -> None:
        """Hold a new state against the venue's book."""
        if self.rests[state.rest].link != "dead":
            self.broken += self._judged(state.mind, state.venue)

    @remembered
    def _judged(self, mind: int, venue: int) -> tuple[Broken, ...]:
        forgets = "crash" in self.configuration.budgets
        return tuple(broken_by_state(self.engine.minds[mind].position, self.venues[venue], self._guaranteed, forgets))

    def is_settled(self, state: State) -> bool:
        """Whether the position is closed with nothing left at the venue, covered there, or halted and covered (I13)."""
        return self.rests[state.rest].link == "up" and self._is_calm(state.mind, state.venue)

    @remembered
    def _is_calm(self, mind: int, number: int) -> bool:
        position, venue = self.engine.minds[mind].position, self.venues[number]
        if position.state not in LIVE:
            return venue.held <= 0 and not any(o.is_open for o in venue.orders)
        if venue.held > venue.covered or venue.held != position.held_lots or unprotected_lots(position):
            return False
        # A stop that rests nowhere covers nothing, once what is held grows into it.
        if sum(o.protects_lots for o in position.orders) > venue.covered:
            return False
        return position.state == HALTED or (position.state in (PROTECTED, PROTECTED_PENDING_FILL) and not position.exit_reason)
