"""`python -m tests.campaign.lives`: lives of an engine on one venue, with drawn faults, each killed with -9 at a drawn moment.

What must hold in the end is what the suite's own kills are held to (`tests/e2e/test_kill.py`). A mistake is planted behind the first
seed, an execution that the venue's books have lost, and must be found. Exit code 0: everything held; 1 otherwise.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.lives import (
    EXITING,
    FAULTS,
    LATE,
    PROTECTING,
    TIGHTENING,
    Moment,
    Outcome,
    after,
    entries_sent,
    finds_what_is_planted,
    live_and_die,
    lost_in,
    market,
    recovering,
)

MOMENTS: tuple[Moment, ...] = (entries_sent, PROTECTING, TIGHTENING, EXITING, recovering)
MOST_KILLS = 4
# Lives of a second or two, one after the other, use up what the venue allows of calls by REST, and a look-up then waits 12 s for its turn.
COVERED_WITHIN_S = 30.0


def drawn(seed: int) -> tuple[tuple[str, ...], list[tuple[Moment, float]]]:
    """Return the venue's faults of a seed, and when its lives end: at a moment, or up to so many seconds later."""
    chance = random.Random(seed)
    faults = tuple(fault for fault in FAULTS if chance.random() < 0.7)
    moments = [(chance.choice((*MOMENTS, after(chance.random() * 3))), chance.random()) for _ in range(chance.randint(1, MOST_KILLS))]
    return (*faults, *((LATE,) if chance.random() < 0.3 else ())), moments


def lived(seed: int, folder: Path) -> tuple[list[str], Outcome | None]:
    """Live a seed in `folder`; return what does not hold."""
    folder.mkdir()
    faults, moments = drawn(seed)
    venue = ["--ticks", f"BTC/USD={market(folder / 'market.csv')}", "--seed", str(seed)]
    venue += ["--faults", ",".join(faults)] if faults else []
    try:
        outcome = live_and_die(folder, venue, moments, seed=seed, covered_within_s=COVERED_WITHIN_S)
        return lost_in(outcome), outcome
    except AssertionError as failed:
        return [str(failed)], None


def main(texts: Sequence[str] | None = None, say: Callable[[str], object] = sys.stdout.write) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.lives", description="Kill live engines again and again.")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--jobs", type=int, default=2, help="lives at a time")
    parser.add_argument("--duration", type=float, default=0.0, metavar="SECONDS", help="begin no seed after that")
    arguments = parser.parse_args(texts)
    root, began_s = Path(tempfile.mkdtemp(prefix="holdfast-lives-")), time.monotonic()

    def run(seed: int) -> tuple[int, list[str], int, bool] | None:
        if arguments.duration and time.monotonic() - began_s > arguments.duration:
            return None
        folder = root / str(seed)
        problems, outcome = lived(seed, folder)
        kills = 0 if outcome is None else len(outcome.lives) - 1
        is_found = seed != arguments.seed or outcome is None or finds_what_is_planted(outcome)
        if not problems:
            shutil.rmtree(folder)
        return seed, problems, kills, is_found

    with ThreadPoolExecutor(arguments.jobs) as pool:
        ends = [end for end in pool.map(run, range(arguments.seed, arguments.seed + arguments.seeds)) if end is not None]
    broken = {seed: problems for seed, problems, _, _ in ends if problems}
    is_found = all(found for *_, found in ends)
    for seed, problems in broken.items():
        say(f"NOT HELD  seed {seed}, {root / str(seed)}:\n" + "".join(f"  {text}\n" for text in problems))
    say(
        f"{len(ends)} seeds, {sum(kills for _, _, kills, _ in ends)} kills, {time.monotonic() - began_s:.0f} s: {len(broken)} not held;"
        f" the planted mistake was {'found' if is_found else 'missed'}\n"
    )
    return 1 if broken or not is_found else 0


if __name__ == "__main__":
    sys.exit(main())
