import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("events", "fsm", "projections", "venues", "replay")


def python(*arguments: str, path: Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run Python with a folder that goes before our own packages."""
    environment = {"PYTHONPATH": f"{path}:{ROOT}", "PATH": "/usr/bin:/bin"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def foreign(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("class Events: pass\n")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_refuses_to_run_beside_a_foreign_package(tmp_path: Path, name: str) -> None:
    done = python("-P", "-m", "holdfast", "--help", path=foreign(tmp_path, name), cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(f"holdfast: the package {name!r} is {tmp_path / name}, not holdfast's own")
    assert "its own environment" in sentence


def test_the_tests_refuse_to_run_beside_a_foreign_package(tmp_path: Path) -> None:
    # Without `pythonpath` pytest does not put our folder first: as where the tests run against an installed holdfast.
    tests = str(ROOT / "tests" / "test_layers.py")
    command = ["-P", "-m", "pytest", "-o", "pythonpath=", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), tests]
    done = python(*command, path=foreign(tmp_path, "events"), cwd=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the package 'events' is" in done.stdout + done.stderr


def test_a_foreign_distribution_that_was_installed_over_ours_is_refused(tmp_path: Path) -> None:
    for name in NAMES:
        foreign(tmp_path, name)
    (tmp_path / "holdfast").mkdir()
    for name in ("__init__.py", "guard.py"):
        shutil.copy(ROOT / "holdfast" / name, tmp_path / "holdfast")
    code = "from holdfast.guard import refuse_foreign_packages as refuse; refuse()"
    assert python("-P", "-c", code, path=tmp_path, cwd=ROOT).returncode == 0
    (tmp_path / "Events-0.5.dist-info").mkdir()
    done = python("-P", "-c", code, path=tmp_path, cwd=ROOT)
    assert done.returncode != 0
    assert "Events-0.5.dist-info" in done.stderr


def test_python_without_assertions_is_refused(tmp_path: Path) -> None:
    done = python("-O", "-P", "-m", "holdfast", "config", "check", path=ROOT, cwd=tmp_path)
    assert done.returncode == 2
    assert "without -O" in done.stderr
    assert "Traceback" not in done.stderr


def test_our_own_packages_pass(tmp_path: Path) -> None:
    assert python("-P", "-m", "holdfast", "config", "check", path=ROOT, cwd=tmp_path).returncode == 0
