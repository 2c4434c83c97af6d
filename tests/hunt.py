"""`python -m tests.hunt`: find lives that take what no life of `holdfast/simulation/witnesses.txt` takes, and write that list anew.

First the lives of the list are lived again, and steps that they take no more are hunted with the others. Then each step that has
none is aimed at, seed by seed, until the time is up. Exit code 8: a life broke something. It is printed, and no
new one of these is taken into the list.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterable

from holdfast.simulation.aimed import OF_THE_MARKET, is_aim
from holdfast.simulation.directed import DIRECTIONS
from holdfast.simulation.reached import Step, reached_at_kraken
from holdfast.simulation.witnesses import PATH, Life, fewest, lived_of, steps_by_life, text_of, witnesses


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def prey(open_steps: Iterable[Step], seed: int) -> list[Life]:
    """Return the lives of a seed that aim at steps which no life takes yet, and one of each direction, in an order of the seed."""
    # A life that waits for the kind of market is as dear as two dozen others.
    is_time = seed % 4 == 0
    aims = sorted({f"{before}/{fact}" for before, fact, _ in open_steps if is_time or fact not in OF_THE_MARKET})
    lives = [Life(direction, seed) for direction in (*filter(is_aim, aims), *DIRECTIONS) if is_time or direction != "ranges"]
    random.Random(seed).shuffle(lives)
    return [*lives, Life("", seed)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hunt", description="Find lives for steps that none takes.")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--duration", type=float, default=600, metavar="SECONDS", help="begin no seed after that")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args(arguments)
    begun, wanted, found, broke = time.monotonic(), reached_at_kraken(), dict[Life, frozenset[Step]](), 0
    listed = steps_by_life(witnesses()) if PATH.exists() else {}

    def take(lives: list[Life]) -> None:
        nonlocal broke
        for life, lived in lived_of(lives, asked.jobs):
            steps = frozenset(lived.transitions) & wanted
            if lived.violations:
                broke += 1
                say(f"VIOLATION   {life}: {lived.violations[0]}")
            # A life of the list that breaks something stays there, so that the suite says so too.
            if steps - taken() and (not lived.violations or life in listed):
                found[life] = steps

    def taken() -> frozenset[Step]:
        return frozenset().union(*found.values())

    take(list(listed))
    lost = {step for steps in listed.values() for step in steps} - taken()
    say(f"list        {len(listed)} lives, {len(taken())} steps taken, {len(lost)} lost")
    seed = asked.seed
    while time.monotonic() - begun < asked.duration and (left := wanted - taken()):
        take(prey(left, seed))
        PATH.write_text(text_of(fewest(found)), encoding="utf-8")
        say(f"seed {seed:6} {len(taken())} of {len(wanted)} steps, {len(found)} lives, {time.monotonic() - begun:.0f} s")
        seed += 1
    return 8 if broke else 0


if __name__ == "__main__":
    sys.exit(main())
