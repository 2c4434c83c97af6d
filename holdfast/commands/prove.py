"""`holdfast prove`: the model checker over the real machine, many small configurations, on several processes."""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from events.errors import BadInput, NotFound, ProofFailed
from fsm.proof import ALL, QUICK, Configuration, Result, Violation, explore
from fsm.proof.walk import WALKS_A_WORLD, Walked, walk
from holdfast.commands.options import check_folder
from holdfast.output import Format, print_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Enough for the spaces in which windows are timed; of the others a first part.
_TIMED_STATES, _QUICK_STATES, _ALL_STATES = 80_000, 2_000, 10_000_000
_QUICK_WALKS, _ALL_WALKS, _WORLDS = 1_200, 12_000, 5


def command(
    *,
    only: Annotated[
        tuple[str, ...],
        Parameter(
            name="--only", negative="", show_default=False, help="Configurations (or mutants) whose name contains this; repeatable."
        ),
    ] = (),
    everything: Annotated[bool, Parameter(name="--all", negative="", help="All configurations, each to its end.")] = False,
    states: Annotated[
        int | None, Parameter(name="--states", help="Most states of a configuration; else 80000 where windows are timed, and 2000.")
    ] = None,
    mutants: Annotated[
        bool, Parameter(name="--mutants", negative="", help="Check the checker: plant each named mistake, and say what shows it.")
    ] = False,
    budget: Annotated[
        tuple[str, ...],
        Parameter(
            name="--budget", negative="", show_default=False, help="How often a fault may happen, as lost=2; in place of the own ones."
        ),
    ] = (),
    jobs: Annotated[int | None, Parameter(name="--jobs", help="Processes; without it one for each core.")] = None,
    duration: Annotated[float | None, Parameter(name="--duration", help="Seconds after which no more states are begun.")] = None,
    save: Annotated[Path | None, Parameter(name="--save", help="Write the trace of a violation to this file.")] = None,
    walks: Annotated[
        int | None, Parameter(name="--walks", help="Random walks besides, by 120; else 1200, 12000 with --all, none with --only.")
    ] = None,
    rows: Annotated[
        bool, Parameter(name="--rows", negative="", help="List the rows of the tables that nothing took, and why they cannot be.")
    ] = False,
    steps: Annotated[
        Path | None, Parameter(name="--steps", help="Write every (state, fact, state) of the position that occurred, one a line.")
    ] = None,
    output: Annotated[Format, Parameter(name=("--output", "-o"), help="How data is written.")] = "table",
    json: Annotated[bool, Parameter(name="--json", negative="", help="The same as -o json.")] = False,
) -> int:
    """Explore every state that machine and venue can reach together.

    Runs the real decide and evolve on two lots and three prices against a venue
    that may do whatever the budgets allow: lose, repeat and reorder words, refuse,
    hang, cut the link, kill the process. Judges I1-I8, I12 and I16 in every state,
    that each state settles once faults stop (I13), and how long a lot can be
    unprotected. A violation ends with code 8, its shortest trace and a Mermaid
    diagram on standard error. With --mutants a mistake that no property shows does.
    """
    for name, number in (("--states", states), ("--jobs", jobs)):
        if number is not None and number < 1:
            raise BadInput(name, f"{number} is too few", "give at least 1")
    if walks is not None and walks < 0:
        raise BadInput("--walks", f"{walks} is too few", "give at least 0")
    if save is not None:
        check_folder("--save", save.parent)
    until = None if duration is None else time.time() + duration
    processes = jobs or os.cpu_count() or 1
    if mutants:
        from holdfast.hunting import hunt_mutants

        return hunt_mutants(only, processes, states, until, "json" if json else output)
    chosen = [_budgeted(c, budget) for c in (ALL if everything or only else QUICK) if not only or any(text in c.name for text in only)]
    if not chosen:
        raise NotFound("configuration", " ".join(only), "leave --only out to see the names")
    limits = [states or (_ALL_STATES if everything else _TIMED_STATES if c.clock else _QUICK_STATES) for c in chosen]
    begun = time.time()
    results: list[Result] = []
    lines = _Lines(output if not json else "json")
    for result, seconds in _explored(list(zip(chosen, limits, strict=True)), until, processes):
        results.append(result)
        lines.show(result, seconds)
    explored = time.time() - begun
    if walks is None:
        walks = 0 if only else _ALL_WALKS if everything else _QUICK_WALKS
    walked = list(_walked(-(-walks // (_WORLDS * WALKS_A_WORLD)), until, processes))
    if steps is not None:
        krakens = frozenset().union(*(r.steps for r in results if r.configuration.is_krakens), *(w.krakens for w in walked))
        lines_of_steps = (" ".join(step if step in krakens else (*step, "elsewhere")) for step in _steps(results, walked))
        steps.write_text("".join(f"{line}\n" for line in lines_of_steps), encoding="utf-8")
    return _ended(results, walked, explored, time.time() - begun, lines, rows, save)


def _steps(results: list[Result], walked: list[Walked]) -> list[tuple[str, str, str]]:
    return sorted(frozenset().union(*(r.steps for r in results), *(w.steps for w in walked)))


def _budgeted(configuration: Configuration, budget: tuple[str, ...]) -> Configuration:
    if not budget:
        return configuration
    import msgspec

    from fsm.proof.configuration import FAULTS

    budgets = {}
    for text in budget:
        name, _, count = text.partition("=")
        if name not in FAULTS or not count.isdecimal() or len(count) > 2:
            raise BadInput("--budget", f"{text!r} is no fault and number", f"write one of {', '.join(FAULTS)} as name=1")
        budgets[name] = int(count)
    return msgspec.structs.replace(configuration, budgets=budgets)


def _explored(chosen: "Sequence[tuple[Configuration, int]]", until: float | None, jobs: int) -> "Iterator[tuple[Result, float]]":
    if jobs <= 1 or len(chosen) == 1:
        for configuration, limit in chosen:
            if until is None or time.time() < until:
                yield _explore(configuration, limit, until)
        return
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(_explore, configuration, limit, until) for configuration, limit in chosen]
        for future in as_completed(futures):
            yield future.result()


def _explore(configuration: Configuration, limit: int, until: float | None) -> tuple[Result, float]:
    begun = time.time()
    result = explore(configuration, max_states=limit, is_over=lambda: until is not None and time.time() > until)
    return result, time.time() - begun


def _walked(jobs_of_walks: int, until: float | None, jobs: int) -> "Iterator[Walked]":
    """Take walks until the first violation; each job has a seed of its own, so that any number of processes takes the same walks."""
    if jobs <= 1 or jobs_of_walks <= 1:
        yield from (walk(seed, _WORLDS) for seed in range(jobs_of_walks) if until is None or time.time() < until)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_walk, range(jobs_of_walks), [until] * jobs_of_walks)


def _walk(seed: int, until: float | None) -> Walked:
    return walk(seed, 0 if until is not None and time.time() > until else _WORLDS)


class _Lines:
    """Writes one line for each configuration as it ends, or one object at the end."""

    def __init__(self, output: Format) -> None:
        self.output, self.is_begun = output, False
        self.objects: list[dict[str, object]] = []

    def show(self, result: Result, seconds: float) -> None:
        self.objects.append(
            {
                "configuration": result.configuration.name,
                "states": result.states,
                "transitions": result.transitions,
                "depth": result.depth,
                "minds": result.minds,
                "exhausted": result.exhausted,
                "seconds": f"{seconds:.1f}",
                "settles_ticks": result.settle,
                "windows_ticks": result.windows,
                "violation": None if result.violation is None else f"{result.violation.name}: {result.violation.text}",
            }
        )
        if self.output != "table":
            return
        if not self.is_begun:
            head = f"{'configuration':<38}{'states':>9}{'moves':>9}{'depth':>6}{'time':>8}  {'space':<10}{'settles':>8}  worst window"
            sys.stdout.write(f"{head}\n")
            self.is_begun = True
        space = "VIOLATION" if result.violation else "exhausted" if result.exhausted else "bounded"
        windows = ", ".join(f"{cause} {ticks}" for cause, ticks in result.windows.items())
        sys.stdout.write(
            f"{result.configuration.name:<38}{result.states:>9}{result.transitions:>9}{result.depth:>6}{seconds:>7.1f}s  {space:<10}"
            f"{result.settle:>8}  {windows}\n"
        )
        sys.stdout.flush()


def _ended(
    results: list[Result], walked: list[Walked], explored: float, seconds: float, lines: _Lines, rows: bool, save: Path | None
) -> int:
    from fsm.proof.rows import Account

    states = sum(r.states for r in results)
    account = Account.of(
        frozenset().union(*(r.rows for r in results), *(w.rows for w in walked)),
        frozenset().union(*(r.order_steps for r in results), *(w.order_steps for w in walked)),
    )
    wrong = [(r.configuration, r.violation) for r in results if r.violation is not None]
    wrong += [w.violation for w in walked if w.violation is not None]
    summary = {
        "configurations": len(results),
        "exhausted": sum(r.exhausted for r in results),
        "states": states,
        "transitions": sum(r.transitions for r in results),
        "seconds": f"{seconds:.1f}",
        "states_per_second": round(states / max(explored, 1e-9)),
        "walks": sum(w.walks for w in walked),
        "walked_states": sum(w.states for w in walked),
        "rows_taken": len(account.taken),
        "rows_excluded": len(account.excluded),
        "rows_open": len(account.open),
        "steps": len(_steps(results, walked)),
        "violations": len(wrong) + len(account.broken),
    }
    if lines.output == "table":
        sys.stdout.write("\n" + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in summary.items()) + "\n")
        if rows:
            sys.stdout.write("".join(f"open      {name}\n" for name in account.open))
            sys.stdout.write("".join(f"excluded  {name}: {law}\n" for name, law in account.excluded.items()))
    else:
        told: dict[str, object] = {}
        if rows:
            told = {"rows_open_names": account.open, "rows_excluded_by": account.excluded, "steps_taken": _steps(results, walked)}
        print_object({**summary, "results": lines.objects, **told}, lines.output)
    sys.stderr.write("".join(f"{text}\n" for text in account.broken))
    for configuration, violation in wrong:
        _tell(configuration, violation, save)
    return ProofFailed.exit_code if wrong or account.broken else 0


def _tell(configuration: Configuration, violation: Violation, save: Path | None) -> None:
    from fsm.proof.story import mermaid_from, saved_from, text_from

    sys.stderr.write(text_from(configuration, violation))
    sys.stderr.write(mermaid_from(configuration, violation))
    if save is not None:
        save.write_bytes(saved_from(configuration, violation))
