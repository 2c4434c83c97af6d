"""`holdfast scenarios`: what went wrong elsewhere, played on the real pipeline against the simulated venue."""

import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from events.errors import ProofFailed
from holdfast.output import Format, print_rows
from holdfast.progress import Progress

COLUMNS = ("scenario", "side", "held", "unprotected_ms", "bound_ms", "about")


def command(
    *names: Annotated[str, Parameter(help="Scenarios by name (P05), or files; without one all that come with the program.")],
    side: Annotated[Literal["both", "long", "short"], Parameter(help="The side of the position.")] = "both",
    output: Annotated[Format, Parameter(name=("--output", "-o"), help="How data is written.")] = "table",
    json: Annotated[bool, Parameter(name="--json", negative="", help="The same as -o json.")] = False,
) -> int:
    """Play what went wrong elsewhere, message by message, and say what holds.

    Each scenario runs on the real pipeline against the simulated venue in virtual
    time. What its script says must be sent and must hold, and the invariants after
    every message. Needs no key and no network. What does not hold ends with code 8.
    """
    from holdfast.scenario.table import Row, rows, scenarios, sides_of

    chosen = scenarios(names)
    count = sum(len(sides_of(scenario, side)) for scenario in chosen)
    found: list[Row] = []
    with Progress("scenarios") as progress:
        for row in rows(chosen, side):
            found.append(row)
            progress(len(found), count)
    print_rows(found, "json" if json else output, COLUMNS)
    for row in found:
        for problem in row.problems:
            sys.stderr.write(f"holdfast: {row.scenario} {row.side.value}: {problem}\n")
    return 0 if all(row.held for row in found) else ProofFailed.exit_code
