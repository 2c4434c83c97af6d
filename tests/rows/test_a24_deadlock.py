"""A24: no sequence of stale truths leaves exposure unprotected, and nobody told, for longer than a stated bound."""

from itertools import product

import pytest

from events import commands as c
from events.values import PositionSide
from fsm.monitor import BOUND_NS
from holdfast.scenario.floor import SECOND, Floor, commands_of, replayed
from tests.fsm.stage import D, Stage, assert_decision

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
ACTIONS = ("cut", "silence", "gap", "no proof")


def lost_stop(side: PositionSide) -> tuple[Floor, str]:
    """A position whose stop vanished on its way, with a venue whose snapshots prove nothing from here on."""
    floor = Floor()
    floor.wait(1)
    floor.holds_back = lambda text: "trailing-stop" in text
    position_id = floor.open(side, qty="0.2")
    # Snapshots come without a trade that is known: their absences are no proof.
    floor.altered = lambda text: text.replace('"exec_type":"trade"', '"exec_type":"status"') if '"type":"snapshot"' in text else text
    return floor, position_id


def act(floor: Floor, action: str) -> None:
    if action == "cut":
        floor.cut(back=True)
    elif action == "silence":
        floor.faults.arm("stall", on="executions", seconds=5)
    elif action == "gap":
        floor.faults.arm("sequence_gap")
        floor.by_hand("buy", "0.001")
    floor.wait(8)


@pytest.mark.parametrize("actions", [*product(ACTIONS, repeat=3)], ids="-".join)
def test_a24_whatever_the_truth_does_a_person_knows_within_the_bound(actions: tuple[str, ...]) -> None:
    side = PositionSide.SHORT if actions[0] < actions[1] else PositionSide.LONG
    floor, position_id = lost_stop(side)
    began_ns = floor.now_ns
    for action in (*actions, *actions):
        act(floor, action)
    assert floor.now_ns - began_ns > BOUND_NS
    covered_or_told = floor.state(position_id) in ("Protected", "Closed") or "UNPROTECTED_TOO_LONG" in floor.pages
    assert covered_or_told, (floor.state(position_id), floor.pages)
    assert floor.bare_ns <= BOUND_NS or floor.pages


@both_sides
def test_a24_protection_and_exits_go_on_while_entries_are_halted(side: PositionSide) -> None:
    floor, position_id = lost_stop(side)
    floor.wait(20)
    floor.holds_back = lambda text: False
    floor.altered = lambda text: text
    floor.faults.arm("sequence_gap")
    floor.wait(15)
    assert floor.state(position_id) in ("Protected", "Closed")
    submits = [x.role for x in commands_of(floor, position_id, c.SubmitOrder)]
    assert submits.count("entry") == 1
    assert len(submits) > 2
    assert replayed(floor)


@both_sides
def test_a24_what_nothing_stands_for_gets_a_stop_though_no_truth_comes(side: PositionSide) -> None:
    stage = Stage(side).entered().rejected("stop").link_closed()
    stage.wait(25_000)
    assert stage.state == "EmergencyProtecting"
    assert any(text.startswith("submit stop") for text in stage.sent())
    assert "LINK_DOWN_WITH_EXPOSURE" in stage.paged


def test_a24_a_resting_exit_is_uncovered_by_choice_and_has_a_clock_of_its_own() -> None:
    floor = Floor()
    position_id = floor.protected(take_profit_price=D(60_300), take_profit_style="maker", take_profit_arm_bps=10)
    floor.tick(60_250)
    floor.wait(2)
    assert floor.state(position_id) == "TakeProfitWorking"
    floor.wait(27)
    assert floor.pages == []
    floor.wait(10)
    assert (floor.state(position_id), floor.at_venue()) == ("Closed", 0)


def test_a24_with_everything_well_the_vigil_is_silent() -> None:
    floor = Floor()
    floor.protected()
    floor.wait(2 * BOUND_NS / SECOND)
    assert (floor.alerts, floor.pages) == ([], [])


@both_sides
def test_a24_the_stop_is_put_back_at_once_when_the_truth_proves_it_never_arrived(side: PositionSide) -> None:
    stage = Stage(side).entered().unknown("stop").wait(100).snapshot()
    assert_decision(stage, "ProtectionPending", "submit stop 1.0 trail 300")
