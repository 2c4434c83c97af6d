"""`holdfast prove`: what a user sees of the model checker."""

import json
from pathlib import Path

import pytest

import fsm.policy as policy
from fsm.order import ORDER
from fsm.position import POSITION
from fsm.proof.rows import LAWS
from holdfast.cli import main


def test_one_configuration_is_shown_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "--only", "window spot, no fault", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["violations"], shown["exhausted"], shown["configurations"]) == (0, 1, 1)
    assert shown["results"][0]["windows_ticks"] == {"entry": 4}
    assert shown["walks"] == 0


def test_random_walks_are_counted_and_every_row_of_the_tables_has_an_account(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "--only", "window spot, no fault", "--walks", "240", "--rows", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["walks"], shown["violations"]) == (240, 0)
    rows = shown["rows_taken"] + shown["rows_excluded"] + shown["rows_open"]
    assert rows == len(POSITION.rows) + len(ORDER.rows)
    assert len(shown["rows_open_names"]) == shown["rows_open"]
    assert set(shown["rows_excluded_by"].values()) <= {law.name for law in LAWS}


def test_every_step_that_occurred_is_written_one_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "steps.txt"
    assert main(["prove", "--only", "window spot, no fault", "--steps", str(file), "--json"]) == 0
    lines = file.read_text().splitlines()
    assert lines == sorted(set(lines))
    assert "ProtectionPending OrderAccepted Protected" in lines
    assert json.loads(capsys.readouterr().out)["steps"] == len(lines)


def test_a_step_that_no_venue_like_kraken_takes_is_written_with_the_word_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "steps.txt"
    assert main(["prove", "--only", "window no amend, no fault", "--states", "500", "--steps", str(file), "--json"]) == 0
    assert {line.split()[3:] == ["elsewhere"] for line in file.read_text().splitlines()} == {True}


def test_a_violation_ends_with_its_code_and_keeps_the_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(policy, "_leased", lambda order: 0)
    file = tmp_path / "found.json"
    assert main(["prove", "--only", "window free, 1 lost", "--save", str(file)]) == 8
    said = capsys.readouterr()
    assert "VIOLATION" in said.out
    assert "I2 does not hold" in said.err
    assert "sequenceDiagram" in said.err
    assert json.loads(file.read_text())["broken"] == "I2"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--only", "nothing of that name"], 4, "leave --only out"),
        (["--budget", "lots=1"], 3, "is no fault and number"),
        (["--budget", "lost"], 3, "is no fault and number"),
        (["--states", "x"], 2, "--states"),
        (["--states", "0"], 3, "at least 1"),
        (["--jobs", "0"], 3, "at least 1"),
        (["--walks", "-1"], 3, "at least 0"),
    ],
)
def test_bad_options_are_one_sentence(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str) -> None:
    assert main(["prove", *arguments]) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
