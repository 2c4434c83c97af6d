"""`holdfast simulate`: the whole engine under virtual time, with every fault that a seed draws."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from events.errors import BadInput, ProofFailed
from holdfast.commands.options import check_folder
from holdfast.output import print_object
from holdfast.progress import Progress
from holdfast.words import counted

if TYPE_CHECKING:
    from holdfast.simulation.campaign import Total
    from holdfast.simulation.case import Ambush, Happening
    from holdfast.simulation.world import Lived


def command(
    case: Annotated[Path | None, Parameter(help="Live this saved case instead of seeds.")] = None,
    *,
    seed: Annotated[int, Parameter(help="The first seed.")] = 1,
    seeds: Annotated[int | None, Parameter(help="How many; without it one, or as many as --duration or --until-failure take.")] = None,
    level: Annotated[
        Literal["engine", "core"], Parameter(help="The whole engine, or the core alone: faster, without sockets and disk.")
    ] = "engine",
    direction: Annotated[
        str,
        Parameter(
            help="Plenty of one kind of trouble on top: halted, hands, shut, refused, resting, sold, taken, funds, races, "
            "expired, ranges or fees. Or an aim: a state of a position, or it and a fact (Halted/OrderFilled).",
            show_default=False,
        ),
    ] = "",
    jobs: Annotated[int | None, Parameter(help="Processes; without it one for each core.")] = None,
    duration: Annotated[float | None, Parameter(help="Real seconds after which no more seeds are begun.")] = None,
    until_failure: Annotated[
        bool, Parameter(name="--until-failure", negative="", help="End with the first seed that breaks something.")
    ] = False,
    save: Annotated[Path, Parameter(help="Folder for the case of a failing seed, made as small as it fails.")] = Path("."),
    coverage: Annotated[
        bool, Parameter(negative="", help="List the rows, and the steps that holdfast prove reaches, that no seed took.")
    ] = False,
    steps: Annotated[
        bool, Parameter(negative="", help="Live the life that takes each step which holdfast prove reaches, and list what none takes.")
    ] = False,
    self_check: Annotated[
        bool, Parameter(name="--self-check", help="Whether mistakes are planted first, which must be found.")
    ] = True,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> int:
    """Live whole lives of the engine against the simulated venue, in virtual time.

    Everything is drawn from the seed: plans, prices, what the venue can do, its
    faults, crashes, cut links, disk trouble. Safety is judged all the time; then
    faults stop, and positions must end; then the books are held against the
    venue's own. The same seed gives the same log hash. A seed that breaks
    something is made smaller and saved, and ends with code 8. Needs no key and
    no network.
    """
    for name, number in (("--seeds", seeds), ("--jobs", jobs)):
        if number is not None and number < 1:
            raise BadInput(name, f"{number} is too few", "give at least 1")
    if duration is not None and not duration > 0:
        raise BadInput("--duration", f"{duration} is not above 0", "give seconds")
    if direction:
        from holdfast.simulation.directed import check

        check(direction, level)
    check_folder("--save", save)
    if steps:
        if case is not None or seeds is not None or duration is not None or until_failure or direction or coverage or level != "engine":
            raise BadInput("--steps", "it lives the lives of its own list", "leave everything out but --jobs and --json")
        return _steps(jobs or os.cpu_count() or 1, json)
    if case is not None or (seeds is None and duration is None and not until_failure and level == "engine"):
        return _one(case, seed, save, json, direction)
    if seeds is None and duration is None and not until_failure:
        seeds = 1
    from holdfast.simulation.campaign import campaign

    if not json:
        _print_beginning(seed, seeds, level)
    planted = _planted() if self_check and level == "engine" and seeds != 1 else {}
    begun = time.monotonic()
    with Progress(f"{level} lives") as progress, _interrupts() as is_interrupted:
        total = campaign(
            level,
            seed,
            seeds,
            jobs=jobs or os.cpu_count() or 1,
            duration_s=duration,
            until_failure=until_failure,
            on_progress=lambda done: progress(done.seeds, seeds),
            is_stopped=is_interrupted,
            direction=direction,
        )
    seconds = time.monotonic() - begun
    saved = _saved(total, save, direction) if level == "engine" else {}
    if json:
        print_object(_object(seed, level, total, seconds, planted, saved, coverage))
    else:
        _print(total, seconds, planted, saved, coverage)
    missed = [name for name, found in planted.items() if found is None]
    if missed:
        sys.stderr.write(f"holdfast: the simulation did not find what was planted: {', '.join(missed)}; do not trust it until it does\n")
    if total.failed or missed:
        return ProofFailed.exit_code
    if is_interrupted():
        sys.stderr.write(f"holdfast: interrupted behind {counted(total.seeds, 'seed')}; what they showed stands above\n")
        raise KeyboardInterrupt
    return 0


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end a long run with what it has shown by then, a later one at once."""
    interrupted: list[float] = []

    def note(*_: object) -> None:
        interrupted.append(time.monotonic())
        # One key press may come twice: to the process, and to its group.
        if interrupted[-1] - interrupted[0] > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(interrupted)
    finally:
        signal.signal(signal.SIGINT, before)


