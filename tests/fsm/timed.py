"""The adversarial venue on a clock: latencies each way, a moving price, exact timers. What time costs is measured here.

Messages keep their order, as on one connection; what was on its way when the link closed is lost or not. All times are
virtual: a life of an hour takes milliseconds.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count

import msgspec

from events import commands as c
from events import facts as f
from events.record import PositionEvent
from fsm.coverage import unprotected_lots
from fsm.model import Position
from holdfast.simulation.adversary import INSTRUMENT, MS, SYMBOL, Life, OrderCommand, VenueOrder

SECOND = 1_000 * MS
TICK_MS = 200
SNAPSHOT_TIMEOUT_MS = 5_000
# States in which nothing protects by choice: a resting exit holds the quantity (P20).
BY_CHOICE = ("TakeProfitWorking", "MakerExiting")


@dataclass
class Window:
    """A stretch of time in which some quantity had no live protection: from where, through which states, how long."""

    began_ns: int
    states: tuple[str, ...]
    ms: float = 0.0

    @property
    def by_choice(self) -> bool:
        return any(state in BY_CHOICE for state in self.states)


@dataclass
class TimedLife(Life):
    """A life on a clock. `latency_ms` bounds each way; links break every `link_life_s` on average (None: never)."""

    latency_ms: tuple[int, int] = (5, 40)
    link_life_s: float | None = None
    tick_bps: int = 4
    leave_after_s: int = 300
    windows: list[Window] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.heap: list[tuple[int, int, Callable[[], None]]] = []
        self.numbers = count()
        self.arrives_ns = {"up": 0, "down": 0}
        self.link = 0
        self.is_asking = self.is_wanted = self.gap = False
        self.peaks: dict[str, Decimal] = {}
        self.exact_px = self.px
        self.window: Window | None = None
        self.sent: list[tuple[int, OrderCommand]] = []
        self.asked: list[int] = []
        self.paged_ns: list[int] = []

    # --- time -------------------------------------------------------------------------------------------------------

    def at(self, at_ns: int, what: Callable[[], None]) -> None:
        heapq.heappush(self.heap, (at_ns, next(self.numbers), what))

    def after(self, ms: float, what: Callable[[], None]) -> None:
        self.at(self.now_ns + int(ms * MS), what)

    def way(self, direction: str) -> int:
        """Return when a message that leaves now arrives: in the order in which it left."""
        at_ns = max(self.arrives_ns[direction] + 1, self.now_ns + int(self.rng.uniform(*self.latency_ms) * MS))
        self.arrives_ns[direction] = at_ns
        return at_ns

    def run_until(self, until_ns: int) -> None:
        while not self.ended():
            due_ns = self.desk.next_deadline_ns()
            next_ns = min(self.heap[0][0] if self.heap else until_ns, until_ns if due_ns is None else due_ns)
            if next_ns >= until_ns:
                break
            self.now_ns = max(self.now_ns, next_ns)
            if due_ns is not None and due_ns <= self.now_ns:
                self.take(self.desk.due(self.now_ns))
            else:
                heapq.heappop(self.heap)[2]()
        if not self.ended():
            self.now_ns = until_ns

    # --- the engine's side ------------------------------------------------------------------------------------------

    def take(self, made: list[PositionEvent]) -> None:
        self.pages, pages = [], self.pages
        super().take(made)
        self.paged_ns += [self.now_ns] * len(self.pages)
        self.pages = pages + self.pages
        if made:
            self.watch()
        if self.snapshot_asked:
            self.snapshot_asked = False
            self.ask()

    def watch(self) -> None:
        position = self.desk.positions.get("hf000001")
        bare = position is not None and unprotected_lots(position) > 0
        if self.window is None and bare and position is not None:
            self.window = Window(self.now_ns, (position.state,))
        elif self.window is not None and bare and position is not None and position.state != self.window.states[-1]:
            self.window.states += (position.state,)
        elif self.window is not None and not bare:
            self.window.ms = (self.now_ns - self.window.began_ns) / MS
            self.windows.append(self.window)
            self.window = None

    def send(self, command: OrderCommand) -> None:
        self.sent.append((self.now_ns, command))
        if not self.link_up:
            word = self.not_sent(command)
            self.after(1, lambda: self.deliver(msgspec.structs.replace(word, ts_recv_ns=self.now_ns)))
            return
        if isinstance(command, c.SubmitOrder):
            word2 = f.OrderSubmitted(ts_recv_ns=self.now_ns, client_order_id=command.client_order_id)
            self.after(0, lambda: self.deliver(word2))
        link = self.link
        self.at(self.way("up"), lambda: self.arrive(command, link))

    def arrive(self, command: OrderCommand, link: int) -> None:
        if link != self.link and self.rng.random() < 0.5:
            return
        self.process(command, self.fault_rate > 0)
        order = self.find(command.client_order_id, getattr(command, "venue_order_id", ""))
        if order is not None and order.open and order.command.order_type == "market":
            self.after(30, lambda: self.fill(order, order.leaves, False))

    def ask(self) -> None:
        if not self.link_up:
            return
        if self.is_asking:
            self.is_wanted = True
            return
        self.is_asking, self.is_wanted = True, False
        self.asked.append(self.now_ns)
        asked_ns, link = self.now_ns, self.link
        self.at(self.way("up"), lambda: self.answer(asked_ns, link))
        self.after(SNAPSHOT_TIMEOUT_MS, lambda: self.give_up(asked_ns, link))

    def give_up(self, asked_ns: int, link: int) -> None:
        """A snapshot that does not come means a dead socket: the session begins a new one."""
        if link == self.link and self.is_asking and self.asked[-1] == asked_ns:
            self.close_link(200)

    def answer(self, asked_ns: int, link: int) -> None:
        if link != self.link:
            return
        said = list(self.truth())
        listed = [replace(o) for o in self.orders if o.open]
        self.at(self.way("down"), lambda: self.read(asked_ns, said, listed, link))

    def read(self, asked_ns: int, said: list[f.AnyFact], listed: list[VenueOrder], link: int) -> None:
        if link != self.link:
            return
        self.is_asking = False
        self.deliver_snapshot(asked_ns, [msgspec.structs.replace(fact, ts_recv_ns=self.now_ns) for fact in said], listed)
        if self.is_wanted:
            self.ask()

    # --- the venue's side -------------------------------------------------------------------------------------------

    def say(self, fact: f.AnyFact, faults: bool) -> None:
        if not self.link_up:
            return
        roll = self.rng.random()
        if faults and roll < self.fault_rate / 3:
            self.gap = True
            return
        link, gap, self.gap = self.link, self.gap, False
        for _ in range(2 if faults and roll < self.fault_rate / 2 else 1):
            self.at(self.way("down"), lambda: self.hear(fact, link, gap))

    def hear(self, fact: f.AnyFact, link: int, gap: bool) -> None:
        if link != self.link:
            return
        self.deliver(msgspec.structs.replace(fact, ts_recv_ns=self.now_ns))
        if gap:
            # Private messages are numbered: the next one shows that one is missing.
            self.ask()

    def tick_price(self) -> None:
        self.after(TICK_MS, self.tick_price)
        # The walk is finer than the grid: rounding each step would hold it in place.
        self.exact_px = max(Decimal(1), self.exact_px * (10_000 + self.rng.randint(-self.tick_bps, self.tick_bps)) / 10_000)
        self.px = INSTRUMENT.price(INSTRUMENT.floor_ticks(self.exact_px))
        for order in [o for o in self.orders if o.open]:
            self.look(order)
        self.take(self.desk.price(SYMBOL, self.px, self.now_ns, self.now_ns))

    def look(self, order: VenueOrder) -> None:
        """Fire a stop, or fill a resting limit, whose price has come."""
        sign, command = self.side.sign, order.command
        if command.role == "stop" and not order.triggered:
            known = self.peaks.get(order.venue_order_id, self.px)
            peak = self.peaks[order.venue_order_id] = max(known, self.px) if sign > 0 else min(known, self.px)
            level = command.trigger_price
            if level is None and command.trail_offset_bps is not None:
                level = peak * (10_000 - sign * command.trail_offset_bps) / 10_000
            if level is not None and (self.px - level) * sign <= 0:
                self.trigger(order, self.fault_rate > 0)
                if not order.hung:
                    self.after(self.rng.randint(1, 30), lambda: self.fill(order, order.leaves, self.fault_rate > 0))
        elif command.role == "take_profit" and command.limit_price is not None and (self.px - command.limit_price) * sign >= 0:
            self.fill(order, order.leaves, self.fault_rate > 0)

    def break_link(self) -> None:
        """Close the link for a while; everybody is told, and the snapshot is asked for with the next link."""
        assert self.link_life_s is not None
        self.after(self.rng.expovariate(1 / self.link_life_s) * 1_000, self.break_link)
        if self.link_up:
            self.close_link(self.rng.uniform(200, 8_000))

    def close_link(self, ms: float) -> None:
        self.link_up, self.link, self.is_asking = False, self.link + 1, False
        self.deliver(f.ChannelClosed(ts_recv_ns=self.now_ns, reason="cut"))
        self.after(ms, self.restore_link)

    def restore_link(self) -> None:
        self.link_up = True
        self.deliver(f.ChannelLive(ts_recv_ns=self.now_ns))
        self.ask()

    # --- the course of a life ---------------------------------------------------------------------------------------

    def run(self) -> Position:
        """Live by the clock; asked to leave after `leave_after_s`, and without faults from then on."""
        self.start()
        self.after(TICK_MS, self.tick_price)
        if self.link_life_s is not None:
            self.after(self.rng.expovariate(1 / self.link_life_s) * 1_000, self.break_link)
        self.run_until(self.now_ns + self.leave_after_s * SECOND)
        if not self.ended():
            self.fault_rate = 0
            self.ask_to_leave()
            self.run_until(self.now_ns + 600 * SECOND)
        return self.position
