"""One simulated life: a venue, a network and a disk, an engine that dies and comes back, and somebody who watches.

First everything of the case happens. Then nothing goes wrong any more, and what must be true of any engine is asked of this one:
what is held gets covered, positions end when they are asked to, and its books are the venue's.
"""

import asyncio
import contextlib
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import structlog

from events.errors import VenueProblem
from events.record import PositionEvent
from fsm.position import HALTED
from holdfast.assembly import Assembled, Parts, assemble
from replay.intents import OpenPosition
from venues.clock import Clock
from venues.simulated import MarketFeed, SimulatedVenue
from venues.simulated.pairs import pair_of

from .case import HANDS, START_PX, Case, Happening, Opening, Wish
from .disk import SimulatedDisk
from .judge import Judge, Session
from .loop import VirtualLoop
from .market import ticks_of
from .network import Network
from .rest import LocalRest
from .trouble import Trouble, ask
from .watch import NAMESPACE, NS, Watch
from .writer import LoopWriter

# Any moment will do; that every simulation begins at the same one makes them comparable.
START_NS = 1_700_000_000 * NS
LOOK_S = 0.5
# How long positions may take, without faults, to be covered, and to end once they are asked to: virtual seconds.
COVER_S = 120.0
END_S = 240.0
LAST_WORDS_S = 5.0


@dataclass(kw_only=True)
class Lived:
    """What a simulated life showed. `violations` empty: it held. `log_hash` names everything that was decided and recorded.

    `unpriced` executions are in the books without their price: the venue gave none, and later lists it no more.
    """

    seed: int
    violations: list[str] = field(default_factory=list)
    log_hash: str = ""
    positions: int = 0
    refused: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    events: int = 0
    simulated_s: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    unpriced: int = 0
    bare_ms_max: int = 0

    @property
    def has_crashed(self) -> bool:
        """Whether the program itself fell over, the engine's or the simulation's, which is no verdict of the judge."""
        return any(violation.startswith("program") for violation in self.violations)


