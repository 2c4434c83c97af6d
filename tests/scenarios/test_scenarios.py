"""Every scenario holds, for a long and for a short, on the real pipeline against the real simulated venue."""

from pathlib import Path

import pytest

from events.errors import BadInput
from events.values import PositionSide
from holdfast.scenario.run import Play, check_words
from holdfast.scenario.text import Scenario, scenario_from

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.scenario"))


def read(path: Path) -> Scenario:
    scenario = scenario_from(path.read_text(encoding="utf-8"), path.name)
    check_words(scenario)
    return scenario


@pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_scenario_holds(path: Path, side: PositionSide) -> None:
    assert Play(read(path), side).play().problems == ()


def test_an_order_that_the_script_does_not_name_is_found() -> None:
    text = (FOLDER / "P05.scenario").read_text(encoding="utf-8").replace("> cancel stop\n", "")
    problems = Play(scenario_from(text, "P05"), PositionSide.LONG).play().problems
    assert "> cancel stop" in problems[0]


def test_a_fault_that_does_not_exist_is_named_with_its_line() -> None:
    with pytest.raises(BadInput, match="bad:4: fault 'rain' is not known; use one of: drop_frame"):
        check_words(scenario_from("name: x\nsource: y\n! open\n! fault rain\n", "bad"))
