"""`python -m tests.fuzz`: hostile input for every decoder, by number or by time; a table of what was fed and what broke.

Each target runs in a process of its own, one after the other. First a fault is planted that the engine must find: where it does
not, the run has proved nothing and fails. Exit code 0: nothing broke. 1: something did, or the planted fault was missed; the
inputs are in the folder that is named.
"""

import argparse
import importlib.util
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.folders import remove_stale
from tests.fuzz.targets import CRASHERS, TARGETS
from tests.fuzz.worker import PLANTED, Report

ROOT = Path(__file__).resolve().parents[2]
# Inputs that the planted fault may take; it is found within some hundred.
PLANTED_INPUTS = 60_000
# How much of the inputs each target gets: the wire gets most. Files cost some hundred microseconds each.
SHARES = {
    "frames": 8,
    "tokens": 3,
    "lookups": 2,
    "redact": 3,
    "events": 2,
    "neighbours": 1,
    "requests": 2,
    "settings": 2,
    "ticks": 2,
    "spools": 2,
}


def engine_or_reason(wanted: str) -> tuple[str, str]:
    """Return the engine to use, and why it is not the guided one."""
    if wanted != "auto":
        return wanted, ""
    if sys.platform != "linux":
        return "seeded", f"atheris runs on Linux only, this is {platform.system()}: the seeded mutator is used"
    if importlib.util.find_spec("atheris") is None:
        return "seeded", "atheris is not installed (pip install holdfast[dev]): the seeded mutator is used"
    return "atheris", ""


def run_worker(name: str, engine: str, seed: int, inputs: int, seconds: float, folder: Path) -> Report:
    """Run one target to its end. A process that dies or hangs is a crash of its own."""
    command = [sys.executable, "-m", "tests.fuzz.worker", name, engine, str(seed), str(inputs), str(seconds), str(folder)]
    with (folder / f"{name}.log").open("wb") as log:
        ended = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False)
    # A guided worker ends without a word to what Python does at an end.
    remove_stale()
    found = folder / f"{name}.json"
    if not found.exists():
        return Report(name, engine, seed, crashes=[f"the process ended with {ended.returncode} ({folder / f'{name}.log'})"])
    return msgspec.json.decode(found.read_bytes(), type=Report)


def rows(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{'target':<11}{'inputs':>9}{'a second':>10}{'crashes':>9}{'slowest ms':>12}{'growth MiB':>12}  decodes"
    for report in reports:
        rate = report.inputs / report.seconds if report.seconds else 0.0
        yield (
            f"{report.target:<11}{report.inputs:>9}{rate:>10.0f}{len(report.crashes):>9}{report.slowest_ms:>12.1f}{report.growth_mib:>12.1f}"
            f"  {TARGETS[report.target].about}"
        )


def main(texts: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Feed hostile input to every decoder.")
    parser.add_argument("--inputs", type=int, default=0, help="inputs of all targets together (default 200000 without --duration)")
    parser.add_argument("--duration", type=float, default=0.0, metavar="SECONDS", help="how long all targets together may take")
    parser.add_argument("--targets", default=",".join(TARGETS), help=f"comma list of {', '.join(TARGETS)}")
    parser.add_argument("--engine", choices=("auto", "atheris", "seeded"), default="auto", help="who makes the inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for what breaks something (default: a new one)")
    arguments = parser.parse_args(texts)
    names = [name for name in arguments.targets.split(",") if name]
    if unknown := set(names) - TARGETS.keys():
        parser.error(f"there is no target {min(unknown)!r}; use {', '.join(TARGETS)}")
    engine, reason = engine_or_reason(arguments.engine)
    folder = arguments.out or Path(tempfile.mkdtemp(prefix="holdfast-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    say = sys.stdout.write
    say(f"engine {engine}, seed {arguments.seed}, folder {folder}\n" + (f"{reason}\n" if reason else ""))
    planted = run_worker(PLANTED, engine, arguments.seed, PLANTED_INPUTS, 0.0, folder)
    if not planted.crashes:
        say(f"FAILED: the planted fault was not found in {planted.inputs} inputs\n")
        return 1
    say(f"planted fault found: {planted.crashes[0]}\n")
    inputs = arguments.inputs or (0 if arguments.duration else 200_000)
    total = sum(SHARES.get(name, 1) for name in names)
    reports = []
    for name in names:
        share = SHARES.get(name, 1) / total
        reports.append(run_worker(name, engine, arguments.seed, round(inputs * share), arguments.duration * share, folder))
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {name}: {reports[-1].inputs} inputs, {len(reports[-1].crashes)} crashes\n")
    say("\n".join(rows(reports)) + "\n")
    crashes = [crash for report in reports for crash in report.crashes]
    worst = max(report.growth_mib for report in reports)
    say(f"{sum(report.inputs for report in reports)} inputs, {len(crashes)} crashes, growth at most {worst:.1f} MiB\n")
    for crash in crashes:
        say(f"BROKEN  {crash}\n")
    if crashes:
        say(f"The inputs are in {folder}; put each into {CRASHERS.relative_to(ROOT)}/TARGET with its fix.\n")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
