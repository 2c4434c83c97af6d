import errno
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from events.errors import HoldfastError, NotFound, StoreProblem, Tampered, Unprotected, Usage, VenueProblem
from holdfast.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]

# Heavy, or a sign that a command's module was imported: `holdfast --help` must not pay for these.
HEAVY = (
    "asyncio", "cyclopts.config", "eventsourcing", "events", "fsm", "hypothesis", "msgspec", "projections", "prometheus_client", "psycopg",
    "pyarrow", "pygraphviz", "replay", "sqlite3", "structlog", "transitions", "venues", "websockets",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("HOLDFAST__"):
            monkeypatch.delenv(name)


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = f"""
import sys
from holdfast.cli import main
assert main(["--help"]) == 0
loaded = [name for name in {HEAVY!r} if name in sys.modules]
loaded += [name for name in sys.modules if name.startswith("holdfast.commands")]
sys.exit(f"imported: {{loaded}}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, about in COMMANDS.items():
        assert name in done.stdout
        assert about.split()[0] in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_imported_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hasattr(importlib.import_module(f"holdfast.commands.{name}"), "command")
    assert main([name, "--help"]) == 0
    assert f"holdfast {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nope"], 2, 'Unknown command "nope"'),
        (["config", "shwo"], 2, 'Did you mean "show"'),
        (["config", "show", "--bad"], 2, "--bad"),
        (["config", "show", "-o", "xml"], 2, "jsonl"),
        (["config", "show", "--set", "simulated"], 2, "NAME=VALUE"),
        (["config", "show", "--set", "simulated.sed=1"], 3, "did you mean simulated.seed?"),
        (["config", "show", "--config", "absent.toml"], 4, "absent.toml"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_a_documented_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    assert main(arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("holdfast: ")
    assert sentence in line


def test_config_show_lists_settings_as_table_and_as_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--set", "simulated.seed=7"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("simulated.seed")]
    assert line.split() == ["simulated.seed", "7", "--set", "simulated.seed"]
    assert main(["config", "show", "-o", "jsonl", "--set", "simulated.speed=0.50"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"setting": "simulated.speed", "value": "0.50", "source": "--set simulated.speed"} in rows


def test_config_schema_and_example_can_be_read_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$ref"] == "#/$defs/Config"
    assert main(["config", "example"]) == 0
    (tmp_path / "written.toml").write_text(capsys.readouterr().out)
    assert main(["config", "check", "--config", "written.toml"]) == 0


def test_config_check_looks_at_the_mode_of_a_file_of_secrets(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    arguments = ["config", "check", "--set", f"venue.api_secret_file={secret}"]
    assert main(arguments) == 3
    assert "0644, not 0600" in capsys.readouterr().err
    secret.chmod(0o600)
    assert main(arguments) == 0


Plant = Callable[[Callable[[], object]], None]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Put a command called `planted` on the command line."""

    def plant(function: Callable[[], object]) -> None:
        monkeypatch.setitem(sys.modules, "holdfast.commands.planted", SimpleNamespace(command=function))
        monkeypatch.setitem(COMMANDS, "planted", "Planted.")

    return plant


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Usage("a", "b", "c"), 2),
        (StoreProblem("a", "b", "c"), 3),
        (NotFound("position", "hf000001", "list them"), 4),
        (VenueProblem("a", "b", "c"), 5),
        (Tampered("a", "b"), 6),
        (Unprotected("hf000001", 3000, 2000), 7),
        (OSError(errno.ENOSPC, "No space left on device"), 3),
        (PermissionError(errno.EACCES, "Permission denied", "/some/file"), 3),
        (OSError(errno.EADDRINUSE, "Address already in use"), 5),
    ],
)
def test_each_error_ends_with_its_code_and_sentence(
    command: Plant, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def fail() -> None:
        raise error

    command(fail)
    assert main(["planted"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    if isinstance(error, HoldfastError):
        assert line == f"holdfast: {error}"


def test_an_unexpected_error_keeps_its_traceback_without_secrets(
    command: Plant, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ValueError('wrong {"token": "GWzGeheim1234567890"}')

    command(fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["planted"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("holdfast: unexpected ValueError: wrong")
    (kept,) = tmp_path.glob("holdfast-error-*.txt")
    assert str(kept) in line
    assert kept.stat().st_mode & 0o177 == 0
    text = kept.read_text()
    assert "Traceback" in text
    assert "in fail" in text
    assert "Geheim" not in text
    assert "Geheim" not in line


def test_debug_shows_the_traceback(command: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("wrong")

    command(fail)
    assert main(["planted", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_command_ends_with_the_code_that_it_returns(command: Plant) -> None:
    command(lambda: 6)
    assert main(["planted"]) == 6


def test_an_interrupt_ends_without_a_traceback(command: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    command(interrupt)
    assert main(["planted"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    line = f"{sys.executable} -m holdfast config example | head -c 1; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
