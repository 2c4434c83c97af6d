"""Directed cases take what drawn ones seldom or never do: of 500 drawn seeds none took any of these."""

from pathlib import Path

import msgspec
import pytest

from holdfast.simulation.case import Ambush, Case, case_text, draw, read_case
from holdfast.simulation.directed import DIRECTIONS, drawn
from holdfast.simulation.reached import Step, reached
from holdfast.simulation.shrink import shrink
from holdfast.simulation.world import Lived, simulate

MOST_SEEDS = 60
TAKEN: dict[str, tuple[Step, ...]] = {
    "halted": (("Halted", "OutcomeUnknown", "Halted"), ("Halted", "OrderFilled", "Halted"), ("Halted", "AmendRejected", "Halted")),
    "hands": (("CancelPending", "ManualOrderSeen", "CancelPending"), ("MarketExiting", "ManualOrderSeen", "MarketExiting")),
    "shut": (("EmergencyProtecting", "VenueModeChanged", "MarketExiting"), ("MakerExiting", "PlanTightened", "MakerExiting")),
    "refused": (("Abandoned", "OrderRejected", "Abandoned"), ("CancelPending", "OrderRejected", "Abandoned")),
    "resting": (("MakerExiting", "ExitRequested", "MakerExiting"),),
    "funds": (("MarketExiting", "BalanceShort", "MarketExiting"),),
    "sold": (
        ("Protected", "ManualFillSeen", "Resizing"), ("Protected", "ManualFillSeen", "CancelPending"),
        ("Reconciling", "ManualFillSeen", "Reconciling"), ("CancelPending", "ManualFillSeen", "CancelPending"),
    ),
    "ranges": (("Protected", "MarketModeChanged", "Protected"),),
    "taken": (
        ("AwaitingOwner", "ProtectionRequested", "ProtectionPending"), ("Protected", "ProtectionRequested", "Protected"),
        ("AwaitingOwner", "ExitRequested", "MarketExiting"),
    ),
    "races": (("MakerExiting", "ExitRequested", "CancelPending"),),
    "expired": (
        ("EntryPending", "OrderExpired", "Abandoned"), ("MarketExiting", "OrderExpired", "MarketExiting"),
        ("ProtectedPendingFill", "OrderExpired", "Abandoned"), ("CancelPending", "OrderExpired", "MarketExiting"),
    ),
    "fees": (("MarketExiting", "OrderCompleted", "MarketExiting"), ("ProtectedPendingFill", "OrderCompleted", "EntryPending")),
}


def test_every_direction_has_steps_that_it_is_for_and_the_checker_reaches_them() -> None:
    assert TAKEN.keys() == DIRECTIONS.keys()
    assert {step for steps in TAKEN.values() for step in steps} <= reached()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_direction_leads_to_the_steps_that_it_is_for_and_breaks_nothing(direction: str) -> None:
    missing = set(TAKEN[direction])
    for seed in range(MOST_SEEDS):
        lived = simulate(drawn(seed, direction), with_replay=False)
        assert lived.violations == [], seed
        missing -= lived.transitions.keys()
        if not missing:
            return
    pytest.fail(f"{MOST_SEEDS} seeds did not take {missing}")


def test_a_directed_case_is_the_same_for_the_same_seed_and_another_than_the_drawn_one() -> None:
    assert drawn(5, "shut") == drawn(5, "shut") != drawn(5)


def halted_three_times() -> tuple[Ambush, ...]:
    waits = Ambush(state="Protected", kind="halt", times=3)
    return waits, Ambush(state="Halted", kind="fill", delay_ms=5, times=99)


def test_an_ambush_strikes_as_often_as_it_says_the_positions_that_come_to_its_state() -> None:
    quiet = msgspec.structs.replace(draw(402), happenings=(), wishes=())
    assert not any(after == "Halted" for _, _, after in simulate(quiet, with_replay=False).transitions)
    lived = simulate(msgspec.structs.replace(quiet, ambushes=halted_three_times()), with_replay=False)
    assert lived.violations == []
    assert lived.transitions["Protected", "HaltRequested", "Halted"] == 3
    # Their own stops executed there, and no others.
    assert 1 <= lived.injected["fill"] <= 3


@pytest.mark.parametrize(("text", "becomes", "never"), [("stop", "ProtectionPending", "Protected"), ("rest", "Protected", "AwaitingOwner")])
def test_what_the_owner_cancels_is_a_stop_or_one_of_the_rest_where_it_says_so(text: str, becomes: str, never: str) -> None:
    half = Ambush(state="ProtectedPendingFill", kind="fill", text="half rest", times=99, delay_ms=50)
    cancel = Ambush(state="ProtectedPendingFill", kind="cancel_by_hand", text=text, times=99, delay_ms=400)
    case = msgspec.structs.replace(drawn(3, "ProtectedPendingFill/OrderCanceled"), happenings=(), wishes=(), ambushes=(half, cancel))
    lived = simulate(case, with_replay=False)
    assert lived.violations == []
    assert lived.transitions["ProtectedPendingFill", "OrderCanceled", becomes] > 0
    assert lived.transitions["ProtectedPendingFill", "OrderCanceled", never] == 0


def test_a_case_with_ambushes_is_read_as_it_was_written_and_made_smaller_by_leaving_them_out(tmp_path: Path) -> None:
    case = msgspec.structs.replace(draw(402), ambushes=halted_three_times())
    path = tmp_path / "case.json"
    path.write_text(case_text(case), encoding="utf-8")
    assert read_case(path) == case

    def fails_while_halted(tried: Case) -> Lived:
        is_it = any(ambush.kind == "halt" for ambush in tried.ambushes)
        return Lived(seed=402, violations=["I13 at 1 s: halted"] if is_it else [])

    assert [x.kind for x in shrink(case, fails_while_halted(case), fails_while_halted).ambushes] == ["halt"]
