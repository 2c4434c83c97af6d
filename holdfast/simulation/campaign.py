"""Many simulated lives: on several processes, added up, until a count, a time or a failure.

Two levels: `engine` is the whole engine under virtual time (`world`), `core` the position's core alone under an adversary that draws
every order of things (`adversary`): a hundred times as fast, and blind for sockets, disks and codecs.
"""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from events.values import PositionSide
from fsm.proof.rows import broken_laws, rows_excluded, rows_never_taken, rows_taken

from .adversary import EVERY, INSTRUMENT, MARGIN, NO_AMEND, SPOT, Life, Troubles
from .directed import drawn
from .reached import Step, reached, reached_at_kraken
from .world import Lived, simulate

Level = Literal["engine", "core"]
# Seeds that one process takes at once.
CHUNK = {"engine": 4, "core": 200}
# Each so many seeds the sessions of one are replayed: a replay costs as much as the life.
REPLAYED_EVERY = 5
_NO_TROUBLES = Troubles()


@dataclass
class Total:
    """What many lives showed together. `failed` holds the lives that broke something, by seed."""

    seeds: int = 0
    positions: int = 0
    engine_lives: int = 0
    events: int = 0
    replayed: int = 0
    refused: int = 0
    unpriced: int = 0
    simulated_s: float = 0.0
    bare_ms_max: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    transitions: Counter[Step] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    failed: dict[int, Lived] = field(default_factory=dict)

    def add(self, lived: Lived) -> None:
        """Add one life."""
        self.seeds += 1
        self.positions += lived.positions
        self.engine_lives += lived.lives
        self.events += lived.events
        self.replayed += lived.replayed
        self.refused += lived.refused
        self.unpriced += lived.unpriced
        self.simulated_s += lived.simulated_s
        self.bare_ms_max = max(self.bare_ms_max, lived.bare_ms_max)
        for mine, its in (
            (self.ends, lived.ends),
            (self.injected, lived.injected),
            (self.pages, lived.pages),
            (self.transitions, lived.transitions),
            (self.rows, lived.rows),
        ):
            mine.update(its)  # type: ignore[arg-type]
        if lived.violations:
            self.failed[lived.seed] = lived

    def rows_never_taken(self) -> list[str]:
        """Return the rows of the position table that no life took and no law excludes, in the words of `holdfast prove --rows`."""
        excluded = rows_excluded()
        return [name for name in rows_never_taken(frozenset(self.rows)) if name not in excluded]

    def broken_laws(self) -> list[str]:
        """Return which laws of `fsm.proof.rows` do not hold: rows that were taken, and that the checker counts as impossible."""
        return broken_laws(self.rows)

    def steps_never_taken(self) -> list[Step]:
        """Return the (state, fact, state) that the model checker reaches and no life took."""
        return sorted(reached() - self.transitions.keys())

    def steps_beyond(self) -> list[Step]:
        """Return the (state, fact, state) that a life took and the checker does not reach: it has no such fault, or did not go so far."""
        return sorted(self.transitions.keys() - reached())

    def steps_covered(self) -> str:
        """Return how many of the (state, fact, state) that the model checker reaches were taken."""
        return f"{len(reached() & self.transitions.keys())} of {len(reached())}"

    def steps_at_kraken(self) -> str:
        """Return how many were taken of those that were seen where the venue can do what Kraken can, as the simulated one does."""
        return f"{len(reached_at_kraken() & self.transitions.keys())} of {len(reached_at_kraken())}"

    def coverage(self) -> str:
        """Return how many rows of the position table were taken, of how many that no law excludes."""
        taken = len(rows_taken(self.rows))
        return f"{taken} of {taken + len(self.rows_never_taken())}"


def lives_of(level: Level, seeds: range, direction: str = "") -> list[Lived]:
    """Live some seeds in this process, led in a direction if one is named."""
    if level == "core":
        return [core_life(seed) for seed in seeds]
    return [simulate(drawn(seed, direction), with_replay=seed % REPLAYED_EVERY == 0) for seed in seeds]


