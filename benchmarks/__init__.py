"""The work of `performance.md`, measured: `python -m benchmarks [w1 w2 ...] [--quick] [--json FILE]` runs it.

The contract of a benchmark module, `benchmarks/w<number>_<name>.py`:

- It has one public function `run(quick: bool) -> list[Row]`. `quick` asks for a few seconds of work with the same cases,
  for a look and for tests; without it the work is that of `performance.md`.
- A baseline is a `Row` like any other, measured in the same call, so that both sides of a ratio saw the same machine. A row
  names the `case` that it is compared with in `baseline`.
- It checks that its results are right (377 trips, equal bytes) before it returns a figure, and raises `WrongResult` if not: a
  fast wrong answer is not a measurement.
- It cleans up its files and processes, and prints nothing. What it cannot run here (no database, no peer installed) it leaves
  out, and says so in the `note` of the row that it stands beside.

The runner finds the modules by their names, runs each in the order of the numbers, and prints one table.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from events.errors import HoldfastError


class WrongResult(HoldfastError):
    """A benchmark whose work gave a wrong answer: its figures mean nothing."""

    def __init__(self, case: str, expected: object, found: object) -> None:
        self.case, self.expected, self.found = case, expected, found
        super().__init__(f"benchmark {case}: expected {expected}, found {found}")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured case. `samples` are the figures of its runs in `unit` ("ticks/s", "µs", "MB"), at least one.

    `baseline` is the `case` of a row of the same module, `goal` the figure of `performance.md` in the same unit, `facts`
    what the run found out beside its speed (number of trips, size of the space).
    """

    work: str
    case: str
    unit: str
    samples: tuple[float, ...]
    higher_is_better: bool = True
    baseline: str | None = None
    goal: float | None = None
    note: str = ""
    facts: dict[str, int | float | str] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def min(self) -> float:
        return min(self.samples)

    @property
    def max(self) -> float:
        return max(self.samples)

    @property
    def reaches_goal(self) -> bool | None:
        """Tell whether the median is at least as good as the goal; None where there is no goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.higher_is_better else self.median <= self.goal


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds that one call of `work` took in this process, all threads: other processes do not disturb it."""
    start_ns = time.process_time_ns()
    work()
    return (time.process_time_ns() - start_ns) / 1e9


def wall_seconds(work: Callable[[], object]) -> float:
    """Return the seconds that one call of `work` took on the wall: for work that waits for a disk or a socket."""
    start_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start_ns) / 1e9


def must_equal(case: str, expected: object, found: object) -> None:
    """Raise WrongResult unless a benchmark found what it must."""
    if expected != found:
        raise WrongResult(case, expected, found)
