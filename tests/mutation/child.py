"""Random mutants, each in a process of its own: plant it, live the lives, then run the tests that execute its line.

`Nursery` begins one process that has loaded everything but the core, and forks for each mutant: what a mutant costs is its own work. A
request and its answer are one line of JSON each.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.mutation.operators import ROOT, plant

# Longer than all that a mutant without an endless loop takes, on a busy machine.
TIMEOUT_SECS = 400
# What is loaded once for all: libraries, and everything of ours below the core. Plugins of pytest are not, it wants to load them itself.
LOADED = (
    "asyncio", "sqlite3", "pytest", "msgspec", "structlog", "transitions", "cyclopts", "rich", "websockets", "websockets.asyncio.client",
    "websockets.asyncio.server", "eventsourcing.persistence", "events.commands", "events.errors", "events.facts", "events.ids",
    "events.record", "events.store", "events.values",
)  # fmt: skip


class Nursery:
    """A process that judges one mutant after another; to be used in a `with`."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.child"], cwd=ROOT, env={**os.environ, "CI": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def judge(self, module: str, number: int, golden: Sequence[str], tests: Sequence[str]) -> dict[str, Any]:
        """Return what found a mutant: `invariant`, `golden` and `tests` ("" where it did not), or `late`. A module of "" plants nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"module": module, "number": number, "golden": golden, "tests": tests}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # It ends with its input.
        self._process.communicate()


def judge(golden: list[str], tests: list[str]) -> dict[str, str]:
    """Return what found the mutant that is planted: `invariant` (its name), `golden` and `tests`, each "" if it did not."""
    try:
        from tests.mutation.lives import digest_of, lives, wrong_with
    except Exception as error:
        return {"invariant": f"{type(error).__name__} on import", "golden": "on import", "tests": ""}
    found = {"invariant": "", "golden": "", "tests": ""}
    for number, life in enumerate(lives()):
        try:
            life.run()
            wrong = wrong_with(life)
        except Exception as error:
            wrong = type(error).__name__
        found["invariant"] = found["invariant"] or (wrong and f"{wrong} in life {number}")
        if not found["golden"] and digest_of(life) != golden[number]:
            found["golden"] = f"life {number}"
        if found["invariant"] and found["golden"]:
            break
    if tests and not found["invariant"] and not found["golden"]:
        found["tests"] = _tests(tests)
    return found


def _tests(names: list[str]) -> str:
    import pytest

    order = {name: place for place, name in enumerate(names)}
    failed: list[str] = []

    class Witness:
        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

    files = list(dict.fromkeys(name.partition("::")[0] for name in names))
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files], plugins=[Witness()])
    return failed[0] if failed else "" if code == 0 else f"pytest ended with {int(code)}"


def _forked(asked: dict[str, Any]) -> dict[str, Any]:
    """Judge one mutant in a child process."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.close(reads)
        if asked["module"]:
            plant(asked["module"], asked["number"])
        os.write(writes, json.dumps(judge(asked["golden"], asked["tests"])).encode())
        os._exit(0)
    os.close(writes)
    try:
        is_there, _, _ = select.select([reads], [], [], TIMEOUT_SECS)
        said = os.read(reads, 1 << 16) if is_there else b""
        if not is_there:
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(reads)
    if said:
        answer: dict[str, Any] = json.loads(said)
        return answer
    return {"late": True} if not is_there else {"invariant": f"the process ended with {os.waitstatus_to_exitcode(status)}"}


def main() -> None:
    """Answer each request of standard input on standard output."""
    import importlib

    os.chdir(ROOT)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever the core or a test prints is no answer.
    os.dup2(2, 1)
    for name in LOADED:
        importlib.import_module(name)
    assert not any(name == "fsm" or name.startswith("fsm.") for name in sys.modules), "the core is loaded before a mutant is planted"
    for line in sys.stdin:
        answers.write(json.dumps(_forked(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
