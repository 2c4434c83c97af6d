"""Every scenario holds, for a long and for a short, on the real pipeline against the real simulated venue."""

from pathlib import Path

import pytest

from events.commands import CancelOrder
from events.errors import BadInput, NotFound
from events.values import PositionSide
from holdfast.cli import main
from holdfast.scenario.run import Play
from holdfast.scenario.setup import check_words
from holdfast.scenario.table import FOLDER, scenarios, sides_of
from holdfast.scenario.text import Scenario, scenario_from
from replay.output import Output

CASES = [(scenario, side) for scenario in scenarios() for side in sides_of(scenario)]


@pytest.mark.parametrize(("scenario", "side"), CASES, ids=lambda x: x.place if isinstance(x, Scenario) else x.value)
def test_the_scenario_holds(scenario: Scenario, side: PositionSide) -> None:
    assert Play(scenario, side).play().problems == ()


def test_an_order_that_the_script_does_not_name_is_found() -> None:
    text = (FOLDER / "P05.scenario").read_text(encoding="utf-8").replace("> cancel stop\n", "")
    problems = Play(scenario_from(text, "P05"), PositionSide.LONG).play().problems
    assert "> cancel stop" in problems[0]


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ("! fault rain", "bad:4: fault 'rain' is not known; use one of: drop_frame"),
        ("= Protected", "bad: it does not bound the time without protection; hold it somewhere"),
    ],
)
def test_what_only_running_would_find_is_named_with_its_line(steps: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        check_words(scenario_from(f"name: x\nsource: y\n! open\n{steps}\n", "bad"))


def test_a_scenario_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(NotFound, match=r"'P99' does not exist; name a file .*P01"):
        scenarios(["P99"])


def test_the_command_prints_a_row_for_each_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "P05"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["P05", "long", "yes"], ["P05", "short", "yes"]]


def test_what_does_not_hold_is_told_with_its_line_and_exit_code_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.scenario"
    path.write_text("name: mine\nsource: me\n! open\n> submit entry 1\n= Protected, unprotected 0 ms\n", encoding="utf-8")
    assert main(["scenarios", str(path), "--side", "long"]) == 8
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split()[:3] == ["mine", "long", "no"]
    assert "mine long: mine:5: " in said.err


def test_a_page_that_came_more_often_than_the_script_says_does_not_hold() -> None:
    text = (FOLDER / "P29-ladder.scenario").read_text(encoding="utf-8").replace("EXIT_NOT_POSSIBLE times 2", "EXIT_NOT_POSSIBLE times 1")
    problems = Play(scenario_from(text, "P29"), PositionSide.LONG).play().problems
    assert "expected paged EXIT_NOT_POSSIBLE, found ['EXIT_NOT_POSSIBLE', 'EXIT_NOT_POSSIBLE']" in problems[0]


def test_what_was_taken_over_and_the_account_does_not_hold_ends_when_it_is_to_be_left() -> None:
    play = Play(scenarios(["P24-margin"])[0], PositionSide.SHORT)
    assert play.play().problems == ()
    play.floor.leave("hf000002")
    play.floor.wait(10)
    assert play.floor.state("hf000002") == "Closed"
    assert play.floor.alerts.count("POSITION_ADJUSTED") == 1
    assert play.watch.violations == []


def test_a_surplus_stop_that_a_venue_that_is_down_does_not_cancel_is_asked_for_by_a_clock_and_told_once() -> None:
    play = Play(scenarios(["P04-twice"])[0], PositionSide.SHORT, is_compared=False)
    asked = 0

    def down(output: Output) -> None:
        nonlocal asked
        cancels = sum(isinstance(x.command, CancelOrder) for x in output.outgoing)
        asked += cancels
        if cancels and asked == 1:
            play.floor.queue(lambda: play.floor.mode("maintenance"))

    play.on_input = down
    assert play.play().problems == ()
    assert 1 < asked < 20
    assert play.floor.alerts.count("STOP_TWICE") == 1
