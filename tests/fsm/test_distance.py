"""The distance policy, number by number."""

from decimal import Decimal

import pytest

from fsm.distance import Distance, DistancePolicy, alpha_permille, emergency_distance, trail_distance

POLICY = DistancePolicy(taker_fee_bps=Decimal(5))  # fee floor 2 * 5 + 10 = 20 bps, under the minimum of 30


@pytest.mark.parametrize(
    ("secs", "permille"), [(0, 500), (60, 500), (225, 500), (300, 577), (900, 1_000), (1_800, 1_414), (3_600, 2_000), (10**9, 2_000)]
)
def test_alpha_is_the_square_root_of_time_within_a_half_and_two(secs: int, permille: int) -> None:
    assert alpha_permille(secs) == permille


@pytest.mark.parametrize(("fee", "floor"), [("40", 90), ("5", 20), ("3.5", 17), ("2.25", 15), ("0", 10)])
def test_the_fee_floor_is_twice_the_taker_fee_plus_slippage_rounded_up(fee: str, floor: int) -> None:
    assert DistancePolicy(taker_fee_bps=Decimal(fee)).fee_floor_bps == floor


@pytest.mark.parametrize(
    ("taker_fee", "atr_bps", "horizon_secs", "mode", "floor", "expected"),
    [
        (5, 100, 900, "normal", 0, Distance(100, "atr")),
        (5, 100, None, "normal", 0, Distance(100, "atr")),
        (5, 100, 300, "normal", 0, Distance(58, "atr")),  # 57.7 rounded up
        (5, 100, 3_600, "normal", 0, Distance(200, "atr")),
        (5, 100, 900, "quiet", 0, Distance(85, "atr")),
        (5, 100, 900, "compression", 0, Distance(70, "atr")),
        (5, 100, 900, "volatile", 0, Distance(130, "atr")),
        (5, None, 900, "normal", 0, Distance(80, "degraded, no ATR")),
        (5, None, 60, "compression", 0, Distance(80, "degraded, no ATR")),
        (5, None, 900, "normal", 95, Distance(95, "strategy_floor")),
        (5, 10, 900, "normal", 0, Distance(30, "minimum")),
        (40, None, 900, "normal", 0, Distance(90, "fee_floor")),
        (40, 80, 900, "normal", 0, Distance(90, "fee_floor")),
        (5, 10, 900, "compression", 0, Distance(21, "minimum")),
        (5, 400, 900, "volatile", 0, Distance(500, "atr, clamped")),
        (5, 400, 900, "volatile", 600, Distance(600, "strategy_floor")),
        (5, 100, 900, "normal", 60, Distance(100, "atr")),
    ],
)
def test_the_widest_term_times_mode_clamped_and_not_under_the_strategy_floor(
    taker_fee: int, atr_bps: int | None, horizon_secs: int | None, mode: str, floor: int, expected: Distance
) -> None:
    policy = DistancePolicy(taker_fee_bps=Decimal(taker_fee))
    assert trail_distance(policy, atr_bps, horizon_secs, mode, floor) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pnl_bps", "degraded", "atr_bps", "expected"),
    [
        (20, False, 100, 58),
        (20, True, 100, 58),
        (20, False, None, 80),
        (20, True, None, 50),
        (19, False, 100, 80),
        (19, True, 100, 58),
        (19, True, None, 50),
        (-500, False, None, 80),
        (None, False, 100, 80),
        (None, True, None, 50),
    ],
)
def test_emergency_distance_follows_profit_then_truth_then_the_degraded_trail(
    pnl_bps: int | None, degraded: bool, atr_bps: int | None, expected: int
) -> None:
    assert emergency_distance(POLICY, pnl_bps, degraded, atr_bps).trail_offset_bps == expected
