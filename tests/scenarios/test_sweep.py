"""A sample of what `holdfast scenarios --faults` plays: each scenario again with a fault, and everything settles."""

from collections import Counter

import pytest

from events.values import PositionSide
from fsm import policy
from holdfast.cli import main
from holdfast.scenario import sweep
from holdfast.scenario.floor import Floor
from holdfast.scenario.run import Play
from holdfast.scenario.sweep import OPERATORS, Case, bound_of, cases, run
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


def test_each_frame_of_a_scenario_without_faults_is_struck_by_each_fault_of_a_frame() -> None:
    counts = Counter(case.operator for case in cases(scenarios(["P01"]), "long"))
    frames = counts["drop_frame"]
    assert frames >= 9
    assert [counts[name] for name in ("delay_frame", "stall", "close_mid_stream", "cut_truncated")] == [frames] * 4
    assert all(counts[name] > frames for name in ("duplicate_frame", "reorder_frames", "non_json"))


def test_a_scenario_whose_record_is_damaged_is_left_to_a_person_and_not_swept() -> None:
    assert cases(scenarios(["X14-middle"])) == []
    assert cases(scenarios(["X14"])) != []


def test_an_exit_that_is_never_sent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(scenarios(["P01"])[0], PositionSide.LONG, "duplicate_frame", 0)
    assert run(case).problems == ()
    monkeypatch.setitem(policy.BUILDERS, "exit_market", lambda d: iter(()))
    assert any(problem.startswith("I13: hf000001 is still ") for problem in run(case).problems)


def test_a_stop_that_is_never_sent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(scenarios(["P01"])[0], PositionSide.SHORT, "duplicate_frame", 0)
    monkeypatch.setitem(policy.BUILDERS, "cover", lambda d: iter(()))
    assert run(case).bare_ms > 5_000


def test_a_look_that_is_left_out_would_have_seen_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = cases(scenarios(["P05", "P19a", "P30", "X08", "X14"]), every=97)
    found = [run(case) for case in chosen]
    looked = Counter[bool]()
    look = Play._look

    def always(play: Play) -> bool:
        looked[play._seen is None] += 1
        play._seen = None
        return look(play)

    monkeypatch.setattr(Play, "_look", always)
    assert [run(case) for case in chosen] == found
    assert looked[False] > looked[True]


def bound_s(text: str, operator: str) -> int:
    scenario = scenario_from(f"name: T1 something\nsource: T1\n\n{text}= unprotected 5 s\n", "T1.scenario")
    return bound_of(Case(scenario, PositionSide.LONG, operator, 0)) // 1_000


def test_a_bound_counts_what_the_scenario_does_how_long_the_fault_lasts_and_the_alarm() -> None:
    assert bound_s("! open\n! wait 40 s\n", "drop_frame") == 5 + 30
    assert bound_s("! open\n! wait 40 s\n", "mode_maintenance") == 5 + 20 + 30
    # Nothing can be sent over a link that the scenario cuts, or by a process that it kills.
    assert bound_s("! cut\n! wait 40 s\n! wait 20 s\n! live\n! wait 90 s\n! down\n! wait 10 s\n! start\n", "drop_frame") == 60 + 30
    # A hold lasts until its time is up, where the fault takes what would end it before.
    assert bound_s("! open\n! owner cancels stop\n= AwaitingOwner\n", "drop_frame") == 60 + 30


def test_runs_go_in_rounds_through_all_scenarios_and_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "ROUND_RUNS", 4)
    ran: list[Case] = []

    def note(case: Case) -> sweep.Struck:
        ran.append(case)
        return sweep.Struck(case, True, (), 0)

    monkeypatch.setattr(sweep, "run", note)
    chosen = cases(scenarios(["P01", "P05"]), "long")[:41]
    done: list[int] = []
    assert [struck.case for struck in sweep.run_all(chosen, 1, done.append)] == chosen
    assert done == list(range(1, 42))
    assert ran[:5] == chosen[::10]
    assert sorted(ran, key=chosen.index) == chosen


def test_the_command_sums_the_runs_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "P05", "--side", "long", "--faults", "--every", "60", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "runs with a fault, something broke in 0" in out


def test_a_run_in_which_every_step_is_taken_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = cases(scenarios(["P05", "P08-holds", "P16-split", "X12"]), every=53)
    assert len(chosen) > 20
    found = [run(case) for case in chosen]
    steps = 0

    def here(floor: Floor, until_ns: int, trades: bool) -> int:
        nonlocal steps
        steps += 1
        return floor.now_ns

    monkeypatch.setattr(Floor, "_last_idle_ns", here)
    monkeypatch.setattr(sweep, "OVER_AUDITS", 1_000)
    assert [run(case) for case in chosen] == found
    # All of 180 s after the script, ten steps each.
    assert steps > 1_800 * len(chosen)


def test_the_parts_of_a_sweep_are_the_whole_of_it() -> None:
    chosen = scenarios(["P01"])
    whole = cases(chosen)
    parts = [cases(chosen, part=number, of=3) for number in (1, 2, 3)]
    assert sorted(map(whole.index, [case for part in parts for case in part])) == list(range(len(whole)))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3"])
def test_a_part_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "P05", "--faults", "--part", text]) == 3
    assert "write it as i/n" in capsys.readouterr().err
