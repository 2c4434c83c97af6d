"""`holdfast scenarios`: what went wrong elsewhere, played on the real pipeline against the simulated venue."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from events.errors import BadInput, ProofFailed
from holdfast.output import Format, print_rows
from holdfast.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.scenario.sweep import FaultRow
    from holdfast.scenario.table import Row
    from holdfast.scenario.text import Scenario

COLUMNS = ("scenario", "side", "held", "unprotected_ms", "bound_ms", "about")


def command(
    *names: Annotated[str, Parameter(help="Scenarios by name (P05), or files; without one all that come with the program.")],
    side: Annotated[Literal["both", "long", "short"], Parameter(help="The side of the position.")] = "both",
    faults: Annotated[bool, Parameter(negative="", help="Play each again with each fault at each message.")] = False,
    every: Annotated[int, Parameter(help="With --faults: only each so many-th of these runs.")] = 1,
    part: Annotated[str, Parameter(help="With --faults: only this part of the runs, as i/n: the first of four is 1/4.")] = "1/1",
    jobs: Annotated[int | None, Parameter(help="Processes for --faults; without it one for each core.")] = None,
    output: Annotated[Format, Parameter(name=("--output", "-o"), help="How data is written.")] = "table",
    json: Annotated[bool, Parameter(name="--json", negative="", help="The same as -o json.")] = False,
) -> int:
    """Play what went wrong elsewhere, message by message, and say what holds.

    Each scenario runs on the real pipeline against the simulated venue in virtual
    time. What its script says must be sent and must hold, and the invariants after
    every message. With --faults each is played again with each fault of venue, link,
    process, clock and market at each message it can strike; then the invariants must
    hold, and in the end everything must settle. Needs no key and no network. What
    does not hold ends with code 8.
    """
    for name, number in (("--every", every), ("--jobs", jobs)):
        if number is not None and number < 1:
            raise BadInput(name, f"{number} is too few", "give at least 1")
    chunk = _part(part)
    from holdfast.scenario.table import rows, scenarios, sides_of

    chosen = scenarios(names)
    count = sum(len(sides_of(scenario, side)) for scenario in chosen)
    found: list[Row] = []
    with Progress("scenarios") as progress:
        for row in rows(chosen, side):
            found.append(row)
            progress(len(found), count)
    struck: list[FaultRow] = []
    if faults:
        struck = _with_faults(chosen, side, every, chunk, jobs or os.cpu_count() or 1)
    _print(found, struck, "json" if json else output)
    told: list[Row | FaultRow] = [*found, *struck]
    problems = [f"{row.scenario} {row.side.value}: {problem}" for row in told for problem in row.problems]
    for problem in problems:
        sys.stderr.write(f"holdfast: {problem}\n")
    return ProofFailed.exit_code if problems else 0


def _part(text: str) -> tuple[int, int]:
    """Return which part, of how many. Raises BadInput."""
    part, slash, of = text.partition("/")
    if not (slash and part.isdecimal() and of.isdecimal() and 1 <= int(part) <= int(of)):
        raise BadInput("--part", f"{text!r} is no part", "write it as i/n, the first of four as 1/4")
    return int(part), int(of)


def _with_faults(chosen: "Sequence[Scenario]", side: str, every: int, part: tuple[int, int], jobs: int) -> "list[FaultRow]":
    from holdfast.scenario.sweep import cases, fault_rows, run_all

    todo = cases(chosen, side, every, *part)
    with Progress("faults") as progress:
        return fault_rows(run_all(todo, jobs, lambda done: progress(done, len(todo))))


def _print(found: "Sequence[Row]", struck: "Sequence[FaultRow]", output: Format) -> None:
    if not struck:
        print_rows(found, output, COLUMNS)
        return
    under = {(row.scenario, row.side): row for row in struck}
    lines = [
        {
            **{name: getattr(row, name) for name in COLUMNS[:-1]},
            "runs": other.runs,
            "broken": other.broken,
            "beyond": other.beyond,
            "worst_ms": other.worst_ms,
            "worst_bound_ms": other.bound_ms,
            "worst_by": other.worst_by,
            "about": row.about,
            "problems": [*row.problems, *other.problems],
        }
        for row in found
        if (other := under.get((row.scenario, row.side)))
    ]
    print_rows(lines, output, [name for name in lines[0] if name not in ("about", "problems")] if lines else None)
    if output == "table":
        runs, broken = sum(row.runs for row in struck), sum(row.broken for row in struck)
        beyond = sum(row.beyond for row in struck)
        sys.stdout.write(f"\n{runs} runs with a fault, something broke in {broken}; {beyond} went beyond their bound\n")