def _steps(jobs: int, json: bool) -> int:
    """Live the lives of the list of witnesses."""
    from holdfast.simulation.reached import reached_at_kraken
    from holdfast.simulation.witnesses import steps_by_life, walk, witnesses

    begun, count = time.monotonic(), len(reached_at_kraken())
    with Progress("lives") as progress:
        walked = walk(list(steps_by_life(witnesses())), jobs, progress)
    seconds = time.monotonic() - begun
    if json:
        print_object(
            {
                "lives": walked.lives,
                "positions": walked.positions,
                "seconds": round(seconds, 1),
                "steps": count,
                "taken": walked.taken,
                "lost": {" ".join(step): str(life) for step, life in walked.lost.items()},
                "open": walked.open,
                "failed": {str(life): lived.violations for life, lived in walked.failed.items()},
            }
        )
        return ProofFailed.exit_code if walked.failed else 0
    write = sys.stdout.write
    write(
        f"lives       {walked.positions} positions in {walked.lives} seeds, {seconds:.1f} s\n"
        f"steps       {len(walked.taken)} of {count} that holdfast prove reaches at a venue that can do what Kraken can\n"
        f"lost        {len(walked.lost)} that the life of the list takes no more\n"
        f"open        {len(walked.open)} that no life has taken yet\n"
        f"violations  {len(walked.failed)}\n"
    )
    for life, lived in walked.failed.items():
        write(f"VIOLATION   {life}: {lived.violations[0]}\n")
    for step, life in walked.lost.items():
        write(f"lost        {' '.join(step)}: {life}\n")
    for step in walked.open:
        write(f"open        {' '.join(step)}\n")
    return ProofFailed.exit_code if walked.failed else 0


def _print_beginning(seed: int, seeds: int | None, level: str) -> None:
    from holdfast.assembly import table_hash
    from replay.manifest import versions

    found = versions()
    sys.stdout.write(
        f"seeds       {seed} to {'without end' if seeds is None else seed + seeds - 1}, level {level}\n"
        f"version     holdfast {found['holdfast']}, tables {table_hash()}, Python {found['python']}\n"
    )
    sys.stdout.flush()


def _planted() -> dict[str, int | None]:
    from holdfast.simulation.plants import PLANTS, found_by

    return {name: found_by(name) for name in PLANTS}


def _one(path: Path | None, seed: int, save: Path, json: bool, direction: str) -> int:
    """Live one case: a saved one, or that of a seed."""
    from holdfast.simulation.campaign import Total
    from holdfast.simulation.case import read_case
    from holdfast.simulation.directed import drawn
    from holdfast.simulation.world import simulate

    case = drawn(seed, direction) if path is None else read_case(path)
    if not json:
        _print_beginning(case.seed, 1, "engine")
        wished = f"{counted(len(case.openings), 'position')}, {len(case.wishes)} wishes, {len(case.happenings)} things that go wrong"
        if case.ambushes:
            wished += f", {len(case.ambushes)} that lie in wait for a state"
        sys.stdout.write(
            f"case        {' '.join(case.symbols)}, {wished} within {case.faults_end_ms / 1_000:.0f} s, "
            f"latency {case.latency_ms[0]} to {case.latency_ms[1]} ms\n"
        )
        for happening in case.happenings:
            sys.stdout.write(f"            {happening.at_ms / 1_000:7.3f} s {_what(happening)}\n")
        for ambush in case.ambushes:
            when = f"{ambush.delay_ms / 1_000:.3f} s behind {ambush.state}, {counted(ambush.times, 'time')}"
            sys.stdout.write(f"            {when}, {_what(ambush)}\n")
        sys.stdout.flush()
    lived = simulate(case)
    if json:
        print_object(_life_object(lived))
    else:
        _print_life(lived)
    if path is None:
        total = Total()
        total.add(lived)
        for number, saved in _saved(total, save, direction).items():
            sys.stderr.write(f"holdfast: seed {number} was made smaller: {saved}\n")
    return ProofFailed.exit_code if lived.violations else 0


def _what(what: "Happening | Ambush") -> str:
    from holdfast.simulation.case import WISHES

    return what.kind if what.kind in WISHES else f"{what.kind}: {what.text or f'number {what.number}, {what.seconds} s'}"


def _saved(total: "Total", folder: Path, direction: str) -> dict[int, str]:
    """Make the first failing cases smaller and write them to `folder`."""
    from holdfast.simulation.case import case_text
    from holdfast.simulation.directed import drawn
    from holdfast.simulation.shrink import shrink

    out = {}
    for seed in sorted(total.failed)[:3]:
        case = shrink(drawn(seed, direction), total.failed[seed])
        path = folder / f"seed-{seed}.json"
        path.write_text(case_text(case), encoding="utf-8")
        out[seed] = str(path)
    return out


