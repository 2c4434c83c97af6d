"""`python -m tests.mutation --count N --seed S`: random mutants of the core against invariants, golden hashes and tests.

Each runs in a process of its own; one that does not come to an end counts as killed. Before any mutant the harness proves itself: the
core as it is must survive everything, and planted mistakes must not. Of the tests a mutant meets those that execute its line
(`touching`). A survivor is a test to write, code that nothing needs, or listed in `equivalent.toml` with the reason why it changes nothing.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from typing import NamedTuple

from .child import TIMEOUT_SECS, Nursery
from .operators import MODULES, Mutation, mutations_of
from .sorted_out import equivalent
from .touching import Touching, recorded

# (module, text of the mutation): each harness run must see these two killed.
PLANTED = (("fsm/booking.py", "removed: changes['exited_lots'] = position.exited_lots + lots"), ("fsm/timers.py", "removed: return []"))

# Seconds of tests that a mutant meets, as they were recorded: a line that everything executes would meet everything.
MOST_SECS = 90.0


class Verdict(NamedTuple):
    """What became of one mutant: which of the three found it, "" where one did not. `late`: it did not come to an end."""

    mutation: Mutation | None
    invariant: str = ""
    golden: str = ""
    tests: str = ""
    late: bool = False

    @property
    def is_killed(self) -> bool:
        return bool(self.invariant or self.golden or self.tests or self.late)

    @property
    def by(self) -> str:
        if self.late:
            return f"no end within {TIMEOUT_SECS} s"
        return "; ".join(f"{name}: {text}" for name, text in self._asdict().items() if isinstance(text, str) and text) or "SURVIVED"


def judged(
    nursery: Nursery, mutation: Mutation | None, golden: list[str], touching: Touching | None = None, most_secs: float = MOST_SECS
) -> Verdict:
    """Judge one mutant, or the core as it is for None; without `touching` by lives alone."""
    if mutation is None:
        return Verdict(None, **nursery.judge("", 0, golden, []))
    tests = touching.tests_of(mutation.module, mutation.line, most_secs) if touching else []
    return Verdict(mutation, **nursery.judge(mutation.module, mutation.number, golden, tests))


def prove_the_harness(nursery: Nursery, golden: list[str]) -> None:
    """Raise SystemExit if the core as it is does not survive, or a planted mistake does."""
    whole = judged(nursery, None, golden)
    if whole.is_killed:
        raise SystemExit(f"the core as it is does not pass: {whole.by}")
    for module, text in PLANTED:
        mistake = next(m for m in mutations_of(module) if m.text == text)
        if not judged(nursery, mistake, golden).is_killed:
            raise SystemExit(f"a planted mistake survived, so that nothing that this harness says counts: {mistake}")


def sample(count: int, seed: int, only: str = "") -> list[Mutation]:
    """Return `count` mutations, drawn alike from all places of the core; of those only that are printed with `only` at their beginning."""
    every = [m for module in MODULES for m in mutations_of(module) if str(m).startswith(only)]
    return random.Random(seed).sample(every, min(count, len(every)))


def main() -> int:
    """Run it from the command line; the exit code is 1 if a mutant survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=60, help="how many mutants (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--only", default="", help="only those that begin so, for example fsm/booking.py or fsm/booking.py:152")
    parser.add_argument("--without-tests", action="store_true", help="by lives alone: invariants and golden hashes")
    parser.add_argument("--secs", type=float, default=MOST_SECS, help="seconds of tests that each meets, the shortest first (default 90)")
    parser.add_argument("--list", action="store_true", help="count the places of each module and end")
    asked = parser.parse_args()
    if asked.list:
        for module in MODULES:
            print(f"{len(mutations_of(module)):5d} {module}")
        return 0
    from .golden import hashes

    touching = None if asked.without_tests else recorded()
    verdicts = []
    with Nursery() as nursery:
        for verdict in _verdicts(nursery, hashes(), sample(asked.count, asked.seed, asked.only), touching, asked.secs):
            print(f"{verdict.mutation}\n    {verdict.by}", flush=True)
            verdicts.append(verdict)
    return report(verdicts, equivalent())


def _verdicts(
    nursery: Nursery, golden: list[str], mutations: list[Mutation], touching: Touching | None, most_secs: float
) -> Iterator[Verdict]:
    prove_the_harness(nursery, golden)
    for mutation in mutations:
        yield judged(nursery, mutation, golden, touching, most_secs)


def report(verdicts: list[Verdict], known: dict[Mutation, str]) -> int:
    """Print the score and return the exit code; `known` says why some change nothing."""
    total = len(verdicts)
    survived = [v.mutation for v in verdicts if v.mutation is not None and not v.is_killed]
    for name, count in (
        ("killed by invariants in lives", sum(bool(v.invariant or v.late) for v in verdicts)),
        ("killed by invariants or golden hashes", sum(bool(v.invariant or v.golden or v.late) for v in verdicts)),
        ("killed by those or the tests", total - len(survived)),
        ("change nothing, as listed", sum(mutation in known for mutation in survived)),
    ):
        print(f"{name}: {count} of {total} ({100 * count / max(total, 1):.0f} %)")
    for mutation in survived:
        print(f"changes nothing: {mutation} ({known[mutation]})" if mutation in known else f"SURVIVED: {mutation}")
    return 0 if all(mutation in known for mutation in survived) else 1


if __name__ == "__main__":
    sys.exit(main())
