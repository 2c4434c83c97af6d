"""Exit codes as a shell sees them, and what a pipe does."""

import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from holdfast.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[3]


def shell(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST__")}, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "holdfast", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)


def test_codes_are_those_that_are_documented(log: Path, session: Path, tmp_path: Path) -> None:
    (tmp_path / "changed.session").write_bytes(session.read_bytes().replace(b"position_requested", b"position_reQuested", 1))
    ended = {
        0: ("positions", "--store", log),
        2: ("show",),
        3: ("check", "--store", tmp_path / "changed.session"),
        4: ("why", "hf000009:1", "--store", log),
        6: ("replay", "changed.session"),
        7: ("check", "--store", log),
    }
    for code, arguments in ended.items():
        done = shell(*arguments, cwd=tmp_path)
        assert done.returncode == code, (arguments, done)
        assert "Traceback" not in done.stderr
        assert bool(done.stderr) is (code != 0), done


@pytest.mark.parametrize("name", ["positions", "show", "why", "orders", "ledger", "windows", "verify", "replay", "check"])
def test_help_explains_and_names_the_exit_codes(holdfast, name: str) -> None:
    said = holdfast(name, "--help")
    assert said.code == 0
    assert f"Usage: holdfast {name}" in said.out
    assert "--config" in said.out
    assert "Exit codes: 0 fine" in said.out
    # More than the line of the list: the command's own text.
    assert len(said.out.split("╭")[0].splitlines()) >= 5


def test_a_closed_pipe_is_no_error(log: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{sys.executable} -m holdfast ledger --store {log} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_has_a_row_and_a_section_on_the_page_and_a_row_in_the_readme() -> None:
    page, readme = ((ROOT / name).read_text() for name in ("docs/cli.md", "README.md"))
    for name in COMMANDS:
        assert any(f"`{name}`" in line or f"`{name} " in line for line in _table_after(page, "| command | answers |")), name
        assert any(f"`{name}`" in line for line in _table_after(readme, "| command | what for |")), name
    titled = {name for line in page.splitlines() if line.startswith("## ") for name in line[3:].split(", ")}
    assert [name for name in COMMANDS if name not in titled] == []


def test_every_exit_code_is_on_the_page_and_in_the_readme() -> None:
    for name in ("docs/cli.md", "README.md"):
        codes = [line.split()[1] for line in _table_after((ROOT / name).read_text(), "| code | means |")]
        assert codes == [str(code) for code in range(9)], name


def _table_after(text: str, head: str) -> list[str]:
    """Return the rows of the table whose head begins so."""
    lines = text.splitlines()
    rows = lines[next(number for number, line in enumerate(lines) if line.startswith(head)) + 2 :]
    return list(takewhile(lambda line: line.startswith("|"), rows))
