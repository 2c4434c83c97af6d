"""`python -m tests.campaign.networks`: every fault of the network on live engines, and a flood; a table of what was seen.

All faults of a round run at once, each on an engine, a venue and a proxy of its own. In each round two more are planted, which
must be found: an engine that does not listen for silence, and one that keeps all of the market. Exit code 0: every fault was
held in every round and both planted ones were found; 1 otherwise.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from tests.campaign.faults import FAULTS, Fault
from tests.campaign.network import Outcome, Trial
from tests.campaign.rss import rss_mib
from tests.campaign.slow import Flood, flood

# The fault that a deaf engine must not seem to hold.
PLANTED = FAULTS["half_open"]
FLOOD_S, PLANTED_FLOOD_S = 5.0, 2.0


@dataclass
class Round:
    """What one round saw."""

    outcomes: list[Outcome]
    floods: list[Flood] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Return what did not hold, and the planted faults that were not found."""
        found = [f"{outcome.fault.name}: {problem}" for outcome in self.outcomes for problem in outcome.problems]
        found += [f"flood: {problem}" for seen in self.floods for problem in seen.problems]
        return found + [f"planted: {text}" for text in self.missed]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let the engines page nobody."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), logger_factory=structlog.PrintLoggerFactory(_Nowhere()))
    try:
        yield
    finally:
        structlog.configure(**before)


class _Nowhere:
    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass


def play(faults: Sequence[Fault], folder: Path, *, floods: bool = True) -> Round:
    """Run one round: all `faults` at once, beside them the deaf engine, then the floods."""
    with quiet():
        *outcomes, deaf = asyncio.run(_together(faults, folder))
        seen = Round(outcomes)
        if not any(problem.startswith("noticed after") for problem in deaf.problems):
            seen.missed.append("an engine that does not listen for silence passed half_open")
        if floods:
            seen.floods.append(flood(folder / "flood", FLOOD_S))
            unbounded = flood(folder / "unbounded", PLANTED_FLOOD_S, unbounded=True)
            if not any("inputs waited" in problem for problem in unbounded.problems):
                seen.missed.append("an engine that keeps all of the market passed the flood")
    return seen


async def _together(faults: Sequence[Fault], folder: Path) -> list[Outcome]:
    trials = [Trial(fault, folder / fault.name) for fault in faults]
    # Its peers vanish and nobody looks: the trial ends with its patience, of which it gets little.
    deaf = Trial(replace(PLANTED, name="deaf", seconds=0.0), folder / "deaf", deaf=True, patience_s=6.0)
    return list(await asyncio.gather(*(trial.run() for trial in (*trials, deaf))))


def rows(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield the lines of the table: the worst of all rounds."""
    head = f"{'fault':<21}{'noticed ms':>11}{'bound':>7}{'uncovered ms':>14}{'bound':>7}{'whole again ms':>16}"
    yield head + f"{'connects':>10}{'lost ms':>9}  held"
    for name in dict.fromkeys(outcome.fault.name for each in rounds for outcome in each.outcomes):
        seen = [outcome for each in rounds for outcome in each.outcomes if outcome.fault.name == name]
        connects, lost_ms = max(outcome.connects for outcome in seen), max(outcome.lost_ms for outcome in seen)
        fault, held = seen[0].fault, sum(not outcome.problems for outcome in seen)
        noticed = [outcome.noticed_ms for outcome in seen if outcome.noticed_ms is not None]
        back = [outcome.back_ms for outcome in seen if outcome.back_ms is not None]
        yield (
            f"{name:<21}{f'{max(noticed):.0f}' if noticed else '-':>11}{fault.notice_ms or '-':>7}"
            f"{max(outcome.uncovered_ms for outcome in seen):>14.0f}{fault.uncovered_ms:>7}{f'{max(back):.0f}' if back else '-':>16}"
            f"{connects:>10}{lost_ms:>9.0f}  {held}/{len(seen)}  {fault.about}"
        )
    for seen_flood in rounds[-1].floods:
        yield (
            f"flood: {seen_flood.frames} market frames in {seen_flood.seconds:.0f} s, {seen_flood.conflated} left out, at most "
            f"{seen_flood.kept} waiting; {seen_flood.orders} order events, the latest known {seen_flood.told_ms:.0f} ms after the venue "
            f"made it, {seen_flood.waited_ms:.0f} ms after it was received; {seen_flood.growth_mib:.1f} MiB grown"
        )


def main(texts: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.networks", description="Break the network under live engines.")
    parser.add_argument("--faults", default="all", help=f"all, or a comma list of {', '.join(FAULTS)}")
    parser.add_argument("--duration", type=float, default=0.0, metavar="SECONDS", help="begin rounds until then; one round without it")
    parser.add_argument("--no-flood", action="store_true", help="leave the slow consumer out")
    arguments = parser.parse_args(texts)
    names = list(FAULTS) if arguments.faults == "all" else [name for name in arguments.faults.split(",") if name]
    if unknown := set(names) - FAULTS.keys():
        parser.error(f"there is no fault {min(unknown)!r}; use all, or {', '.join(FAULTS)}")
    folder = Path(tempfile.mkdtemp(prefix="holdfast-networks-"))
    began_s, before_mib = time.monotonic(), rss_mib()
    rounds: list[Round] = []
    while not rounds or time.monotonic() - began_s < arguments.duration:
        rounds.append(play([FAULTS[name] for name in names], folder / str(len(rounds)), floods=not arguments.no_flood))
        sys.stderr.write(
            f"round {len(rounds)}: {len(rounds[-1].problems)} problems, {rss_mib() - before_mib:.0f} MiB more than at the start\n"
        )
    say = sys.stdout.write
    say("\n".join(rows(rounds)) + "\n")
    problems = [f"round {number}: {text}" for number, each in enumerate(rounds, 1) for text in each.problems]
    planted = "missed" if any(each.missed for each in rounds) else "found"
    say(f"{len(rounds)} rounds in {time.monotonic() - began_s:.0f} s; planted faults {planted}\n")
    for problem in problems:
        say(f"NOT HELD  {problem}\n")
    if problems:
        say(f"Stores and sessions are in {folder}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
