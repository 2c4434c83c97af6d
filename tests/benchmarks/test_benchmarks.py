"""The runner, the tape, and that the ways of W1 really do the same."""

import json
from pathlib import Path

import pytest

from benchmarks import Row, WrongResult, must_equal
from benchmarks.__main__ import figure, main, ratio
from benchmarks.tape import tape
from benchmarks.w1_trailing import _by_columns, _by_frames, _by_ticks
from fsm.columns import PriceColumn


def row(case: str, *samples: float, **fields: object) -> Row:
    return Row(work="W0", case=case, unit="ticks/s", samples=samples, **fields)  # type: ignore[arg-type]


def test_the_tape_begins_as_numpy_has_it() -> None:
    # numpy 2: round(60000 * exp(cumsum(default_rng(7).normal(0, 1e-4, N))) / 0.1)
    prices = tape(20_000)
    assert prices[:5].tolist() == [600_000, 600_018, 600_002, 599_948, 599_921]
    assert (min(prices), max(prices), prices[-1]) == TAPE_OF_20_000


def test_columns_ticks_and_frames_leave_the_same_events() -> None:
    column = PriceColumn(tape(15_000))
    outcomes = {way(column, executor)[1] for way in (_by_columns, _by_ticks, _by_frames) for executor in ("machine", "flat")}
    (outcome,) = outcomes
    assert outcome.trips > 3
    assert outcome.events == 9 * outcome.trips + 6


def test_a_row_has_its_median_and_knows_whether_it_reaches_its_goal() -> None:
    assert row("a", 3, 1, 2).median == 2
    assert row("a", 3, 1, 2, goal=2.0).reaches_goal is True
    assert row("a", 3, 1, 2, goal=2.0, higher_is_better=False).reaches_goal is True
    assert row("a", 3, 1, 2, goal=1.5, higher_is_better=False).reaches_goal is False
    assert row("a", 1).reaches_goal is None


def test_a_ratio_is_to_the_baseline_of_the_same_work() -> None:
    plain, fast = row("plain", 10), row("fast", 25, baseline="plain")
    assert ratio(fast, [plain, fast]) == 2.5
    assert ratio(plain, [plain, fast]) is None
    assert ratio(row("lost", 1, baseline="absent"), [plain]) is None


@pytest.mark.parametrize(("value", "text"), [(85.2e6, "85.2 M"), (23_456_789, "23.5 M"), (1_230.4, "1,230"), (0.2261, "0.226"), (0, "0")])
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_a_wrong_answer_is_not_a_measurement() -> None:
    with pytest.raises(WrongResult, match="benchmark trips: expected 377, found 376"):
        must_equal("trips", 377, 376)


def test_an_unknown_work_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["w99"]) == 3
    said = capsys.readouterr().err
    assert "'w99' is not one of them; name some of w1, w2" in said


def test_rows_are_printed_and_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("plain", 10e6, 12e6, 11e6), row("fast", 25e6, baseline="plain", goal=20e6, facts={"trips": 3})]
    monkeypatch.setattr("benchmarks.__main__._run", lambda module, quick: rows)
    assert main(["w1", "--quick", "--json", str(tmp_path / "rows.json")]) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[1:3]] == [
        ["W0", "plain", "11", "M", "10", "M", "12", "M", "ticks/s"],
        ["W0", "fast", "25", "M", "25", "M", "25", "M", "ticks/s", "2.27", "20", "M", "*"],
    ]
    assert "W0 fast: trips 3" in out
    written = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [(r["case"], r["median"], r["reaches_goal"]) for r in written] == [("plain", 11e6, None), ("fast", 25e6, True)]


TAPE_OF_20_000 = (588894, 600018, 592318)
