"""Hunts the named mutants with the model checker on several processes, and writes the table of what showed each."""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from events.errors import NotFound, ProofFailed
from fsm.proof import ALL, QUICK
from fsm.proof.hunt import Hunter, Kill
from fsm.proof.mutants import MUTANTS
from holdfast.output import Format, print_object

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_STATES = 30_000


def hunt_mutants(only: "Sequence[str]", jobs: int, states: int | None, until: float | None, output: Format) -> int:
    """Hunt the mutants whose name contains one of `only` (all if empty); the exit code is 8 if one survives.

    Raises NotFound if no mutant has such a name.
    """
    names = [m.name for m in MUTANTS if not only or any(text in m.name for text in only)]
    if not names:
        raise NotFound("mutant", " ".join(only), "leave --only out to see the names")
    begun = time.time()
    kills: list[tuple[Kill, float]] = []
    if output == "table":
        sys.stdout.write(f"{'mutant':<38}{'killed by':<10}{'depth':>6}{'states':>9}{'time':>8}  configuration\n")
    with ProcessPoolExecutor(jobs) as pool:
        for kill, seconds in pool.map(_hunted, names, [states or MAX_STATES] * len(names), [until] * len(names)):
            kills.append((kill, seconds))
            if output == "table":
                by = kill.prop or "SURVIVED"
                sys.stdout.write(
                    f"{kill.mutant:<38}{by:<10}{kill.depth:>6}{kill.states:>9}{seconds:>7.1f}s  {kill.configuration or kill.text}\n"
                )
                sys.stdout.flush()
    survivors = sum(not kill.prop for kill, _ in kills)
    summary = {"mutants": len(kills), "killed": len(kills) - survivors, "survivors": survivors, "seconds": f"{time.time() - begun:.1f}"}
    if output == "table":
        sys.stdout.write("\n" + ", ".join(f"{name} {value}" for name, value in summary.items()) + "\n")
    else:
        rows = [{**kill._asdict(), "seconds": f"{seconds:.1f}"} for kill, seconds in kills]
        print_object({**summary, "results": rows}, output)
    return ProofFailed.exit_code if survivors else 0


def _hunted(name: str, states: int, until: float | None) -> tuple[Kill, float]:
    mutant = next(m for m in MUTANTS if m.name == name)
    first = [c for c in ALL if c.name == mutant.where]
    begun = time.time()
    kill = Hunter(states, lambda: until is not None and time.time() > until).hunt(mutant, (*first, *QUICK))
    return kill, time.time() - begun
