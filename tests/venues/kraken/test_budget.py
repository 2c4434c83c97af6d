"""The rate budget: what things cost, and that the reserve is there for whoever protects or exits."""

from copy import copy
from decimal import Decimal
from random import Random

import pytest

from events.commands import AmendOrder, CancelOrder, OrderCommand, Role, SubmitOrder
from events.values import Side
from venues.kraken.budget import RESERVE, TIERS, RateBudget, is_tightening
from venues.simulated.rates import LIMITS, RateCounter, amend_points, cancel_points

S = 1_000_000_000
SYMBOL = "BTC/USD"


def submit(order: str, role: Role = "entry") -> SubmitOrder:
    return SubmitOrder(client_order_id=order, symbol=SYMBOL, role=role, side=Side.BUY, order_type="market", qty=Decimal(1))


def tighten(order: str) -> AmendOrder:
    return AmendOrder(client_order_id=order, venue_order_id="", symbol=SYMBOL, trail_offset_bps=50)


def resize(order: str) -> AmendOrder:
    return AmendOrder(client_order_id=order, venue_order_id="", symbol=SYMBOL, order_qty=Decimal(2))


def cancel(order: str) -> CancelOrder:
    return CancelOrder(client_order_id=order, venue_order_id="", symbol=SYMBOL)


@pytest.mark.parametrize("age_s", [0, 4, 5, 9, 10, 14, 15, 44, 45, 89, 90, 299, 300, 10_000])
def test_a_change_costs_by_the_age_of_its_order(age_s: int) -> None:
    budget = RateBudget()
    budget.charge(submit("a"), 1_000 * S)
    now_ns = (1_000 + age_s) * S
    assert budget.cost(cancel("a"), now_ns) == cancel_points(age_s * S)
    assert budget.cost(tighten("a"), now_ns) == amend_points(age_s * S)
    budget.charge(tighten("a"), now_ns)
    assert budget.cost(cancel("a"), now_ns) == 8


def test_the_count_decays_as_fast_as_the_tier_that_the_venue_tells() -> None:
    budget = RateBudget()
    for order in range(40):
        budget.charge(submit(str(order)), 0)
    assert (budget.limit, budget.count(SYMBOL, 0), budget.count(SYMBOL, 10 * S)) == (60, 40, 30)
    budget.learn_limit(180)
    assert (budget.limit, budget.count(SYMBOL, 8 * S)) == (180, 10)


def test_the_venues_own_count_corrects_ours_both_ways() -> None:
    budget = RateBudget()
    budget.learn_count(SYMBOL, 55, 0)
    assert budget.wait_ns(tighten("old"), 1, 0) > 0
    budget.learn_count(SYMBOL, 3, 0)
    assert budget.wait_ns(tighten("old"), 1, 0) == 0


def test_what_protects_or_exits_never_waits_also_above_the_limit() -> None:
    budget = RateBudget()
    budget.learn_count(SYMBOL, 10_000, 0)
    for command in (submit("s", "stop"), submit("x", "exit"), submit("t", "take_profit"), submit("f", "flatten"), cancel("s"), resize("s")):
        assert budget.wait_ns(command, 5, 0) == 0
        assert not is_tightening(command)
    assert budget.wait_ns(submit("e"), 5, 0) > 0
    assert budget.wait_ns(tighten("s"), 5, 0) > 0


def test_who_waited_as_long_as_he_was_told_may_go() -> None:
    budget = RateBudget()
    budget.learn_count(SYMBOL, 58, 0)
    wait_ns = budget.wait_ns(submit("e"), 2, 0)
    assert budget.wait_ns(submit("e"), 2, wait_ns - S // 100) > 0
    assert budget.wait_ns(submit("e"), 2, wait_ns) == 0


@pytest.mark.parametrize("limit", sorted(TIERS))
@pytest.mark.parametrize("seed", range(20))
def test_tightening_and_entries_never_spend_what_an_exit_needs_by_the_venues_own_count(limit: int, seed: int) -> None:
    """Tighten and enter as often as allowed; at any moment every position must be able to leave, as the venue counts."""
    rng, budget = Random(seed), RateBudget()
    budget.learn_limit(limit)
    tier = next(tier for tier, limits in LIMITS.items() if limits.threshold == limit)
    venue = RateCounter(LIMITS[tier])
    positions = rng.randint(1, limit // 2 // RESERVE)
    touched = dict.fromkeys((f"stop{n}" for n in range(positions)), 0)
    now_ns = left_out = 0
    for order in touched:
        budget.charge(submit(order, "stop"), now_ns)
        assert venue.charge(2, now_ns)
    for step in range(400):
        now_ns += rng.choice((0, 0, S // 10, S))
        order = rng.choice(sorted(touched))
        command: OrderCommand = tighten(order) if rng.random() < 0.8 else submit(f"entry{step}")
        if budget.wait_ns(command, positions, now_ns):
            left_out += 1
            continue
        points = amend_points(now_ns - touched[order]) if isinstance(command, AmendOrder) else 1
        budget.charge(command, now_ns)
        assert venue.charge(2 * points, now_ns), f"refused by the venue at {venue.count(now_ns)} of {limit}"
        if isinstance(command, AmendOrder):
            touched[order] = now_ns
        if rng.random() < 0.02:
            # All leave at once, with stops just amended: cancel, exit, and a stop in its place.
            trial = copy(venue)
            for each in sorted(touched):
                for points in (cancel_points(now_ns - touched[each]), 1, 1):
                    assert trial.charge(2 * points, now_ns), f"no room for {each} at {trial.count(now_ns)} of {limit}"
    assert left_out > 0
