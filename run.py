#!/usr/bin/env python3
"""Set up Holdfast and run it, with nothing but Python's standard library.

    python3 run.py demo             set up, then run the demonstration
    python3 run.py test             set up, then run all tests, one process for each core
    python3 run.py test <args>      set up, then run pytest with these arguments
    python3 run.py <command ...>    set up, then run `holdfast <command ...>`; its exit code is ours

The first start makes `.venv` beside this file and fills it with the versions and hashes of `requirements.txt`, with `uv`
where it is on the PATH, else with `venv` and `pip`. Later starts compare a stamp and go on at once, also without network.
What cannot be set up is said in one sentence, and the exit code is 3. This file keeps to what Python 3.6 understands, so that
an old Python gets its sentence too, and not a syntax error.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "holdfast-setup.json"
LOG = VENV / "holdfast-setup.log"
LOCK = ROOT / "requirements.txt"
OLDEST = (3, 11)
# Tests that share what is dear to make say so with xdist_group, and stay in one process.
ALL_TESTS = ["-n", "auto", "--dist", "loadgroup"]
# Read by us, so that the sentences below are found in the output whatever the user's language is.
PLAIN = {**os.environ, "LC_ALL": "C.UTF-8", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}

# What the output of uv, venv or pip says, and the sentence for it; the first that is found counts.
CAUSES = (
    (r"No space left on device|Errno 28|Disk quota exceeded|Errno 122", f"no space left for {VENV}; free about 1 GB and start again"),
    (
        r"Permission denied|Errno 13|Read-only file system|Errno 30",
        f"no permission to write {VENV}; copy this folder to a place that you may write to",
    ),
    (
        r"ensurepip is not available|No module named '?(ensurepip|venv)",
        "this Python cannot make environments; install its venv package (Debian: apt install python3-venv) or uv, and start again",
    ),
    (
        r"DO NOT MATCH THE HASHES|[Hh]ash mismatch",
        "a downloaded package is not the one that requirements.txt names; do not use it, and check where your packages come from",
    ),
    (
        r"[Nn]ame resolution|NewConnectionError|ConnectTimeout|Connection (refused|reset|aborted)|Network is unreachable|dns error|"
        r"[Ee]rror sending request|ProxyError|Read timed out|Failed to fetch|tcp connect error|No matching distribution|No solution found",
        "the package registry cannot be reached or lacks a package; connect to the network (or set up pip for your mirror) and start again",
    ),
)


class CannotSetUp(Exception):
    """The environment cannot be made; the text is the sentence for the user."""


def main(arguments: "list[str]") -> NoReturn:
    """Set up if needed, then become the command that was asked for."""
    try:
        set_up()
    except CannotSetUp as problem:
        print(f"run.py: {problem}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("run.py: interrupted; start it again to go on", file=sys.stderr)
        sys.exit(130)
    become(arguments)


def become(arguments: "list[str]") -> NoReturn:
    """Replace this process by the command, so that signals, the terminal and the exit code are its own."""
    # -P keeps the working directory off the path: a folder named `events` there would hide ours.
    command = [str(PYTHON), "-P", "-m"]
    if arguments[:1] == ["test"]:
        os.chdir(ROOT)
        command += ["pytest", *(arguments[1:] or ALL_TESTS)]
    else:
        command += ["holdfast", *arguments]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)


def set_up() -> None:
    """Make `.venv` as `requirements.txt` and `pyproject.toml` say, unless the stamp shows that it is."""
    if os.name != "posix":
        raise CannotSetUp("holdfast runs on Linux and macOS; on Windows start it inside WSL")
    try:
        wanted = stamp()
        if is_ready(wanted):
            return
        with alone():
            if not is_ready(wanted):
                make(wanted)
    except OSError as problem:
        raise CannotSetUp(cause_of(str(problem)) or f"{problem}; make it readable and writable, and start again") from None


def stamp() -> "dict[str, str]":
    """Return what a finished set-up depends on; an environment that was moved or made for other versions is made again."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "requirements.txt"):
        digest.update((ROOT / name).read_bytes())
    return {"root": str(ROOT), "sha256": digest.hexdigest()}


