"""Thousands of lives under an adversarial venue: whatever it does, a position ends, flat, with nothing left behind."""

from decimal import Decimal

import pytest

from events.values import Capabilities, PositionSide
from fsm.core import Core, verify
from holdfast.simulation.adversary import MARGIN, NO_AMEND, SPOT, Life

LIVES = 1_500
MAKER = {"take_profit_price": Decimal(110), "take_profit_style": "maker"}


def life(seed: int, capabilities: Capabilities) -> Life:
    side = PositionSide.SHORT if capabilities is MARGIN and seed % 2 else PositionSide.LONG
    return Life(seed, capabilities=capabilities, side=side, plan_fields=MAKER if seed % 3 == 0 else {})


@pytest.mark.parametrize("capabilities", [SPOT, MARGIN, NO_AMEND], ids=["spot", "margin", "no amend"])
def test_every_life_ends_flat_with_no_order_left_and_no_invariant_broken(capabilities: Capabilities) -> None:
    for seed in range(LIVES):
        lived = life(seed, capabilities)
        position = lived.run()
        assert position.state in ("Closed", "Abandoned"), f"seed {seed}: {position.state}"
        assert not [o for o in lived.orders if o.open], f"seed {seed}: an order outlived its position"
        assert abs(lived.held) < Decimal("0.2"), f"seed {seed}: {lived.held} is left"
        assert lived.over_exit == 0, f"seed {seed}: {lived.over_exit} was sold twice"
        assert not lived.broken, f"seed {seed}: {lived.broken}"


def test_the_books_of_a_life_equal_the_venues() -> None:
    for seed in range(300):
        lived = life(seed, SPOT)
        position = lived.run()
        assert INCREMENT * position.open_lots == lived.held, f"seed {seed}"


def test_every_log_is_decided_alike_by_both_executors() -> None:
    machine = Core("machine")
    for seed in range(60):
        lived = life(seed, SPOT)
        lived.run()
        assert verify(lived.events, machine) == []
        assert verify(lived.events, Core("flat")) == []


def test_the_adversary_can_find_a_fault_that_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A harness that cannot fail proves nothing: forget that a fill was booked, and lives must go wrong."""
    import fsm.booking as booking

    original = booking._executed
    forgetful = lambda position, *rest: original(position, *rest) if len(position.trade_ids) != 1 else position  # noqa: E731
    monkeypatch.setattr(booking, "_executed", forgetful)
    wrong = 0
    for seed in range(40):
        lived = life(seed, SPOT)
        try:
            lived.run()
        except AssertionError:
            wrong += 1
            continue
        wrong += lived.held != 0 or bool(lived.broken)
    assert wrong


INCREMENT = Decimal("0.1")
