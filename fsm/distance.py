"""How far a trailing stop stands from its peak (A12), and how far where protection is missing (A8).

    max(fee floor, alpha(horizon) * ATR15m, minimum) * mode, clamped, not under the strategy's own floor

- *fee floor*: twice the taker fee plus slippage: a nearer stop would cost more than it saves.
- *alpha*: volatility grows with the square root of time, so a position that is to live `h` seconds needs sqrt(h / 900) of the
  range of fifteen minutes. Within 1/2 and 2: beyond, the range of fifteen minutes says little.
- *mode*: what kind of market it is (`modes.py`); a quiet one needs less room.

All distances are whole basis points of the peak, each step rounded up: away from the market.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from math import isqrt
from typing import NamedTuple

import msgspec

from events.facts import MarketMode

ATR_SECS = 900
ALPHA_PERMILLE_MIN, ALPHA_PERMILLE_MAX = 500, 2_000
# A position whose plan has no time stop is looked at over one bar of the ATR.
DEFAULT_HORIZON_SECS = ATR_SECS
EMERGENCY_HORIZON_SECS = 300
# A8: profit from which the ATR trail is used; trail where private truth is degraded and no ATR is known; trail otherwise.
EMERGENCY_PROFIT_BPS = 20
DEGRADED_TRUTH_TRAIL_BPS = 50
DEGRADED_TRAIL_BPS = 80
# No source gives these; the order is what matters, and a strategy may bring its own floor.
MODE_PERMILLE: Mapping[MarketMode, int] = {"compression": 700, "quiet": 850, "normal": 1_000, "volatile": 1_300}


class DistancePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one venue and account. `taker_fee_bps` may have a fraction; everything else is whole bps.

    `lowest_bps` and `highest_bps` clamp the result.
    """

    taker_fee_bps: Decimal
    slippage_bps: int = 10
    minimum_bps: int = 30
    lowest_bps: int = 20
    highest_bps: int = 500

    @property
    def fee_floor_bps(self) -> int:
        """Twice the taker fee plus slippage, rounded up."""
        return int((2 * self.taker_fee_bps).to_integral_value(ROUND_CEILING)) + self.slippage_bps


class Distance(NamedTuple):
    """A trail distance and the term that set it, for `TrailDistanceChanged.basis` and for `why`."""

    trail_offset_bps: int
    basis: str


def alpha_permille(horizon_secs: int) -> int:
    """Return sqrt(horizon / 900 s) in thousandths, rounded down, within its limits."""
    return min(max(isqrt(max(horizon_secs, 0) * 1_000_000 // ATR_SECS), ALPHA_PERMILLE_MIN), ALPHA_PERMILLE_MAX)


def trail_distance(
    policy: DistancePolicy,
    atr_bps: int | None,
    horizon_secs: int | None,
    mode: MarketMode = "normal",
    strategy_floor_bps: int = 0,
) -> Distance:
    """Return the distance of a trail.

    Args:
        atr_bps: mean true range of fifteen minutes (`bars.BarSeries.atr_bps`), None if there is too little history; the
            degraded trail of A8 then stands for it, as it is, and the ATR is adopted once it is known (A11).
        horizon_secs: how long the position is to live, from its time stop; None if it has none.
        strategy_floor_bps: the strategy's own least distance; it wins over the upper clamp.
    """
    if atr_bps is None:
        range_term = ("degraded, no ATR", DEGRADED_TRAIL_BPS)
    else:
        range_term = ("atr", _up(atr_bps * alpha_permille(horizon_secs or DEFAULT_HORIZON_SECS), 1_000))
    terms = (("fee_floor", policy.fee_floor_bps), range_term, ("minimum", policy.minimum_bps))
    basis, widest = max(terms, key=lambda term: term[1])
    # A market that was not watched for long enough is of no known kind.
    raw = widest if atr_bps is None else _up(widest * MODE_PERMILLE[mode], 1_000)
    clamped = min(max(raw, policy.lowest_bps), policy.highest_bps)
    if clamped != raw:
        basis = f"{basis}, clamped"
    if clamped < strategy_floor_bps:
        return Distance(strategy_floor_bps, "strategy_floor")
    return Distance(clamped, basis)


def moded_distance(trail_offset_bps: int, mode: MarketMode) -> Distance:
    """Return the distance of a plan's own trail in a market of `mode` (A7)."""
    return Distance(_up(trail_offset_bps * MODE_PERMILLE[mode], 1_000), f"mode {mode}")


def emergency_distance(
    policy: DistancePolicy, pnl_bps: int | None, truth_is_degraded: bool, atr_bps: int | None, mode: MarketMode = "normal"
) -> Distance:
    """Return the distance of a trail for exposure that was found without protection (A8).

    `pnl_bps` is the open profit, None if the cost is unknown. With no price at all there is nothing to decide: the caller
    waits for one.
    """
    in_profit = pnl_bps is not None and pnl_bps >= EMERGENCY_PROFIT_BPS
    if atr_bps is not None and (in_profit or truth_is_degraded):
        distance = trail_distance(policy, atr_bps, EMERGENCY_HORIZON_SECS, mode)
        return Distance(distance.trail_offset_bps, f"emergency {'profit' if in_profit else 'degraded truth'}: {distance.basis}")
    if truth_is_degraded:
        return Distance(DEGRADED_TRUTH_TRAIL_BPS, "emergency degraded truth, no ATR")
    return Distance(DEGRADED_TRAIL_BPS, "emergency")


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
