"""A sample of what `holdfast scenarios --faults` plays: each scenario again with a fault, and everything settles."""

import pytest

from events.values import PositionSide
from fsm import policy
from holdfast.cli import main
from holdfast.scenario.sweep import OPERATORS, Case, cases, run
from holdfast.scenario.table import scenarios
from venues.simulated.faults import FAULTS


def test_a_sample_of_scenarios_holds_with_a_fault_at_a_message() -> None:
    found = [run(case) for case in cases(scenarios(["P01", "P05", "P07", "P04-lost"]), every=13)]
    assert [(x.case.scenario.place, x.case.side.value, *x.case[2:], x.problems) for x in found if x.problems] == []
    assert sum(x.has_struck for x in found) > 0.9 * len(found)


def test_every_fault_of_the_venue_that_a_scenario_can_meet_is_an_operator() -> None:
    used = {name for operator in OPERATORS for name, _ in operator.strikes}
    # The floor opens its sockets without a handshake.
    assert set(FAULTS) - used == {"accept_and_drop", "handshake_429"}


def test_an_exit_that_is_never_sent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(scenarios(["P01"])[0], PositionSide.LONG, "duplicate_frame", 0)
    assert run(case).problems == ()
    monkeypatch.setitem(policy.BUILDERS, "exit_market", lambda d: iter(()))
    assert any(problem.startswith("I13: hf000001 is still ") for problem in run(case).problems)


def test_a_stop_that_is_never_sent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(scenarios(["P01"])[0], PositionSide.SHORT, "duplicate_frame", 0)
    monkeypatch.setitem(policy.BUILDERS, "cover", lambda d: iter(()))
    assert run(case).bare_ms > 5_000


def test_the_command_sums_the_runs_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "P05", "--side", "long", "--faults", "--every", "60", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "runs with a fault, something broke in 0" in out
