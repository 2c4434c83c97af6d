"""One random mutant in a process of its own: plant it, live the lives, then run the tests of the core. Prints one line of JSON."""

import contextlib
import json
import os
import sys

from tests.mutation.operators import ROOT, plant

# The lives above are what `test_adversary` lives, many times over.
TESTS = ("tests/fsm", "--ignore=tests/fsm/test_adversary.py")


def judge(golden: list[str], with_tests: bool) -> dict[str, str]:
    """Return what found the mutant: `invariant` (its name), `golden` and `tests`, each "" if it did not."""
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
    if with_tests and not found["invariant"] and not found["golden"]:
        found["tests"] = _tests()
    return found


def _tests() -> str:
    import pytest

    failed: list[str] = []

    class Witness:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS], plugins=[Witness()])
    return failed[0] if failed else "" if code == 0 else f"pytest ended with {int(code)}"


def main() -> None:
    """Read {module, number, golden, tests} from standard input; a module of "" plants nothing."""
    asked = json.load(sys.stdin)
    os.chdir(ROOT)
    if asked["module"]:
        plant(asked["module"], asked["number"])
    print(json.dumps(judge(asked["golden"], asked["tests"])))  # noqa: T201


if __name__ == "__main__":
    main()
