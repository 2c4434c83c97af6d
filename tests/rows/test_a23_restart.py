"""A23: a restart resumes the whole life cycle of an open position: timers, take-profit, peak, tightening; from every state."""

from collections.abc import Callable

import pytest

from events import facts as f
from events.values import PositionSide
from fsm.position import LIVE_STATES
from holdfast.scenario.floor import MS, Floor
from replay.intents import ExitPosition
from tests.fsm.stage import D, Stage, assert_decision

both_sides = pytest.mark.parametrize("side", PositionSide, ids=lambda side: side.value)
Way = Callable[[PositionSide], tuple[Floor, str]]


def lost(*texts: str) -> Callable[[str], bool]:
    return lambda text: any(each in text for each in texts)


def entry_pending(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    floor.holds_back = lost("add_order")
    return floor, floor.open(side, time_stop_secs=60)


def pending_fill(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    return floor, floor.open(side, entry_type="limit", entry_price=floor.moved(side, -20), time_stop_secs=60)


def entry_cancel_pending(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    floor.holds_back = lost("cancel_order")
    timing = f.Timing(entry_ttl_ms=2_000)
    position_id = floor.open(side, entry_type="limit", entry_price=floor.moved(side, -20), timing=timing)
    floor.wait(2.5)
    return floor, position_id


def protection_pending(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    floor.holds_back = lost("trailing-stop")
    return floor, floor.open(side, time_stop_secs=60)


def covered(side: PositionSide, **plan: object) -> tuple[Floor, str]:
    floor = Floor()
    return floor, floor.protected(side, time_stop_secs=60, **plan)


def resizing(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor(faults=("split_fill/n=2/count=1",))
    floor.holds_back = lost("amend_order")
    return floor, floor.open(side, qty="0.2", time_stop_secs=60)


def tightening(side: PositionSide) -> tuple[Floor, str]:
    floor, position_id = covered(side, tighten=(f.TightenStep(profit_bps=20, trail_offset_bps=80),))
    floor.holds_back = lost("amend_order")
    floor.tick(floor.moved(side, 30))
    return floor, position_id


def stop_triggered(side: PositionSide) -> tuple[Floor, str]:
    floor, position_id = covered(side, trail_offset_bps=50)
    floor.tick(floor.moved(side, -60))
    return floor, position_id


def emergency(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    floor.faults.arm("reject", on="add_order:trailing-stop", text="EOrder:Trading agreement required", count=2)
    return floor, floor.open(side, qty="0.2", time_stop_secs=60)


def cancel_pending(side: PositionSide) -> tuple[Floor, str]:
    floor, position_id = covered(side)
    floor.holds_back = lost("cancel_order")
    floor.leave(position_id)
    return floor, position_id


def take_profit_working(side: PositionSide) -> tuple[Floor, str]:
    floor = Floor()
    position_id = floor.protected(
        side, time_stop_secs=60, take_profit_price=floor.moved(side, 50), take_profit_style="maker", take_profit_arm_bps=10
    )
    floor.tick(floor.moved(side, 42))
    return floor, position_id


def maker_exiting(side: PositionSide) -> tuple[Floor, str]:
    floor, position_id = covered(side)
    floor.intent(ExitPosition(position_id=position_id, reason="signal", patient=True))
    return floor, position_id


def market_exiting(side: PositionSide) -> tuple[Floor, str]:
    floor, position_id = covered(side)
    floor.holds_back = lost('"order_type":"market"')
    floor.leave(position_id)
    return floor, position_id


def reconciling(side: PositionSide) -> tuple[Floor, str]:
    floor, position_id = covered(side)
    floor.cut()
    return floor, position_id


WAYS: dict[str, Way] = {
    "EntryPending": entry_pending, "ProtectedPendingFill": pending_fill, "EntryCancelPending": entry_cancel_pending,
    "ProtectionPending": protection_pending, "Protected": covered, "Resizing": resizing, "Tightening": tightening,
    "StopTriggered": stop_triggered, "EmergencyProtecting": emergency, "CancelPending": cancel_pending,
    "TakeProfitWorking": take_profit_working, "MakerExiting": maker_exiting, "MarketExiting": market_exiting, "Reconciling": reconciling,
}  # fmt: skip


SAFE = ("Protected", "Closed", "ProtectedPendingFill", "Abandoned", "TakeProfitWorking")


def test_a23_every_state_of_a_life_is_killed_here_or_below() -> None:
    # Halted waits for a person and Flattening for a fill; both are below.
    assert {*WAYS, "Halted", "Flattening"} == set(LIVE_STATES)


@both_sides
@pytest.mark.parametrize("state", WAYS)
def test_a23_a_kill_in_any_state_costs_no_protection_and_the_life_goes_on_to_its_end(side: PositionSide, state: str) -> None:
    floor, position_id = WAYS[state](side)
    assert state in floor.states(position_id)[-2:], floor.states(position_id)
    floor.kill()
    floor.holds_back = lambda text: False
    floor.wait(12)
    assert floor.state(position_id) in SAFE, floor.state(position_id)
    assert floor.bare_ns <= 12_000 * MS or state == "TakeProfitWorking"
    # The time stop was set before the kill, and still runs from then.
    floor.wait(75)
    assert (floor.state(position_id) in ("Closed", "Abandoned"), floor.at_venue(), floor.resting()) == (True, 0, [])
    entries = [e for e in floor.events if any(getattr(x, "role", "") == "entry" for x in e.commands)]
    assert len(entries) == 1


@both_sides
def test_a23_a_halted_position_stays_halted_and_protected(side: PositionSide) -> None:
    stage = Stage(side).protected().halt().restart().link_live().snapshot("stop")
    assert (stage.state, stage.bare) == ("Halted", 0)


@both_sides
def test_a23_a_reverse_that_was_being_closed_is_closed_after_the_restart(side: PositionSide) -> None:
    stage = Stage(side).protected().leave().canceled("stop").filled("stop", "1.0", cum="1.0").filled("exit", "1.0")
    assert stage.state == "Flattening"
    stage.restart().link_live().filled("flatten", "1.0").snapshot()
    assert stage.state == "Closed"


@both_sides
def test_a23_the_time_stop_counts_from_the_entry_and_not_from_the_restart(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, time_stop_secs=40)
    floor.wait(25)
    floor.kill()
    floor.wait(12)
    assert floor.state(position_id) == "Protected"
    floor.wait(6)
    assert (floor.reasons(position_id), floor.state(position_id)) == (["time_stop"], "Closed")


@both_sides
def test_a23_take_profit_panic_and_tightening_are_armed_again(side: PositionSide) -> None:
    plan = {"panic_pnl_bps": -150, "tighten": (f.TightenStep(profit_bps=50, trail_offset_bps=90),)}
    for bps, reason in ((100, "take_profit"), (-160, "panic")):
        floor = Floor()
        position_id = floor.protected(side, take_profit_price=floor.moved(side, 90), **plan)
        floor.kill()
        floor.wait(2)
        if bps > 0:
            floor.tick(floor.moved(side, 60))
            floor.wait(2)
            assert floor.position(position_id).open_orders("stop")[0].trail_offset_bps == 90
        floor.tick(D(60_000) * (10_000 + side.sign * bps) / 10_000)
        floor.wait(3)
        assert (floor.reasons(position_id), floor.state(position_id)) == ([reason], "Closed")


@both_sides
def test_a23_an_engine_kept_trail_does_not_begin_anew(side: PositionSide) -> None:
    floor = Floor()
    position_id = floor.protected(side, trail_style="engine", trail_offset_bps=100)
    floor.tick(floor.moved(side, 140))
    floor.wait(3)
    stop = floor.position(position_id).wanted_stop_ticks
    assert stop is not None
    floor.tick(floor.px)
    floor.kill()
    floor.wait(3)
    after = floor.position(position_id).wanted_stop_ticks
    assert after is not None
    assert (after - stop) * side.sign >= 0


@both_sides
def test_a23_a_second_kill_during_the_recovery_changes_nothing(side: PositionSide) -> None:
    floor, position_id = covered(side)
    floor.kill()
    floor.kill()
    floor.wait(0.2)
    floor.kill()
    floor.wait(3)
    assert (floor.state(position_id), len(floor.resting())) == ("Protected", 1)
    assert_decision(Stage(side).protected().restart().restart().link_live().snapshot("stop"), "Protected")