def _print_life(lived: "Lived") -> None:
    sys.stdout.write(
        f"log hash    {lived.log_hash}\n"
        f"positions   {lived.positions}: {_counts(lived.ends)}; {lived.refused} refused\n"
        f"engine      {lived.lives} lives, {lived.events} events, {lived.simulated_s:.0f} s of market time\n"
        f"faults      {_counts(lived.injected)}\n"
    )
    for violation in lived.violations:
        sys.stdout.write(f"VIOLATION   {violation}\n")


def _print(total: "Total", seconds: float, planted: dict[str, int | None], saved: dict[int, str], coverage: bool) -> None:
    from holdfast.simulation.reached import reached_at_kraken

    write = sys.stdout.write
    for name, found in planted.items():
        write(f"planted     {name}: {'NOT FOUND' if found is None else f'found by seed {found}'}\n")
    write(
        f"lives       {total.positions} positions in {total.seeds} seeds, {total.positions / max(seconds, 1e-9):.1f} a second\n"
        f"engine      {total.engine_lives} lives, {total.events} events, {total.simulated_s:.0f} s of market time in {seconds:.1f} s, "
        f"{total.replayed} sessions replayed\n"
        f"ends        {_counts(total.ends)}; {total.refused} refused, {total.unpriced} executions never priced\n"
        f"pages       {_counts(total.pages)}\n"
        f"faults      {sum(total.injected.values())}: {_counts(total.injected)}\n"
        f"coverage    {total.coverage()} rows that can be taken\n"
        f"steps       {total.steps_covered()} (state, fact, state) that holdfast prove reaches, "
        f"{total.steps_at_kraken()} seen at a venue that can do what Kraken can, and {len(total.steps_beyond())} others\n"
        f"laws        {len(total.broken_laws())} rows taken that holdfast prove counts as impossible\n"
        f"bare        at most {total.bare_ms_max} ms at the venue, crashes and faults included\n"
        f"violations  {len(total.failed)}\n"
    )
    for seed in sorted(total.failed):
        write(f"VIOLATION   seed {seed}: {total.failed[seed].violations[0]}\n")
    for seed, path in saved.items():
        write(f"saved       seed {seed}, made smaller: {path}\n")
    if coverage:
        for row in total.rows_never_taken():
            write(f"never       {row}\n")
        for step in total.steps_never_taken():
            write(f"{'no step  ' if step in reached_at_kraken() else 'elsewhere'}   {' '.join(step)}\n")
        for step in total.steps_beyond():
            write(f"beyond      {' '.join(step)}\n")
        for text in total.broken_laws():
            write(f"law         {text}\n")


def _counts(counter: dict[str, int]) -> str:
    return ", ".join(f"{name} {counter[name]}" for name in sorted(counter)) or "none"


def _life_object(lived: "Lived") -> dict[str, object]:
    return {
        "seed": lived.seed,
        "log_hash": lived.log_hash,
        "positions": lived.positions,
        "ends": dict(sorted(lived.ends.items())),
        "engine_lives": lived.lives,
        "events": lived.events,
        "simulated_s": round(lived.simulated_s, 3),
        "faults": dict(sorted(lived.injected.items())),
        "violations": lived.violations,
    }


def _object(
    seed: int, level: str, total: "Total", seconds: float, planted: dict[str, int | None], saved: dict[int, str], coverage: bool
) -> dict[str, object]:
    from holdfast.assembly import table_hash
    from replay.manifest import versions

    return {
        "seed": seed,
        "level": level,
        "versions": versions(),
        "tables": table_hash(),
        "seeds": total.seeds,
        "positions": total.positions,
        "positions_per_s": round(total.positions / max(seconds, 1e-9), 1),
        "engine_lives": total.engine_lives,
        "events": total.events,
        "simulated_s": round(total.simulated_s, 3),
        "seconds": round(seconds, 1),
        "sessions_replayed": total.replayed,
        "ends": dict(sorted(total.ends.items())),
        "refused": total.refused,
        "executions_never_priced": total.unpriced,
        "pages": dict(sorted(total.pages.items())),
        "faults": dict(sorted(total.injected.items())),
        "rows_taken": total.coverage(),
        "rows_never_taken": total.rows_never_taken() if coverage else None,
        "laws_broken": total.broken_laws(),
        "transitions": len(total.transitions),
        "transitions_reached": total.steps_covered(),
        "transitions_reached_at_kraken": total.steps_at_kraken(),
        "transitions_never_taken": total.steps_never_taken() if coverage else None,
        "transitions_beyond": total.steps_beyond() if coverage else None,
        "bare_ms_max": total.bare_ms_max,
        "planted": planted,
        "failed": {str(number): lived.violations for number, lived in sorted(total.failed.items())},
        "saved": {str(number): path for number, path in saved.items()},
    }