def is_ready(wanted: "dict[str, str]") -> bool:
    try:
        return bool(json.loads(STAMP.read_text()) == wanted) and PYTHON.exists()
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def alone() -> "Iterator[None]":
    """Wait for another run.py that sets up this folder. The lock is on this very file, so that none is left behind."""
    with open(__file__) as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass  # A file system without locks: two first starts at once are then the user's affair.
        yield


def make(wanted: "dict[str, str]") -> None:
    """Make or mend `.venv`, install the locked packages and the project, and write the stamp last."""
    if not os.access(ROOT, os.W_OK):
        raise CannotSetUp(f"no permission to write in {ROOT}; copy this folder to a place that you may write to")
    if VENV.exists() and not VENV.is_dir():
        raise CannotSetUp(f"{VENV} is a file where the environment is to be; remove it and start again")
    uv = shutil.which("uv")
    steps = with_uv(uv) if uv else with_pip()
    print("run.py: setting up .venv (once; a minute or two, needs the network) ...", file=sys.stderr, flush=True)
    if STAMP.exists():
        STAMP.unlink()
    if not is_usable(PYTHON):
        shutil.rmtree(VENV, ignore_errors=True)
    try:
        run_all(steps)
    except CannotSetUp:
        if not uv:
            raise
        run_all(with_pip())  # pip may know a mirror or an interpreter that uv does not.
    STAMP.write_text(json.dumps(wanted) + "\n")


def with_uv(uv: str) -> "list[list[str]]":
    """Return the commands that set up with uv, which also finds or fetches a Python that is new enough."""
    steps = [] if is_usable(PYTHON) else [[uv, "venv", "--quiet", "--python", f">={OLDEST[0]}.{OLDEST[1]}", str(VENV)]]
    install = [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    return [*steps, [*install, "--require-hashes", "-r", str(LOCK)], [*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT)]]


def with_pip() -> "list[list[str]]":
    """Return the commands that set up with the standard library's venv and pip."""
    if not is_usable(PYTHON):
        steps = [[find_python(), "-m", "venv", str(VENV)]]
    elif not is_usable(PYTHON, "import pip"):
        steps = [[str(PYTHON), "-m", "ensurepip"]]
    else:
        steps = []
    install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--retries", "2"]
    return [
        *steps,
        [*install, "--require-hashes", "-r", str(LOCK)],
        [*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT)],
    ]


def find_python() -> str:
    """Return an interpreter that is new enough: this one, or one on the PATH."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and is_usable(Path(found)):
            return found
    have = ".".join(str(part) for part in sys.version_info[:2])
    raise CannotSetUp(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed and this is {have}; install one (or uv) and start again")


def is_usable(python: Path, check: str = "") -> bool:
    """Tell whether an interpreter exists, starts, is new enough, and can run the statement `check`."""
    if not python.exists():
        return False
    check = f"import sys; assert sys.version_info >= {OLDEST}\n{check}"
    try:
        return subprocess.call([str(python), "-c", check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60) == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def run_all(steps: "list[list[str]]") -> None:
    """Run the commands in order. Raises CannotSetUp with the cause of the first that fails; its output is kept in `LOG`."""
    for step in steps:
        done = subprocess.run(
            step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", env=PLAIN, check=False
        )
        if done.returncode == 0:
            continue
        try:
            LOG.write_text(" ".join(step) + "\n" + done.stdout)
            where = f"its output is in {LOG}"
        except OSError:
            where = "its output could not be kept"
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        errors = [line for line in lines if re.match(r"\w+Error: ", line)] or lines
        raise CannotSetUp(cause_of(done.stdout) or f"{Path(step[0]).name} failed ({errors[-1]}); {where}")


def cause_of(output: str) -> "str | None":
    """Return the sentence for what an output complains of, or None."""
    for pattern, sentence in CAUSES:
        if re.search(pattern, output):
            return sentence
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
