"""A sample of what `holdfast scenarios --faults` plays: each scenario again with a fault, and everything settles."""

import pytest

from events.values import PositionSide
from holdfast.cli import main
from holdfast.scenario.sweep import OPERATORS, Case, cases, run
from holdfast.scenario.table import scenarios
from holdfast.scenario.text import scenario_from
from venues.simulated.faults import FAULTS


def test_a_sample_of_scenarios_holds_with_a_fault_at_a_message() -> None:
    found = [run(case) for case in cases(scenarios(["P01", "P05", "P07", "P04-lost"]), every=13)]
    assert [(x.case.scenario.place, x.case.side.value, *x.case[2:], x.problems) for x in found if x.problems] == []
    assert sum(x.has_struck for x in found) > 0.9 * len(found)


def test_every_fault_of_the_venue_that_a_scenario_can_meet_is_an_operator() -> None:
    used = {name for operator in OPERATORS for name, _ in operator.strikes}
    # The floor opens its sockets without a handshake.
    assert set(FAULTS) - used == {"accept_and_drop", "handshake_429"}


def test_what_never_settles_is_found() -> None:
    text = "name: x\nsource: y\n! open\n! fault reject on cancel_order times 100000\n! exit operator\n= unprotected 1 s\n"
    case = Case(scenario_from(text, "x"), PositionSide.LONG, "mode_maintenance", 10_000)
    assert run(case).problems == ()  # The settling ends the faults.


def test_the_command_sums_the_runs_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "P05", "--side", "long", "--faults", "--every", "60", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "runs with a fault, something broke in 0" in out
