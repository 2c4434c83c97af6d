"""The rate budget: what things cost, and that the reserve is there for whoever protects or exits."""

from copy import copy
from decimal import Decimal
from random import Random

import pytest

from events.commands import AmendOrder, CancelOrder, OrderCommand, Role, SubmitOrder
from events.values import Side
from fsm.desk import Desk
from replay.reserve import Reserve
from venues.kraken.budget import RESERVE, TIERS, YOUNG, RateBudget, is_tightening
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


def entry_wait_ns(budget: RateBudget, positions: int, now_ns: int) -> int:
    """Return the wait of an entry beside positions that are all young."""
    wait_ns = budget.entry_wait_ns(SYMBOL, 1 + YOUNG * positions, (), now_ns)
    assert wait_ns is not None
    return wait_ns


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
    assert budget.tightening_wait_ns(tighten("old"), 1, 0) > 0
    budget.learn_count(SYMBOL, 3, 0)
    assert budget.tightening_wait_ns(tighten("old"), 1, 0) == 0


def test_what_protects_or_exits_never_waits_also_above_the_limit() -> None:
    budget = RateBudget()
    reserve = Reserve(Desk("hf"), budget)
    budget.learn_count(SYMBOL, 10_000, 0)
    for command in (submit("s", "stop"), submit("x", "exit"), submit("t", "take_profit"), submit("f", "flatten"), resize("s")):
        assert reserve.wait_ns(command, 0) == 0
        assert not is_tightening(command)
    assert reserve.wait_ns(submit("e"), 0) > 0
    assert reserve.wait_ns(tighten("s"), 0) > 0


def test_who_waited_as_long_as_he_was_told_may_go() -> None:
    budget = RateBudget()
    budget.learn_count(SYMBOL, 58, 0)
    wait_ns = entry_wait_ns(budget, 2, 0)
    assert entry_wait_ns(budget, 2, wait_ns - S // 100) > 0
    assert entry_wait_ns(budget, 2, wait_ns) == 0


@pytest.mark.parametrize("seed", range(40))
def test_the_wait_is_the_shortest_that_count_and_age_allow(seed: int) -> None:
    rng, budget = Random(seed), RateBudget()
    orders = [str(number) for number in range(rng.randint(0, 9))]
    for order in orders:
        budget.touch(order, rng.randint(0, 300) * S)
    now_ns = 300 * S
    budget.learn_count(SYMBOL, rng.randint(0, 90), now_ns)
    points = rng.randint(1, 60)
    wait_ns = budget.entry_wait_ns(SYMBOL, points, orders, now_ns)
    assert wait_ns is not None
    for at_ns, fits in ((now_ns + wait_ns, True), (now_ns + wait_ns - 1, False)):
        if at_ns >= now_ns:
            needed = budget._count(SYMBOL, at_ns) + 1_000 * (points + budget.cancel_points(orders, at_ns))
            assert (needed <= 60_000) == fits
    assert budget.entry_wait_ns(SYMBOL, 61, orders, now_ns) is None


class Weaker(RateBudget):
    """Keeps back less from a tightening than it should: `reserve` points, instead of those of every position of the pair."""

    reserve = 0

    def tightening_wait_ns(self, command: AmendOrder, positions: int, now_ns: int) -> int:
        return self._wait_ns(command.symbol, self.cost(command, now_ns) + self.reserve, now_ns)


def short_of(budget: RateBudget, limit: int, seed: int) -> tuple[str, int]:
    """Tighten and enter as often as allowed, as the venue counts; return who could not leave then, and how often it had to wait."""
    rng = Random(seed)
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
        is_tight = isinstance(command, AmendOrder)
        wait_ns = budget.tightening_wait_ns(command, positions, now_ns) if is_tight else entry_wait_ns(budget, positions, now_ns)
        if wait_ns:
            left_out += 1
            continue
        points = amend_points(now_ns - touched[order]) if is_tight else 1
        budget.charge(command, now_ns)
        if not venue.charge(2 * points, now_ns):
            return f"{order} was refused by the venue at {venue.count(now_ns)} of {limit}", left_out
        if is_tight:
            touched[order] = now_ns
        if rng.random() < 0.02:
            # All leave at once, with stops just amended: cancel, exit, and a stop in its place.
            trial = copy(venue)
            for each in sorted(touched):
                for points in (cancel_points(now_ns - touched[each]), 1, 1):
                    if not trial.charge(2 * points, now_ns):
                        return f"no room for {each} at {trial.count(now_ns)} of {limit}", left_out
    return "", left_out


@pytest.mark.parametrize("limit", sorted(TIERS))
@pytest.mark.parametrize("seed", range(20))
def test_tightening_and_entries_never_spend_what_an_exit_needs_by_the_venues_own_count(limit: int, seed: int) -> None:
    told, left_out = short_of(RateBudget(), limit, seed)
    assert told == ""
    assert left_out > 0


@pytest.mark.parametrize("limit", sorted(TIERS))
@pytest.mark.parametrize("reserve", [0, 1, RESERVE // 2, RESERVE])
def test_a_budget_that_lets_a_tightening_spend_the_reserve_is_found(limit: int, reserve: int) -> None:
    """Nothing at all, one exit, half of what one position needs, or what one needs where there are several (I14)."""
    budgets = [Weaker() for _ in range(20)]
    for budget in budgets:
        budget.reserve = reserve
    assert any(short_of(budget, limit, seed)[0] for seed, budget in enumerate(budgets))