def simulate(case: Case, *, with_replay: bool = True, patience_s: float = END_S) -> Lived:
    """Live a case and return what it showed; nothing outside of a folder in memory is touched.

    `with_replay` replays each session of it. `patience_s`: virtual seconds within which positions must end when they are asked to.
    """
    folder = Path(tempfile.mkdtemp(prefix="holdfast-simulation-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    loop = VirtualLoop()
    world = World(case, folder, loop, patience_s)
    try:
        asyncio.set_event_loop(loop)
        with silence():
            loop.run_until_complete(world.run())
            sessions = [Session(life.session, life.lost_power) for life in world.sessions]
            world.judge.judge(sessions, was_paged=bool(world.pages), with_replay=with_replay, now_ns=loop.now_ns)
    except Exception as problem:
        world.watch.say(loop.now_ns, "program", f"{type(problem).__name__}: {problem}")
    finally:
        world.abandon()
        asyncio.set_event_loop(None)
        with silence():
            loop.close()
        shutil.rmtree(folder, ignore_errors=True)
    return world.lived()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let nobody log: thousands of lives would say the same."""
    before, was_disabled = structlog.get_config(), logging.root.manager.disable
    structlog.configure(processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(was_disabled)
        structlog.configure(**before)


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


@dataclass(kw_only=True)
class _Life:
    """One life of the engine's process."""

    assembled: Assembled
    disk: SimulatedDisk
    task: asyncio.Task[None]
    stop: asyncio.Event
    session: Path
    is_over: bool = False
    lost_power: bool = False


class World:
    """Everything that one case needs. `run` lives it, its `judge` looks at what is left, `lived` tells."""

    def __init__(self, case: Case, folder: Path, loop: VirtualLoop, patience_s: float) -> None:
        self.case, self.folder, self.loop, self.patience_s = case, folder, loop, patience_s
        self.rng = Random(f"world {case.seed}")
        self.network = Network(loop, Random(f"network {case.seed}"))
        self.network.latency_s = (case.latency_ms[0] / 1_000, case.latency_ms[1] / 1_000)
        self.network.piece_bytes = case.piece_bytes
        loop.network = self.network
        loop.set_exception_handler(self._unhandled)
        self.clock = Clock(start_ns=START_NS, origin_ns=0, monotonic_ns=lambda: loop.now_ns)
        pairs = [pair_of(symbol) for symbol in case.symbols]
        self.venue = SimulatedVenue(
            [
                MarketFeed(pair, ticks_of(market, pair.instrument, START_PX[pair.symbol], START_NS, case.lead_s))
                for pair, market in zip(pairs, case.markets, strict=True)
            ],
            clock=self.clock,
            settings=case.settings,
            seed=case.seed,
        )
        has_hand = any(h.kind in HANDS for h in case.happenings) or any(a.kind in HANDS for a in case.ambushes)
        self.watch = Watch(self.venue.exchange, case.audit_interval_s + 30, has_hand)
        self.url = ""
        self.life: _Life | None = None
        self.sessions: list[_Life] = []
        self.is_calm = self._is_stopping = False
        self._kept: list[asyncio.Task[None]] = []
        self.ids: dict[int, str] = {}
        self.refused = 0
        self.pages: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.trouble = Trouble(self)
        self.judge = Judge(folder, self.watch)

    # --- the course -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live the case to its end."""
        self.url = await self.venue.start()
        self.begin()
        looking = asyncio.create_task(self._look())
        todo = [
            *(self._at(opening.at_ms, partial(self._open, number, opening)) for number, opening in enumerate(self.case.openings)),
            *(self._at(wish.at_ms, partial(self._wish, wish)) for wish in self.case.wishes),
            *(self._at(happening.at_ms, partial(self._happen, happening)) for happening in self.case.happenings),
        ]
        tasks = [asyncio.create_task(one) for one in todo]
        try:
            await asyncio.sleep(self.case.lead_s + self.case.faults_end_ms / 1_000)
            await self._calm_down()
            await asyncio.gather(*tasks)
            await self._until(self._is_covered, min(COVER_S, self.patience_s), "what is held is covered")
            await self._until(self._all_over, self.patience_s, "every position that was asked to has ended", self._ask_all_to_leave)
            # What the audit does now and then: late words about what has ended are heard.
            if self.life is not None:
                self.life.assembled.session.refresh_truth()
            await asyncio.sleep(LAST_WORDS_S)
        finally:
            looking.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(looking, *tasks, return_exceptions=True)
            self.watch.look(self.desk, False, self.loop.now_ns)
            await self._stop()
            await asyncio.gather(*(life.task for life in self.sessions), return_exceptions=True)
            await self.venue.stop()

    async def _at(self, at_ms: int, act: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(self.case.lead_s + at_ms / 1_000 - self.loop.time())
        await act()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.watch.look(self.desk, self._is_live(), self.loop.now_ns)

    async def _until(self, is_so: Callable[[], bool], seconds: float, what: str, ask: Callable[[], None] | None = None) -> None:
        end_s = self.loop.time() + seconds
        while not is_so():
            if ask is not None:
                ask()
            if self.loop.time() > end_s:
                self.watch.say(self.loop.now_ns, "I13", f"not within {seconds:.0f} s without faults: {what}; {self._left()}")
                return
            await asyncio.sleep(LOOK_S)

    async def _calm_down(self) -> None:
        """From here on nothing goes wrong any more, and a person has mended the disk and started the engine."""
        self.is_calm = True
        self.trouble.end()
        life = self.life
        if life is not None:
            life.disk.trouble.clear()
            life.disk.stall_s.clear()
            life.disk.die_at_commit(0, False, _nothing)
            # A commit that still stalls would be given up long after everything is mended, and what follows it be spooled for a next life.
            if life.assembled.writer.failure is not None or life.disk.is_stalling:
                await self._stop()
        while self._is_stopping:  # noqa: ASYNC110, a look now and then will do
            await asyncio.sleep(0.1)
        self.begin()

    # --- the process ------------------------------------------------------------------------------------------------------

    @property
    def desk(self) -> Any:
        """The desk of the engine that runs, None while none does."""
        return None if self.life is None else self.life.assembled.pipeline.desk

    def _is_live(self) -> bool:
        life = self.life
        return life is not None and life.assembled.engine.is_synced and not life.assembled.pipeline.link.entries_halted

    def begin(self) -> None:
        """Start the process, unless one runs or is still being ended."""
        if self.life is not None or self._is_stopping:
            return
        disk = SimulatedDisk(Random(f"disk {self.case.seed} {len(self.sessions)}"))
        parts = Parts(
            store_url=str(self.folder / "events.db"),
            session_dir=self.folder,
            data_dir=self.folder,
            namespace=NAMESPACE,
            symbols=self.case.symbols,
            public_url=self.url,
            private_url=self.url,
            token_source=partial(self._token, disk),
            clock=self.clock,
            configuration={"simulation": self.case.seed},
            audit_interval_s=self.case.audit_interval_s,
            dead_man_secs=self.case.dead_man_secs,
            rest=LocalRest(self, disk),
            disk=disk,
            writer=partial(LoopWriter, disk),
        )
        assembled = assemble(parts, on_page=partial(self._page, disk), on_refusal=None)
        stop = asyncio.Event()
        task = self.loop.create_task(assembled.engine.run(stop))
        life = _Life(assembled=assembled, disk=disk, task=task, stop=stop, session=assembled.record.path)
        assembled.engine.listeners.append(partial(self._heard, disk))
        self.watch.restored({key: position.state for key, position in sorted(assembled.pipeline.desk.positions.items())})
        task.add_done_callback(partial(self._ended, life))
        self.life = life
        self.sessions.append(life)

    def _heard(self, disk: SimulatedDisk, event: PositionEvent) -> None:
        if not disk.is_dead and self.watch.event(event, self.loop.now_ns):
            self.trouble.came_to(event.to, event.position_id)

    async def _token(self, disk: SimulatedDisk) -> str:
        await asyncio.sleep(2 * self.network.delay_s())
        if disk.is_dead:
            raise VenueProblem("kraken", "nobody asks any more", "start the engine")
        if self.trouble.refused_tokens > 0:
            self.trouble.refused_tokens -= 1
            raise VenueProblem("kraken", "the token was not given: EService:Busy", "it is asked for again")
        return self.venue.issue_token()

    def _page(self, disk: SimulatedDisk, code: str, text: str) -> None:
        if not disk.is_dead:
            self.pages[code] += 1

    def _ended(self, life: _Life, task: asyncio.Task[None]) -> None:
        if task.cancelled() or life.is_over or task.exception() is None:
            return
        self.watch.say(self.loop.now_ns, "program", f"the engine ended by itself: {type(task.exception()).__name__}: {task.exception()}")
        self.kill(power=False, down_s=1.0)

    def kill(self, *, power: bool, down_s: float) -> None:
        """End the process at once; it begins again after `down_s`."""
        life = self.life
        if life is None:
            return
        self.life = None
        life.is_over, life.lost_power = True, power
        self.watch.look_at_desk(life.assembled.pipeline.desk, self.loop.now_ns)
        life.disk.end(power=power)
        self.network.kill_clients()
        life.task.cancel()
        self._is_stopping = True
        # Not at once: the process may have died within a commit.
        self.loop.call_soon(self._bury, life)
        self.loop.call_later(max(down_s, 0.001), self.begin)

    def _bury(self, life: _Life) -> None:
        life.assembled.store.close()
        self._is_stopping = False

    def restart(self, down_s: float) -> None:
        """End the process properly; it begins again after `down_s`."""

        async def again() -> None:
            await self._stop()
            await asyncio.sleep(down_s)
            self.begin()

        self._kept.append(self.loop.create_task(again()))

    async def _stop(self) -> None:
        life = self.life
        if life is None:
            return
        self.life, self._is_stopping = None, True
        life.is_over = True
        life.disk.spare()
        life.stop.set()
        await asyncio.gather(life.task, return_exceptions=True)
        self.watch.look_at_desk(life.assembled.pipeline.desk, self.loop.now_ns)
        life.assembled.close()
        life.disk.is_dead = True
        self._is_stopping = False

    def abandon(self) -> None:
        """Let everything go after an error of the simulation itself."""
        if self.life is not None:
            self.life.disk.end(power=False)
            with contextlib.suppress(Exception):
                self.life.assembled.store.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        with contextlib.suppress(Exception), silence():
            self.loop.run_until_complete(asyncio.sleep(0))

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = context.get("exception")
        self.watch.say(self.loop.now_ns, "program", f"{context.get('message')}: {type(problem).__name__}: {problem}")

    # --- wishes -----------------------------------------------------------------------------------------------------------

    async def _open(self, number: int, opening: Opening) -> None:
        while not self._is_live():
            if self.is_calm:
                return
            await asyncio.sleep(LOOK_S / 2)
        life = self.life
        assert life is not None
        mark = life.assembled.pipeline.desk.mark_of(opening.plan.symbol, self.clock.now_ns())
        if mark is None:
            return
        instrument = pair_of(opening.plan.symbol).instrument

        def level(bps: int | None) -> Decimal | None:
            if bps is None:
                return None
            return instrument.price(instrument.floor_ticks(mark.px * (10_000 + bps * opening.plan.side.sign) / 10_000))

        plan = msgspec.structs.replace(
            opening.plan,
            entry_price=level(opening.entry_bps),
            stop_price=level(None if opening.stop_bps is None else -opening.stop_bps),
            take_profit_price=level(opening.take_profit_bps),
        )
        position_id = life.assembled.next_position_id()
        self.ids[number] = position_id
        self.watch.sides[position_id], self.watch.planned[position_id] = plan.side, plan.qty
        self.watch.symbols[position_id] = plan.symbol
        output = life.assembled.engine.open(OpenPosition(position_id=position_id, epoch=life.assembled.lease.token, plan=plan))
        self.refused += len(output.refusals)

    async def _wish(self, wish: Wish) -> None:
        if wish.number in self.ids:
            ask(self, wish.kind, self.ids[wish.number])

    async def _happen(self, happening: Happening) -> None:
        self.trouble.happen(happening)

    def _ask_all_to_leave(self) -> None:
        if self.life is None or not self._is_live():
            return
        for position_id in sorted(self.desk.positions):
            position = self.desk.positions[position_id]
            if not position.exit_reason or position.state == HALTED:
                ask(self, "exit", position_id)

    # --- without faults -------------------------------------------------------------------------------------------------------

    def _is_covered(self) -> bool:
        self.watch.look_at_books(self.loop.now_ns)
        return self._is_live() and not self.watch.books.bare()

    def _all_over(self) -> bool:
        return self.life is not None and self._is_live() and not self.desk.positions

    def _left(self) -> str:
        if self.life is None:
            return "no engine runs"
        link = self.life.assembled.pipeline.link.state
        held = ", ".join(f"{key} {p.state} ({p.exit_reason or 'no reason to leave'})" for key, p in sorted(self.desk.positions.items()))
        bare = ", ".join(f"{key} {qty}" for key, qty in self.watch.books.bare().items())
        return f"link {link}, positions: {held or 'none'}; bare at the venue: {bare or 'nothing'}"

    def lived(self) -> Lived:
        """Return what this life showed."""
        injected = Counter({**self.venue.faults.counts, **self.injected})
        for life in self.sessions:
            injected.update({f"disk {name}": count for name, count in life.disk.struck.items()})
        return Lived(
            seed=self.case.seed,
            violations=self.watch.violations,
            log_hash=self.judge.log_hash,
            positions=len(self.judge.books.positions),
            refused=self.refused,
            ends=self.judge.ends,
            lives=len(self.sessions),
            events=self.judge.events,
            simulated_s=self.loop.time(),
            injected=injected,
            transitions=self.watch.transitions,
            rows=self.watch.rows,
            pages=self.pages,
            replayed=self.judge.replayed,
            unpriced=self.judge.unpriced,
            bare_ms_max=self.watch.bare_ms_max,
        )


def _nothing() -> None:
    pass