def core_life(seed: int) -> Lived:
    """Live one position of the core under the adversary, with faults and, for half of the seeds, every trouble."""
    capabilities = (SPOT, MARGIN, NO_AMEND)[seed % 3]
    side = PositionSide.SHORT if capabilities is MARGIN and seed // 3 % 2 else PositionSide.LONG
    plans: tuple[dict[str, object], ...] = (
        {},
        {"take_profit_price": Decimal(110 if side is PositionSide.LONG else 90), "take_profit_style": "maker"},
        {"trail_style": "engine"},
        {"time_stop_secs": 5},
    )
    has_troubles = seed // 12 % 2 == 1
    life = Life(
        seed, capabilities=capabilities, side=side, plan_fields=plans[seed % 4], troubles=EVERY if has_troubles else _NO_TROUBLES
    )
    lived = Lived(seed=seed, positions=1, lives=1)
    try:
        position = life.run()
    except Exception as problem:
        lived.violations.append(f"program: {type(problem).__name__}: {problem}")
        return lived
    lived.lives += life.epoch
    lived.events, lived.simulated_s = len(life.events), life.now_ns / 1e9
    lived.ends[position.state] += 1
    lived.injected = +life.injected
    states: dict[str, str] = {}
    for event in life.events:
        lived.rows[event.row] += 1
        lived.transitions[states.get(event.position_id, "New"), type(event.fact).__name__, event.to] += 1
        states[event.position_id] = event.to
    lived.violations += [f"{broken.invariant}: {broken.text}" for broken in life.broken]
    lived.violations += _left_over(life, position.state, has_troubles)
    return lived


def _left_over(life: Life, state: str, has_troubles: bool) -> Iterator[str]:
    if state not in ("Closed", "Abandoned") and not (state == "Halted" and life.pages):
        yield f"I13: it ends in {state}"
    if state != "Halted" and [order for order in life.orders if order.open]:
        yield "I5: an order outlived its position"
    if has_troubles:
        return
    if life.over_exit:
        yield f"I2: {life.over_exit} was closed twice"
    if abs(life.held) >= INSTRUMENT.min_qty:
        yield f"I9: {life.held} is left"


def campaign(
    level: Level,
    first: int,
    count: int | None,
    *,
    jobs: int,
    duration_s: float | None,
    until_failure: bool,
    on_progress: Callable[[Total], None],
    is_stopped: Callable[[], bool] = lambda: False,
    direction: str = "",
) -> Total:
    """Live `count` seeds from `first` on (None: without end), at most `duration_s` real seconds, or until one breaks something.

    No more are begun once `is_stopped` says so; processes of their own leave an interrupt from the terminal to it.
    """
    total = Total()
    begun_s = time.monotonic()

    def is_over() -> bool:
        is_late = duration_s is not None and time.monotonic() - begun_s >= duration_s
        return is_late or is_stopped() or (until_failure and bool(total.failed))

    for lived in _lived(level, _chunks(level, first, count), jobs, is_over, direction):
        total.add(lived)
        on_progress(total)
        if is_over():
            break
    return total


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _chunks(level: Level, first: int, count: int | None) -> Iterator[range]:
    end = None if count is None else first + count
    while end is None or first < end:
        last = first + CHUNK[level] if end is None else min(end, first + CHUNK[level])
        yield range(first, last)
        first = last


def _lived(level: Level, chunks: Iterator[range], jobs: int, is_over: Callable[[], bool], direction: str) -> Iterator[Lived]:
    if jobs <= 1:
        for chunk in chunks:
            for seed in chunk:
                yield from lives_of(level, range(seed, seed + 1), direction)
        return
    with ProcessPoolExecutor(jobs, initializer=_ignore_interrupts) as pool:
        waiting: set[Future[list[Lived]]] = set()
        try:
            while True:
                while len(waiting) < 2 * jobs and not is_over() and (next_chunk := next(chunks, None)) is not None:
                    waiting.add(pool.submit(lives_of, level, next_chunk, direction))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            for future in waiting:
                future.cancel()
