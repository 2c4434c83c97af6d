"""What the README tells a newcomer to type works word by word: the demo, then each line that looks at what it left."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from events.commands import AmendOrder, CancelOrder, SubmitOrder, is_risk_increasing
from events.record import event_from
from replay.replay import INPUTS
from replay.session import read_session
from tests.e2e.processes import ROOT, environment

_ORDERS = SubmitOrder | AmendOrder | CancelOrder


def lines_of(heading: str) -> list[str]:
    """Return the commands of a section of the README that go through run.py, without their comments."""
    text = (ROOT / "README.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line.split("  #")[0].strip() for line in text.splitlines() if line.startswith("python3 run.py ")]


def run(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a line as the README has it, by this environment instead of one that run.py sets up."""
    words = shlex.split(line.removeprefix("python3 run.py "))
    return subprocess.run(
        [sys.executable, "-P", "-m", "holdfast", *words],
        cwd=folder, capture_output=True, text=True, check=False, env=environment({"PYTHONPATH": str(ROOT), "COLUMNS": "100"}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newcomer")
    demo, *_ = lines_of("Two commands")
    assert demo == "python3 run.py demo"
    done = run(demo, folder)
    assert done.returncode == 0, done.stderr
    (folder / "demo.txt").write_text(done.stdout)
    return folder


def test_each_line_after_the_demo_works_as_it_is_written(folder: Path) -> None:
    lines = [line for line in lines_of("Two commands")[1:] if line != "python3 run.py test"]
    assert len(lines) >= 5
    for line in lines:
        done = run(line, folder)
        # Whether the venue's faults left anything uncovered for too long is another matter each time.
        assert done.returncode in ((0, 7) if line.split()[2] == "windows" else (0,)), (line, done.stderr)
        assert done.stdout or done.stderr, line


def test_the_demo_names_each_way_out_as_the_positions_do_and_its_own_hints_work(folder: Path) -> None:
    told = (folder / "demo.txt").read_text()
    hints = [line.split("look at it")[-1].strip() for line in told.splitlines() if "python3 run.py" in line]
    listed = run(hints[0], folder).stdout
    ways = {line.split("Closed by ")[1].split()[0] for line in listed.splitlines() if "Closed by " in line}
    assert {"trailing_stop", "stop_loss", "take_profit", "time_stop", "signal"} <= ways
    assert all(f"  {way}  " in told for way in ways)
    for hint in hints:
        assert run(hint, folder).returncode == 0, hint


def test_the_settings_for_a_live_engine_are_fine(tmp_path: Path) -> None:
    (line,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("cp docs/")]
    source, target = line.split("  #")[0].split()[1:]
    (tmp_path / target).write_text((ROOT / source).read_text())
    assert run("python3 run.py config check", tmp_path).returncode == 0


def test_protection_and_exits_of_the_demo_left_before_the_next_input_was_taken(folder: Path) -> None:
    (path,) = (folder / "holdfast-demo" / "last").glob("*.session")
    sent, waited = 0, []
    kind, is_due = "", False
    for record in read_session(path):
        if record.kind == "event":
            event = event_from(record.payload.encode() if isinstance(record.payload, str) else record.payload)
            is_due |= kind == "frame" and any(isinstance(x, _ORDERS) and not is_risk_increasing(x) for x in event.commands)
        elif record.kind in INPUTS:
            sent += is_due and record.kind == "sent"
            waited += [record.seq] if is_due and record.kind != "sent" else []
            kind, is_due = record.kind, False
    assert sent > 30
    # A socket that is gone or full is the sender's matter.
    assert len(waited) <= sent // 10
