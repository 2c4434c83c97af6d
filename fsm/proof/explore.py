"""Breadth first through every state of a configuration: the shortest way to what breaks, and the proof that nothing does.

Safety is judged in every state and step. Liveness (I13) is judged at the end: from each state the fair world, which is one of its own
moves, leads to the next state; followed to the end of that chain the position must be settled, within `SETTLE_TICKS` ticks.
"""

import gc
from array import array
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from ..core import Core
from .configuration import Configuration
from .moves import World
from .parts import Label, State
from .properties import Broken

SETTLE_TICKS = 120
_LOOK = 512
# What is found is kept: looking through the newest objects for cycles every 700 of them took a fifth of the time.
_YOUNG = 100_000


class Step(NamedTuple):
    """One step of a trace: what happened, and the state that it led to."""

    label: Label
    state: State


class Violation(NamedTuple):
    """A property that does not hold, with the shortest way there."""

    name: str
    text: str
    trace: tuple[Step, ...]


class Result(NamedTuple):
    """What an exploration saw. `windows` is the longest time of an unprotected lot in ticks, by cause; `settle` in ticks.

    `rows` are the row ids that were taken, each with its answers, `steps` the (state, fact, state) that occurred, `order_steps` those of
    orders.
    """

    configuration: Configuration
    states: int
    transitions: int
    depth: int
    minds: int
    exhausted: bool
    violation: Violation | None
    windows: dict[str, int]
    settle: int
    rows: frozenset[str]
    steps: frozenset[tuple[str, str, str]]
    order_steps: frozenset[tuple[str, str, str]]


def explore(
    configuration: Configuration,
    *,
    core: Core | None = None,
    max_states: int = 1_000_000,
    is_over: Callable[[], bool] = lambda: False,
) -> Result:
    """Walk every state that the configuration reaches, up to `max_states` or until `is_over()`; stop at the first violation.

    `core` may be built over another table (`Core("flat", position=..., order=...)`). An assertion or an illegal transition of the code
    under proof is a violation too.
    """
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        return _Search(configuration, core or Core("flat")).run(max_states, is_over)
    finally:
        gc.set_threshold(*before)


class _Search:
    def __init__(self, configuration: Configuration, core: Core) -> None:
        self.configuration = configuration
        self.world = World(configuration, core)
        self.index: dict[State, int] = {}
        self.states: list[State] = []
        self.parents = array("q")
        self.depths = array("l")
        self.fair = array("q")
        self.settled = bytearray()
        self.transitions = 0
        self.windows: dict[str, int] = {}

    def add(self, state: State, parent: int) -> tuple[int, bool]:
        number = self.index.get(state)
        if number is not None:
            return number, False
        number = self.index[state] = len(self.states)
        self.states.append(state)
        self.parents.append(parent)
        self.depths.append(self.depths[parent] + 1 if parent >= 0 else 0)
        self.fair.append(-1)
        self.settled.append(self.world.is_settled(state))
        for cause, age in self.world.rests[state.rest].lots:
            if age > self.windows.get(cause, -1):
                self.windows[cause] = age
        return number, True

    def run(self, max_states: int, is_over: Callable[[], bool]) -> Result:
        world = self.world
        self.add(world.start(), -1)
        if world.broken:
            return self.result(False, self.violation(world.broken[0], 0, None))
        frontier = deque([0])
        exhausted = True
        while frontier:
            if len(self.states) >= max_states or (len(self.states) % _LOOK == 0 and is_over()):
                exhausted = False
                break
            number = frontier.popleft()
            found = self.expand(number, frontier)
            if found is not None:
                return self.result(False, found)
        stuck, longest = self.liveness(exhausted)
        return self.result(exhausted, stuck, longest)

    def expand(self, number: int, frontier: deque[int]) -> Violation | None:
        world, state = self.world, self.states[number]
        try:
            for place, (label, after) in enumerate(world.moves(state)):
                self.transitions += 1
                if world.broken:
                    return self.violation(world.broken[0], number, Step(label, after))
                found, is_new = self.add(after, number)
                if is_new:
                    frontier.append(found)
                    world.judge(after)
                    if world.broken:
                        return self.violation(world.broken[0], found, None)
                if place == 0:
                    self.fair[number] = found
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return self.violation(Broken("code", text), number, Step(("the next move", text), state))
        return None

    def liveness(self, exhausted: bool) -> tuple[Violation | None, int]:
        """Follow the fair world from every state; return the first chain that never settles, and the longest in ticks."""
        ticks = array("l", [-1]) * len(self.states)
        longest = 0
        for start in range(len(self.states)):
            path: list[int] = []
            on_path: set[int] = set()
            number = start
            while number >= 0 and ticks[number] < 0 and not self.settled[number] and number not in on_path:
                path.append(number)
                on_path.add(number)
                number = self.fair[number]
            if number < 0:
                if exhausted and path:
                    return self.violation(Broken("I13", "nothing can happen any more"), path[-1], None), longest
                for seen in path:
                    ticks[seen] = 0
                continue
            if number in on_path:
                text = "once faults stop, the position comes round to where it was and never settles"
                return self.violation(Broken("I13", text), start, None), longest
            if self.settled[number]:
                ticks[number] = 0
            count = ticks[number]
            for seen in reversed(path):
                count += self.has_tick(seen)
                ticks[seen] = count
            longest = max(longest, count)
            if count > SETTLE_TICKS:
                return self.violation(Broken("I13", f"it settles only after {count} ticks"), start, None), longest
        return None, longest

    def has_tick(self, number: int) -> bool:
        """Whether the fair step from here lets time pass: nothing is under way."""
        state = self.states[number]
        fair = self.world.fair(state) if state.up == state.down == self.world.empty else None
        return fair is not None and fair[0][0] == "tick"

    def violation(self, broken: Broken, number: int, last: Step | None) -> Violation:
        return Violation(broken.name, broken.text, (*self.trace(number), *((last,) if last is not None else ())))

    def trace(self, number: int) -> tuple[Step, ...]:
        """Return the shortest way to a state, made again from the start."""
        way = []
        while number >= 0:
            way.append(number)
            number = self.parents[number]
        way.reverse()
        steps = [Step(("start",), self.states[way[0]])]
        for before, after in pairwise(way):
            target = self.states[after]
            for label, state in self.world.moves(self.states[before]):
                if state == target:
                    steps.append(Step(label, state))
                    break
        return tuple(steps)

    def result(self, exhausted: bool, violation: Violation | None, settle: int = 0) -> Result:
        engine = self.world.engine
        return Result(
            self.configuration, len(self.states), self.transitions, max(self.depths, default=0), len(engine.minds), exhausted, violation,
            dict(sorted(self.windows.items())), settle, frozenset(engine.rows), frozenset(engine.steps), frozenset(engine.order_steps),
        )  # fmt: skip
