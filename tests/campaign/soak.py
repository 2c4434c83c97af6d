"""`python -m tests.campaign.soak --duration 1800`: `holdfast run` as a process, with faults, until then; then its record is judged.

Positions of every kind live on a market that trades all the while: recorded ticks, or seeded ones, played forward and
backward until time is over, so that no price jumps where the tape is joined. Their time stops are spread over the whole time.
Afterwards `verify` decides the log again, `verify` and `replay` take the session, `ledger` must balance and `windows` says how
long what was bare. Exit code 0: nothing was violated and the replay is identical; 1 otherwise. The folder is kept.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from venues.simulated.faults import FAULTS
from venues.simulated.ticks import Tick, read_ticks, seeded_ticks

SYMBOL = "BTC/USDT"
MS, SECOND = 1_000_000, 1_000_000_000
JOIN_NS = 100 * MS
SEEDED = 20_000
SEEDED_FROM_NS = 1_723_161_600 * SECOND
# Many positions make thousands of messages, and each draws: at the usual rates of a demonstration the link would hardly ever be whole.
RARER = {"delay_frame": "0.002", "drop_frame": "0.002", "reorder_frames": "0.002", "sequence_gap": "0.002", "stall": "0.0002"}
RARER |= dict.fromkeys(("close_mid_stream", "close_before_apply", "close_before_reply", "close_after_reply"), "0.0005")
PROGRAM = [sys.executable, "-m", "holdfast"]


def tape_of(ticks: Sequence[Tick], duration_s: float) -> Iterator[Tick]:
    """Play `ticks` forward, backward, forward, ... until `duration_s` of market time have passed."""
    start_ns = at_ns = ticks[0].ts_event_ns
    forward = True
    while True:
        way = ticks if forward else ticks[::-1]
        before_ns = way[0].ts_event_ns
        for tick in way:
            at_ns += abs(tick.ts_event_ns - before_ns)
            before_ns = tick.ts_event_ns
            if at_ns > start_ns + int(duration_s * SECOND):
                return
            yield Tick(at_ns, tick.px, tick.qty, tick.taker_side)
        at_ns += JOIN_NS
        forward = not forward


def plan_of(number: int, count: int, duration_s: float) -> dict[str, Any]:
    """Return the plan of one of `count` positions, as the settings have it: each option meets each other one somewhere."""
    short = number % 2 == 1
    plan: dict[str, Any] = {"symbol": SYMBOL, "side": "short" if short else "long", "margin": short, "qty": 0.01}
    plan["trail_offset_bps"] = (15, 30, 60, 120, 300, 700)[number % 6]
    plan["time_stop_secs"] = max(5, int(duration_s * (number + 1) / count * 0.95))
    if number % 5 == 1:
        plan["trail_style"] = "engine"
    if number % 5 == 2 and not short:
        plan["attach_stop"] = True
    if number % 7 == 3:
        plan["panic_pnl_bps"] = -40
    if number % 10 == 4:
        del plan["trail_offset_bps"]
        plan["trail_auto"] = True
    return plan


def settings_text(tape: Path, count: int, duration_s: float, seed: int) -> str:
    """Return the TOML file of the run."""
    faults = [f"{name}/p={RARER[name]}" if name in RARER else name for name in FAULTS]
    lines = [
        "[engine]", 'data_dir = "var"', "[log]", 'level = "warning"', "[venue]", f'symbols = ["{SYMBOL}"]',
        "[simulated]", f"seed = {seed}", f'ticks = ["{SYMBOL}={tape.name}"]', f"faults = {json.dumps(faults)}",
    ]  # fmt: skip
    for number in range(count):
        lines += ["[[positions]]", *(f"{key} = {json.dumps(value)}" for key, value in plan_of(number, count, duration_s).items())]
    return "\n".join(lines) + "\n"


def run(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run `holdfast` in `folder`; return its exit code, the object that it printed, and the end of what it said beside."""
    done = subprocess.run([*PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    try:
        printed = json.loads(done.stdout)
    except ValueError:
        printed = {}
    return done.returncode, printed if isinstance(printed, dict) else {}, done.stderr[-2000:]


def soak(folder: Path, ticks: Sequence[Tick], count: int, duration_s: float, seed: int) -> list[str]:
    """Run the engine with `count` positions for `duration_s` and judge its record; print what was seen, return what does not hold."""
    tape = folder / "tape.csv"
    with tape.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("ts_event_ns", "price", "quantity", "side"))
        writer.writerows((tick.ts_event_ns, tick.px, tick.qty, tick.taker_side) for tick in tape_of(ticks, duration_s + 60))
    (folder / "holdfast.toml").write_text(settings_text(tape, count, duration_s, seed), encoding="utf-8")
    problems = []
    code, ended, said = run(folder, "run", "--duration", str(duration_s), "-o", "json")
    (folder / "run.err").write_text(said, encoding="utf-8")
    print(json.dumps(ended, indent=1))
    if code:
        problems.append(f"run ended with {code}: {said}")
    counters = ended.get("counters", {})
    if counters.get("void", 0) > count // 2:
        problems.append(f"{counters['void']} of {count} entries never filled: nothing was soaked; take another --seed")
    if counters.get("violations", 0):
        problems.append(f"{counters['violations']} violations of invariants")
    for arguments in (("verify",), ("verify", "var/sessions"), ("replay", "var/sessions"), ("ledger", "--balances")):
        began = time.monotonic()
        code, printed, said = run(folder, *arguments, "-o", "json")
        print(f"holdfast {' '.join(arguments)}: exit code {code}, {time.monotonic() - began:.0f} s {json.dumps(printed)[:400]}")
        if code:
            problems.append(f"{' '.join(arguments)} ended with {code}: {said}")
    windows = subprocess.run([*PROGRAM, "windows"], cwd=folder, capture_output=True, text=True, check=False)
    print(windows.stdout)
    return problems


def main() -> int:
    """Carry the command line out; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.soak", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--duration", type=float, default=1800.0, help="real seconds of the engine's life")
    parser.add_argument("--positions", type=int, default=24, help="opened at the start, on one pair")
    parser.add_argument("--ticks", type=Path, help="recorded ticks (as `simulated.ticks` takes them); else seeded ones")
    parser.add_argument("--seed", type=int, default=1, help="of the faults, and of the market if it is seeded")
    parser.add_argument("--folder", type=Path, help="where its files go; else a new folder, which is named")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="holdfast-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{folder}", flush=True)
    trades = read_ticks(given.ticks) if given.ticks else islice(seeded_ticks(given.seed, Decimal(60_000), SEEDED_FROM_NS), SEEDED)
    ticks = list(trades)
    problems = soak(folder, ticks, given.positions, given.duration, given.seed)
    for problem in problems:
        print(f"does not hold: {problem}")
    print("held" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
