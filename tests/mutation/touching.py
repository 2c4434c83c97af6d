"""Which tests execute which line of the core, and how long each takes: so that a mutant meets only tests that can find it.

Recorded once for a version of the core and its tests, in a process of its own, and kept in `var/`; a change of either records it anew. What
runs while a fixture of a module or of a session is made counts for every test of that file. A line that runs on import (a row of a
table, a constant) counts as executed wherever something else of its module is.
"""

import ast
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .operators import MODULES, ROOT

KEPT = ROOT / "var" / "mutation-map.json"
# Everything that runs the core in this process, but for what takes other programs, and for the lives that `lives.py` has too.
TESTS = (
    "tests/fsm", "tests/rows", "tests/replay", "tests/projections", "tests/venues/kraken", "tests/holdfast", "tests/scenarios",
    "tests/simulation",
)  # fmt: skip
IGNORED = (
    "tests/fsm/test_adversary.py", "tests/fsm/proof/test_mutants.py", "tests/fsm/proof/test_rows.py",
    "tests/holdfast/commands", "tests/holdfast/demo", "tests/holdfast/config", "tests/scenarios/test_sweep.py",
)  # fmt: skip
# Names every row of every table, its target and its commands: what runs on import has it first.
DRAWN = "tests/holdfast/test_drawing.py::test_committed_pictures_are_what_the_tables_say"
# Seconds, with the recording on: longer tests are left out, and said so.
LONGEST_SECS = 8.0


class Touching(NamedTuple):
    """What was recorded: seconds of each test, and for each test or file of tests the lines by module."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[int]]]

    def tests_of(self, module: str, line: int, most_secs: float) -> list[str]:
        """Return the tests that execute the statement at a line of a module, file by file, the one that is through soonest first.

        Of more than `most_secs`, as they were recorded, the shortest are taken.
        """
        wanted = _statement(module, line)
        who = {name for name, seen in self.lines.items() if (found := seen.get(module)) and (wanted is None or wanted.intersection(found))}
        tests, spent = [], 0.0
        for name in sorted(self.seconds, key=lambda name: self.seconds[name]):
            if (name in who or name.partition("::")[0] in who) and (spent := spent + self.seconds[name]) <= most_secs:
                tests.append(name)
        of_file: dict[str, float] = {}
        for name in tests:
            of_file[name.partition("::")[0]] = of_file.get(name.partition("::")[0], 0.0) + self.seconds[name]
        first = [DRAWN] if wanted is None and DRAWN in self.seconds else []
        tests = [name for name in tests if name not in first]
        return first + sorted(tests, key=lambda name: (of_file[name.partition("::")[0]], name.partition("::")[0], self.seconds[name]))


def _statement(module: str, line: int) -> frozenset[int] | None:
    """Return the lines of the statement at a line, without its body; None if it runs on import."""
    found: ast.stmt | None = None
    is_inside = False
    for node, inside in _statements(_tree(module), False):
        if node.lineno <= line <= (node.end_lineno or node.lineno):
            found, is_inside = node, inside
    if found is None or not is_inside or isinstance(found, ast.FunctionDef | ast.ClassDef):
        return None
    body = getattr(found, "body", None)
    end = body[0].lineno - 1 if body else found.end_lineno or found.lineno
    return frozenset(range(found.lineno, max(end, found.lineno) + 1))


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def _statements(node: ast.AST, inside: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield every statement, the outer one first, and whether it is in the body of a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child, inside
        yield from _statements(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def recorded() -> Touching:
    """Return the map of today's core and tests; records it, which takes minutes, if that was not done yet."""
    version = _version()
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    if kept.get("version") != version:
        KEPT.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.mutation.touching", version]
        if subprocess.run(command, cwd=ROOT, env={**os.environ, "CI": "1"}, check=False).returncode:
            raise SystemExit("the tests of the core as it is do not pass: no mutant can be judged by them")
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
    return Touching(kept["seconds"], kept["lines"])


def _version() -> str:
    digest = hashlib.sha256()
    for path in [ROOT / module for module in MODULES] + [path for folder in TESTS for path in sorted((ROOT / folder).rglob("*.*"))]:
        if path.suffix in (".py", ".json", ".txt"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _record(version: str) -> int:
    import coverage
    import pytest

    # No `source`: what the tests load by path is of no interest, and looking for it takes long.
    taken = coverage.Coverage(data_file=None, include=[str(ROOT / module) for module in MODULES], config_file=False)
    taken.start()
    seconds: dict[str, float] = {}

    class Recorder:
        def __init__(self) -> None:
            self.now = ""

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
            self.now, began = item.nodeid, time.perf_counter()
            taken.switch_context(self.now)
            try:
                return (yield)
            finally:
                seconds[item.nodeid] = round(time.perf_counter() - began, 3)
                taken.switch_context("")

        @pytest.hookimpl(wrapper=True)
        def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef, request: pytest.FixtureRequest) -> Generator[None, object, object]:
            if fixturedef.scope == "function":
                return (yield)
            taken.switch_context(request.node.nodeid.partition("::")[0] or self.now.partition("::")[0])
            try:
                return (yield)
            finally:
                taken.switch_context(self.now)

    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS, *(f"--ignore={x}" for x in IGNORED)]
    code = pytest.main(arguments, plugins=[Recorder()])
    taken.stop()
    lines: dict[str, dict[str, list[int]]] = {}
    for module in MODULES:
        for line, names in taken.get_data().contexts_by_lineno(str(ROOT / module)).items():
            for name in names:
                lines.setdefault(name, {}).setdefault(module, []).append(line)
    lines.pop("", None)
    kept = {name: took for name, took in seconds.items() if took <= LONGEST_SECS}
    for name in seconds.keys() - kept.keys():
        print(f"left out, takes {seconds[name]:.1f} s: {name}")  # noqa: T201
    KEPT.write_text(json.dumps({"version": version, "seconds": kept, "lines": lines}), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(ROOT)))
    sys.exit(_record(sys.argv[1]))
