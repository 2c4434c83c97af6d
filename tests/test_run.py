"""run.py: what it says when it cannot set up, and that it becomes the command when it has."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what run.py needs of a checkout, and no environment."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("run.py", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def load(checkout: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_of_checkout", checkout / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(checkout: Path, *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(checkout / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False)


def make_ready(checkout: Path, script: str) -> None:
    """Put a program in place of the environment's Python, with the stamp of a finished set-up."""
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    (checkout / ".venv" / "holdfast-setup.json").write_text(json.dumps(load(checkout).stamp()))


def test_any_command_is_passed_on_with_its_exit_code_and_folder(checkout: Path, tmp_path: Path) -> None:
    make_ready(checkout, 'printf "%s|" "$PWD" "$@"; exit 7')
    done = run(checkout, "check", "--set", "a.b=c d", cwd=tmp_path)
    assert done.returncode == 7
    assert done.stdout == f"{tmp_path}|-P|-m|holdfast|check|--set|a.b=c d|"
    assert done.stderr == ""


def test_test_runs_pytest_in_the_checkout(checkout: Path, tmp_path: Path) -> None:
    make_ready(checkout, 'printf "%s|" "$PWD" "$@"')
    done = run(checkout, "test", "-q", cwd=tmp_path)
    assert done.stdout == f"{checkout}|-P|-m|pytest|-q|"
    done = run(checkout, "test", cwd=tmp_path)
    assert done.stdout == f"{checkout}|-P|-m|pytest|-n|auto|--dist|loadgroup|"


def test_a_changed_lock_or_a_moved_folder_is_set_up_again(checkout: Path, tmp_path: Path) -> None:
    make_ready(checkout, "exit 0")
    module = load(checkout)
    assert module.is_ready(module.stamp())
    moved = checkout.rename(tmp_path / "moved")
    module = load(moved)
    assert not module.is_ready(module.stamp())
    before = module.stamp()
    (moved / "requirements.txt").write_text("other\n")
    assert module.stamp() != before


def refusal(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ending:
        module.main(["demo"])
    assert ending.value.code == 3
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if "setting up" not in line]
    assert len(lines) == 1, lines
    return lines[0]


def test_an_old_python_is_told_which_one_is_needed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load(checkout)
    monkeypatch.setenv("PATH", str(checkout))
    monkeypatch.setattr(module, "OLDEST", (99, 0))
    assert refusal(module, capsys).startswith("run.py: Python 99.0 or newer is needed and this is 3.")


def test_a_file_in_the_way_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / ".venv").write_text("")
    assert "is a file where the environment is to be; remove it" in refusal(load(checkout), capsys)


def test_a_missing_lock_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "requirements.txt").unlink()
    assert "requirements.txt" in refusal(load(checkout), capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout.chmod(0o555)
    assert f"no permission to write in {checkout}" in refusal(load(checkout), capsys)


def test_without_a_registry_the_remedy_is_one_sentence(checkout: Path) -> None:
    nowhere = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    (checkout / "bin").mkdir()
    done = run(checkout, "demo", env={**kept, **nowhere, "PATH": str(checkout / "bin")})
    assert done.returncode == 3
    assert done.stdout == ""
    assert "run.py: the package registry cannot be reached or lacks a package; connect to the network" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (checkout / ".venv" / "holdfast-setup.json").exists()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "no space left"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'", "no permission to write"),
        ("error: Failed to fetch: `x`\n  Caused by: dns error: failed to lookup address", "registry cannot be reached"),
        ("The virtual environment was not created successfully because ensurepip is not available.", "apt install python3-venv"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not the one that requirements.txt names"),
        ("error: Hash mismatch for `rich==15.0.0`", "not the one that requirements.txt names"),
    ],
)
def test_what_the_tools_say_becomes_a_sentence(output: str, sentence: str) -> None:
    assert sentence in (load(ROOT).cause_of(output) or "")


def test_the_lock_has_hashes_and_no_addresses() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert not [line for line in lines if "://" in line or " @ " in line or line.startswith("-")]
    pinned = [number for number, line in enumerate(lines) if "==" in line and not line.startswith(("#", " "))]
    assert len(pinned) > 30
    assert all(lines[number + 1].startswith("    --hash=sha256:") for number in pinned)


def test_the_lock_has_everything_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    locked = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if re.match(r"\w.*==", line)]
    assert {name_of(one) for one in asked} <= {name_of(one) for one in locked}


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0]
