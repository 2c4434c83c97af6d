"""For each transition that the model checker reaches a life that takes it: (state, fact, state), a direction and a seed.

`witnesses.txt` is what `python -m tests.hunt` wrote: one line for each step, few lives for many steps. A change to the machine makes
lives run otherwise, and some steps lose their life: the hunt finds them another one. A step that stands in no line is one that no
life has taken yet.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .directed import drawn
from .reached import Step, reached_at_kraken
from .world import Lived, simulate

PATH = Path(__file__).with_name("witnesses.txt")
# How the list names a seed without a direction.
DRAWN = "drawn"
# Lives that one process takes at once.
AT_ONCE = 4


class Life(NamedTuple):
    """One simulated life: the case of a seed, led in a direction unless that is empty."""

    direction: str
    seed: int

    def __str__(self) -> str:
        return f"{self.direction or DRAWN} {self.seed}"


@cache
def witnesses() -> Mapping[Step, Life]:
    """Return the life of each step that has one."""
    found: dict[Step, Life] = {}
    for before, fact, after, direction, seed in map(str.split, PATH.read_text(encoding="utf-8").splitlines()):
        found[before, fact, after] = Life("" if direction == DRAWN else direction, int(seed))
    return found


def steps_by_life(known: Mapping[Step, Life]) -> dict[Life, list[Step]]:
    """Return the lives in order, with the steps that each is there for."""
    found: dict[Life, list[Step]] = {}
    for step in sorted(known):
        found.setdefault(known[step], []).append(step)
    return dict(sorted(found.items()))


def fewest(lives: Mapping[Life, Iterable[Step]]) -> dict[Step, Life]:
    """Choose for each step one of the lives that take it, so that few lives are needed: always the one that takes most of what is left."""
    left = {life: set(steps) for life, steps in sorted(lives.items())}
    chosen: dict[Step, Life] = {}
    while left:
        best = max(left, key=lambda life: (len(left[life]), life))
        taken = left.pop(best)
        if not taken:
            break
        chosen |= dict.fromkeys(taken, best)
        left = {life: rest for life, steps in left.items() if (rest := steps - taken)}
    return chosen


def text_of(known: Mapping[Step, Life]) -> str:
    """Return the list as the text of its file."""
    return "".join(f"{' '.join(step)} {life}\n" for step, life in sorted(known.items()))


@dataclass
class Walked:
    """What the lives of the list took now. `lost` are the steps that none of them takes any more, `open` those that have no life."""

    lives: int = 0
    positions: int = 0
    taken: list[Step] = field(default_factory=list)
    lost: dict[Step, Life] = field(default_factory=dict)
    open: list[Step] = field(default_factory=list)
    failed: dict[Life, Lived] = field(default_factory=dict)


def walk(chosen: Sequence[Life], jobs: int, on_progress: Callable[[int, int], None]) -> Walked:
    """Live lives of the list, and see which of their steps they take."""
    known, seen = steps_by_life(witnesses()), set[Step]()
    walked = Walked(open=sorted(reached_at_kraken() - witnesses().keys()))
    for life, lived in lived_of(chosen, jobs):
        walked.lives += 1
        walked.positions += lived.positions
        seen |= lived.transitions.keys()
        if lived.violations:
            walked.failed[life] = lived
        on_progress(walked.lives, len(chosen))
    for life in chosen:
        for step in known[life]:
            if step in seen:
                walked.taken.append(step)
            else:
                walked.lost[step] = life
    return walked


def lived_of(lives: Sequence[Life], jobs: int) -> Iterator[tuple[Life, Lived]]:
    """Live each, on so many processes."""
    if jobs == 1:
        yield from ((life, _live(life)) for life in lives)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from zip(lives, pool.map(_live, lives, chunksize=AT_ONCE), strict=True)


def _live(life: Life) -> Lived:
    return simulate(drawn(life.seed, life.direction), with_replay=False)
