"""Directed cases take what drawn ones seldom or never do: of 500 drawn seeds none took any of these."""

import pytest

from holdfast.simulation.directed import DIRECTIONS, drawn
from holdfast.simulation.reached import Step, reached
from holdfast.simulation.world import simulate

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
