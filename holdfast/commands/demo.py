"""`holdfast demo`: the main job, end to end, on recorded or seeded ticks."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from holdfast.demo import tape as tapes
from holdfast.demo.folder import name_last, new_folder
from holdfast.demo.report import Report, report_on
from holdfast.demo.show import FAULTS, Shown, show
from holdfast.output import table
from holdfast.quiet import quiet_logs
from holdfast.times import time_text


def command(
    *,
    ticks: Annotated[
        Path | None, Parameter(help="Recorded trades (.gz session, .parquet, .csv of time, price, quantity); else a seeded market.")
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object instead of the table.")] = False,
    seed: Annotated[int, Parameter(help="Of the market, the venue's depth and the faults.")] = 7,
    out: Annotated[Path, Parameter(help="Folder for the store, the session and the data; a new one inside it for each run.")] = Path(
        "holdfast-demo"
    ),
    store: Annotated[str, Parameter(help="Store of the run; else events.db in its folder.")] = "",
    faults: Annotated[bool, Parameter(help="Whether the venue makes faults.")] = True,
) -> int:
    """Open, protect, tighten and close 24 positions against a simulated venue, then book, check and replay the record.

    Takes under a minute: the market runs faster than real time. Needs no key and no network.
    """
    tape = tapes.recorded(ticks) if ticks is not None else tapes.seeded(seed)
    folder = new_folder(out)
    quiet_logs(folder / "engine.log")
    progress = _Progress(not json)
    shown = asyncio.run(show(tape, folder, store or str(folder / "events.db"), seed, faults=FAULTS if faults else (), on_progress=progress))
    progress.end()
    report = report_on(shown)
    link = name_last(folder)
    if json:
        sys.stdout.write(msgspec.json.encode(_object(tape, shown, report)).decode() + "\n")
    else:
        _print(tape, link or folder, shown, report)
    if not report.verdict.identical:
        return 6
    return 0 if report.ledger_balanced and not report.violations else 1


class _Progress:
    """A bar on standard error, on a terminal only."""

    def __init__(self, wanted: bool) -> None:
        self._bar = None
        if wanted and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("24 positions", total=1.0)
            self._bar.start()

    def __call__(self, share: float) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=min(1.0, share))

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _object(tape: tapes.Tape, shown: Shown, report: Report) -> dict[str, object]:
    verdict = report.verdict
    return {
        "positions": len(report.stories),
        "closed": sum(story.row.state == "Closed" for story in report.stories),
        "abandoned": sum(story.row.state == "Abandoned" for story in report.stories),
        "exit_paths": report.exit_paths,
        "events": report.events,
        "commands": report.commands,
        "unprotected_ms": report.unprotected_ms,
        "unprotected_ms_by_cause": report.unprotected_by_cause,
        "invariant_violations": len(report.violations),
        "violations": report.violations,
        "ledger_balanced": report.ledger_balanced,
        "rebuilt_equals_live": report.rebuilt_equal,
        "venue_books_agree": report.venue_agrees,
        "replay": "identical" if verdict.identical else "diverged",
        "replayed_inputs": verdict.inputs,
        "session": str(shown.session_path),
        "store": shown.store_url,
        "ticks": tape.name,
        "speed": round(shown.speed, 2),
        "market_secs": round(shown.market_s, 1),
        "faults": shown.faults,
        "refusals": shown.refusals,
    }


def _print(tape: tapes.Tape, named: Path, shown: Shown, report: Report) -> None:
    rows = [
        {
            "position": story.row.position_id,
            "side": story.row.side,
            "qty": story.row.plan_qty,
            "in": _short(story.row.avg_entry_px),
            "out": _short(story.row.avg_exit_px),
            "pnl": _short(story.row.realized_pnl),
            "state": story.row.state,
            "left by": story.path,
            "uncovered": time_text(longest) if (longest := story.row.unprotected_max_ns) else "",
            "shown": story.title,
        }
        for story in report.stories
    ]
    write = sys.stdout.write
    write(
        f"{tape.name}: {len(tape.ticks)} trades, {tape.duration_s:.0f} s, range {tape.range_bps} bps, "
        f"played {shown.speed:.1f} times as fast\n\n"
    )
    write(table(rows, right=("uncovered",)) + "\n")
    told: set[str] = set()
    for story in report.stories:
        if story.path not in told:
            told.add(story.path)
            write(f"  {story.sentence}\n")
    for refusal in shown.refusals:
        write(f"  refused: {refusal}\n")
    quote = report.stories[0].row.quote
    total = sum(story.row.realized_pnl for story in report.stories)
    ms = report.unprotected_ms
    causes = ", ".join(f"{name} p50 {level['p50']:.0f} max {level['max']:.0f}" for name, level in report.unprotected_by_cause.items())
    faults = ", ".join(f"{name} {count}" for name, count in sorted(shown.faults.items())) or "none"
    inside = Path(shown.store_url).parent == shown.session_path.parent
    where = str(named / Path(shown.store_url).name) if inside else shown.store_url
    worst = max(report.stories, key=lambda story: story.row.unprotected_max_ns).row.position_id
    write(
        f"\nexit paths   {', '.join(f'{name} {count}' for name, count in report.exit_paths.items())}\n"
        f"record       {report.events} events, {report.commands} commands, {len(report.violations)} invariant violations\n"
        f"unprotected  p50 {ms['p50']:.0f} ms, p99 {ms['p99']:.0f} ms, max {ms['max']:.0f} ms of market time\n"
        f"  by cause   {causes}\n"
        f"faults       {faults}\n"
        f"books        ledger {'balanced' if report.ledger_balanced else 'NOT BALANCED'}, "
        f"rebuilt {'equals' if report.rebuilt_equal else 'DIFFERS FROM'} live, "
        f"venue's own books {'agree' if report.venue_agrees else 'DISAGREE'}; realized {total:+.2f} {quote}\n"
        f"replay       {'identical' if report.verdict.identical else 'DIVERGED'}: "
        f"{report.verdict.inputs} inputs, {report.verdict.events} events\n"
        f"folder       {shown.session_path.parent}{f', until the next demo also {named}' if named != shown.session_path.parent else ''}\n"
        f"session      {named / shown.session_path.name}\nstore        {where}\n"
        f"look at it   python3 run.py positions --store {where}\n"
        f"             python3 run.py dossier {worst} --store {where}\n"
    )
    for violation in report.violations:
        write(f"VIOLATION    {violation}\n")


def _short(value: object) -> object:
    from decimal import Decimal

    return value.quantize(Decimal("0.01")) if isinstance(value, Decimal) else value
