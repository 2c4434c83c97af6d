"""`python -m tests.branches`: which branches of the core the tests of the core take, package by package, and each that none takes.

It takes some minutes and is no part of the suite. Options of pytest follow (`-x`, or paths in place of the usual ones).
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import coverage
import pytest

from tests.test_layers import CORE, NOT_CORE, ROOT

# What runs the core in this process. What begins engines in processes of their own adds nothing that these lack, and takes long.
TESTS = (
    "tests/events", "tests/fsm", "tests/rows", "tests/projections", "tests/venues/kraken", "tests/replay", "tests/holdfast/inquiry",
    "tests/scenarios/test_scenarios.py", "tests/scenarios/test_found.py", "tests/simulation",
)  # fmt: skip
# Every mutant of the checker is a search of its own, and takes no branch that the others do not.
IGNORED = ("tests/fsm/proof/test_mutants.py",)
CHECKER = "fsm/proof/*.py"


def measured() -> list[str]:
    """Return the modules that are measured, by their path from the root: the core, and the checker of the core."""
    paths = {str(path.relative_to(ROOT)) for pattern in (*CORE, CHECKER) for path in ROOT.glob(pattern)}
    return sorted(path for path in paths - NOT_CORE.keys() if path != "replay/pipeline.py")


def main() -> int:
    """Measure and print; the exit code is that of the tests."""
    taken = coverage.Coverage(data_file=None, branch=True, include=[str(ROOT / module) for module in measured()], config_file=False)
    taken.start()
    arguments = sys.argv[1:] or [*TESTS, *(f"--ignore={path}" for path in IGNORED)]
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments])
    taken.stop()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "coverage.json"
        taken.json_report(outfile=str(file))
        report(json.loads(file.read_text(encoding="utf-8"))["files"])
    return int(code)


def report(files: dict[str, dict]) -> None:
    """Print a line for each package and for each branch and line that nothing took."""
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for path, file in sorted(files.items()):
        name, summary = os.path.relpath(path, ROOT), file["summary"]
        figures = (summary["num_statements"], summary["covered_lines"], summary["num_branches"], summary["covered_branches"])
        for key in (os.path.dirname(name), "together"):
            total[key] = [known + more for known, more in zip(total[key], (1, *figures), strict=True)]
        source = Path(path).read_text(encoding="utf-8").splitlines()
        for line in file["missing_lines"]:
            print(f"{name}:{line}: never runs: {source[line - 1].strip()}")
        for line, after in file["missing_branches"]:
            if line not in file["missing_lines"]:
                where = "the end" if after <= 0 else f"line {after}"
                print(f"{name}:{line}: never goes to {where}: {source[line - 1].strip()}")
    print(f"{'package':<16}{'modules':>8}{'lines':>8}{'run':>8}{'branches':>10}{'taken':>8}")
    for package, (modules, lines, run, branches, taken) in sorted(total.items(), key=lambda item: (item[0] == "together", item[0])):
        share = f"{100 * taken / branches:.1f} %" if branches else ""
        print(f"{package:<16}{modules:>8}{lines:>8}{run:>8}{branches:>10}{taken:>8}  {share}")


if __name__ == "__main__":
    sys.exit(main())
