"""`python -m tests.campaign.crash`: kill -9 at writes, syncs and sends, failing disks, and losses of power; a table of what was struck.

Each trial is an engine as a process of its own, struck at the Nth of its calls (`calls.c`), on a simulated venue that outlives it.
In each run a mistake is planted in both parts, which must be found. Exit code 0: everything held and both were found; 1 otherwise.
"""

import argparse
import asyncio
import errno
import itertools
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.campaign import images, servers
from tests.campaign.calls import SEND, SYNC, WRITE
from tests.campaign.judge import Lives, Outcome, counted, trial
from tests.folders import memory_folder
from tests.pg import Server

ALL, FILES = WRITE | SYNC | SEND, WRITE | SYNC
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS)
AT_ONCE = 6
Strikes = tuple[dict[str, Any], ...]


@dataclass
class Seen:
    """What a run of trials saw."""

    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def problems(self) -> list[str]:
        """Return what did not hold."""
        return [f"{list(seen.strikes)}: {text}" for seen in self.outcomes for text in seen.problems]


async def measured(of: Lives, mask: int = ALL) -> tuple[int, int]:
    """Return how many calls a life makes, and one that takes over from it half-way."""
    whole = await trial(of, [{"mask": mask, "how": "B"}], 1)
    if whole.problems:
        raise RuntimeError(f"a life that nothing strikes does not hold: {whole.problems}")
    cut = await trial(of, [{"mask": mask, "how": "B", "at": whole.lives[0].count // 2}, {"mask": mask, "how": "B"}], 1)
    return whole.lives[0].count, max(ended.count for ended in cut.lives[1:])


def kills(points: int, doubles: int, calls: tuple[int, int], seed: int) -> Iterator[Strikes]:
    """Yield kills before, after and within calls, spread over a life; among them such with a second one in the recovery."""
    chance = random.Random(seed)
    every: list[Strikes] = [
        ({"at": number * calls[0] // points + 1, "how": chance.choice("BBBAAAH"), "mask": ALL},) for number in range(points)
    ]
    every += [tuple({"at": chance.randint(1, count), "how": chance.choice("BAH"), "mask": ALL} for count in calls) for _ in range(doubles)]
    # Mixed, so that a run that is cut short has some of each.
    chance.shuffle(every)
    return iter(every)


def failures(limit: int, calls: int) -> Iterator[Strikes]:
    """Yield an error at the Nth call on files, for every N, once and from there on; kinds of error in turn, then the other two."""
    turns = [
        [
            ({"at": at, "how": how, "error": ERRORS[(at + number + turn) % len(ERRORS)], "mask": FILES},)
            for at in range(1, calls + 1)
            for number, how in enumerate("FL")
        ]
        for turn in range(len(ERRORS))
    ]
    if limit >= len(turns[0]):
        yield from itertools.islice(itertools.chain(*turns), limit)
    else:
        # Where there is no time for all of them, they are spread, and once and lasting take turns.
        yield from (turns[0][number * len(turns[0]) // limit // 2 * 2 + number % 2] for number in range(limit))


async def run(of: Lives, every: Iterator[Strikes], seed: int, *, plant: str = "", until_s: float = 0.0, at_once: int = AT_ONCE) -> Seen:
    """Run trials, some at a time, until there are none left or `until_s` (monotonic) is reached."""
    seen, began_s = Seen(), time.monotonic()
    numbers = iter(enumerate(every))

    async def work() -> None:
        for number, strikes in numbers:
            if until_s and time.monotonic() > until_s:
                return
            outcome = await trial(of, strikes, seed * 1_000_003 + number, plant=plant)
            seen.outcomes.append(outcome)
            for text in outcome.problems if not plant else ():
                sys.stderr.write(f"NOT HELD  {strikes}: {text}\n")

    await asyncio.gather(*(work() for _ in range(at_once)))
    seen.seconds = time.monotonic() - began_s
    return seen


async def planted(of: Lives, calls: tuple[int, int], seed: int, limit: int = 60) -> bool:
    """Tell whether an engine that says durable what is not yet committed is found."""
    for start in range(0, limit, AT_ONCE):
        strikes = [({"at": calls[0] * (start + n + 1) // (limit + 1) + 1, "how": "B", "mask": ALL},) for n in range(AT_ONCE)]
        seen = await run(of, iter(strikes), seed + start, plant="early")
        if any("acknowledged" in problem for problem in seen.problems):
            return True
    return False


def rows(seen: Seen) -> Iterator[str]:
    """Yield the lines of a table: what was struck and how often."""
    for name, count in sorted(counted(seen.outcomes).items()):
        yield f"  {name:<40}{count:>7}"
    spent = sum(len(outcome.lives) for outcome in seen.outcomes)
    yield f"  {len(seen.outcomes)} trials, {spent} lives, {seen.seconds:.0f} s, {len(seen.problems)} problems"


async def campaign(arguments: argparse.Namespace) -> list[str]:
    """Run everything that the command line asks for; return the problems."""
    say, problems, folder = sys.stdout.write, [], memory_folder("calls")
    until_s = time.monotonic() + arguments.duration if arguments.duration else 0.0
    async with Lives(folder) as of:
        calls = await measured(of)
        files = (await measured(of, FILES))[0]
        say(f"seed {arguments.seed}; a life makes about {calls[0]} calls, {files} of them on files\n")
        for title, every in (
            ("killed", kills(arguments.points, arguments.doubles, calls, arguments.seed)),
            ("failing disk", failures(arguments.errors, files)),
        ):
            seen = await run(of, every, arguments.seed, until_s=until_s)
            say("\n".join([title, *rows(seen)]) + "\n")
            problems += seen.problems
        if await planted(of, calls, arguments.seed):
            say("planted: an engine that acknowledges before it commits was found\n")
        else:
            problems.append("planted: an engine that acknowledges before it commits was not found")
        if arguments.servers:
            problems += await _servers(of, arguments.servers, say)
        if arguments.images:
            problems += await images.campaign(of, arguments.images, arguments.seed, say)
    shutil.rmtree(folder, ignore_errors=True)
    return problems


async def _servers(of: Lives, count: int, say: Callable[[str], Any]) -> list[str]:
    server = Server()
    try:
        server.start()
        outcomes = [await servers.kill(of, server, number) for number in range(1, count + 1)]
    finally:
        server.remove()
    say("\n".join(["PostgreSQL", *servers.rows(outcomes)]) + "\n")
    return [f"PostgreSQL: {text}" for outcome in outcomes for text in outcome.problems]


def main(texts: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign.crash", description="Strike live engines at their writes, syncs and sends."
    )
    parser.add_argument("--points", type=int, default=200, help="single kills")
    parser.add_argument("--doubles", type=int, default=100, help="kills with a second one in the recovery")
    parser.add_argument("--errors", type=int, default=100, help="errors at the Nth call on files")
    parser.add_argument("--images", type=int, default=20_000, help="images of a loss of power")
    parser.add_argument("--servers", type=int, default=0, help="kills of a PostgreSQL server, which must be installed for the tests")
    parser.add_argument("--duration", type=float, default=0.0, metavar="SECONDS", help="begin no kill and no error after that")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(texts)
    try:
        problems = asyncio.run(campaign(arguments))
    except OSError as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    for problem in problems:
        sys.stdout.write(f"NOT HELD  {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
