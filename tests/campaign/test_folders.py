"""Folders of campaigns: they go with their owner, or with the next one where the owner was killed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import folders
from tests.folders import kept, memory_folder, remove_stale

MAKES = "from tests.folders import memory_folder; print(memory_folder('test'), flush=True); "


def made_by_a_process_that(does: str) -> Path:
    command = [sys.executable, "-c", MAKES + does]
    return Path(subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path.cwd()).stdout.strip())


def test_a_folder_goes_with_its_owner() -> None:
    folder = made_by_a_process_that("raise SystemExit(1)")
    assert folder.name.startswith("holdfast-test-p")
    assert not folder.exists()


def test_the_folder_of_an_owner_that_was_killed_goes_with_the_next_one_and_that_of_a_living_one_stays() -> None:
    own, folder = memory_folder("test"), made_by_a_process_that("import os; os.kill(os.getpid(), 9)")
    assert folder.is_dir()
    assert folder in remove_stale()
    assert not folder.exists()
    assert own.is_dir()


def test_a_kept_folder_outlives_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = memory_folder("test")
    (folder / "evidence").write_text("what went wrong")
    place = kept(folder)
    folders._end(os.getpid(), folder)
    assert (place / "evidence").read_text() == "what went wrong"
    assert not folder.exists()
