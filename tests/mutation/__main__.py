"""`python -m tests.mutation --count N --seed S`: random mutants of the core against invariants, golden hashes and tests.

Each runs in a process of its own; one that does not come to an end counts as killed. Before any mutant the harness proves itself: the
core as it is must survive everything, and planted mistakes must not.
"""

import argparse
import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from .operators import MODULES, ROOT, Mutation, mutations_of

TIMEOUT_SECS = 400
# (module, text of the mutation): each harness run must see these two killed.
PLANTED = (("fsm/booking.py", "removed: changes['exited_lots'] = position.exited_lots + lots"), ("fsm/timers.py", "removed: return []"))


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


def judged(mutation: Mutation | None, golden: list[str], with_tests: bool) -> Verdict:
    """Run one mutant, or the core as it is for None."""
    module, number = (mutation.module, mutation.number) if mutation else ("", 0)
    asked = {"module": module, "number": number, "golden": golden, "tests": with_tests}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.mutation.child"],
            cwd=ROOT, input=json.dumps(asked), capture_output=True, text=True, timeout=TIMEOUT_SECS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Verdict(mutation, late=True)
    if done.returncode < 0:
        return Verdict(mutation, invariant=f"the process died of signal {-done.returncode}")
    if done.returncode:
        raise SystemExit(f"the harness itself failed on {mutation}:\n{done.stderr}")
    return Verdict(mutation, **json.loads(done.stdout.splitlines()[-1]))


def prove_the_harness(golden: list[str]) -> None:
    """Raise SystemExit if the core as it is does not survive, or a planted mistake does."""
    whole = judged(None, golden, with_tests=False)
    if whole.is_killed:
        raise SystemExit(f"the core as it is does not pass: {whole.by}; renew the golden hashes, or mend it")
    for module, text in PLANTED:
        mistake = next(m for m in mutations_of(module) if m.text == text)
        if not judged(mistake, golden, with_tests=False).is_killed:
            raise SystemExit(f"a planted mistake survived, so that nothing that this harness says counts: {mistake}")


def sample(count: int, seed: int, only: str = "") -> list[Mutation]:
    """Return `count` mutations, drawn alike from all places of the core; `only` names a module."""
    every = [m for module in MODULES if not only or module == only for m in mutations_of(module)]
    return random.Random(seed).sample(every, min(count, len(every)))


def main() -> int:
    """Run it from the command line; the exit code is 1 if a mutant survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=60, help="how many mutants (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time (default 1)")
    parser.add_argument("--module", default="", help="only of this module, for example fsm/booking.py")
    parser.add_argument("--without-tests", action="store_true", help="by lives alone: invariants and golden hashes")
    parser.add_argument("--list", action="store_true", help="count the places of each module and end")
    parser.add_argument("--renew-golden", action="store_true", help="store the golden hashes of the core as it is and end")
    asked = parser.parse_args()
    if asked.list:
        for module in MODULES:
            print(f"{len(mutations_of(module)):5d} {module}")
        return 0
    from .golden import hashes, write_golden

    if asked.renew_golden:
        print(f"{write_golden()} hashes are stored")
        return 0
    golden = hashes()
    prove_the_harness(golden)
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        for verdict in pool.map(lambda m: judged(m, golden, not asked.without_tests), sample(asked.count, asked.seed, asked.module)):
            print(f"{verdict.mutation}\n    {verdict.by}", flush=True)
            verdicts.append(verdict)
    return report(verdicts)


def report(verdicts: list[Verdict]) -> int:
    """Print the score and return the exit code."""
    total, killed = len(verdicts), sum(v.is_killed for v in verdicts)
    for name, count in (
        ("by invariants in lives", sum(bool(v.invariant or v.late) for v in verdicts)),
        ("by invariants or golden hashes", sum(bool(v.invariant or v.golden or v.late) for v in verdicts)),
        ("by those or the tests", killed),
    ):
        print(f"{name}: {count} of {total} killed ({100 * count / max(total, 1):.0f} %)")
    for verdict in verdicts:
        if not verdict.is_killed:
            print(f"survived: {verdict.mutation}")
    return 0 if killed == total else 1


if __name__ == "__main__":
    sys.exit(main())
