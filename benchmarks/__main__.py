"""Run benchmarks: `python -m benchmarks [w1 w2 ...] [--quick] [--json FILE]`. One table on standard output."""

import argparse
import importlib
import json
import platform
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from events.errors import BadInput, HoldfastError

from . import Row

_HERE = Path(__file__).parent
_LEFT = (0, 1, 5, 8)  # columns of text; the others are numbers
_NAME = re.compile(r"(w\d+)_\w+\.py")


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="w1", help="which works; all if none is named")
    parser.add_argument("--quick", action="store_true", help="a few seconds each: for a look, not for a figure")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the rows, with all samples, as JSON")
    given = parser.parse_args(arguments)
    try:
        rows = [row for module in _modules(given.works) for row in _run(module, given.quick)]
        _print(rows, given.quick)
        if given.json is not None:
            _write(given.json, rows, given.quick)
    except HoldfastError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


def _modules(works: list[str]) -> list[str]:
    """Return the names of the modules to run, in the order of their numbers."""
    found = {matched[1]: path.stem for path in _HERE.iterdir() if (matched := _NAME.fullmatch(path.name))}
    in_order = sorted(found, key=lambda work: int(work[1:]))
    unknown = [work for work in works if work not in found]
    if unknown:
        raise BadInput("benchmarks", f"{unknown[0]!r} is not one of them", f"name some of {', '.join(in_order)}")
    return [found[work] for work in in_order if not works or work in works]


def _run(module: str, quick: bool) -> list[Row]:
    print(f"{module} ...", file=sys.stderr, flush=True)
    rows: list[Row] = importlib.import_module(f"benchmarks.{module}").run(quick)
    return rows


def ratio(row: Row, rows: list[Row]) -> float | None:
    """Return a row's median over that of its baseline in the same work, above 1 where the row is larger."""
    beside = [other for other in rows if other.work == row.work and other.case == row.baseline]
    return row.median / beside[0].median if beside and beside[0].median else None


def _print(rows: list[Row], quick: bool) -> None:
    head = ("work", "case", "median", "min", "max", "unit", "ratio", "goal", "")
    cells = [head, *(_cells(row, rows) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    for line in cells:
        padded = zip(line, widths, strict=True)
        print("  ".join(text.ljust(width) if at in _LEFT else text.rjust(width) for at, (text, width) in enumerate(padded)).rstrip())
    print(f"\nPython {platform.python_version()}, {platform.machine()}, commit {_commit()}{', quick' if quick else ''}")
    print("ratio: the median over that of the row's baseline, measured in the same run; * at the end: it reaches its goal")
    for row in rows:
        if row.facts or row.note:
            facts = ", ".join(f"{name} {value}" for name, value in row.facts.items())
            print(f"{row.work} {row.case}: {'; '.join(part for part in (facts, row.note) if part)}")


def _cells(row: Row, rows: list[Row]) -> tuple[str, ...]:
    beside = ratio(row, rows)
    goal = "" if row.goal is None else figure(row.goal)
    mark = "*" if row.reaches_goal else ""
    compared = "" if beside is None else f"{beside:.3g}"
    return (row.work, row.case, figure(row.median), figure(row.min), figure(row.max), row.unit, compared, goal, mark)


def figure(value: float) -> str:
    """Return a number with three significant digits, and M for millions: 85.2 M, 1,230, 0.226."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g} M" if abs(value) < 1e9 else f"{value / 1e6:,.0f} M"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _write(path: Path, rows: list[Row], quick: bool) -> None:
    report = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "commit": _commit(),
        "quick": quick,
        "rows": [{**asdict(row), **_derived(row, rows)} for row in rows],
    }
    try:
        path.write_text(json.dumps(report, indent=1) + "\n")
    except OSError as problem:
        raise BadInput(str(path), f"cannot be written ({problem.strerror})", "name a file that you may write") from None


def _derived(row: Row, rows: list[Row]) -> dict[str, float | bool | None]:
    return {"median": row.median, "min": row.min, "max": row.max, "ratio": ratio(row, rows), "reaches_goal": row.reaches_goal}


def _commit() -> str:
    try:
        asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=_HERE, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
